"""Builds the optional extension cuda_ext._C; the rest of the project is in pyproject.toml.

C++ always, CUDA where nvcc and a CUDA build of torch are there. NO_NATIVE=1 builds nothing. Without
torch, or when the compiler fails, the install is pure PyTorch and one line says why.
TORCH_CUDA_ARCH_LIST chooses the GPU architectures; NO_CUDA=1 leaves CUDA out.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import setup

CSRC = Path("cuda_ext/csrc")
DEFAULT_ARCHITECTURES = "8.0;9.0+PTX"


def say(line: str) -> None:
    print(f"cuda_ext: {line}", file=sys.stderr, flush=True)


def nvcc_path() -> str | None:
    """The compiler that torch's BuildExtension would call, or None."""
    from torch.utils.cpp_extension import CUDA_HOME

    path = Path(CUDA_HOME or "/nonexistent") / "bin" / "nvcc"
    return str(path) if path.exists() else None


def cuda_libraries() -> list[str]:
    """Where libcudart lies, also where CUDA_HOME/bin/nvcc is a wrapper for one elsewhere."""
    said = subprocess.run(
        [str(nvcc_path()), "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True
    ).stderr
    tops = [Path(top.strip()) for top in re.findall(r"^#\$ TOP=(.*)$", said, re.MULTILINE)]
    folders = [(top / lib).resolve() for top in tops for lib in ("lib64", "lib")]
    return [str(folder) for folder in folders if list(folder.glob("libcudart.so*"))]


def wants_cuda() -> bool:
    import torch

    if os.environ.get("NO_CUDA") == "1":
        say("NO_CUDA=1, building the CPU kernels only")
    elif torch.version.cuda is None:
        say("this torch has no CUDA, building the CPU kernels only")
    elif nvcc_path() is None:
        say("nvcc not found (set CUDA_HOME), building the CPU kernels only")
    else:
        return True
    return False


def extension() -> tuple[list, dict]:
    """(ext_modules, cmdclass), both empty where nothing is to be built."""
    if os.environ.get("NO_NATIVE") == "1":
        say("NO_NATIVE=1, building nothing")
        return [], {}
    try:
        from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension
    except ImportError as error:
        say(f"torch is not importable here ({error}), building nothing; `make native` builds later")
        return [], {}

    class OptionalBuild(BuildExtension):
        """A failed build leaves a working pure-PyTorch install and one line why."""

        def finalize_options(self) -> None:
            super().finalize_options()
            if not self.inplace:  # the emulation of the GPU is for tests alone
                self.extensions = [e for e in self.extensions if e.name == "cuda_ext._C"]

        def run(self) -> None:
            try:
                super().run()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                reason = str(error).strip().splitlines() or [type(error).__name__]
                say(f"NOT BUILT, PyTorch alone will be used: {reason[0]}")
                if os.environ.get("REQUIRE_NATIVE") == "1":
                    raise SystemExit(1) from error
                self.extensions = []

    cuda = wants_cuda()
    sources = sorted(str(path) for path in CSRC.glob("*.cpp"))
    flags = {"cxx": ["-O3", "-fno-math-errno", "-fvisibility=hidden"]}
    if cuda:
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_ARCHITECTURES)
        sources += sorted(str(path) for path in CSRC.glob("*.cu"))
        # A host function called from a kernel is only a warning by default.
        flags["nvcc"] = ["-O3", "--threads=2", "-lineinfo", "-Werror=cross-execution-space-call"]
    kind = CUDAExtension if cuda else CppExtension
    module = kind("cuda_ext._C", sources, extra_compile_args=flags)
    if cuda:
        module.library_dirs += cuda_libraries()
    emulated = CppExtension(
        "cuda_ext._emulated",
        [str(CSRC / "emulated" / "emulated.cpp")],
        extra_compile_args={"cxx": ["-O1", "-fvisibility=hidden"]},
    )
    return [module, emulated], {"build_ext": OptionalBuild}


ext_modules, cmdclass = extension()
setup(ext_modules=ext_modules, cmdclass=cmdclass)
