"""Runs by several processes: one directory, kills, Ctrl-C, and other numbers of processes."""

import dataclasses
import functools
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.distributed import ALONE, Lost, Ranks, digest
from supernet.errors import UserError
from supernet.runs import refinement, search_run
from supernet.runs.checkpoint import load_last
from supernet.runs.interrupts import Interrupted
from supernet.runs.search_run import resume_search, run_search
from supernet.runs.train_run import resume_training, run_training
from supernet.search.config import SearchConfig
from supernet.search.search import Search
from supernet.train.config import TrainConfig
from supernet.train.short import Recipe
from supernet.train.training import Training
from tests.pictures import not_rendered
from tests.ranks import together

pytestmark = pytest.mark.slow

SEARCH = SearchConfig(
    robust=True, C=2, N=1, epochs=3, warmup_epochs=1, batch_size=20, limit=100, alpha_lr=0.01,
    attack="n_fgsm", beta_decay=1.0, probe_images=20, proposals=("323133",), refine_moves=1,
    refine_steps=(1, 1), processes=1, impl="batched",
)  # fmt: skip
TRAINING = TrainConfig(
    genotype="313021", dataset="digits", C=2, N=1, epochs=3, batch_size=20, limit=60,
    attack="n_fgsm", probe_images=20, ema=True,
)  # fmt: skip
START: dict[str, tuple[Any, Callable[..., Path], Callable[..., Path], Any, int]] = {
    "search": (SEARCH, run_search, resume_search, Search, 4),
    "training": (TRAINING, run_training, resume_training, Training, 5),
}
"""Kind of run -> its config, how it starts and goes on, its class, and a step within an epoch."""


def state_of(folder: Path, kind: str) -> dict[str, Any]:
    config_hash = json.loads((folder / "config.json").read_text())["config_hash"]
    state: dict[str, Any] = load_last(folder, kind, config_hash)["state"]
    return state


def started(kind: str, count: int, folder: Path, at: Callable[[Ranks], Any] | None = None) -> Any:
    """Start a run; `at(ranks)` is called before the chosen step."""
    config, start, _, job, chosen = START[kind]
    step = job.train_step

    def run(ranks: Ranks) -> str:
        def stepping(self: Any) -> None:
            if at is not None and self.step == chosen:
                at(ranks)
            step(self)

        job.train_step = stepping
        with not_rendered():
            return str(start(dataclasses.replace(config, out=str(folder)), quiet=True))

    return together(count, run, folder.parent)


def resumed(kind: str, count: int, folder: Path) -> Any:
    def run(ranks: Ranks) -> str:
        with not_rendered():
            return str(START[kind][2](folder, {}, quiet=True))

    return together(count, run, folder.parent)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Few and small networks in the refinement, and no report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "AROUND", 5)
        patch.setattr(refinement, "Recipe", functools.partial(Recipe, C=2, N=1))
        patch.setattr(search_run, "write_report", lambda folder, table, *, quiet: None)
        yield


