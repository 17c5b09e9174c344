#!/usr/bin/env python3
"""Pack the scores of all cells that ship with this package.

Reads the folders of finished rankings of all cells, checks that each has every cell of the
benchmark once, and writes their scores into one file with the command and the machine of each.

    python scripts/rank.py --cells 0 --proxies synflow,jacob_cov,naswot --batch 32 --out runs/free
    python scripts/make_free_scores.py runs/free runs/az
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.benchmark.load import shipped_table
from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import atomic_write, read_json, read_jsonl
from supernet.proxies.free_scores import PATH, FreeScores, packed, unpacked
from supernet.settings import flag_of
from supernet.studies.ranking.config import RankConfig, lower_is_better

SIZE_LIMIT = 500_000
"""Bytes: it travels with every install."""


def main() -> None:
    """Parse, pack, print."""
    arguments = _parser().parse_args()
    scores = collect(arguments.folders, shipped_table())
    data = packed(scores)
    if len(data) > SIZE_LIMIT:
        raise UserError(f"the file would have {len(data):,} bytes, over {SIZE_LIMIT:,}; pack fewer "
                        "scores")  # fmt: skip
    if (unpacked(data).values != scores.values).any():
        raise AssertionError("what is packed is not what was read")
    with atomic_write(arguments.out, "wb") as stream:
        stream.write(data)
    print(f"{arguments.out}: {', '.join(scores.names)} of {scores.values.shape[1]:,} cells, "
          f"{len(data):,} bytes, read back and equal")  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    parser.add_argument("folders", nargs="+", type=Path, metavar="RANKING",
                        help="Folders of scripts/rank.py --cells 0, finished.")  # fmt: skip
    parser.add_argument("--out", type=Path, default=PATH, metavar="FILE",
                        help="The .npz to write. Default: the package's own.")  # fmt: skip
    return parser


def collect(folders: Sequence[Path], table: Table) -> FreeScores:
    """The scores of all folders, by row of the table.

    Raises: UserError for a folder that is no ranking, lacks a cell or has one that does not belong
        there, or for a score that two folders have.
    """
    from supernet.studies.ranking.store import CONFIG, SCORES  # scipy would delay --help

    found: dict[str, list[float]] = {}
    runs = []
    for folder in folders:
        saved = read_json(folder / CONFIG)
        scores = scores_by_row(folder / SCORES, table)
        for name in scores:
            if lower_is_better(name):
                raise UserError(f"{name} is better where it is lower; leave {folder} out")
            if name in found:
                raise UserError(
                    f"{folder} has the score {name} like a folder before it; leave one out"
                )
        found |= scores
        about = {name: saved[name] for name in ("config", "images", "machine")}
        runs.append({"scores": list(scores), "command": command(saved["config"]), **about})
    return FreeScores(tuple(found), np.array(list(found.values())), {"runs": runs})


def scores_by_row(path: Path, table: Table) -> dict[str, list[float]]:
    """[name] -> the scores of one file of scores, by row of the table."""
    lines = read_jsonl(path)
    records = {record["index"]: record for record in lines}
    missing = set(table.unique) - set(records)
    if missing:
        raise UserError(
            f"{path} lacks {len(missing):,} of {table.size:,} cells; rank with --cells 0 to the end"
        )
    if len(lines) > table.size:
        raise UserError(f"{path} has {len(lines):,} lines for {table.size:,} cells; rank again")
    for index, cell in zip(table.unique, table.genotypes, strict=True):
        if records[index]["code"] != cell.code:
            raise UserError(f"{path} has cell {records[index]['code']} at index {index}, the "
                            f"benchmark has {cell.code}; rank again")  # fmt: skip
    return {
        name: [_score(records[index], name, path) for index in table.unique]
        for name in records[table.unique[0]]["scores"]
    }


def _score(record: dict[str, Any], name: str, path: Path) -> float:
    if name not in record["scores"]:
        raise UserError(f"{path}: cell {record['code']} has no {name}; rank again")
    return float(record["scores"][name])


def command(config: dict[str, Any]) -> str:
    """The command line that made a ranking: its fields that are not the default ones."""
    words = ["python scripts/rank.py"]
    for field in dataclasses.fields(RankConfig):
        value = config.get(field.name, field.default)
        if value != field.default:
            shown = ",".join(value) if isinstance(value, list | tuple) else value
            words.append(f"{flag_of(field.name)} {shown}")
    return " ".join(words)


if __name__ == "__main__":
    cli.run(main)
