"""setup.py: what it builds and what it says where it cannot, in a copy of the source tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import CUDA_HOME

from cuda_ext import _native
from cuda_ext.build import architectures

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """setup.py, pyproject.toml and the kernels' sources, with nothing built."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "cuda_ext", tmp_path / "cuda_ext", ignore=ignore)
    return tmp_path


def build(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", *arguments],
        cwd=tree, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def built(tree: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in (tree / "cuda_ext").glob("*.so"))


def test_no_native_builds_nothing(tree: Path) -> None:
    done = build(tree, NO_NATIVE="1")
    assert done.returncode == 0 and built(tree) == []
    assert "cuda_ext: NO_NATIVE=1, building nothing" in done.stderr


def test_without_torch_one_line_says_so(tree: Path) -> None:
    (tree / "torch.py").write_text("raise ImportError('there is no torch')\n")
    done = build(tree, PYTHONPATH=str(tree))
    assert done.returncode == 0 and built(tree) == []
    assert "torch is not importable here (there is no torch), building nothing" in done.stderr


def test_without_a_compiler_one_line_says_so(tree: Path) -> None:
    done = build(tree, CXX="/nonexistent/c++", CC="/nonexistent/cc", NO_CUDA="1")
    assert done.returncode == 0 and built(tree) == []
    lines = [line for line in done.stderr.splitlines() if "NOT BUILT" in line]
    assert len(lines) == 1 and "PyTorch alone will be used" in lines[0]


def test_a_required_build_fails_loudly(tree: Path) -> None:
    done = build(tree, CXX="/nonexistent/c++", NO_CUDA="1", REQUIRE_NATIVE="1")
    assert done.returncode == 1 and "NOT BUILT" in done.stderr


TINY = """
#include <Python.h>
extern "C" __attribute__((visibility("default"))) PyObject* PyInit_NAME() {
  static PyModuleDef module = {PyModuleDef_HEAD_INIT, "NAME"};
  return PyModule_Create(&module);
}
"""


@pytest.fixture
def tiny(tree: Path) -> Path:
    """The tree with sources that compile in seconds."""
    csrc = tree / "cuda_ext" / "csrc"
    for path in [*csrc.rglob("*.cpp"), *csrc.rglob("*.h")]:
        path.unlink()
    (csrc / "mixed_op.cpp").write_text(TINY.replace("NAME", "_C"))
    (csrc / "emulated" / "emulated.cpp").write_text(TINY.replace("NAME", "_emulated"))
    return tree


NVCC = {
    "fails": '#!/bin/sh\n[ "$1" = --version ] && echo release {version} && exit\nexit 1\n',
    "of another version": "#!/bin/sh\necho release 1.0\n",
    "is no program": "an empty disk left this\n",
}


def with_nvcc(tree: Path, kind: str) -> dict[str, str]:
    """The environment in which torch takes this nvcc."""
    nvcc = tree / "broken" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text(NVCC[kind].replace("{version}", str(torch.version.cuda)))
    nvcc.chmod(0o755)
    return {"CUDA_HOME": str(nvcc.parents[1]), "TORCH_CUDA_ARCH_LIST": "9.0"}


needs_cuda_torch = pytest.mark.skipif(torch.version.cuda is None, reason="this torch has no CUDA")


@needs_cuda_torch
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("fails", "Error compiling objects"),
        ("of another version", "detected CUDA version (1.0) mismatches"),
        ("is no program", "Exec format error"),
    ],
)
def test_a_broken_cuda_tool_chain_leaves_the_cpu_kernels(tiny: Path, kind: str, why: str) -> None:
    done = build(tiny, **with_nvcc(tiny, kind))
    assert done.returncode == 0 and built(tiny) == ["_C", "_emulated"], done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "NOT BUILT" in line]
    assert line.startswith("cuda_ext: CUDA is NOT BUILT (") and why in line
    assert line.endswith("building the CPU kernels only")


