"""The file of scores: one JSON line per cell, in the order of the sample, resumable. No torch."""

import json
import os
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import read_json, read_jsonl, write_json
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.sample import Cell

SCORES = "scores.jsonl"
CONFIG = "config.json"
IDENTIFYING = ("supernet_sha256",)
"""Facts, besides the config, that a ranking must not go on without."""


class Store:
    """`scores.jsonl` of a ranking. Lines are only ever added, each whole and flushed.

    A ranking that is cut off at any moment leaves complete lines and at most one torn one, which
    is cut away; continued, it ends with the bytes of the ranking that was never cut off: order and
    content depend on the config alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / SCORES

    def open(self, config: RankConfig, facts: dict[str, Any], cells: list[Cell]) -> int:
        """Begin or continue; returns how many cells are done.

        Raises: UserError when the folder holds another ranking, or its file is damaged.
        """
        fixed = config.fixed()
        if (self.folder / CONFIG).exists():
            whole = read_json(self.folder / CONFIG)
            # A field that came later had its default.
            saved = RankConfig().fixed() | whole.get("config", {})
            fixed |= {name: facts[name] for name in IDENTIFYING if name in facts}
            saved |= {name: whole.get(name) for name in IDENTIFYING}
            changed = [name for name in fixed if fixed[name] != saved.get(name)]
            if changed:
                name = changed[0]
                raise UserError(
                    f"{self.folder} holds a ranking with {name} = {saved.get(name)}, not "
                    f"{fixed[name]}; give another --out"
                )
        elif self.path.exists():
            raise UserError(f"{self.path} is there without its {CONFIG}; give another --out")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / CONFIG, {"config": fixed, **facts})
        return len(self.recover(cells))

    def read(self, cells: list[Cell]) -> list[dict[str, Any]]:
        """All records, checked to be those of the cells, in their order."""
        records = read_jsonl(self.path)
        for number, (record, cell) in enumerate(zip(records, cells, strict=False), start=1):
            if not isinstance(record.get("scores"), dict):
                raise UserError(
                    f"{self.path} line {number} is not a record of scores; give another --out"
                )
            if record.get("code") != cell.genotype.code:
                raise UserError(
                    f"{self.path} line {number} is of cell {record.get('code')}, the sample has "
                    f"{cell.genotype.code} there; give another --out"
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
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, allow_nan=False) + "\n")

    def recover(self, cells: list[Cell]) -> list[dict[str, Any]]:
        """Cut a torn last line off, then read."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(self.path, whole)
        return self.read(cells)
