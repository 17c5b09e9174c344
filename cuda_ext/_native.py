"""Loads the compiled extension once, on import, and says who has kernels for which device.

Where nothing compiled has kernels for CUDA, or none that the GPU runs, those in Triton
(triton_ops.py) stand in for them. No other file knows how.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import torch

from cuda_ext.cache import cached_file, refuse_of_others
from cuda_ext.sources import sources_digest

_NAME = "cuda_ext._C"
_HERE = Path(__file__).resolve().parent
_IN_CHECKOUT = (_HERE.parent / "Makefile").is_file()
_REMEDY = "`make native`" if _IN_CHECKOUT else "`robust-supernet kernels --build`"


def _load() -> tuple[str, str]:
    """(the file of the extension, ""), or ("", why it did not load)."""
    try:
        spec = _found()
        # `from . import _C` would report a circular import when nothing is built.
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        assert spec.loader is not None
        spec.loader.exec_module(module)
        _refuse_other_sources(getattr(module, "SOURCES", None), sources_digest(_HERE / "csrc"))
    except ImportError as error:
        sys.modules.pop(_NAME, None)
        return "", f"{error} ({_REMEDY} builds them)"
    return str(spec.origin), ""


def _found() -> ModuleSpec:
    """The extension beside this file, else the one in the user's cache.

    Raises: ImportError where there is none. All is decided before anything is loaded: an operator
            is registered once in a process.
    """
    spec = importlib.util.find_spec(_NAME)
    if spec is not None:
        _refuse_from_elsewhere(spec, _HERE)
        return spec
    path = cached_file()
    if path is not None and path.is_file():
        refuse_of_others(path)
        spec = importlib.util.spec_from_file_location(_NAME, path)
    if spec is None:
        raise ImportError("no kernels are built for this torch")
    return spec


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


def _why_not_triton() -> str:
    """What Triton lacks to compile its kernels when they are first used; empty where nothing."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    found = _triton_version()
    if tuple(map(int, found.split(".")[:2])) < (3, 3):  # no tuples of tensors as arguments
        return f"Triton {found} is older than 3.3; a newer torch brings a newer one"
    # As Triton looks for it.
    compilers = [os.environ["CC"].split()[0]] if os.environ.get("CC") else ["gcc", "clang"]
    if not any(shutil.which(name) for name in compilers):
        return "Triton finds no C compiler; install gcc, or name one in CC"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Triton finds no Python.h; install Python's headers (python3-dev)"
    return ""


def _triton_version() -> str:
    """As its distribution says, which has other names, too (pytorch-triton, triton-windows)."""
    try:
        return importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return str(importlib.import_module("triton").__version__)


def _try() -> None:
    """Let the GPU run two of its kernels; where all fail there are none for it.

    Compiled kernels fail on a GPU that they were not built for; those in Triton then take their
    place. These fail where Triton, its compilers or the driver do not get along.
    """
    global _DEVICES, _COMPILED, _NOT_HERE, _TRIED
    _TRIED = True
    if not torch.cuda.is_available():
        return
    try:
        problem = _problem()
        if problem and "cuda" in _COMPILED:
            _COMPILED = tuple(d for d in _COMPILED if d != "cuda")
            _NOT_HERE = problem
            problem = _take_triton()
    except torch.OutOfMemoryError:  # which says nothing of the kernels
        _TRIED = False
        return
    if problem:
        _DEVICES = _COMPILED
        _NOT_HERE = f"{_NOT_HERE}; {problem}" if _NOT_HERE else problem


def _problem() -> str:
    """What is wrong with the kernels for the GPU; empty where nothing is."""
    in_triton = by_triton("cuda")
    which = "kernels in Triton" if in_triton else "compiled CUDA kernels"
    try:
        from cuda_ext import triton_ops

        ops: Any = triton_ops if in_triton else torch.ops.robust_supernet
        return "" if _trial(ops) else f"the {which} compute wrong numbers here"
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of Triton, its compilers and drivers: none has a type of its own
        said = str(error).strip().splitlines() or [type(error).__name__]
        problem = f"the {which} fail here ({said[-1 if in_triton else 0][:200]})"
        if "no kernel image" in str(error):
            problem += f"; {_REMEDY} builds them for this GPU, where nvcc is"
        return problem


def _take_triton() -> str:
    """Put those in Triton in the place of the compiled kernels, or say what is wrong with them."""
    problem = _why_not_triton() or _problem()
    if not problem:
        from cuda_ext import triton_ops

        with warnings.catch_warnings():  # that kernels are replaced is what is wanted
            warnings.simplefilter("ignore", UserWarning)
            triton_ops.register(define=False)
    return problem