@needs_cuda_torch
def test_with_both_compilers_broken_pytorch_is_left(tiny: Path) -> None:
    done = build(tiny, CXX="/bin/false", CC="/bin/false", **with_nvcc(tiny, "fails"))
    assert done.returncode == 0 and built(tiny) == []
    lines = [line for line in done.stderr.splitlines() if "NOT BUILT" in line]
    assert len(lines) == 2 and "PyTorch alone will be used" in lines[1]


@needs_cuda_torch
def test_a_required_build_fails_without_its_cuda_part(tiny: Path) -> None:
    done = build(tiny, REQUIRE_NATIVE="1", **with_nvcc(tiny, "fails"))
    assert done.returncode == 1 and built(tiny) == [] and "NOT BUILT" in done.stderr


INTO_CACHE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from cuda_ext.build import build_file
print("built" if build_file(pathlib.Path(sys.argv[2])) else "not built")
"""


def build_into_cache(tree: Path, **environment: str) -> tuple[str, str, list[str]]:
    """What is printed, what is said, and the files that are in the cache afterwards."""
    elsewhere = tree / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pyproject.toml").write_text("this is not TOML")  # of the user's own project
    file = tree / "cache" / "a torch" / "_C.so"
    done = subprocess.run(
        [sys.executable, "-c", INTO_CACHE, str(tree), str(file)], cwd=elsewhere,
        capture_output=True, text=True, env={**os.environ, "NO_CUDA": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in file.parent.iterdir())
    assert [path.name for path in elsewhere.iterdir()] == ["pyproject.toml"]
    return done.stdout.splitlines()[-1], done.stderr, left


def test_the_cache_gets_one_whole_file(tiny: Path) -> None:
    said, _, left = build_into_cache(tiny)
    assert (said, left) == ("built", ["_C.so"])
    assert built(tiny) == []  # nothing beside the sources


def test_a_build_that_fails_leaves_nothing_in_the_cache(tiny: Path) -> None:
    said, why, left = build_into_cache(tiny, CXX="/bin/false", CC="/bin/false")
    assert (said, left) == ("not built", [])
    assert "NOT BUILT, PyTorch alone will be used" in why


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("ci", "status", "tested"), [("true", 2, False), ("", 0, True), ("false", 0, True)]
)
def test_only_ci_insists_on_the_kernels(tmp_path: Path, ci: str, status: int, tested: bool) -> None:
    """`make test` with a Python whose setup.py fails where it is required to build."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'echo "REQUIRE_NATIVE=$REQUIRE_NATIVE $*" >> said\n'
        'case "$*" in\n'
        '  setup.py*) [ "$REQUIRE_NATIVE" != 1 ];;\n'
        "  *_native*) exit 1;;\n"
        "esac\n"
    )
    python.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "test", "VENV=", f"PYTHON={python}"],
        cwd=tmp_path, capture_output=True, text=True, env={**inherited, "CI": ci},
    )  # fmt: skip
    said = (tmp_path / "said").read_text()
    assert done.returncode == status, done.stdout + done.stderr
    assert f"REQUIRE_NATIVE={'' if tested else 1} setup.py" in said
    assert ("-m pytest" in said) is tested
    assert ("testing the pure PyTorch paths without them" in done.stdout) is tested


IN_PYTORCH_ALONE = """
import sys
# An editable install of this project would lend its compiled modules to the one under test.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in finder.__module__]
import torch
import cuda_ext, ops, supernet
from cuda_ext import _native
from ops.mixed import MixedCell

assert "site-of-the-test" in cuda_ext.__file__, cuda_ext.__file__
assert "no kernels are built" in _native.why_unavailable(), _native.why_unavailable()
x = torch.rand(2, 3, 4, 4, requires_grad=True)
MixedCell(3).train()(x, torch.rand(6, 5)).sum().backward()
assert x.grad.abs().max() > 0
print("works")
"""


