"""Loads the compiled extension once."""

import importlib
from functools import cache


@cache
def _load() -> str | None:
    try:
        importlib.import_module("cuda_ext._C")
    except ImportError as error:
        return str(error)
    return None


def available() -> bool:
    """Whether the compiled extension is loaded."""
    return _load() is None


def why_unavailable() -> str:
    """The reason why it is not."""
    return _load() or ""
