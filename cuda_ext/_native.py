"""Loads the compiled extension once, on import. No other file knows how."""

import importlib
import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import torch

from cuda_ext.sources import sources_digest

_HERE = Path(__file__).resolve().parent


def _load() -> str:
    """Empty, or why the extension did not load."""
    try:
        # Before it is loaded: an operator is registered once in a process.
        _refuse_from_elsewhere(importlib.util.find_spec("cuda_ext._C"), _HERE)
        # `from . import _C` would report a circular import when nothing is built.
        built_from = getattr(importlib.import_module("cuda_ext._C"), "SOURCES", None)
        _refuse_other_sources(built_from, sources_digest(_HERE / "csrc"))
    except ImportError as error:
        return f"{error} (`make native` builds it)"
    return ""


def _refuse_from_elsewhere(spec: ModuleSpec | None, here: Path) -> None:
    """Raises: ImportError where the extension is not the one next to this file: an editable install
    of another checkout offers its own for every one that has none."""
    if spec is not None and spec.origin is not None and Path(spec.origin).parent.resolve() != here:
        raise ImportError(f"{spec.origin} belongs to another checkout than {here}")


def _refuse_other_sources(built_from: str | None, here: str | None) -> None:
    """Raises: ImportError where the extension is built from other sources than those here."""
    if here is not None and built_from != here:
        raise ImportError("cuda_ext._C is built from other sources than those in cuda_ext/csrc")


def _has_kernels(key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key("robust_supernet::attack_node", key)


# Plain values: torch.compile reads them without a graph break.
_ERROR = _load()
_DEVICES = tuple(d for d in ("cpu", "cuda") if not _ERROR and _has_kernels(d.upper()))
_CUDA_DTYPES = (torch.float32, torch.bfloat16)


def available() -> bool:
    """Whether the compiled extension is loaded, for CPU tensors at least."""
    return not _ERROR


def why_unavailable() -> str:
    """The reason why it is not; empty where it is."""
    return _ERROR


def runs_on(device_type: str) -> bool:
    """Whether there are compiled kernels for "cpu" or "cuda"."""
    return device_type in _DEVICES


def choose(impl: str, device_type: str, dtype: torch.dtype = torch.float32) -> bool:
    """Whether to take the native path: `impl` is "auto", "reference" or "native".

    Raises: ValueError for another name; RuntimeError where "native" cannot run, with the reason.
    """
    if impl not in ("auto", "reference", "native"):
        raise ValueError(f"impl '{impl}' is unknown; choose auto, reference or native")
    has_dtype = device_type != "cuda" or dtype in _CUDA_DTYPES
    if impl == "reference" or (impl == "auto" and not (runs_on(device_type) and has_dtype)):
        return False
    if not available():
        raise RuntimeError(f"impl='native' but cuda_ext._C did not load: {why_unavailable()}")
    if not runs_on(device_type):
        raise RuntimeError(
            f"impl='native' but cuda_ext._C was built without kernels for {device_type}"
        )
    if not has_dtype:
        raise RuntimeError(
            f"impl='native' on cuda takes float32 and bfloat16, not {str(dtype)[6:]}; "
            "use impl='auto' or 'reference'"
        )
    return True
