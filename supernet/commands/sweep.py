"""Train and measure many cells side by side: a table of your own, on your own images.

    python scripts/sweep.py --cells 333133,333333,111111          the embedded digits
    python scripts/sweep.py --cells runs/NAME/front.json --dataset cifar10 --seeds 0,1,2
    python scripts/sweep.py --cells top:50 --dataset folder:PICTURES --gpus-per-task 0.25
    python scripts/sweep.py --cells all --recipes benchmark --address auto    a Ray cluster
    python scripts/sweep.py --resume runs/sweep-digits

Needs Ray: python -m pip install '.[sweep]'. Interrupted or killed, the same command goes on, and no
training is done twice. The folder holds table.jsonl, a line for each training, which
scripts/benchmark.py reads: top --table runs/sweep-digits/table.jsonl.
"""

import argparse
from pathlib import Path

from supernet import cli
from supernet.flags import add_config_flags, given_flags
from supernet.studies.sweep.config import SweepConfig


def main() -> None:
    """Parse, run, print."""
    arguments = _parser().parse_args()
    given = given_flags(arguments, SweepConfig)
    config = None if arguments.resume else SweepConfig(**given)

    # After the flags are known to be good: importing torch takes seconds.
    from supernet.studies.sweep.run import resume_sweep, run_sweep, summary

    if config is None:
        folder = resume_sweep(arguments.resume, given, quiet=arguments.quiet)
    else:
        folder = run_sweep(config, quiet=arguments.quiet)
    print(summary(folder))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--resume", type=Path, metavar="FOLDER",
        help="Go on with the sweep in this folder, with more --cells, --seeds or --recipes where "
        "they are given.",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="Print the result alone.")
    add_config_flags(parser, SweepConfig)
    return parser