@pytest.fixture(scope="module", params=["search", "training"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(kind, folder) of a run by two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp(request.param) / "whole"
    assert started(request.param, 2, folder) == [str(folder)] * 2
    return request.param, folder


def test_one_process_writes(whole: tuple[str, Path]) -> None:
    kind, folder = whole
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    record = json.loads((folder / "config.json").read_text())
    assert record["processes"] == 2
    assert record["command"].startswith("torchrun --nproc-per-node 2 ")
    assert (folder / ("genotype.json" if kind == "search" else "model.pt")).is_file()
    assert not list(folder.glob("*.tmp"))


def test_a_killed_process_ends_the_run_and_the_rest_is_bit_identical(
    whole: tuple[str, Path], tmp_path: Path
) -> None:
    kind, folder = whole

    def killed(ranks: Ranks) -> None:
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    began = time.monotonic()
    first, second = started(kind, 2, tmp_path / "run", killed)
    assert time.monotonic() - began < 120
    assert second is None
    assert isinstance(first, Lost)
    script = "search" if kind == "search" else "train"
    assert f"torchrun --nproc-per-node 2 scripts/{script}.py --resume {tmp_path}/run" in str(first)
    assert "with as many processes bit for bit" in str(first)
    assert resumed(kind, 2, tmp_path / "run") == [str(tmp_path / "run")] * 2
    assert digest(state_of(tmp_path / "run", kind)) == digest(state_of(folder, kind))


def test_ctrl_c_in_one_stops_all_and_any_number_goes_on(
    whole: tuple[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kind, folder = whole

    def pressed(ranks: Ranks) -> None:
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGINT)

    found = started(kind, 2, tmp_path / "run", pressed)
    said = [error for error in found if isinstance(error, Interrupted)]
    assert len(said) == 1  # and the other one leaves with its status
    assert {type(error) for error in found} == {Interrupted, SystemExit}
    stopped = START[kind][4] + 1
    assert f"stopped after {stopped} of" in str(said[0])
    for count in (1, 3):
        shutil.copytree(tmp_path / "run", tmp_path / f"by-{count}")
    assert resumed(kind, 2, tmp_path / "run") == [str(tmp_path / "run")] * 2
    assert digest(state_of(tmp_path / "run", kind)) == digest(state_of(folder, kind))
    capfd.readouterr()
    for count in (1, 3):
        run = tmp_path / f"by-{count}"
        left = state_of(run, kind)
        assert resumed(kind, count, run) == [str(run)] * count
        warned = capfd.readouterr().err
        assert f"{run} was left by 2 processes and goes on with {count}: weights" in warned
        assert warned.count("Bit for bit it goes on with 2 processes alone") == 1
        state = state_of(run, kind)
        assert state["step"] == state_of(folder, kind)["step"]
        assert len(state["random"].get("others", ())) == count - 1
        assert digest(state["net"]) != digest(left["net"])


def test_a_run_of_one_process_goes_on_with_two(tmp_path: Path) -> None:
    with not_rendered():
        run_search(dataclasses.replace(SEARCH, epochs=0, out=str(tmp_path / "run")), quiet=True)
    assert resumed("search", 2, tmp_path / "run") == [str(tmp_path / "run")] * 2


def test_trainings_are_spread_and_come_out_as_in_one_process(
    whole: tuple[str, Path], tmp_path: Path
) -> None:
    kind, folder = whole
    if kind != "search":
        pytest.skip("a training has none")
    alone, partly = tmp_path / "alone", tmp_path / "partly"
    for copy in (alone, partly):
        shutil.copytree(folder, copy)
    lines = (folder / "refine.jsonl").read_text().splitlines()
    (alone / "refine.jsonl").unlink()
    (partly / "refine.jsonl").write_text("\n".join(lines[:3]) + "\n")
    with not_rendered():
        resume_search(alone, {}, quiet=True)
    resumed(kind, 2, partly)

    def outcomes(run: Path) -> dict[str, Any]:
        found = {}
        for line in map(json.loads, (run / "refine.jsonl").read_text().splitlines()):
            outcome = {k: v for k, v in line.pop("outcome").items() if k != "seconds"}
            key = json.dumps(line, sort_keys=True)
            assert key not in found
            found[key] = outcome
        return found

    assert len(lines) > 5
    assert outcomes(alone) == outcomes(folder) == outcomes(partly)
    kept = (partly / "refine.jsonl").read_text().splitlines()[:3]
    assert kept == lines[:3]
    results = [json.loads((run / "refine.json").read_text()) for run in (alone, folder, partly)]
    scores = []
    for result in results:
        result.pop("cpu_seconds")
        rounds = [each for sweep in result["sweeps"] for each in sweep["rounds"]]
        scores.append([score for each in rounds for score in each.pop("scores")])
    assert results[0] == results[1] == results[2]
    # One process sums the gains, which scores know of, in another order.
    assert scores[0] == pytest.approx(scores[1], rel=1e-5) and scores[1] == scores[2]


def test_weights_that_differ_are_never_written(tmp_path: Path) -> None:
    def spoiled(ranks: Ranks) -> str:
        step = Search.train_step

        def stepping(search: Search) -> None:
            step(search)
            if ranks.rank == 1 and search.step == 3:
                with torch.no_grad():
                    search.strategy.alpha[0, 0] += 1e-6

        Search.train_step = stepping  # type: ignore[method-assign]
        return str(run_search(dataclasses.replace(SEARCH, out=str(tmp_path / "run")), quiet=True))

    found = together(2, spoiled, tmp_path)
    (said,) = [error for error in found if isinstance(error, UserError)]
    assert "rank 1 of 2 has another" in str(said)
    assert state_of(tmp_path / "run", "search")["step"] == 2


def test_two_trainings_agree_with_one_that_has_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In double precision, clean, without augmentation."""
    monkeypatch.setattr("supernet.train.training.augment", lambda x, *rest: x.double() / 255)
    config = dataclasses.replace(TRAINING, attack="none", epochs=1, batch_size=15)

    def trained(ranks: Ranks) -> dict[str, Any]:
        data = load_dataset("digits", limit=60)
        training = Training(config, Genotype.parse("313021"), data, torch.device("cpu"), ranks)
        training.net.double()
        training.result.double()
        while training.step < training.total_steps:
            training.train_step()
        return {"net": training.net.state_dict(), "means": training.epoch_means(),
                "average": training.result.state_dict()}  # fmt: skip

    alone, (first, second) = trained(ALONE), together(2, trained, tmp_path)
    assert digest(first) == digest(second)
    for part in ("net", "average"):
        for name, value in alone[part].items():
            torch.testing.assert_close(first[part][name], value, rtol=0, atol=1e-10)
    assert first["means"] == pytest.approx(alone["means"], abs=1e-10)
