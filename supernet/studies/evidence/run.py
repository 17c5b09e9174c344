"""Running the plan: one search after the other as a subprocess, each recorded as it ends.

A run that is in evidence.json is done, wherever its folder is; one whose folder has a checkpoint
goes on from there.
"""

import dataclasses
import fcntl
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supernet.benchmark.load import load_table
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.report.figures import found_front
from supernet.runs.interrupts import Interrupted, deferred_interrupts
from supernet.search.config import WHERE_FIELDS, SearchConfig
from supernet.settings import differences, from_saved
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.judge import picks, random_fronts, without_search
from supernet.studies.evidence.page import write_page
from supernet.studies.evidence.plan import BASE, JUDGE, ROWS, Row, Run, runs_of
from supernet.studies.evidence.records import EVIDENCE, FORMAT, read_evidence, record_of
from supernet.studies.evidence.together import together

ROOT = Path(__file__).resolve().parents[3]


def make_evidence(config: EvidenceConfig, *, rows: tuple[Row, ...] = ROWS) -> Path:
    """Run what is missing, write evidence.json after each run and the page at the end.

    Raises: UserError before anything runs, or at the end when searches failed; Interrupted after
    the search that ran has written its checkpoint.
    """
    out, page = Path(config.out), Path(config.page)
    if config.page_only:
        return write_page(out, page)
    wanted = runs_of(rows, config.search_flags or "", config.rows, config.seeds)
    expected = {run.name: run.config() for run in wanted}
    table = load_table(config.data_root)
    evidence = _opened(out / EVIDENCE, config, rows, table)
    done = {(r["row"], r["seed"]): r for r in evidence["runs"]}
    for run in runs_of(rows, config.search_flags or "", (), ()):  # a page has one set of flags
        _refuse_another(run, done.get((run.row.name, run.seed)), out)
        _refuse_another_config(run, done.get((run.row.name, run.seed)), out)
    left = [run for run in wanted if (run.row.name, run.seed) not in done]
    order = {row.name: number for number, row in enumerate(rows)}

    def record(run: Run) -> None:
        folder = Path(config.runs) / run.name
        evidence["runs"].append(record_of(run, folder, table))
        if run.name == "main-seed0":
            found_front(read_json(folder / "front.json"), table, out / "fronts" / run.name)
        evidence["runs"].sort(key=lambda r: (order.get(r["row"], len(order)), r["seed"]))
        evidence["together"] = _together(table, evidence["runs"])
        write_json(out / EVIDENCE, evidence)

    for run in left:
        _refuse_folder(Path(config.runs) / run.name, expected[run.name])
    write_json(out / EVIDENCE, evidence)
    try:
        failed = _run_all(config, left, record) if left else []
    finally:
        write_page(out, page)
    if failed:
        raise UserError(f"failed: {'; '.join(failed)}; what they said stands above")
    return page


def _opened(
    path: Path, config: EvidenceConfig, rows: tuple[Row, ...], table: Table
) -> dict[str, Any]:
    """evidence.json with the runs so far and everything else made anew."""
    before = read_evidence(path) if path.exists() else {}
    fresh = [pick for name in config.rankings for pick in picks(table, Path(name))]
    return {
        "format": FORMAT,
        "note": before.get("note"),
        "judge": list(JUDGE),
        "base": " ".join(filter(None, (BASE, config.search_flags))),
        "plan": [dataclasses.asdict(row) for row in rows],
        "tables": table.sources,
        "runs": before.get("runs", []),
        "together": _together(table, before.get("runs", [])),
        "answer": runs_of(rows[:1], config.search_flags or "", (), ())[0].config().derive_by,
        "without_search": without_search(table),
        "random_fronts": random_fronts(table),
        "picks": fresh if config.rankings else before.get("picks", []),
    }


def _together(table: Table, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return together(table, [record for record in records if record["row"] == "main"])


def _refuse_another(run: Run, record: dict[str, Any] | None, out: Path) -> None:
    if record is not None and record["flags"] != shlex.join(run.flags):
        raise UserError(
            f"{out / EVIDENCE} has {run.name} with the flags {record['flags']}, not "
            f"{shlex.join(run.flags)}; give another --out and --runs"
        )


def _refuse_another_config(run: Run, record: dict[str, Any] | None, out: Path) -> None:
    if record is not None and record["config_hash"] != run.config().hash():
        raise UserError(
            f"{out / EVIDENCE} has {run.name} with another config under the same flags (a preset "
            "has changed since); give another --out and --runs"
        )


def _refuse_folder(folder: Path, expected: SearchConfig) -> None:
    path = folder / "config.json"
    if path.is_file():
        saved = from_saved(SearchConfig, read_json(path).get("config"), path)
        changed = differences(saved, vars(expected), free=WHERE_FIELDS)
        if changed:
            raise UserError(
                f"{folder} holds a run of another config ({'; '.join(changed)}); give another "
                "--runs"
            )


def _run_all(config: EvidenceConfig, left: list[Run], record: Callable[[Run], None]) -> list[str]:
    """Run and record; returns what failed."""
    began, late, failed = time.monotonic(), 0, []
    with _locked(Path(config.runs)) as lock, deferred_interrupts() as interrupted:
        for number, run in enumerate(left, start=1):
            folder = Path(config.runs) / run.name
            if not (folder / "genotype.json").is_file():
                if config.minutes is not None and time.monotonic() - began >= 60 * config.minutes:
                    late += 1
                    continue
                print(f"\n[{number} of {len(left)}] {run.name}: {run.row.words}", flush=True)
                status = _search(_command(run, folder, config.data_root), lock, interrupted)
                if interrupted() and status != 0:
                    raise Interrupted(f"stopped in {run.name}; the same command goes on")
                if status != 0:
                    failed.append(f"{run.name} with status {status}")
                    continue
            record(run)
            if interrupted():
                raise Interrupted(f"stopped after {run.name}; the same command goes on")
    if late:
        print(
            f"{config.minutes:g} minutes are over, {late} runs are left; the same command goes on"
        )
    return failed


def _command(run: Run, folder: Path, data_root: str | None) -> list[str]:
    root = [] if data_root is None else ["--data-root", data_root]
    command = [sys.executable, str(ROOT / "scripts" / "search.py"), *root]
    if (folder / "checkpoint.pt").is_file():
        return [*command, "--resume", str(folder)]
    # Killed before its first checkpoint: nothing to go on from.
    (folder / "config.json").unlink(missing_ok=True)
    return [*command, *run.flags, "--seed", str(run.seed), "--out", str(folder)]


def _search(command: list[str], lock: int, interrupted: Callable[[], bool]) -> int:
    """Exit status of a search. Ctrl-C is handed on once, and its checkpoint is waited for."""
    told = False
    # In a session of its own, or the terminal would tell it a second time, which stops it at once.
    child = subprocess.Popen(command, start_new_session=True, pass_fds=(lock,))
    while True:
        try:
            return child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if interrupted() and not told:
                child.send_signal(signal.SIGINT)
                told = True
        except BaseException:
            child.terminate()
            raise


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """A lock that the searches inherit: a search that outlives a killed parent still holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"a search still runs in {folder}; wait for it, or end it and call again"
            ) from error
        yield stream.fileno()
