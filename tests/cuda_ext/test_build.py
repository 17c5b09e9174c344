"""setup.py: what it builds and what it says where it cannot, in a copy of the source tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import CUDA_HOME

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


@pytest.mark.slow
@pytest.mark.skipif(
    CUDA_HOME is None or torch.version.cuda is None, reason="no nvcc and CUDA torch"
)
def test_the_cuda_sources_compile_import_and_register(tree: Path) -> None:
    """One architecture: what a compiler can find wrong without a GPU."""
    if not (Path(CUDA_HOME) / "bin" / "nvcc").exists():
        pytest.skip(f"no nvcc in {CUDA_HOME}")
    done = build(tree, TORCH_CUDA_ARCH_LIST="9.0", REQUIRE_NATIVE="1")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "_C" in built(tree)
    check = (
        "from cuda_ext import _native; assert _native.available(), _native.why_unavailable();"
        "assert _native.runs_on('cpu') and _native.runs_on('cuda'); print('registered')"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", check], cwd=tree, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    assert loaded.stdout.strip() == "registered", loaded.stderr
