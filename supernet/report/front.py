"""The section on the front of a search: its cells, and what they reach of the true one."""

from typing import Any

from supernet.files import read_json
from supernet.report import figures
from supernet.report.markdown import table
from supernet.report.run_files import RunFiles
from supernet.report.words import column_name, dataset_name, percent, points


def section(run: RunFiles) -> list[str]:
    """Markdown blocks; none where the run has no front.json."""
    path = run.folder / "front.json"
    if not path.is_file():
        return []
    record = read_json(path)
    figures.found_front(record, run.table, run.folder / "figures" / "front")
    return [
        "## Front",
        f"A menu of {len(record['cells'])} cells: of every number of parameters, the cell whose "
        "operators gain most (without the network's last cell). Sizes do not compete, since gains "
        "are estimates and sizes are exact.",
        "![The found front](figures/front.svg)",
        _cells(record),
        f"```\npython scripts/train.py --genotype {run.folder / 'front.json'}:0\n```",
        "### Found and true front",
        _against(record["found_vs_true"]),
    ]


def _cells(record: dict[str, Any]) -> str:
    dataset, rows = record["judged_by"], []
    for number, cell in enumerate(record["cells"]):
        entry = cell["benchmark"]
        values = entry["results"][dataset]
        rows.append(
            [
                str(number),
                f"`{cell['code']}`",
                f"{cell['params'] / 1e6:.2f} M",
                f"{1000 * cell['gain']:+.0f}",
                percent(values["clean"]),
                percent(values["pgd_8"]),
                f"{entry['ranks'][dataset]['pgd_8']:,}",
            ]
        )
    name = dataset_name(dataset)
    header = ["cell", "code", "params", "gain (thousandths)"]
    header += [f"{name} clean", column_name("pgd_8"), "rank"]
    return table(header, rows, align="llrrrrr")


def _against(numbers: dict[str, Any]) -> str:
    limits = [f"regret to {float(budget) / 1e6:g} M" for budget in numbers["regret"]]
    row = [
        str(numbers["cells"]),
        percent(numbers["hypervolume_ratio"], 1),
        f"{numbers['generational_distance']:.3f}",
        f"{numbers['inverted_generational_distance']:.3f}",
        *["-" if r is None else points(r) for r in numbers["regret"].values()],
    ]
    header = ["cells", "hypervolume", "distance to the true front", "and back", *limits]
    return table(header, [row], align="r" * len(header)) + (
        "\n\nBy the table's values of these cells, which nothing was chosen by. Hypervolume over "
        "(parameters, clean, PGD-20 8/255) as a share of the true front's: one random cell of each "
        "size reaches 92 % on CIFAR-10. Distances are means in units of the true front's range. "
        "Regret: points of PGD-20 8/255 that the best found cell within a size lacks to the "
        "table's best."
    )
