"""Running the plan: what is skipped, shared, resumed, and what is left when it is cut off."""

import dataclasses
import errno
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.runs.interrupts import Interrupted
from supernet.runs.lock import locked
from supernet.studies.evidence import commands, run
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.plan import Row, Run
from supernet.studies.evidence.run import make_evidence
from tests.disk import SHARES, is_on, largest_file, size_of, small_disk
from tests.supernet.studies.evidence.conftest import (
    CELLS,
    ROWS,
    TRAINING,
    Ended,
    read,
    run_of,
    write_search,
)

pytestmark = pytest.mark.slow

TINY = (
    "--dataset digits --preset digits --C 2 --epochs 2 --warmup-epochs 0 --limit 128 "
    "--probe-images 16 --refine-steps 1 --refine-moves 0"
)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_runs_each_once_and_records_it(config: EvidenceConfig, searches: list[str]) -> None:
    page = make_evidence(config, rows=ROWS)
    assert searches == [
        "cifar10/main-seed5", "cifar10/other-seed5", "cifar10/main-budgets-0.4M-seed5",
        "cifar10/main-budgets-0.8M-seed5", "cifar100/main-seed5", "cifar10/main-seed6",
        "cifar100/main-seed6",
    ]  # fmt: skip
    runs = read(config)["runs"]
    assert len(runs) == 7 and runs[0]["cells"]["refined"]["code"] == CELLS["refined"]
    assert "Not run yet" not in page.read_text()
    assert (Path(config.out) / "summary.md").is_file()
    # Again nothing runs, even where the run directories are gone.
    os.rename(config.runs, config.runs + "-gone")
    before = page.read_text()
    make_evidence(config, rows=ROWS)
    assert len(searches) == 7 and page.read_text() == before


def test_searches_of_a_data_set_and_seed_share_trainings(
    config: EvidenceConfig, searches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: dict[str, list[str]] = {}
    begin = run.begin

    def look(planned: Run, *rest: Any) -> Any:
        path = Path(config.runs) / planned.name / "refine.jsonl"
        lent[planned.name] = path.read_text().splitlines() if path.exists() else []
        return begin(planned, *rest)

    monkeypatch.setattr(run, "begin", look)
    make_evidence(dataclasses.replace(config, rows=("main", "other")), rows=ROWS)
    assert {name: len(lines) for name, lines in lent.items()} == {
        "cifar10/main-seed5": 0, "cifar10/other-seed5": 1, "cifar100/main-seed5": 0,
        "cifar10/main-seed6": 0, "cifar100/main-seed6": 0,
    }  # fmt: skip
    assert json.loads(lent["cifar10/other-seed5"][0]) == TRAINING
    (known,) = (Path(config.runs) / "judged" / "cifar10-seed5.jsonl").read_text().splitlines()[1:]
    assert json.loads(known) == TRAINING


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_on_a_full_disk_it_stops_and_goes_on_when_there_is_room(
    config: EvidenceConfig,
    searches: list[str],
    tmp_path: Path,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],  # what is printed is no file then
) -> None:
    make_evidence(config, rows=ROWS)
    whole = read(config)
    size = (Path(config.out) / "evidence.json").stat().st_size
    begin = run.begin

    def apart(*given: Any) -> Any:
        with largest_file(resource.RLIM_INFINITY):  # a search has a process of its own
            return begin(*given)

    monkeypatch.setattr(run, "begin", apart)
    again = dataclasses.replace(
        config, out=str(tmp_path / "again"), page=str(tmp_path / "again.md"),
        runs=str(tmp_path / "more"),
    )  # fmt: skip
    with largest_file(int(share * size)), pytest.raises(OSError) as refused:
        make_evidence(again, rows=ROWS)
    assert refused.value.errno == errno.EFBIG and refused.value.filename is not None
    assert not list(tmp_path.rglob(".*.tmp"))
    make_evidence(again, rows=ROWS)
    assert read(again)["runs"] == whole["runs"]


