"""Commands that messages, reports and help print do what they say, typed as they stand.

Those after an interruption, and the next steps of an installed program, are followed where they are
printed: test_several_processes.py, test_package.py and tests/supernet/runs/test_resume.py.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import not_rendered
from tests.scripts.inprocess import Done, run_script

pytestmark = pytest.mark.slow

RUN = "a run"
SHORT = ("--epochs", "1", "--limit", "40", "--batch-size", "20", "--probe-images", "10")


def obey(line: str, *more: str, cwd: Path) -> Done:
    """Run a printed command, with flags behind it that keep it short."""
    python, script, *flags = shlex.split(line)
    assert python == "python"
    done = run_script(Path(script).name, *flags, *more, cwd=cwd)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done


def printed(text: str, words: str) -> str:
    """The only command in the text that matches."""
    found = dict.fromkeys(re.findall(rf"python \S*scripts/{words}[^\n]*", text))
    assert len(found) == 1, f"{words}: {list(found)}"
    return next(iter(found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished search, in a place that a shell needs quotes for."""
    cwd = tmp_path_factory.mktemp("printed")
    with not_rendered():
        done = run_script(
            "search.py", "--robust", "--C", "4", "--warmup-epochs", "0", "--proposals", "supernet",
            "--refine-moves", "0", *SHORT[:-2], "--probe-images", "20", "--out", RUN, cwd=cwd,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield cwd


def test_the_next_steps_of_a_report(folder: Path) -> None:
    report = (folder / RUN / "report.md").read_text()
    obey(printed(report, r"train\.py --genotype .*preset"), *SHORT, cwd=folder)
    done = obey(
        printed(report, r"evaluate\.py"), "--limit", "10", "--attacks", "clean", cwd=folder
    )  # fmt: skip
    assert "written    " in done.stdout
    front = printed(report, r"train\.py --genotype .*front\.json")
    trained = obey(front, "--preset", "quick", *SHORT, "--out", "of the front", cwd=folder)
    assert "of the front" in trained.stdout


def test_a_report_of_an_unfinished_run_says_how_to_finish_it(folder: Path) -> None:
    shutil.copytree(folder / RUN, folder / "left off")
    (folder / "left off" / "genotype.json").unlink()
    refused = run_script("report.py", "left off", cwd=folder)
    assert refused.returncode == 2
    obey(printed(refused.stderr, r"search\.py --resume"), cwd=folder)
    assert run_script("report.py", "left off", cwd=folder).returncode == 0


def test_what_the_overview_of_data_offers(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "my pictures" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 30 * number, np.uint8)).save(path)
    said = run_script("data.py", cwd=tmp_path).stdout
    show, pack, fetch = (
        printed(said, rf"data\.py {name}") for name in ("show", "pack", "download")
    )
    shown = obey(show.split("   ")[0].replace("PATH", "'my pictures'"), cwd=tmp_path)
    assert "class 0" in shown.stdout
    named = pack.split("   ")[0].replace("FOLDER", "'my pictures'").replace("FILE", "mine")
    obey(named, cwd=tmp_path)
    assert (tmp_path / "mine.npz").is_file()
    obey(fetch.split("   ")[0], "--help", cwd=tmp_path)
