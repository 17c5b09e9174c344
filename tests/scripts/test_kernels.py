"""scripts/kernels.py: what runs here and why, and a build that fails; test_build.py builds."""

from pathlib import Path

import pytest

from cuda_ext import _native
from cuda_ext.cache import cached_file
from supernet.commands import kernels
from supernet.errors import UserError
from supernet.runs.lock import locked
from tests.disk import small_disk
from tests.scripts.inprocess import run_script


def test_it_says_what_searches_run(tmp_path: Path) -> None:
    done = run_script("kernels.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    if _native.available():
        assert "the compiled kernels on cpu" in done.stdout and _native.file() in done.stdout
    else:
        assert (
            done.stdout == f"on CPUs searches run in plain PyTorch: {_native.why_unavailable()}\n"
        )


def test_what_is_built_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = cached_file()
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_bytes(b"as it was")
    done = run_script("kernels.py", "--build", cwd=tmp_path)
    assert done.returncode == 0 and f"built already: {path} (--force" in done.stdout
    assert path.read_bytes() == b"as it was"


@pytest.mark.slow
def test_a_build_that_fails_keeps_what_the_compiler_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in (("CXX", "/bin/false"), ("CC", "/bin/false"), ("NO_CUDA", "1")):
        monkeypatch.setenv(name, value)
    path = cached_file()
    assert path is not None
    done = run_script("kernels.py", "--build", cwd=tmp_path)
    assert done.returncode == 2 and not path.exists()
    *said, last = done.stderr.splitlines()
    log = path.with_name("build.log")
    assert last.startswith(
        f"error: the kernels did not build, {log} has all that the compiler said"
    )
    assert log.is_file() and "compiling, which takes minutes" in said
    assert any("NOT BUILT" in line for line in said)


@pytest.mark.slow
def test_one_build_at_a_time_and_no_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "of this torch" / "_C.so"
    left = path.parent / ".build-killed"
    (left / "temp").mkdir(parents=True)
    monkeypatch.setattr(kernels, "BUILD", "import sys; open(sys.argv[2], 'w').write('built')")
    with locked(path.parent), pytest.raises(UserError, match="is in use by process"):
        kernels._build(path)
    assert left.is_dir() and not path.exists()
    kernels._build(path)
    assert path.read_text() == "built" and capsys.readouterr().out == f"built {path}\n"
    assert sorted(file.name for file in path.parent.iterdir()) == [".lock", "_C.so"]
    monkeypatch.setattr(kernels, "BUILD", "raise SystemExit('cuda_ext: no compiler')")
    with pytest.raises(UserError, match=r"the kernels did not build, .*build\.log has all"):
        kernels._build(path)
    assert "cuda_ext: no compiler" in (path.parent / "build.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "writes"), [(2**18, True), (2**14, False)])
def test_a_full_disk_is_said(
    size: int, writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log has it, and where the log has no room for it."""
    monkeypatch.setattr(
        kernels, "BUILD", "import sys; open(sys.argv[2], 'wb').write(bytes(10**6))"
        if writes else "raise SystemExit(1)"
    )  # fmt: skip
    with small_disk(tmp_path / "disk", size) as disk:
        path = disk.folder / "kernels" / "_C.so"
        with pytest.raises(UserError) as refused:
            kernels._build(path)
        assert str(refused.value) == (
            f"{path.parent}: No space left on device; make room, and give the same command again"
        )
        disk.resize(2**23)
        monkeypatch.setattr(kernels, "BUILD", "import sys; open(sys.argv[2], 'w').write('built')")
        kernels._build(path)
        assert sorted(file.name for file in path.parent.iterdir()) == [".lock", "_C.so"]


@pytest.mark.parametrize("place", ["a file", "a folder that nobody can write to"])
def test_a_cache_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    cache = Path("/proc/self") if place.startswith("a folder") else tmp_path / "cache"
    if place == "a file":
        cache.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    done = run_script("kernels.py", "--build", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {cache}/robust-supernet")
    assert len(done.stderr.splitlines()) == 1
