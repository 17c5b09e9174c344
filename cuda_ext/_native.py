"""Loads the compiled extension once. The only place that knows how."""

import importlib
from functools import cache


@cache
def _load_error() -> str | None:
    try:
        # `from . import _C` would report a circular import when nothing is built.
        importlib.import_module("cuda_ext._C")
    except ImportError as error:
        return f"{error} (`make native` builds it)"
    return None


def available() -> bool:
    """Whether the compiled extension is loaded, for CPU tensors at least."""
    return _load_error() is None


def why_unavailable() -> str:
    """The reason why it is not; empty where it is."""
    return _load_error() or ""


@cache
def has_cuda() -> bool:
    """Whether the extension was built with its CUDA kernels."""
    if not available():
        return False
    from torch._C import _dispatch_has_kernel_for_dispatch_key

    return bool(_dispatch_has_kernel_for_dispatch_key("robust_supernet::attack_node", "CUDA"))


def runs_on(device_type: str) -> bool:
    """Whether the compiled kernels run on "cpu" or "cuda"."""
    return available() and (device_type == "cpu" or (device_type == "cuda" and has_cuda()))


def choose(impl: str, device_type: str) -> bool:
    """Whether to take the native path: `impl` is "auto", "reference" or "native".

    Raises: ValueError for another name; RuntimeError where "native" cannot run, with the reason.
    """
    if impl not in ("auto", "reference", "native"):
        raise ValueError(f"impl '{impl}' is unknown; choose auto, reference or native")
    if impl == "reference" or (impl == "auto" and not runs_on(device_type)):
        return False
    if not available():
        raise RuntimeError(f"impl='native' but cuda_ext._C did not load: {why_unavailable()}")
    if not runs_on(device_type):
        raise RuntimeError(
            f"impl='native' but cuda_ext._C was built without kernels for {device_type}"
        )
    return True
