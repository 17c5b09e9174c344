"""Rank cells by scores that need no training, or by a trained supernet, and judge by the benchmark.

    python scripts/rank.py                                  300 random cells, all clean scores
    python scripts/rank.py --proxies ntk --cells 100 --top-cells 60
    python scripts/rank.py --proxies croze,robust_snip --columns pgd_8,standard:pgd
    python scripts/rank.py --supernet runs/search-cifar10-darts-seed0 --cells 0 --processes 2
    python scripts/rank.py --curve runs/rank-cifar10-300-epoch2-seed0 runs/rank-cifar10-300-seed0

Says how long it will take before it starts. Interrupted, the same command goes on. The folder of
the ranking holds scores.jsonl (a line per cell), ranking.json and ranking.md (correlations in all
regions, with intervals and the rows to beat), and figures.
"""

import argparse
from pathlib import Path

from supernet import cli
from supernet.files import read_json
from supernet.flags import add_config_flags, given_flags
from supernet.studies.ranking.config import RankConfig


def main() -> None:
    """Parse, run, print."""
    arguments = _parser().parse_args()
    config = RankConfig(**given_flags(arguments, RankConfig))

    # After the flags are known to be good: importing torch takes seconds.
    if arguments.spectrum:
        from supernet.studies.ranking.spectrum import run_spectra

        print(run_spectra(config, arguments.spectrum.split(",")))
        return
    if arguments.curve:
        from supernet.studies.ranking.curve import make_curve

        print(make_curve(arguments.curve, Path(config.out or "runs/rank-curve")))
        return
    from supernet.studies.ranking.run import run_ranking, summary

    folder = run_ranking(config, quiet=arguments.quiet)
    print(summary(folder, read_json(folder / "ranking.json")))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--quiet", action="store_true", help="Print the result alone.")
    parser.add_argument(
        "--spectrum", metavar="A,B,..",
        help="Draw the kernel spectra of these cells (string, code or index) instead of ranking.",
    )  # fmt: skip
    parser.add_argument(
        "--curve", nargs="+", type=Path, metavar="DIR",
        help="Draw Kendall's tau against training steps from these finished rankings of one search "
        "(--supernet RUN --epoch N, the same cells), and say when it passes parameters.",
    )  # fmt: skip
    add_config_flags(parser, RankConfig)
    return parser
