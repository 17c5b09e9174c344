#!/usr/bin/env python3
"""Judge short trainings by the benchmark: how long, under which attack, by which measure.

    python scripts/judge_trainings.py --out docs/results/trainings/cifar10
    python scripts/judge_trainings.py --attacks n_fgsm --steps 50 --seeds 0 --out runs/attacked
    python scripts/judge_trainings.py --sweeps docs/results/search/evidence/evidence.json
    python scripts/judge_trainings.py --inherit runs/NAME --dataset cifar10 --steps 50

Trains a cell and all its neighbours in every setting, for minutes to hours; stopped, the same
command goes on. With --sweeps it trains nothing and judges the weight that losses have in the
sweeps of finished searches; with --inherit it trains each cell from the weights of a supernet,
too. Leaves a table, judged.md, sweeps.md or inherited.md, the same as JSON, and a line for each
training.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags
from supernet.settings import flag_of
from supernet.studies.trainings.config import StudyConfig

MODES = {
    "sweeps": ("data_root", "out"), "inherit": ("start", "dataset", "data_root", "steps", "out"),
}  # fmt: skip
"""What else may be given with these flags."""


def main() -> None:
    """Parse, train, judge, write."""
    arguments = _parser().parse_args()
    given = given_flags(arguments, StudyConfig)
    for mode, takes in MODES.items():
        if getattr(arguments, mode) and (others := given.keys() - takes):
            flag = flag_of(min(others))
            raise UserError(f"--{mode} takes no {flag}; leave it out")
    study = StudyConfig(**given)

    # After the flags are known to be good: importing torch takes seconds.
    from supernet.benchmark.load import load_table
    from supernet.files import atomic_write, write_json

    table, out = load_table(study.data_root), Path(study.out)
    record: Any
    if arguments.sweeps:
        from supernet.studies.trainings import sweeps

        record = sweeps.judged_all(sweeps.read_sweeps(arguments.sweeps), table)
        page, name = sweeps.markdown(record), "sweeps"
    elif arguments.inherit:
        from supernet.studies.trainings import inherited

        lines = inherited.train_both(study, arguments.inherit, quiet=arguments.quiet)
        record = inherited.judged_starts(study, lines, table)
        page, name = inherited.markdown(record), "inherited"
    else:
        from supernet.studies.trainings.judged import judged_all, markdown, train_all

        record = judged_all(study, train_all(study, quiet=arguments.quiet), table)
        page, name = markdown(record), "judged"
    write_json(out / f"{name}.json", record)
    with atomic_write(out / f"{name}.md") as stream:
        stream.write(page)
    print(f"{out / name}.md and {name}.json")


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--sweeps", type=Path, metavar="EVIDENCE",
        help="An evidence.json of scripts/evidence.py, whose sweeps are judged instead.",
    )  # fmt: skip
    parser.add_argument(
        "--inherit", type=Path, metavar="RUN",
        help="Compare random weights with those of this finished search's supernet as a start.",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="Print the result alone.")
    add_config_flags(parser, StudyConfig)
    return parser


if __name__ == "__main__":
    cli.run(main)