def _may_try() -> bool:
    """Not where torch.compile traces or a graph is captured: the trial reads values."""
    if torch.compiler.is_compiling():
        return False
    return not (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing())


def _trial(ops: Any, device: str = "cuda") -> bool:
    """Whether a step of an attack and the sums of a node with three sources come out right."""
    x = torch.zeros(1, 4, 1, 1, device=device)
    ops.attack_step(x, torch.ones_like(x), x.clone(), None, 1.0)
    ones, w = [torch.ones_like(x)] * 3, torch.ones(3, 5, device=device)
    mean, var = torch.zeros(3, 2, 4, device=device), torch.ones(3, 2, 4, device=device)
    dw, _ = ops.training_node_sums(ones[0], ones, ones, ones, w, mean, var, 0.0)
    # Four channels of 1 each, but nothing of the operator none, which is the first.
    expected = torch.tensor([0.0, 4, 4, 4, 4], device=device).expand(3, 5)
    return bool((x == 1).all()) and torch.allclose(dw, expected)


# Plain values: torch.compile reads them without a graph break.
_FILE, _ERROR = _load()
_COMPILED = tuple(d for d in ("cpu", "cuda") if not _ERROR and _has_kernels(d.upper()))
_NO_TRITON = "" if "cuda" in _COMPILED else _why_not_triton()
_TRIED, _NOT_HERE = False, ""
_DEVICES = _COMPILED if "cuda" in _COMPILED or _NO_TRITON else (*_COMPILED, "cuda")
_CUDA_DTYPES = (torch.float32, torch.bfloat16)


def available() -> bool:
    """Whether the compiled extension is loaded, for CPU tensors at least."""
    return not _ERROR


def why_unavailable() -> str:
    """The reason why it is not; empty where it is."""
    return _ERROR


def compiled_for() -> tuple[str, ...]:
    """The devices that the compiled extension has kernels for."""
    return _COMPILED


def file() -> str:
    """Where the compiled extension lies; empty where it is not loaded."""
    return _FILE


def defined() -> bool:
    """Whether there are operators, for any device."""
    return bool(_DEVICES)


def by_triton(device_type: str) -> bool:
    """Whether the kernels for the device are those in Triton."""
    return device_type == "cuda" and "cuda" in _DEVICES and "cuda" not in _COMPILED


def runs_on(device_type: str) -> bool:
    """Whether there are kernels for "cpu" or "cuda"."""
    return device_type in _DEVICES


def describe(device_type: str) -> str:
    """Which kernels those for the device are, in a few words."""
    if by_triton(device_type):
        why = f"; {_NOT_HERE}" if _NOT_HERE else ""
        return f"kernels in Triton, compiled for this GPU in the first minutes{why}"
    return f"compiled kernels of {file()}"


def form(device_type: str) -> str:
    """`triton 3.8.0` or `compiled`: they round in different orders."""
    if by_triton(device_type):
        return f"triton {_triton_version()}"
    return "compiled"


def why_not(device_type: str, dtype: torch.dtype = torch.float32) -> str:
    """Why the kernels do not run on this device in this dtype; empty where they do."""
    if device_type == "cuda" and runs_on(device_type) and not _TRIED and _may_try():
        _try()
    if not runs_on(device_type):
        if device_type == "cuda" and _NOT_HERE:
            return _NOT_HERE
        reason = why_unavailable() or f"cuda_ext._C was built without kernels for {device_type}"
        return f"{reason}; {_NO_TRITON}" if device_type == "cuda" and _NO_TRITON else reason
    if device_type == "cuda" and dtype not in _CUDA_DTYPES:
        return f"the kernels on cuda take float32 and bfloat16, not {str(dtype)[6:]}"
    return ""


def choose(impl: str, device_type: str, dtype: torch.dtype = torch.float32) -> bool:
    """Whether to take the native path: `impl` is "auto", "reference" or "native".

    Raises: ValueError for another name; RuntimeError where "native" cannot run, with the reason.
    """
    if impl not in ("auto", "reference", "native"):
        raise ValueError(f"impl '{impl}' is unknown; choose auto, reference or native")
    reason = why_not(device_type, dtype)
    if impl == "native" and reason:
        if not (available() or runs_on(device_type)):
            reason = f"cuda_ext._C did not load: {reason}"
        raise RuntimeError(f"impl='native' but {reason}")
    return impl != "reference" and not reason
