"""Builds the optional extension cuda_ext._C: for setup.py in place, or into the user's cache.

C++ always, CUDA where nvcc and a CUDA build of torch are there. NO_NATIVE=1 builds nothing. A
broken CUDA tool chain leaves the CPU kernels; without torch, or when the C++ compiler fails, the
install is pure PyTorch. One line says why. With REQUIRE_NATIVE=1 a failure fails the command.
TORCH_CUDA_ARCH_LIST chooses the GPU architectures, else they are those of A100, H100 and the GPU
at hand; NO_CUDA=1 leaves CUDA out.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from setuptools import Distribution, Extension

from cuda_ext.sources import sources_digest

CSRC = Path("cuda_ext/csrc")
"""Of a checkout, from its root: setuptools wants paths without a root."""
INSTALLED_CSRC = Path(__file__).resolve().parent / "csrc"
STAMP = "sources.cpp"
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


def stamped(csrc: Path, folder: Path) -> str:
    """Write the C++ file that says which sources the extension is built from; returns its path.

    It stays as it is where it says that already: a build compiles only what has changed.
    """
    digest = sources_digest(csrc)
    text = f'extern const char* const rs_sources;\nconst char* const rs_sources = "{digest}";\n'
    stamp = folder / STAMP
    folder.mkdir(exist_ok=True)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != text:
        stamp.write_text(text, encoding="utf-8")
    return str(stamp)


def architectures() -> str:
    """DEFAULT_ARCHITECTURES, and older ones that are here; newer GPUs compile the PTX of 9.0."""
    import torch

    try:
        here = {torch.cuda.get_device_capability(n) for n in range(torch.cuda.device_count())}
    except Exception:  # a driver that cannot be asked: torch and CUDA have many errors for it
        here = set()
    known = DEFAULT_ARCHITECTURES.replace("+PTX", "").split(";")
    names = [f"{major}.{minor}" for major, minor in sorted(here) if (7, 5) <= (major, minor) < (9,)]
    return ";".join([*(name for name in names if name not in known), DEFAULT_ARCHITECTURES])


def kernels(cuda: bool, csrc: Path, folder: Path) -> Extension:
    """The extension of the sources in `csrc`; `folder` is for what is made on the way."""
    from torch.utils.cpp_extension import CppExtension, CUDAExtension

    sources = [*sorted(str(path) for path in csrc.glob("*.cpp")), stamped(csrc, folder)]
    flags = {"cxx": ["-O3", "-fno-math-errno", "-fvisibility=hidden"]}
    if not cuda:
        return CppExtension("cuda_ext._C", sources, extra_compile_args=flags)
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", architectures())
    # One .cu file per kernel, compiled side by side, and one that needs torch's headers.
    sources += sorted(str(path) for path in csrc.rglob("*.cu"))
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


def extension() -> tuple[list[Extension], dict[str, Any]]:
    """(ext_modules, cmdclass) for setup.py, both empty where nothing is to be built."""
    if os.environ.get("NO_NATIVE") == "1":
        say("NO_NATIVE=1, building nothing")
        return [], {}
    try:
        import torch.utils.cpp_extension  # noqa: F401
    except ImportError as error:
        say(f"torch is not importable here ({error}), building nothing; `make native` builds later")
        return [], {}
    command, module = optional_build(CSRC, Path("build"))
    return [module, emulation()], {"build_ext": command}


def optional_build(csrc: Path, folder: Path) -> tuple[type, Extension]:
    """The build_ext command, and the extension that it builds."""
    from torch.utils.cpp_extension import BuildExtension

    required = os.environ.get("REQUIRE_NATIVE") == "1"
    module = kernels(wants_cuda(), csrc, folder)

    class OptionalBuild(BuildExtension):  # type: ignore[misc]
        """A failed build leaves what asks for less: the CPU kernels, then pure PyTorch."""

        def finalize_options(self) -> None:
            super().finalize_options()
            if not self.inplace:
                self.extensions = [module]

        def run(self) -> None:
            before = {"inplace": self.inplace, "compiler": self.compiler}
            error = self.attempt()
            if error and not required and any(path.endswith(".cu") for path in module.sources):
                say(f"CUDA is NOT BUILT ({first_line(error)}), building the CPU kernels only")
                module.__dict__.update(vars(kernels(False, csrc, folder)))
                self.__dict__.update(before)  # a failed run leaves others
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

    return OptionalBuild, module


def build_file(path: Path) -> bool:
    """Build the extension for the torch that is here, as the file `path`, which appears whole.

    Returns whether there is one: a failed build has said why on standard error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the file, so that it can be renamed into its place.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as name:
        folder = Path(name)
        command, module = optional_build(INSTALLED_CSRC, folder / "stamp")
        # Not setuptools.setup(): that would read the pyproject.toml of the folder one is in.
        whole = Distribution(
            {"name": "kernels", "ext_modules": [module], "cmdclass": {"build_ext": command}}
        )
        build: Any = whole.get_command_obj("build_ext")
        build.build_lib, build.build_temp = str(folder / "lib"), str(folder / "temp")
        build.ensure_finalized()
        build.run()
        built = list((folder / "lib").rglob("_C*.so"))
        if built:
            os.replace(built[0], path)
    return bool(built)
