"""Running the plan: what is skipped, resumed, refused, and what is left when it is cut off."""

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.table import Table
from supernet.data import ImageData
from supernet.errors import UserError
from supernet.files import write_json
from supernet.report.figures import found_front
from supernet.runs.interrupts import Interrupted
from supernet.runs.search_run import resume_search
from supernet.studies.evidence import run
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.plan import BASE, Row, runs_of
from supernet.studies.evidence.run import make_evidence
from tests.supernet.studies.evidence.conftest import CELLS, ROWS, read, write_search

TINY = (
    "--dataset digits --preset digits --C 2 --epochs 3 --warmup-epochs 0 --limit 128 "
    "--probe-images 16"
)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_runs_each_once_and_records_it(config: EvidenceConfig, searches: list[list[str]]) -> None:
    page = make_evidence(config, rows=ROWS)
    assert [Path(c[-1]).name for c in searches] == ["main-seed0", "other-seed0", "main-seed1"]
    assert searches[1][2:-2] == [
        *shlex.split(BASE), "--beta-decay", "0", "--seed", "0",
    ]  # fmt: skip
    evidence = read(config)
    assert (evidence["format"], evidence["answer"]) == (2, "gains")
    runs = evidence["runs"]
    assert [(r["row"], r["seed"]) for r in runs] == [("main", 0), ("main", 1), ("other", 0)]
    assert {guide: cell["code"] for guide, cell in runs[0]["cells"].items()} == CELLS
    assert "Not run yet" not in page.read_text()
    # Again nothing runs, even where the run directories are gone, and what was noted stays.
    os.rename(config.runs, config.runs + "-gone")
    write_json(Path(config.out) / "evidence.json", {**evidence, "note": "These are invented."})
    before = page.read_text().split("\n\n")
    make_evidence(config, rows=ROWS)
    assert len(searches) == 3 and read(config)["note"] == "These are invented."
    before[1] += "\nThese are invented."
    assert page.read_text().split("\n\n") == before


def test_restricted_it_says_what_is_missing(
    config: EvidenceConfig, searches: list[list[str]]
) -> None:
    page = make_evidence(dataclasses.replace(config, rows=("main",), seeds=(1,)), rows=ROWS)
    assert len(searches) == 1
    assert "**Not run yet:** `main` seed 0; `other` seed 0." in page.read_text()


def test_no_minutes_start_nothing_but_record_what_is_finished(
    config: EvidenceConfig,
    searches: list[list[str]],
    digits: ImageData,
    invented: Table,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search(Path(config.runs) / "main-seed1", digits, invented)
    make_evidence(dataclasses.replace(config, minutes=0), rows=ROWS)
    assert searches == []
    assert [(r["seed"], len(r["front_codes"])) for r in read(config)["runs"]] == [(1, 80)]
    assert "0 minutes are over, 2 runs are left" in capsys.readouterr().out


def test_the_front_of_the_first_search_is_drawn(
    config: EvidenceConfig, searches: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "found_front", found_front)
    page = make_evidence(config, rows=ROWS).read_text()
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
    config: EvidenceConfig, searches: list[list[str]]
) -> None:
    make_evidence(config, rows=ROWS)
    evidence = read(config)
    evidence["runs"][1]["config_hash"] = "0123456789ab"
    write_json(Path(config.out) / "evidence.json", evidence)
    with pytest.raises(UserError, match="has main-seed1 with another config under the same flags"):
        make_evidence(config, rows=ROWS)


def test_evidence_of_another_format_is_refused_before_anything_runs(
    config: EvidenceConfig, searches: list[list[str]]
) -> None:
    write_json(Path(config.out) / "evidence.json", {"runs": []})
    for again in (config, dataclasses.replace(config, page_only=True)):
        with pytest.raises(UserError, match="has format 1, this version reads format 2"):
            make_evidence(again, rows=ROWS)
    assert searches == [] and read(config) == {"runs": []}
    assert not Path(config.page).exists()


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
        wait_for(begun)
    try:
        with pytest.raises(UserError, match="a search still runs in"), run._locked(tmp_path):
            pass
    finally:
        end.touch()
        thread.join()
    with run._locked(tmp_path):
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


def test_ctrl_c_is_handed_on_once_and_waited_for(
    config: EvidenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(run: Any, folder: Path, data_root: str | None) -> list[str]:
        folder.mkdir(parents=True)
        return [sys.executable, "-c", COUNTS_INTERRUPTS, str(folder)]

    def interrupt() -> None:
        wait_for(folder / "begun")
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(run, "_command", command)
    folder = Path(config.runs) / "main-seed0"
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted, match="stopped in main-seed0; the same command goes on"):
        make_evidence(config, rows=ROWS)
    thread.join()
    assert (folder / "checkpoint.pt").read_text() == "1"
    assert read(config)["runs"] == []
    assert "**Not run yet:** `main` seeds 0, 1;" in Path(config.page).read_text()


@pytest.mark.slow
def test_killed_it_goes_on_where_it_was(
    config: EvidenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real search of the digits, killed after its first epoch; the rest of it in this process."""
    rows = (Row("main", "as it is", seeds=1),)
    config = dataclasses.replace(config, search_flags=TINY)
    folder, children = Path(config.runs) / "main-seed0", []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **more: Any) -> None:
            super().__init__(command, **more)
            children.append(self)

    def kill() -> None:
        wait_for(folder / "metrics.jsonl")
        children[0].kill()

    monkeypatch.setattr(run.subprocess, "Popen", Noted)
    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(UserError, match="failed: main-seed0 with status -9"):
        make_evidence(config, rows=rows)
    thread.join()
    assert (folder / "checkpoint.pt").exists() and not (folder / "genotype.json").exists()
    assert read(config)["runs"] == []
    assert "**Not run yet:** `main` seed 0." in Path(config.page).read_text()

    def resume(command: list[str], lock: int, interrupted: Any) -> int:
        assert command[1:] == [str(run.ROOT / "scripts" / "search.py"), "--resume", str(folder)]
        resume_search(folder, {}, quiet=True)
        return 0

    monkeypatch.setattr(run, "_search", resume)
    make_evidence(config, rows=rows)
    (record,) = read(config)["runs"]
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2, "it was resumed, not begun anew"
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    saved = json.loads((folder / "genotype.json").read_text())
    assert record["cells"]["gains"]["code"] == saved["code"]
    assert record["config_hash"] == saved["config_hash"]
    assert "**Not run yet:**" not in Path(config.page).read_text()
