"""Builds the optional extension cuda_ext._C; the rest of the project is in pyproject.toml.

C++ always, CUDA where nvcc and a CUDA build of torch are there. NO_NATIVE=1 builds nothing. A
broken CUDA tool chain leaves the CPU kernels; without torch, or when the C++ compiler fails, the
install is pure PyTorch. One line says why. With REQUIRE_NATIVE=1 a failure fails the command.
TORCH_CUDA_ARCH_LIST chooses the GPU architectures; NO_CUDA=1 leaves CUDA out.
"""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup

CSRC = Path("cuda_ext/csrc")
STAMP = Path("build/sources.cpp")
DEFAULT_ARCHITECTURES = "8.0;9.0+PTX"


def say(line: str) -> None:
    print(f"cuda_ext: {line}", file=sys.stderr, flush=True)


def first_line(error: BaseException) -> str:
    """What went wrong. torch raises its mismatch of CUDA versions with unfilled places."""
    text, *values = map(str, error.args or [""])
    text = text % tuple(values) if values and text.count("%s") == len(values) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]


def nvcc_path() -> str | None:
    """The compiler that torch's BuildExtension would call, or None."""
    from torch.utils.cpp_extension import CUDA_HOME

    path = Path(CUDA_HOME or "/nonexistent") / "bin" / "nvcc"
    return str(path) if path.exists() else None


def cuda_libraries() -> list[str]:
    """Where libcudart lies, also where CUDA_HOME/bin/nvcc is a wrapper for one elsewhere."""
    command = [str(nvcc_path()), "--dryrun", "-x", "cu", os.devnull]
    try:
        said = subprocess.run(command, capture_output=True, text=True).stderr
    except OSError:  # not a program; the build says so
        return []
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


def stamped() -> str:
    """Write the C++ file that says which sources the extension is built from; returns its path.

    It stays as it is where it says that already: a build compiles only what has changed.
    """
    digest = runpy.run_path("cuda_ext/sources.py")["sources_digest"](CSRC)
    text = f'extern const char* const rs_sources;\nconst char* const rs_sources = "{digest}";\n'
    STAMP.parent.mkdir(exist_ok=True)
    if not STAMP.is_file() or STAMP.read_text(encoding="utf-8") != text:
        STAMP.write_text(text, encoding="utf-8")
    return str(STAMP)


def kernels(cuda: bool) -> Extension:
    from torch.utils.cpp_extension import CppExtension, CUDAExtension

    sources = [*sorted(str(path) for path in CSRC.glob("*.cpp")), stamped()]
    flags = {"cxx": ["-O3", "-fno-math-errno", "-fvisibility=hidden"]}
    if not cuda:
        return CppExtension("cuda_ext._C", sources, extra_compile_args=flags)
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_ARCHITECTURES)
    # One .cu file per kernel, compiled side by side, and one that needs torch's headers.
    sources += sorted(str(path) for path in CSRC.rglob("*.cu"))
    # A host function called from a kernel is only a warning by default.
    flags["nvcc"] = ["-O3", "--threads=2", "-lineinfo", "-Werror=cross-execution-space-call"]
    module = CUDAExtension("cuda_ext._C", sources, extra_compile_args=flags)
    module.library_dirs += cuda_libraries()
    return module


def emulation() -> Extension:
    """The CUDA kernels as loops on the host, for tests alone."""
    from torch.utils.cpp_extension import CppExtension

    return CppExtension(
        "cuda_ext._emulated",
        [str(CSRC / "emulated" / "emulated.cpp")],
        extra_compile_args={"cxx": ["-O1", "-fvisibility=hidden"]},
    )


def extension() -> tuple[list, dict]:
    """(ext_modules, cmdclass), both empty where nothing is to be built."""
    if os.environ.get("NO_NATIVE") == "1":
        say("NO_NATIVE=1, building nothing")
        return [], {}
    try:
        from torch.utils.cpp_extension import BuildExtension
    except ImportError as error:
        say(f"torch is not importable here ({error}), building nothing; `make native` builds later")
        return [], {}
    required = os.environ.get("REQUIRE_NATIVE") == "1"
    module = kernels(cuda=wants_cuda())

    class OptionalBuild(BuildExtension):
        """A failed build leaves what asks for less: the CPU kernels, then pure PyTorch."""

        def finalize_options(self) -> None:
            super().finalize_options()
            if not self.inplace:
                self.extensions = [e for e in self.extensions if e.name == module.name]

        def run(self) -> None:
            before = {"inplace": self.inplace, "compiler": self.compiler}
            error = self.attempt()
            if error and not required and any(path.endswith(".cu") for path in module.sources):
                say(f"CUDA is NOT BUILT ({first_line(error)}), building the CPU kernels only")
                vars(module).update(vars(kernels(cuda=False)))
                vars(self).update(before)  # a failed run leaves others
                error = self.attempt()
            if error:
                say(f"NOT BUILT, PyTorch alone will be used: {first_line(error)}")
                if required:
                    raise SystemExit(1) from error
                self.extensions = []

        def attempt(self) -> BaseException | None:
            try:
                super().run()
            except (Exception, SystemExit) as error:
                return error
            return None

    return [module, emulation()], {"build_ext": OptionalBuild}


ext_modules, cmdclass = extension()
setup(ext_modules=ext_modules, cmdclass=cmdclass)