@pytest.mark.parametrize("share", SHARES)
def test_on_a_small_disk_it_stops_and_goes_on_when_there_is_room(
    config: EvidenceConfig, searches: list[str], tmp_path: Path, share: float
) -> None:
    """Its own files; the searches, which have tests of their own, lie elsewhere."""
    make_evidence(config, rows=ROWS)
    whole = read(config)
    size = size_of(Path(config.out)) + -(-Path(config.page).stat().st_size // 4096) * 4096
    with small_disk(tmp_path / "disk", int(share * size)) as disk:
        again = dataclasses.replace(
            config, out=str(disk.folder / "again"), page=str(disk.folder / "again.md"),
            runs=str(tmp_path / "more"),
        )  # fmt: skip
        with pytest.raises(OSError) as refused:
            make_evidence(again, rows=ROWS)
        assert refused.value.errno == errno.ENOSPC and is_on(refused.value, disk.folder)
        assert not list(disk.folder.rglob(".*.tmp"))
        disk.resize(10 * size)
        make_evidence(again, rows=ROWS)
        assert read(again)["runs"] == whole["runs"]
        assert (Path(again.page)).is_file()


def test_restricted_it_says_what_is_missing(config: EvidenceConfig, searches: list[str]) -> None:
    some = dataclasses.replace(config, rows=("main",), seeds=(6,), datasets=("cifar10",))
    page = make_evidence(some, rows=ROWS)
    assert searches == ["cifar10/main-seed6"]
    assert (
        "**Not run yet:** `main` seed 5 on cifar10; `main` seeds 5, 6 on cifar100; `other` seed 5 "
        "on cifar10; `main-budgets` 0.4M, 0.8M seed 5 on cifar10."
    ) in page.read_text()


def test_no_minutes_start_nothing_but_record_what_is_finished(
    config: EvidenceConfig, searches: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_search(Path(config.runs), run_of("cifar100/main-seed6"))
    make_evidence(dataclasses.replace(config, minutes=0), rows=ROWS)
    assert searches == []
    assert [(r["dataset"], r["seed"]) for r in read(config)["runs"]] == [("cifar100", 6)]
    judged = Path(config.runs) / "judged" / "cifar100-seed6.jsonl"
    assert len(judged.read_text().splitlines()) == 2, "it shares what it has"
    assert "0 minutes are over, 6 runs are left" in capsys.readouterr().out


def test_a_failed_search_stops_no_other(
    config: EvidenceConfig, searches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = run.begin

    def begin(planned: Run, *rest: Any) -> Any:
        return Ended(2) if planned.row.name == "other" else good(planned, *rest)

    monkeypatch.setattr(run, "begin", begin)
    with pytest.raises(
        UserError, match=r"^failed: cifar10/other-seed5 with status 2; .* stands above"
    ):
        make_evidence(config, rows=ROWS)
    assert len(read(config)["runs"]) == 6
    assert "**Not run yet:** `other` seed 5 on cifar10." in Path(config.page).read_text()
    two = dataclasses.replace(config, jobs=2)
    with pytest.raises(UserError, match=r"what they said stands in output\.txt of their folders"):
        make_evidence(two, rows=ROWS)


def test_a_search_that_outlived_its_parent_is_waited_for(
    config: EvidenceConfig, searches: list[str]
) -> None:
    running = pytest.raises(UserError, match="is in use by process")
    with locked(Path(config.runs)), running:
        make_evidence(config, rows=ROWS)
    assert searches == []
    make_evidence(config, rows=ROWS)
    assert len(searches) == 7


def test_the_lock_is_held_by_the_search(
    config: EvidenceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = tmp_path / "end"
    program = f"import os, time\nwhile not os.path.exists({str(end)!r}): time.sleep(0.01)"
    monkeypatch.setattr(commands, "command_of", lambda *_: [sys.executable, "-c", program])
    with locked(tmp_path) as lock:
        process = commands.begin(run_of("cifar10/main-seed5"), config, lock)
    try:
        with pytest.raises(UserError, match="is in use by process"), locked(tmp_path):
            pass
    finally:
        end.touch()
        process.wait(timeout=60)
    with locked(tmp_path):
        pass


COUNTS_INTERRUPTS = """
import signal, sys, time
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
open(sys.argv[1] + "/begun", "w").close()
while not told:
    time.sleep(0.01)
time.sleep(0.5)  # long enough for a second signal
open(sys.argv[1] + "/checkpoint.pt", "w").write(str(len(told)))
sys.exit(130)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_is_handed_on_once_and_waited_for(
    config: EvidenceConfig, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    def command(planned: Run, config: EvidenceConfig) -> list[str]:
        folder = Path(config.runs) / planned.name
        folder.mkdir(parents=True, exist_ok=True)
        return [sys.executable, "-c", COUNTS_INTERRUPTS, str(folder)]

    folders = [Path(config.runs) / name / "main-seed5" for name in ("cifar10", "cifar100")][:jobs]

    def interrupt() -> None:
        for folder in folders:
            wait_for(folder / "begun")
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(commands, "command_of", command)
    thread = threading.Thread(target=interrupt)
    thread.start()
    names = " and ".join(f"{folder.parent.name}/main-seed5" for folder in folders)
    with pytest.raises(Interrupted, match=f"stopped in {names}; the same command goes on"):
        make_evidence(dataclasses.replace(config, jobs=jobs), rows=ROWS)
    thread.join()
    assert [(folder / "checkpoint.pt").read_text() for folder in folders] == ["1"] * jobs
    assert read(config)["runs"] == []
    assert "**Not run yet:** `main` seeds 5, 6 on cifar10" in Path(config.page).read_text()


def test_killed_it_goes_on_where_it_was(
    config: EvidenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real searches of the digits: one that is killed after its first epoch and goes on, and a
    budget."""
    rows = (
        Row("main", "as it is", seeds=(5,), images=("cifar10",)),
        Row("within", "less", "--proposals free", seeds=(5,), images=("cifar10",),
            budgets=("0.4M",)),
    )  # fmt: skip
    config = dataclasses.replace(config, search_flags=TINY)
    folder, children = Path(config.runs) / "cifar10" / "main-seed5", []
    command_of = commands.command_of

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **more: Any) -> None:
            super().__init__(command, **more)
            children.append(self)

    def kill() -> None:
        wait_for(folder / "metrics.jsonl")
        children[0].kill()

    monkeypatch.setattr(commands.subprocess, "Popen", Noted)
    thread = threading.Thread(target=kill)
    thread.start()
    only = dataclasses.replace(config, rows=("main",))
    with pytest.raises(UserError, match="failed: cifar10/main-seed5 with status -9"):
        make_evidence(only, rows=rows)
    thread.join()
    assert (folder / "checkpoint.pt").exists() and not (folder / "genotype.json").exists()
    assert read(config)["runs"] == []
    asked: list[list[str]] = []

    def noted(*arguments: Any) -> list[str]:
        asked.append(command_of(*arguments))
        return asked[-1]

    monkeypatch.setattr(commands, "command_of", noted)
    make_evidence(config, rows=rows)
    assert shlex.join(asked[0][2:]) == f"--resume {folder}"
    assert "--proposals free --max-params 0.4M --seed 5" in shlex.join(asked[1])
    main, within = read(config)["runs"]
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2, "it was resumed, not begun anew"
    saved = json.loads((folder / "genotype.json").read_text())
    assert main["cells"][main["chosen_by"]]["code"] == saved["code"]
    assert main["config_hash"] == saved["config_hash"]
    assert within["budget"] == "0.4M"
    assert within["cells"][within["chosen_by"]]["params"] <= 0.4e6
    assert within["cpu_seconds"]["supernet"] > 0
    judged = Path(config.runs) / "judged" / "digits-seed5.jsonl"
    shared = len(judged.read_text().splitlines()) - 1
    assert 0 < main["trainings"] < shared <= main["trainings"] + within["trainings"]
