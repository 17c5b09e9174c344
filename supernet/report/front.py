"""The section on the front of a pareto search: its cells, and what they reach of the true one."""

from typing import Any

from supernet.files import read_json
from supernet.report import figures
from supernet.report.markdown import table
from supernet.report.run_files import RunFiles
from supernet.report.words import (
    FRONT_NAMES,
    column_name,
    dataset_name,
    percent,
    points,
    score,
)

SIZE_NAMES = {"params": "params", "flops": "MFLOPs"}


def section(run: RunFiles) -> list[str]:
    """Markdown blocks; none where the run has no front.json."""
    path = run.folder / "front.json"
    if not path.is_file():
        return []
    record = read_json(path)
    if "clean_loss" not in record["objectives"] or "strict" not in record["cells"][0]:
        return [
            "## Front",
            "`front.json` is of another version; "
            f"`python scripts/search.py --resume {run.folder}` writes it again.",
        ]
    figures.found_front(record, run.table, run.folder / "figures" / "front")
    blocks = [
        "## Front",
        f"Of {len(record['archive'])} scored cells, the {len(record['cells'])} that none of the "
        "same size dominates by both scores: mean cross-entropy in nats (and accuracy) with "
        f"inherited weights, clean and under {record['attack'].upper()}, on {record['images']:,} "
        "images of the alpha half. Inherited weights favour small cells, so sizes do not compete; "
        "cells that no smaller one dominates either are *strict*. A cell with a preference (clean, "
        "robust, size) was proposed by alpha, the others by evolution.",
        "![The found front](figures/front.svg)",
        _cells(record),
        f"```\npython scripts/train.py --genotype {run.folder / 'front.json'}:0\n```",
    ]
    if record["found_vs_true"]:
        blocks += ["### Found and true front", _against(record), _words(record)]
    return blocks


def _cells(record: dict[str, Any]) -> str:
    dataset, size = record["judged_by"], record["size_metric"]
    rows = []
    for number, cell in enumerate(record["cells"]):
        entry = cell["benchmark"]
        values = entry["results"][dataset] if entry else {"clean": None, "pgd_8": None}
        preference = cell["preference"]
        rows.append(
            [
                str(number),
                f"`{cell['code']}`",
                f"{cell[size] / 1e6:.2f}{' M' if size == 'params' else ''}",
                score(cell, "clean"),
                score(cell, "robust"),
                "yes" if cell["strict"] else "",
                "-" if preference is None else " ".join(f"{w:.1f}" for w in preference),
                percent(values["clean"]),
                percent(values["pgd_8"]),
                f"{entry['ranks'][dataset]['pgd_8']:,}" if entry else "-",
            ]
        )
    name = dataset_name(dataset)
    header = ["cell", "code", SIZE_NAMES[size], "score, clean", "score, robust", "strict"]
    header += ["preference", f"{name} clean", column_name("pgd_8"), "rank"]
    return table(header, rows, align="llrrrllrrr")


def _against(record: dict[str, Any]) -> str:
    budgets = list(record["found_vs_true"]["found"]["regret"])
    rows = [
        [
            FRONT_NAMES.get(name, name),
            str(numbers["cells"]),
            f"{100 * numbers['hypervolume_ratio']:.1f} %",
            f"{numbers['generational_distance']:.3f}",
            f"{numbers['inverted_generational_distance']:.3f}",
            *["-" if r is None else points(r) for r in numbers["regret"].values()],
        ]
        for name, numbers in record["found_vs_true"].items()
    ]
    limits = [f"regret to {float(budget) / 1e6:g} M" for budget in budgets]
    return table(["front", "cells", "hypervolume", "GD", "IGD", *limits], rows)


def _words(record: dict[str, Any]) -> str:
    return (
        "By the table's values of these cells, which nothing was chosen by. Hypervolume over "
        "(size, clean, PGD-20 8/255) as a share of the true front's; GD and IGD, the mean distance "
        "from found cells to the true front and back, in units of its range; regret, points of "
        f"PGD-20 8/255 below the table's best cell with so many {record['size_metric']}, by the "
        "best found one. Hypervolume flatters: random cells cover most of it."
    )