def test_pip_installs_without_any_compiler(tree: Path) -> None:
    """And what it installs works, from another folder."""
    for package in ("ops", "supernet"):
        shutil.copytree(ROOT / package, tree / package)
    site = tree / "site-of-the-test"
    environment = {
        **os.environ, "CXX": "/bin/false", "CC": "/bin/false", "CUDA_HOME": "/nonexistent",
    }  # fmt: skip
    install = ["install", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(site)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-v", *install, "."],
        cwd=tree, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT BUILT, PyTorch alone will be used" in done.stdout + done.stderr
    assert not list(site.rglob("_C*.so"))
    used = subprocess.run(
        [sys.executable, "-c", IN_PYTORCH_ALONE], cwd=site.parent.parent, capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert used.stdout.strip() == "works", used.stderr


def built_here() -> Path | None:
    """The extension in this checkout, where it has CUDA and is newer than its sources."""
    found = list((ROOT / "cuda_ext").glob("_C.*.so"))
    sources = [ROOT / "setup.py", *(ROOT / "cuda_ext" / "csrc").rglob("*.*")]
    newest = max(path.stat().st_mtime for path in sources)
    fresh = [path for path in found if path.stat().st_mtime >= newest]
    return fresh[0] if fresh and _native.runs_on("cuda") else None


GRID = sorted((ROOT / "cuda_ext" / "csrc").glob("grid_*.h"))
KERNEL = re.compile(r"struct (\w+Kernel) \{")


def kernels_in(library: Path) -> set[str]:
    """The structs that run_kernel is compiled for, by the names under which CUDA registers it."""
    launched = re.findall(rb"run_kernelINS_\d+([A-Za-z]+Kernel)", library.read_bytes())
    return {name.decode() for name in launched}


REGISTERED = """
from cuda_ext import _native
assert _native.available(), _native.why_unavailable()
assert _native.runs_on("cpu") and _native.runs_on("cuda")
print(_native.__file__)
"""


@pytest.mark.skipif(
    CUDA_HOME is None or torch.version.cuda is None, reason="no nvcc and CUDA torch"
)
def test_the_cuda_sources_compile_import_and_register(tree: Path) -> None:
    """What a compiler can find wrong without a GPU. `make test` has compiled them already: it is
    done here, for one architecture, where the checkout has no CUDA build of these very sources."""
    library = built_here()
    if library is None:
        if not (Path(CUDA_HOME) / "bin" / "nvcc").exists():
            pytest.skip(f"no nvcc in {CUDA_HOME}")
        done = build(tree, TORCH_CUDA_ARCH_LIST="9.0", REQUIRE_NATIVE="1")
        assert done.returncode == 0, done.stderr + done.stdout
        (library,) = (tree / "cuda_ext").glob("_C.*.so")
    root = library.parents[1]
    loaded = subprocess.run(
        [sys.executable, "-c", REGISTERED], cwd=root, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert loaded.stdout.strip() == str(root / "cuda_ext" / "_native.py"), loaded.stderr
    assert kernels_in(library) == set(KERNEL.findall("".join(path.read_text() for path in GRID)))


@pytest.mark.parametrize(
    ("here", "built"),
    [
        ([], "8.0;9.0+PTX"), ([(8, 0)], "8.0;9.0+PTX"), ([(9, 0)], "8.0;9.0+PTX"),
        ([(8, 6), (7, 5)], "7.5;8.6;8.0;9.0+PTX"),
        # Left to the PTX of 9.0: nvcc may not know a newer one, and knows older ones no more.
        ([(12, 0)], "8.0;9.0+PTX"), ([(7, 0)], "8.0;9.0+PTX"), (None, "8.0;9.0+PTX"),
    ],
)  # fmt: skip
def test_the_gpus_at_hand_are_built_for(
    here: list[tuple[int, int]] | None, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1 if here is None else len(here))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda n: (here or {})[n])
    assert architectures() == built
