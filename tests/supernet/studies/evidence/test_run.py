"""Running the plan: what is skipped, resumed, refused, and what is left when it is cut off."""

import dataclasses
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.runs.interrupts import Interrupted
from supernet.studies.evidence import run
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.plan import BASE, Row, runs_of
from supernet.studies.evidence.run import make_evidence
from tests.supernet.report.runs import ARGMAX, FOUND, write_run
from tests.supernet.report.test_front import SMALL, write_front
from tests.supernet.studies.evidence.conftest import ROWS, read

TINY = (
    "--dataset digits --preset digits --C 2 --epochs 8 --warmup-epochs 0 --limit 128 "
    "--derive-candidates 2 --derive-images 16 --probe-images 16 --probe-steps 1"
)


def test_runs_each_once_and_records_it(config: EvidenceConfig, searches: list[list[str]]) -> None:
    page = make_evidence(config, rows=ROWS)
    assert [Path(c[-1]).name for c in searches] == ["main-seed0", "other-seed0", "main-seed1"]
    assert searches[1][2:-2] == [
        *shlex.split(BASE), "--beta-decay", "0", "--seed", "0",
    ]  # fmt: skip
    runs = read(config)["runs"]
    assert [(r["row"], r["seed"]) for r in runs] == [("main", 0), ("main", 1), ("other", 0)]
    first = runs[0]
    assert first["chosen"]["code"] == FOUND.code and first["argmax"]["code"] == ARGMAX.code
    assert first["seconds"] == 95.0 and first["machine"] == "a test"
    assert "Not run yet" not in page.read_text()
    # Again nothing runs, even where the run directories are gone.
    os.rename(config.runs, config.runs + "-gone")
    before = page.read_bytes()
    make_evidence(config, rows=ROWS)
    assert len(searches) == 3 and page.read_bytes() == before


def test_restricted_it_says_what_is_missing(
    config: EvidenceConfig, searches: list[list[str]]
) -> None:
    page = make_evidence(dataclasses.replace(config, rows=("main",), seeds=(1,)), rows=ROWS)
    assert len(searches) == 1
    assert "**Not run yet:** `main` seed 0; `other` seed 0." in page.read_text()


