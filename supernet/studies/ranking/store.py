"""The file of scores: one JSON line per cell, in the order of the sample, resumable. No torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import (
    append_jsonl,
    read_json,
    read_jsonl,
    recover_jsonl,
    remove_leftovers,
    write_json,
)
from supernet.runs.lock import locked
from supernet.settings import another_version
from supernet.shapes import SHOWN, Each, misfit, require
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.sample import Cell

SCORES = "scores.jsonl"
CONFIG = "config.json"
RECORD = {"index": int, "code": str, "random": bool, "scores": Each(float)}
"""The shape of a line."""
IDENTIFYING = ("supernet_sha256",)
"""Facts besides the config that must be the same where a ranking goes on."""


class Store:
    """`scores.jsonl` of a ranking. Lines are only ever added, each whole and flushed.

    A ranking that is cut off at any moment leaves complete lines and at most one torn one, which
    is cut away; continued, it ends with the bytes of the ranking that was never cut off: order and
    content depend on the config alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / SCORES

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder, and remove what a killed one left in it.

        Raises: UserError that names the process that is in it already.
        """
        with locked(self.folder):
            for folder in (self.folder, self.folder / "figures"):
                remove_leftovers(folder)
            yield

    def open(self, config: RankConfig, facts: dict[str, Any], cells: list[Cell]) -> int:
        """Begin or continue; returns how many cells are done.

        Raises: UserError when the folder holds another ranking, or its file is damaged.
        """
        fixed = config.fixed()
        if (self.folder / CONFIG).exists():
            self._refuse_another(fixed, facts)
        elif self.path.exists():
            raise UserError(f"{self.path} is there without its {CONFIG}; give another --out")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / CONFIG, {"config": fixed, **facts})
        return len(self.recover(cells))

    def _refuse_another(self, fixed: dict[str, Any], facts: dict[str, Any]) -> None:
        path = self.folder / CONFIG
        whole = read_json(path)
        if isinstance(whole, dict) and "kind" in whole:
            kind = str(whole["kind"])[:SHOWN]
            raise UserError(f"{self.folder} holds a {kind}, not a ranking; give another --out")
        require(whole, {"config": dict}, path)
        saved = whole["config"]
        if set(saved) != set(fixed):
            others = ", ".join(sorted(set(saved) ^ set(fixed)))
            raise another_version(path, f"its fields differ in {others[:SHOWN]}")
        saved |= {name: whole.get(name) for name in IDENTIFYING}
        fixed = fixed | {name: facts.get(name) for name in IDENTIFYING}
        for name, value in fixed.items():
            if value != saved[name]:
                raise UserError(
                    f"{self.folder} holds a ranking with {name} = {str(saved[name])[:SHOWN]}, not "
                    f"{value}; give another --out"
                )

    def read(self, cells: list[Cell]) -> list[dict[str, Any]]:
        """All records, checked to be those of the cells, in their order."""
        records = read_jsonl(self.path)
        for number, (record, cell) in enumerate(zip(records, cells, strict=False), start=1):
            if misfit(record, RECORD) is not None:
                raise UserError(
                    f"{self.path} line {number} is not a record of scores; give another --out"
                )
            if record["code"] != cell.genotype.code:
                raise UserError(
                    f"{self.path} line {number} is of cell {record['code'][:SHOWN]}, the sample "
                    f"has {cell.genotype.code} there; give another --out"
                )
        if len(records) > len(cells):
            raise UserError(
                f"{self.path} has {len(records)} lines for {len(cells)} cells; give another --out"
            )
        return records

    def append(self, cell: Cell, scores: dict[str, float]) -> None:
        """Add one cell's line."""
        record = {
            "index": cell.index,
            "code": cell.genotype.code,
            "random": cell.random,
            "scores": scores,
        }
        append_jsonl(self.path, record)

    def recover(self, cells: list[Cell]) -> list[dict[str, Any]]:
        """Cut a torn last line off, then read."""
        recover_jsonl(self.path)
        return self.read(cells)
