"""Search a robust cell with one adversarially trained supernet.

    python scripts/search.py --robust                  the embedded digits, two CPU cores
    python scripts/search.py --robust --dataset cifar10 --preset cpu
    python scripts/search.py --resume runs/search-digits-darts-seed0
    python scripts/search.py --robust --seeds 0,1,2    several seeds, mean and spread
    python scripts/search.py --from runs/NAME --max-params 0.6M
                                                       another answer from a trained supernet
    python scripts/search.py --resume RUN --finalists 3    check its answers by training them alone

Ends with the cell, its place in the benchmark, and the next command.
"""

import argparse
from pathlib import Path
from typing import Any

from supernet import cli
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags, preset_help
from supernet.search import presets
from supernet.search.config import SearchConfig


def main() -> None:
    """Parse, run, print."""
    arguments = _parser().parse_args()
    given = given_flags(arguments, SearchConfig)
    old = arguments.resume or arguments.source
    if arguments.resume and arguments.source:
        raise UserError("--resume goes on with a run and --from starts a new one; give one of them")
    if old and arguments.preset:
        flag = "--resume" if arguments.resume else "--from"
        raise UserError(f"{flag} takes its config from the run; remove --preset")
    if arguments.seeds and (old or "seed" in given):
        raise UserError("--seeds goes with none of --seed, --resume and --from; give one of them")
    if arguments.seeds and given.get("finalists"):
        raise UserError(
            "--finalists goes with one search; leave out --seeds, or train the finalists of a seed "
            "that is finished with --resume FOLDER/seed-0"
        )
    seeds = _seeds(arguments.seeds) if arguments.seeds else ()
    if not old:
        # Before torch is imported, which takes seconds; it may still choose another preset.
        presets.with_preset(arguments.preset, given, cuda=False)

    import torch

    from supernet.report.terminal import describe_run, describe_seeds
    from supernet.runs.fitted import fit_search
    from supernet.runs.machine import resolve_device
    from supernet.runs.search_run import answer_again, resume_search, run_search
    from supernet.runs.seeds import run_seeds
    from supernet.torchrun import joined

    with joined() as ranks:
        describe, quiet = describe_run, arguments.quiet
        if arguments.resume:
            folder = resume_search(arguments.resume, ranks.together(given), quiet=quiet)
        elif arguments.source:
            folder = answer_again(arguments.source, ranks.together(given), quiet=quiet)
        else:
            cuda = torch.cuda.is_available()
            settings = presets.with_preset(arguments.preset, given, cuda=cuda)
            on_gpu = resolve_device(settings.device).type == "cuda"
            settings, lines = ranks.from_first(
                lambda: fit_search(settings, given, on_gpu=on_gpu, processes=ranks.count)
            )
            if lines and ranks.first and not quiet:
                print("\n".join(lines))
            if seeds:
                describe, folder = describe_seeds, run_seeds(settings, seeds, quiet=quiet)
            else:
                folder = run_search(settings, quiet=quiet)
        if ranks.first:
            print(describe(folder))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    automatic = "digits for the embedded images, else gpu where CUDA is, else cpu"
    parser.add_argument("--preset", metavar="NAME", help=preset_help(presets.PRESETS, automatic))
    parser.add_argument("--resume", type=Path, metavar="RUN", help="Continue this run directory.")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="RUN",
        help="Read another answer from the trained supernet of this finished run. Flags of the "
        "answer and the refinement may be given; all others are the run's.",
    )  # fmt: skip
    parser.add_argument("--seeds", metavar="A,B,..", help="Run these seeds one after the other.")
    parser.add_argument("--quiet", action="store_true", help="Print the result alone.")
    add_config_flags(parser, SearchConfig)
    return parser


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds: tuple[Any, ...] = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--seeds '{text}' is not a list of whole numbers; write 0,1,2") from error
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds '{text}' names a seed twice")
    if min(seeds) < 0:
        raise UserError(f"--seeds '{text}' has a seed below 0; write 0,1,2")
    if max(seeds) >= 2**63:
        raise UserError(f"--seeds '{text}' has a seed that is not below 2^63; write 0,1,2")
    return seeds
