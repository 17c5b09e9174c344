"""A run on a disk that fills up: one sentence, and the same result when there is room."""

import errno
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.errors import UserError
from supernet.files import read_json
from supernet.runs import train_run
from supernet.runs.search_run import resume_search
from supernet.runs.tracking import Tracker
from supernet.runs.train_run import resume_training, run_training
from supernet.train.config import TrainConfig
from tests.disk import SHARES, is_on, size_of, small_disk
from tests.supernet.runs.quick_search import comparable, search_in

TINY = dict(
    genotype="333333", dataset="digits", C=4, N=1, epochs=2, batch_size=16, limit=32, device="cpu",
    attack="none", probe_images=8,
)  # fmt: skip


def config(out: Path) -> TrainConfig:
    return TrainConfig(**TINY, out=str(out))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The weights of a training that nothing disturbed."""
    folder = run_training(config(tmp_path_factory.mktemp("whole")), quiet=True)
    return weights(folder)


def weights(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "model.pt", weights_only=True)
    return state


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


PLACES = {
    "the log of the first epoch": (Tracker, "epoch"),
    "the events before a checkpoint": (Tracker, "flush"),
    "the first checkpoint": (torch, "save"),
    "the last events": (Tracker, "close"),
    "the export": (train_run, "save_model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_the_run_goes_on_when_there_is_room(
    place: str, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a run"
    with monkeypatch.context() as patched:
        patched.setattr(*PLACES[place], full)
        with pytest.raises(UserError) as refused:
            run_training(config(out), quiet=True)
    said = str(refused.value)
    assert re.fullmatch(
        rf"{re.escape(str(out))}\S*: No space left on device; when that is mended, .+", said
    )
    if "--resume" in said:
        assert said.endswith(f"go on with: python scripts/train.py --resume '{out}'")
        resume_training(out, {}, quiet=True)
    else:
        assert said.endswith("give the same command again")
        run_training(config(out), quiet=True)
    found = weights(out)
    assert found.keys() == whole.keys() and all(torch.equal(found[k], whole[k]) for k in whole)
    assert not list(out.glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_on_a_small_disk_it_goes_on_when_there_is_room(
    share: float, tmp_path: Path, whole: dict[str, Any]
) -> None:
    size = size_of(run_training(config(tmp_path / "run"), quiet=True))
    with small_disk(tmp_path / "disk", int(share * size)) as disk:
        out = disk.folder / "run"
        with pytest.raises((UserError, OSError)) as refused:
            run_training(config(out), quiet=True)
        if isinstance(refused.value, OSError):  # before there was a run
            assert refused.value.errno == errno.ENOSPC and is_on(refused.value, disk.folder)
        else:
            said = str(refused.value)
            assert said.startswith(str(out)) and "No space left on device; when that" in said
            assert "\n" not in said
        disk.resize(10 * size)
        if "--resume" in str(refused.value):
            resume_training(out, {}, quiet=True)
        else:
            run_training(config(out), quiet=True)
        found = weights(out)
        assert found.keys() == whole.keys() and all(torch.equal(found[k], whole[k]) for k in whole)
        assert not list(out.glob(".*.tmp"))


def search(out: Path) -> Path:
    """A search with short trainings; figures, which are most of its time, are empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
        return search_in(out, epochs=2, refine_steps=(2,), proposals=("supernet", "333333"))


def outcome(folder: Path) -> tuple[object, ...]:
    """The cell, its path with every loss, and what was logged, but for time and place."""
    genotype, refined = (read_json(folder / name) for name in ("genotype.json", "refine.json"))
    return (
        genotype["arch"], genotype["alpha"], comparable(folder),
        {key: value for key, value in refined.items() if key != "cpu_seconds"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nothing disturbed."""
    return search(tmp_path_factory.mktemp("searched") / "run")


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_a_search_on_a_small_disk_goes_on_when_there_is_room(
    share: float, tmp_path: Path, searched: Path
) -> None:
    size = size_of(searched)
    with small_disk(tmp_path / "disk", int(share * size)) as disk:
        out = disk.folder / "run"
        with pytest.raises((UserError, OSError)) as refused:
            search(out)
        said = str(refused.value)
        if isinstance(refused.value, OSError):  # before there was a run
            assert refused.value.errno == errno.ENOSPC and is_on(refused.value, disk.folder)
        else:
            assert said.startswith(str(out)) and "No space left on device; when that" in said
            assert "\n" not in said
        disk.resize(10 * size)
        if "--resume" in said:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
                resume_search(out, {}, quiet=True)
        else:
            search(out)
        assert outcome(out) == outcome(searched)
        assert not list(out.glob(".*.tmp"))


@pytest.mark.slow
def test_a_stream_that_takes_no_more_stops_a_run_that_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that has gone (`| head`) may end a command quietly, not a run that is unfinished."""

    def gone(*_: Any, **__: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe", "standard output")

    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "epoch", gone)
        with pytest.raises(UserError, match=r"^standard output: Broken pipe; when that is mended"):
            run_training(config(tmp_path / "run"), quiet=True)
    assert (resume_training(tmp_path / "run", {}, quiet=True) / "model.pt").is_file()
