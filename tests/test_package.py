"""The wheel and the sdist hold everything, and an empty environment searches with what they hold.

Nothing is fetched: torch and the rest are those of the environment that runs the tests.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("supernet", "ops", "cuda_ext")
TREE = ("supernet", "ops", "cuda_ext", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md",
        "LICENSE", "CITATION.cff", "CHANGELOG.md")  # fmt: skip
"""What a build reads of a checkout."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("build", "twine")),
        reason="build and twine are not installed; they come with the extra dev",
    ),
]


def run(*command: object, **options: object) -> str:
    """Standard output and error of a command that must succeed."""
    done = subprocess.run(  # type: ignore[call-overload]
        [*map(str, command)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel and the sdist, as `python -m build` makes them."""
    tree = tmp_path_factory.mktemp("tree") / "checkout"
    tree.mkdir()
    for name in TREE:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("*.so", "*.pyc", "__pycache__")
            shutil.copytree(ROOT / name, tree / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tree)
    environment = {**os.environ, "NO_NATIVE": "1"}
    run(sys.executable, "-m", "build", "--no-isolation", cwd=tree, env=environment)
    return tree / "dist"


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def expected() -> set[str]:
    """All files of the packages, but what is built or cached."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so")
    }


def test_wheel_and_sdist_hold_every_file(dist: Path) -> None:
    with zipfile.ZipFile(only(dist, "*.whl")) as wheel:
        names = set(wheel.namelist())
    assert {name for name in names if name.startswith(PACKAGES)} == expected()
    assert only(dist, "*.whl").name.endswith("-py3-none-any.whl")
    with tarfile.open(only(dist, "*.tar.gz")) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    assert expected() < held
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "CITATION.cff"} < held


def test_twine_finds_nothing_wrong(dist: Path) -> None:
    said = run(sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir()))
    assert said.count("PASSED") == 2


@pytest.fixture(scope="module")
def bin_folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("empty") / "environment"
    venv.create(folder, with_pip=False)
    site = only(folder / "lib", "python*") / "site-packages"
    install = ["install", "--no-deps", "--no-index", "--disable-pip-version-check"]
    python = ["--python", folder / "bin" / "python"]
    run(sys.executable, "-m", "pip", *python, *install, only(dist, "*.whl"))
    # After the install, which might find the project among them. A path in a .pth file lends
    # packages, but not the editable installs among them.
    lent = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "lent.pth").write_text("\n".join(lent) + "\n")
    return folder / "bin"


SMALL = "--epochs 2 --limit 200 --C 4 --refine-moves 0 --proposals supernet"


def test_an_empty_folder_is_enough_for_a_search_and_what_it_says_comes_next(
    bin_folder: Path, tmp_path: Path
) -> None:
    environment = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    program = bin_folder / "robust-supernet"
    here = {"cwd": tmp_path, "env": environment}
    site = only(bin_folder.parent / "lib", "python*") / "site-packages"
    assert run(program, "--version", **here).endswith(f"({site})\n")
    said = run(program, "search", "--robust", *shlex.split(SMALL), "--out", "my run", **here)
    assert "kernels  plain PyTorch: no kernels are built for this torch" in said
    assert "`robust-supernet kernels --build` builds them" in said
    (line,) = [line for line in said.splitlines() if line.startswith("next ")]
    following = line.removeprefix("next").strip()
    assert following.startswith("robust-supernet train --genotype 'my run'/genotype.json")
    trained = run("sh", "-c", f"{following} --epochs 1 --limit 64 --C 4 --N 1", **here)
    (line,) = [line for line in trained.splitlines() if line.startswith("next ")]
    assert line.split()[1:3] == ["robust-supernet", "evaluate"]
    following = line.removeprefix("next").strip()
    shown = run("sh", "-c", f"{following} --attacks clean --limit 20", **here)
    assert "clean" in shown and "scripts/" not in said + trained + shown
