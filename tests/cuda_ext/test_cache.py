"""The kernels of an installed package: where they lie, what is taken, what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cuda_ext import cache
from cuda_ext.sources import sources_digest

ROOT = Path(__file__).parents[2]


def test_one_file_for_each_torch_and_each_version_of_the_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = cache.cached_file()
    digest = sources_digest(ROOT / "cuda_ext" / "csrc")
    assert here is not None and digest is not None
    assert here.parents[2] == tmp_path / "robust-supernet" and here.name == "_C.so"
    assert f"torch-{torch.__version__}-" in here.parent.name and digest[:16] in here.parent.name
    monkeypatch.setattr(torch, "__version__", "9.9/x")
    other = cache.cached_file()
    assert other is not None and other.parent.name.startswith("torch-9.9-x-cpython")
    monkeypatch.setattr(cache, "sources_digest", lambda folder: "0" * 64)
    assert "0" * 16 in str(cache.cached_file())
    monkeypatch.setattr(cache, "sources_digest", lambda folder: None)
    assert cache.cached_file() is None


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_without_a_cache_folder_it_is_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(cache.cached_file()).startswith(f"{tmp_path}/.cache/robust-supernet/kernels/")


def test_a_file_that_others_could_have_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "_C.so").touch()
    cache.refuse_of_others(tmp_path / "_C.so")
    owner = (tmp_path / "_C.so").stat().st_uid
    monkeypatch.setattr(cache.os, "getuid", lambda: owner + 1)
    if owner != 0:
        with pytest.raises(ImportError, match=r"_C\.so belongs to another user .*; remove it"):
            cache.refuse_of_others(tmp_path / "_C.so")
    monkeypatch.setattr(cache.os, "getuid", lambda: 1000)
    monkeypatch.setattr(Path, "stat", lambda self: type("Stat", (), {"st_uid": 1001})())
    with pytest.raises(ImportError, match=r"belongs to another user \(number 1001\); remove it"):
        cache.refuse_of_others(tmp_path / "_C.so")


TAKEN = """
import importlib.util, pathlib, sys
from cuda_ext import cache
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "cuda_ext._C" else find(name, *a)
path = cache.cached_file()
path.parent.mkdir(parents=True)
path.write_bytes(b"not a library")
from cuda_ext import _native
print(_native.why_unavailable())
"""


@pytest.mark.slow
def test_the_file_in_the_cache_is_what_is_loaded(tmp_path: Path) -> None:
    """A damaged one is the reason that the run gives, and the run goes on without it."""
    done = subprocess.run(
        [sys.executable, "-c", TAKEN], cwd=ROOT, capture_output=True, text=True,
        env={"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout and "_C.so" in done.stdout
    assert done.stdout.endswith("(`make native` builds them)\n")
