"""Where the kernels of an installed package lie: in the user's cache, one file for each torch."""

import os
import re
import sys
import sysconfig
from pathlib import Path

import torch

from cuda_ext.sources import sources_digest

HERE = Path(__file__).resolve().parent


def cached_file() -> Path | None:
    """The file of the kernels for this torch, this Python and the sources here, built or not.

    It is below XDG_CACHE_HOME, else ~/.cache. None where there are neither sources nor a home.
    """
    digest, top = sources_digest(HERE / "csrc"), _top()
    if digest is None or top is None:
        return None
    python = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    of = f"torch-{torch.__version__}-{python}-{digest[:16]}"
    return top / "robust-supernet" / "kernels" / re.sub(r"[^\w.+-]", "-", of) / "_C.so"


def refuse_of_others(path: Path) -> None:
    """Raises: ImportError where somebody else could have written the file."""
    owner = path.stat().st_uid
    if owner not in (0, os.getuid()):
        raise ImportError(f"{path} belongs to another user (number {owner}); remove it")


def _top() -> Path | None:
    named = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if named.is_absolute():  # the standard says to pass over others
        return named
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None
