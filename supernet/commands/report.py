"""Write the report of a finished search anew, or compare searches on one page.

    python scripts/report.py runs/NAME                 report.md, figures and report.html in RUN
    python scripts/report.py runs/A runs/B             comparison.html
    python scripts/report.py runs/A runs/B --html runs/a-and-b.html
    python scripts/report.py runs/SEEDS                compares the seeds of `search.py --seeds`

A page is one file that a browser opens without a network.
"""

import argparse
from pathlib import Path

from supernet import cli


def main() -> None:
    """Parse, read, write, print."""
    arguments = _parser().parse_args()

    # Imports matplotlib, which takes a second.
    from supernet.report.page import compare, report
    from supernet.report.run_files import RunFiles
    from supernet.report.write import write_report
    from supernet.runs.folder import read_description

    folders = [run for folder in arguments.run for run in _runs(folder)]
    for folder in folders:
        read_description(folder, "search")
    if len(folders) > 1:
        out = arguments.html or Path(compare.PAGE_FILE)
        print(compare.write_comparison([RunFiles.read(folder) for folder in folders], out))
        return
    page = arguments.html or folders[0] / report.PAGE_FILE
    print(write_report(folders[0], page=page))
    print(page)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN", help="A finished search.")
    parser.add_argument(
        "--html", type=Path, nargs="?", metavar="FILE",
        help="Where the page goes. Default: report.html in RUN; for several, comparison.html here.",
    )  # fmt: skip
    return parser


def _runs(folder: Path) -> list[Path]:
    """The folder itself, or its seeds."""
    if not (folder / "seeds.json").is_file():
        return [folder]
    from supernet.report.records import seeds_of

    return [folder / f"seed-{seed}" for seed in seeds_of(folder / "seeds.json")]