def test_no_minutes_start_nothing_but_record_what_is_finished(
    config: EvidenceConfig,
    searches: list[list[str]],
    invented: Table,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_run(Path(config.runs) / "main-seed1", invented)
    make_evidence(dataclasses.replace(config, minutes=0), rows=ROWS)
    assert searches == []
    assert [(r["seed"], r["fronts"]) for r in read(config)["runs"]] == [(1, None)]
    assert "0 minutes are over, 2 runs are left" in capsys.readouterr().out


def test_what_a_front_reaches_is_recorded(
    config: EvidenceConfig, searches: list[list[str]], invented: Table
) -> None:
    for seed in (0, 1):
        folder = write_run(Path(config.runs) / f"main-seed{seed}", invented)
        write_front(folder, invented)
        front = read_json(folder / "front.json")
        small, robust = front["archive"][:2]
        corners = {"clean": robust, "robust": robust, "size": small}
        write_json(folder / "front.json", {**front, "corners": corners})
    page = make_evidence(dataclasses.replace(config, minutes=0), rows=ROWS).read_text()
    record = read(config)["runs"][0]
    assert record["fronts"] == {
        "found": found_against_true(invented, [SMALL, FOUND], "cifar10")
    }  # fmt: skip
    assert record["front_codes"] == [SMALL.code, FOUND.code]
    assert record["corners"]["size"] == {"code": SMALL.code, "robust": 0.31, "robust_loss": 1.69}
    assert "| `main`, found | 2 | 2 (2..2) |" in page
    assert "attack of 1.580 nats in the mean of 2 seeds, the one for size alone 1.690; it" in page
    assert "![The front of main, seed 0](out/fronts/main-seed0.png)" in page
    figures = {path.name for path in (Path(config.out) / "fronts").iterdir()}
    assert figures == {"main-seed0.png", "main-seed0.svg"}


def test_a_failed_search_stops_no_other(
    config: EvidenceConfig, searches: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = run._search
    monkeypatch.setattr(
        run, "_search", lambda c, *rest: 2 if "--beta-decay" in c else good(c, *rest)
    )
    with pytest.raises(UserError, match=r"^failed: other-seed0 with status 2"):
        make_evidence(config, rows=ROWS)
    assert len(read(config)["runs"]) == 2
    assert "**Not run yet:** `other` seed 0." in Path(config.page).read_text()


def test_other_flags_are_refused(config: EvidenceConfig, searches: list[list[str]]) -> None:
    make_evidence(dataclasses.replace(config, rows=("main",)), rows=ROWS)
    other = dataclasses.replace(config, rows=("other",), search_flags="--epochs 3")
    with pytest.raises(UserError, match=r"has main-seed0 with the flags --robust .*--out"):
        make_evidence(other, rows=ROWS)
    assert len(searches) == 2


def test_a_record_of_a_preset_that_has_changed_is_refused(
    config: EvidenceConfig, searches: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_evidence(config, rows=ROWS)
    monkeypatch.undo()
    monkeypatch.setattr(run, "load_table", lambda where: None)
    with pytest.raises(UserError, match="has main-seed0 with another config under the same flags"):
        run._refuse_another_config(runs_of(ROWS, "", (), ())[0], read(config)["runs"][0], Path("x"))
    same = {"config_hash": runs_of(ROWS, "", (), ())[0].config().hash()}
    run._refuse_another_config(runs_of(ROWS, "", (), ())[0], same, Path("x"))


def test_a_folder_of_another_config_is_refused(config: EvidenceConfig) -> None:
    folder = Path(config.runs) / "main-seed0"
    folder.mkdir(parents=True)
    values = runs_of(ROWS, "", ("main",), (0,))[0].config().to_dict()
    (folder / "config.json").write_text(json.dumps({"config": {**values, "epochs": 7}}))
    with pytest.raises(UserError, match=r"another config \(epochs: 7 -> 4\)"):
        make_evidence(config, rows=ROWS)
    assert not Path(config.out).exists()


def test_what_is_called_for_a_folder(tmp_path: Path) -> None:
    (planned,) = runs_of(ROWS, "", ("other",), ())
    folder = tmp_path / "other-seed0"
    start = run._command(planned, folder, "images")
    assert start[1:] == [
        str(run.ROOT / "scripts" / "search.py"), "--data-root", "images", *planned.flags,
        "--seed", "0", "--out", str(folder),
    ]  # fmt: skip
    folder.mkdir()
    (folder / "config.json").write_text("{}")  # killed before its first checkpoint
    assert run._command(planned, folder, "images") == start
    assert not (folder / "config.json").exists(), "search.py would refuse the folder"
    (folder / "checkpoint.pt").touch()
    assert run._command(planned, folder, None)[2:] == ["--resume", str(folder)]


def test_a_search_that_outlived_its_parent_is_waited_for(
    config: EvidenceConfig, searches: list[list[str]]
) -> None:
    running = pytest.raises(UserError, match="a search still runs in")
    with run._locked(Path(config.runs)), running:
        make_evidence(config, rows=ROWS)
    make_evidence(config, rows=ROWS)
    assert len(searches) == 3


def test_the_lock_is_held_by_the_search(tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    program = (
        f"import os, time; open({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(end)!r}): time.sleep(0.01)"
    )
    command = [sys.executable, "-c", program]
    with run._locked(tmp_path) as lock:
        thread = threading.Thread(target=run._search, args=(command, lock, lambda: False))
        thread.start()
        while not begun.exists():
            time.sleep(0.01)
    try:
        with pytest.raises(UserError, match="a search still runs in"), run._locked(tmp_path):
            pass
    finally:
        end.touch()
        thread.join()
    with run._locked(tmp_path):
        pass


@pytest.mark.slow
def test_interrupted_it_goes_on_where_it_was(config: EvidenceConfig) -> None:
    """A real search on the digits: Ctrl-C after its first epoch, then the same again."""
    rows = (Row("main", "as it is", seeds=1),)
    config = dataclasses.replace(config, search_flags=TINY)
    folder = Path(config.runs) / "main-seed0"

    def interrupt() -> None:
        deadline = time.monotonic() + 240
        while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted, match="stopped in main-seed0; the same command goes on"):
        make_evidence(config, rows=rows)
    thread.join()
    assert (folder / "checkpoint.pt").exists() and not (folder / "genotype.json").exists()
    assert read(config)["runs"] == []
    assert "**Not run yet:** `main` seed 0." in Path(config.page).read_text()

    make_evidence(config, rows=rows)
    (record,) = read(config)["runs"]
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2, "it was resumed, not begun anew"
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 8
    saved = json.loads((folder / "genotype.json").read_text())
    assert record["chosen"]["code"] == saved["code"]
    assert record["config_hash"] == saved["config_hash"]
    assert "**Not run yet:**" not in Path(config.page).read_text()
