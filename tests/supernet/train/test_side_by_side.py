import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from supernet.data import ImageData, load_dataset
from supernet.errors import UserError
from supernet.on_ray import Lost, OnRay, Share
from supernet.train import side_by_side
from supernet.train.short import Outcome, Recipe
from supernet.train.side_by_side import SideBySide, Trial, read_ledger
from tests.workers import one_killed

ROOT = Path(__file__).parents[3]
RECIPE = Recipe(steps=4, batch_size=16, C=4, N=1)
TRIALS = [Trial(code, RECIPE, seed) for code in ("313121", "112121") for seed in (0, 1)]
PROGRAM = """
import sys
from pathlib import Path
from supernet.data import load_dataset
from supernet.train.short import Recipe
from supernet.train.side_by_side import SideBySide, Trial

def main():
    recipe = Recipe(steps=4, batch_size=16, C=4, N=1)
    trials = [Trial("313121", recipe, seed) for seed in range(int(sys.argv[2]))]
    data = load_dataset("digits", limit=100, test_limit=30)
    def done(trial, outcome):
        print(trial.seed, *[worker.pid for worker in pool._workers], flush=True)
    with SideBySide(data, Path(sys.argv[1]), processes=2, done=done) as pool:
        pool.outcomes(trials)

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", limit=100, test_limit=30)


@pytest.fixture(scope="module")
def alone(data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """The outcomes of one process."""
    with SideBySide(data, tmp_path_factory.mktemp("alone") / "trials.jsonl") as pool:
        return pool.outcomes(TRIALS)


def _losses(outcomes: list[Outcome]) -> list[float]:
    return [outcome.loss for outcome in outcomes]


@pytest.mark.slow
def test_a_worker_imports_torch_and_little_else() -> None:
    """Each of them starts anew; timm, scikit-learn and figures would triple what that costs."""
    code = "import supernet.train.side_by_side, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = {"timm", "torchvision", "sklearn", "scipy", "matplotlib", "tensorboard"}
    assert "torch" in done.stdout.split() and not heavy & set(done.stdout.split())


@pytest.mark.slow
def test_two_processes_give_what_one_gives(
    data: ImageData, alone: list[Outcome], tmp_path: Path
) -> None:
    assert len(set(_losses(alone))) == 4
    with SideBySide(data, tmp_path / "trials.jsonl", processes=2) as pool:
        assert _losses(pool.outcomes(TRIALS)) == _losses(alone)
        assert _losses(pool.outcomes(TRIALS[::-1])) == _losses(alone)[::-1]
    assert [path.name for path in tmp_path.iterdir()] == ["trials.jsonl"]  # no images are left


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for workers in /proc")
def test_ray_gives_what_one_process_gives_and_repeats_what_a_kill_has_ended(
    data: ImageData, alone: list[Outcome], tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[sweep]'")
    ledger = tmp_path / "trials.jsonl"
    with SideBySide(data, ledger, processes=2, workers="ray") as pool:
        with one_killed("_train_on_cpu"):
            assert _losses(pool.outcomes(TRIALS[:3])) == _losses(alone)[:3]
        assert _losses(pool.outcomes(TRIALS[::-1])) == _losses(alone)[::-1]
    assert len(ledger.read_text().splitlines()) == 4


def test_what_ray_has_lost_ends_the_trainings_in_one_sentence(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Losing(OnRay):
        """An engine whose every process dies."""

        def __enter__(self) -> "Losing":
            return self

        def _end(self) -> None:
            ended.append(True)

        def check(self, share: Share) -> None:
            pass

        def results(self, function: Any, shared: Any, items: Any, share: Share) -> Any:
            yield items[0], Lost("WorkerCrashedError: it died")

    ended: list[bool] = []
    monkeypatch.setattr(side_by_side, "OnRay", Losing)
    with (
        pytest.raises(UserError, match=r"training of 313121 was lost \(WorkerCrashedError: it di"),
        SideBySide(data, tmp_path / "trials.jsonl", workers="ray") as pool,
    ):
        pool.outcomes(TRIALS)
    assert ended == [True]


@pytest.mark.slow
def test_what_the_file_holds_is_not_trained_again(
    data: ImageData, alone: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, trained = tmp_path / "trials.jsonl", []
    with SideBySide(data, ledger) as pool:
        pool.outcomes(TRIALS[:2])
    with ledger.open("a") as stream:  # a kill cut the third line short
        stream.write('{"cell": "1121')
    with SideBySide(data, ledger, done=lambda trial, outcome: trained.append(trial)) as pool:
        assert [pool.is_known(trial) for trial in TRIALS] == [True, True, False, False]
        assert _losses(pool.outcomes([*TRIALS, TRIALS[3]])) == [*_losses(alone), alone[3].loss]
    assert trained == TRIALS[2:]
    assert len(ledger.read_text().splitlines()) == 4
    monkeypatch.setattr(side_by_side, "train_briefly", None)
    with SideBySide(data, ledger) as pool:
        assert _losses(pool.outcomes(TRIALS)) == _losses(alone)


def test_another_recipe_is_another_training(data: ImageData, tmp_path: Path) -> None:
    with SideBySide(data, tmp_path / "trials.jsonl") as pool:
        pool.outcomes(TRIALS[:1])
        assert not pool.is_known(TRIALS[0]._replace(recipe=Recipe(steps=5, batch_size=16, C=4)))


def test_a_file_of_something_else_is_refused(data: ImageData, tmp_path: Path) -> None:
    ledger = tmp_path / "trials.jsonl"
    ledger.write_text(json.dumps({"epoch": 1}) + "\n")
    with pytest.raises(UserError, match="line 1 is not the outcome of a short training"):
        SideBySide(data, ledger)


OUTCOME = {"loss": 2.5, "acc": 0.25, "robust_loss": None, "robust_acc": None, "train_loss": 2.25,
           "seconds": 1.5}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"loss": "2.5"}, {"acc": 1.5}, {"seconds": -1}, {"robust_loss": []}, {"more": 1},
     {"train_loss": 10**30}],
)  # fmt: skip
def test_an_outcome_is_typed_and_bounded(tmp_path: Path, change: dict[str, object]) -> None:
    ledger = tmp_path / "refine.jsonl"
    line = {"cell": "333333", "seed": 1, "outcome": OUTCOME}
    ledger.write_text(json.dumps(line) + "\n")
    assert read_ledger(ledger) == [line]
    odd = {**line, "outcome": {**OUTCOME, **change}}
    ledger.write_text(json.dumps(line) + "\n" + json.dumps(odd) + "\n")
    with pytest.raises(
        UserError, match=r"refine\.jsonl line 2 is not the outcome of a short train"
    ):
        read_ledger(ledger)


def _started(ledger: Path, count: int) -> tuple["subprocess.Popen[str]", list[int]]:
    """A program with `count` trainings in two processes, after its first; and its workers."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ledger), str(count)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    _, *workers = map(int, program.stdout.readline().split())
    assert len(workers) == 2
    return program, workers


def _wait_for_end(pids: list[int]) -> None:
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(0.05)
    pytest.fail(f"processes {pids} still run")


@pytest.mark.slow
def test_a_killed_program_leaves_no_process_and_loses_no_finished_training(
    data: ImageData, tmp_path: Path
) -> None:
    ledger = tmp_path / "trials.jsonl"
    program, workers = _started(ledger, 500)
    program.kill()
    program.communicate()
    _wait_for_end(workers)
    first = ledger.read_text().splitlines()[0]
    with SideBySide(data, ledger) as pool:
        seed = json.loads(first)["seed"]
        assert pool.is_known(Trial("313121", RECIPE, seed))


@pytest.mark.slow
def test_a_killed_process_ends_the_program_in_one_sentence(tmp_path: Path) -> None:
    program, workers = _started(tmp_path / "trials.jsonl", 500)
    os.kill(workers[0], signal.SIGKILL)
    _, errors = program.communicate(timeout=60)
    assert program.returncode != 0
    assert "a process of the short trainings was killed" in errors.splitlines()[-1]
    _wait_for_end(workers)
