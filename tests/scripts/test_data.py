"""scripts/data.py as a user runs it: what is here, what a folder holds, what cannot be read."""

from pathlib import Path

import pytest

from supernet.data import load_dataset
from supernet.data.load import DATASETS
from tests.noise import write_noise
from tests.scripts.inprocess import run_script


def test_every_data_set_is_listed_with_what_a_run_would_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)
    done = run_script("data.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line[:15].strip(): line[16:] for line in done.stdout.splitlines()}
    assert set(DATASETS) < set(lines)
    assert lines["digits"] == load_dataset("digits").source
    assert lines["cifar10"].startswith("NOT HERE: CIFAR-10 is neither in data/cifar-10-batches-py")
    assert "its terms allow no automatic download" in lines["imagenet16-120"]
    assert not list(tmp_path.iterdir())  # nothing was fetched


def test_a_folder_is_counted_by_class_and_read(tmp_path: Path) -> None:
    write_noise(tmp_path / "pictures", 10)
    (tmp_path / "pictures" / "bee" / "notes.txt").touch()
    for number in (7, 8, 9):
        (tmp_path / "pictures" / "bee" / f"{number}.png").unlink()
    done = run_script("data.py", "show", "folder:pictures", "--read", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left out: other files: 1 (.txt)" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["ant", "8", "2"] in rows and ["bee", "6", "1"] in rows
    assert done.stdout.endswith("all 17 can be read\n")
    (tmp_path / "pictures" / "bee" / "3.png").write_bytes(b"no picture")
    done = run_script("data.py", "show", "folder:pictures", cwd=tmp_path)
    assert done.returncode == 0 and "can be read" not in done.stdout
    done = run_script("data.py", "show", "folder:pictures", "--read", cwd=tmp_path)
    assert done.returncode == 2 and "3.png is not a readable picture" in done.stderr


def test_a_folder_becomes_a_pack(tmp_path: Path) -> None:
    write_noise(tmp_path / "pictures", 5)
    done = run_script("data.py", "pack", "pictures", "pets.npz", "--side", "8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_script("data.py", "show", "pack:pets.npz", cwd=tmp_path)
    assert "the pack pets.npz: found 8 training and 2 test images" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "mnist"], "unknown data set 'mnist'"),
        (["show", "digits", "--side", "8"], "digits has its own image size"),
        (["show", "folder:absent"], "there is no folder absent"),
        (["download", "imagenet16-120"], "its terms allow no automatic download"),
        (["fetch", "cifar10"], "invalid choice: 'fetch'"),
        (["--data-root", "absent"], "the data root absent (from --data-root) is not a folder"),
        (["show", "digits", "--data-root", "absent"], "the data root absent (from --data-root)"),
        (["--data-root", "absent", "show", "digits"], "the data root absent (from --data-root)"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)
    done = run_script("data.py", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and message in done.stderr
