"""The section on what each part of a search proposes alone: supernet, free scores and prior."""

from typing import Any

from supernet.report.markdown import table
from supernet.report.run_files import RunFiles
from supernet.report.words import (
    PROPOSAL_NAMES,
    column_name,
    dataset_name,
    dataset_names,
    percent,
    points,
)


def section(run: RunFiles) -> list[str]:
    """Markdown blocks, whether or not the search follows its prior."""
    record, (dataset, column) = run.record["proposals"], run.judge
    rows = [
        [PROPOSAL_NAMES[by], *_row(cell, dataset, column)] for by, cell in record["cells"].items()
    ]
    header = ["proposed by", "code", "params", f"{dataset_name(dataset)} {column_name(column)}"]
    return [
        "## What each part proposes",
        table([*header, "rank", "regret"], rows, align="llrrrr"),
        f"Free scores need no training and ship with the program. {_prior(record, dataset)} "
        "No training of these cells took part.",
    ]


def _row(cell: dict[str, Any], dataset: str, column: str) -> list[str]:
    entry = cell["benchmark"]
    return [
        f"`{cell['code']}`",
        f"{cell['params'] / 1e6:.2f} M",
        percent(entry["results"][dataset][column]),
        f"{entry['ranks'][dataset][column]:,}",
        points(entry["regret"][dataset][column]),
    ]


def _prior(record: dict[str, Any], judge: str) -> str:
    names = dataset_names(record["prior_datasets"])
    text = f"The prior is what the benchmark says of {names}"
    if not record["prior_used"]:
        return f"{text}; this search does not follow it, and it stands here for comparison."
    if judge in record["prior_datasets"]:
        return (
            f"{text}. It holds the column that judges here, so the ranks of the last two lines "
            "prove nothing."
        )
    return f"{text}, and this search follows it."
