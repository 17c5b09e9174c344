"""The same cells, trained in two ways."""

from typing import Any

from matplotlib.figure import Figure

from supernet.benchmark.standard import StandardTable
from supernet.benchmark.table import COLUMNS, Table
from supernet.report.figures.style import BLUE, new_figure, styled
from supernet.report.figures.table_parts import SHORT, draw_matrix
from supernet.report.words import COLUMN_TITLES, DATASET_TITLES


@styled
def comparison(table: Table, standard: StandardTable, result: dict[str, Any]) -> Figure:
    """Standard-trained against adversarially trained: clean, attacked, and rank correlations."""
    dataset = result["dataset"]
    figure = new_figure(12.2, 4.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.35))
    for axis, theirs, ours in ((left, "clean", "clean"), (middle, "pgd", "pgd_8")):
        x, y = 100 * standard.values(dataset, theirs), 100 * table.values(dataset, ours)
        axis.plot(x, y, "o", ms=2.4, mew=0, color=BLUE, alpha=0.35, rasterized=True)
        axis.set_xlabel(f"standard training: {theirs.upper() if theirs == 'pgd' else theirs} (%)")
        axis.set_ylabel(f"adversarial training: {COLUMN_TITLES[ours]} (%)")
        i, j = COLUMNS.index(ours), result["standard_columns"].index(theirs)
        rho = [result["spearman"][region][i][j] for region in ("all", "top_10")]
        axis.set_title(f"Spearman {rho[0]:.2f}, best 10 %: {rho[1]:.2f}", fontsize=11)
    columns = [c.removeprefix("aa_").upper() for c in result["standard_columns"]]
    columns = [{"CLEAN": "clean", "SQUARE": "Square", "CORR": "corr."}.get(c, c) for c in columns]
    labels = [SHORT[c].replace("\n", " ") for c in COLUMNS]
    draw_matrix(right, result["spearman"]["top_10"], labels, columns, fontsize=9.5, rotation=40)
    right.set_title("Spearman in the row's best 10 %", fontsize=11)
    right.set_xlabel("standard training")
    right.set_ylabel("adversarial training")
    figure.suptitle(
        f"{DATASET_TITLES[dataset]}: the same {table.size:,} cells, trained in two ways",
        fontsize=12,
    )
    return figure
