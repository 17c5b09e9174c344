"""The section on the front of a search: its cells, and what they reach of the true one."""

import itertools
import shlex
from collections.abc import Sequence
from typing import Any

from supernet.invocation import command
from supernet.report import figures
from supernet.report.markdown import code_block, table
from supernet.report.run_files import FRONT_FILE, RunFiles
from supernet.report.words import column_name, dataset_name, dataset_names, percent, points

GUIDES = {"menu": "free scores like best", "prior": "the prior puts first"}
MENUS = {
    "random": "random cells",
    "synflow": "synflow alone",
    "menu": "free scores",
    "prior": "prior alone",
}


def section(run: RunFiles) -> list[str]:
    """Markdown blocks; none where the run has no front.json."""
    record, path = run.front(), run.folder / FRONT_FILE
    if record is None:
        return []
    figures.found_front(record, run.table, run.folder / "figures" / "front")
    sizes = len({cell["params"] for cell in record["cells"]})
    return [
        "## Front",
        f"A menu of {len(record['cells'])} cells: of each of {sizes} sizes, the "
        f"{record['per_size']} cells that {GUIDES[record['picked_by']]}, `none` allowed. Sizes do "
        "not compete, since scores are estimates and sizes are exact.",
        "![The found front](figures/front.svg)",
        _cells(record),
        code_block(f"{command('train')} --genotype {shlex.quote(str(path))}:0"),
        "### Found and true front",
        _against(record),
        _compared(record),
    ]


def _cells(record: dict[str, Any]) -> str:
    """A line for each size: its first choice with the table's values, and the other choices."""
    dataset, rows = record["judged_by"], []
    numbered = enumerate(record["cells"])
    for size, cells in itertools.groupby(numbered, key=lambda item: item[1]["params"]):
        (number, first), *others = cells
        entry = first["benchmark"]
        values = entry["results"][dataset]
        rows.append(
            [
                f"{size / 1e6:.2f} M",
                f"`{first['code']}` ({number})",
                percent(values["clean"]),
                percent(values["pgd_8"]),
                f"{entry['ranks'][dataset]['pgd_8']:,}",
                ", ".join(f"`{cell['code']}` ({n})" for n, cell in others) or "-",
            ]
        )
    name = dataset_name(dataset)
    header = ["params", "first choice", f"{name} clean", column_name("pgd_8"), "rank"]
    return table([*header, "further choices"], rows, align="rlrrrl") + (
        "\n\nIn brackets the number of a cell in front.json."
    )


def _against(record: dict[str, Any]) -> str:
    whole, first = record["found_vs_true"], record["first_choices_vs_true"]
    limits = [f"regret to {float(budget) / 1e6:g} M" for budget in whole["regret"]]
    rows = [_numbers("all choices", whole), _numbers("first choices", first)]
    header = ["", "cells", "hypervolume", "distance to the true front", "and back", *limits]
    known = (
        f"The prior holds what {dataset_name(record['judged_by'])} says of these cells, so these "
        "numbers prove nothing."
        if record["judge_is_in_prior"]
        else "By the table's values of these cells, which this search did not read."
    )
    return table(header, rows) + (
        f"\n\n{known} Hypervolume over (parameters, clean, PGD-20 8/255) as a share of the true "
        "front's. Distances are means in units of the true front's range. Regret: points of PGD-20 "
        "8/255 that the best found cell within a size lacks to the table's best."
    )


def _numbers(name: str, numbers: dict[str, Any]) -> list[str]:
    return [
        name,
        str(numbers["cells"]),
        percent(numbers["hypervolume_ratio"], 1),
        f"{numbers['generational_distance']:.3f}",
        f"{numbers['inverted_generational_distance']:.3f}",
        *["-" if r is None else points(r) for r in numbers["regret"].values()],
    ]


def _compared(record: dict[str, Any]) -> str:
    """Hypervolumes of menus of the same cells that need no search."""
    menus: Sequence[dict[str, Any]] = record["compared"]
    counts = sorted({menu["per_size"] for menu in menus})
    rows = [
        [words, *[_share(menu) for menu in menus if menu["name"] == name]]
        for name, words in MENUS.items()
    ]
    prior = next(menu for menu in menus if menu["name"] == "prior")
    header = ["hypervolume without a search", *[f"{count} of each size" for count in counts]]
    return table(header, rows) + (
        "\n\nOf random cells the median and, in brackets, the 2.5th and 97.5th percentile of the "
        f"draws. The prior alone is made of {dataset_names(prior['datasets'])}."
    )


def _share(menu: dict[str, Any]) -> str:
    low, high = menu.get("interval", (None, None))
    spread = "" if low is None else f" [{points(low)[:-1]}, {points(high)[:-1]}]"
    return percent(menu["hypervolume_ratio"], 1) + spread
