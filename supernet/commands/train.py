"""Train one cell's stand-alone network adversarially, by the recipe of NAS-RobBench-201.

    python scripts/train.py --genotype runs/search-digits-darts-seed0/genotype.json --preset quick
    python scripts/train.py --genotype 333133 --dataset cifar10
    python scripts/train.py --genotype front.json:3 --dataset cifar10 --epochs 20 --ema
    python scripts/train.py --resume runs/train-cifar10-333133-seed0

Ends with model.pt, its metadata model.json, and the command that evaluates it.
"""

import argparse
import functools
import shlex
import sys
from pathlib import Path

from supernet import cli
from supernet.cells.argument import index_remark
from supernet.errors import UserError
from supernet.files import read_json
from supernet.flags import add_config_flags, given_flags, preset_help
from supernet.invocation import command
from supernet.train import config as train_config


def main() -> None:
    """Parse, run, print."""
    arguments = _parser().parse_args()
    given = given_flags(arguments, train_config.TrainConfig)
    if arguments.resume and arguments.preset:
        raise UserError("--resume takes its config from the run; remove --preset")
    config = None
    if not arguments.resume:
        config = train_config.with_preset(arguments.preset or "benchmark", given)

    # After the flags are known to be good: importing torch takes seconds.
    from supernet.runs.train_run import fitted_config, resume_training, run_training
    from supernet.torchrun import joined

    with joined() as ranks:
        if config is None:
            given = ranks.together(given)
            folder = resume_training(arguments.resume, given, quiet=arguments.quiet)
        else:
            remark = index_remark(config.genotype or "")
            if remark is not None and ranks.first:
                print(f"note: {remark}", file=sys.stderr)
            config, lines = ranks.from_first(
                functools.partial(fitted_config, config, given, processes=ranks.count)
            )
            if lines and ranks.first and not arguments.quiet:
                print("\n".join(lines))
            folder = run_training(config, quiet=arguments.quiet)
        if ranks.first:
            print(_summary(folder))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--preset", metavar="NAME", help=preset_help(train_config.PRESETS, "benchmark")
    )
    parser.add_argument("--resume", type=Path, metavar="RUN", help="Continue this run directory.")
    parser.add_argument("--quiet", action="store_true", help="Print the result alone.")
    add_config_flags(parser, train_config.TrainConfig)
    return parser


def _summary(folder: Path) -> str:
    facts = read_json(folder / "model.json")
    quoted = shlex.quote(str(folder))
    images, root = facts["training"]["data"], facts["training"]["data_root"]
    flags = "" if root is None else f" --data-root {shlex.quote(root)}"
    return "\n".join(
        [
            "",
            f"cell       {facts['arch']}",
            f"           code {facts['code']}, C={facts['C']}, N={facts['N']}",
            f"trained    {facts['epochs']} epochs, attack {facts['training']['attack']},"
            f" eps {facts['eps'] * 255:g}/255, seed {facts['training']['seed']},"
            f" {facts['seconds']:.0f} s on {facts['device']}",
            f"images     {images['source']}",
            f"weights    {folder / 'model.pt'} ({facts['weights']}), metadata model.json",
            f"events     tensorboard --logdir {quoted}",
            f"next       {command('evaluate')} --model {quoted}/model.pt{flags}",
        ]
    )
