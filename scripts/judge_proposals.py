#!/usr/bin/env python3
"""Judge what free scores, the prior and gains of finished searches propose, by the benchmark.

    python scripts/judge_proposals.py                             without any search
    python scripts/judge_proposals.py runs/main-seed*/genotype.json --out docs/results/proposals

Leaves proposals.json and proposals.md. No training; seconds.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli


def main() -> None:
    """Parse, judge, write."""
    arguments = _parser().parse_args()
    from supernet.benchmark.load import load_table
    from supernet.files import atomic_write, write_json
    from supernet.studies.proposals import gains_of, judged_all, markdown

    searches = [gains_of(path) for path in arguments.searches]
    record = judged_all(load_table(arguments.data_root), searches)
    write_json(arguments.out / "proposals.json", record)
    with atomic_write(arguments.out / "proposals.md") as stream:
        stream.write(markdown(record))
    print(f"{arguments.out / 'proposals.md'} and proposals.json (searches: {len(searches)})")


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    parser.add_argument("searches", nargs="*", type=Path, metavar="GENOTYPE",
                        help="genotype.json of finished searches on data sets of the "
                        "benchmark.")  # fmt: skip
    parser.add_argument("--data-root", metavar="DIR", help="Folder with benchmark tables; else "
                        "the table that ships.")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("runs/proposals"), metavar="DIR",
                        help="Folder to write to. Default: runs/proposals.")  # fmt: skip
    return parser


if __name__ == "__main__":
    cli.run(main)
