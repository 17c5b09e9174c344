"""Adversarially trained cells (this table) against standard-trained ones that are attacked.

Jung et al. 2023 attacked the 6,466 cells after ordinary training; their table has the same indices
and classes. Does a cell that is robust without adversarial training stay good with it?
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.files import FOLDER, STANDARD, load_json
from supernet.benchmark.formats import Raw, read_small
from supernet.benchmark.rows import query_cell
from supernet.benchmark.statistics import SHARES, best_rows, correlation
from supernet.benchmark.table import COLUMNS, Table, check_name
from supernet.errors import UserError
from supernet.files import data_root

STANDARD_COLUMNS = ("clean", "aa_apgd-ce", "aa_square", "fgsm", "pgd", "corr")
"""As the file names them: clean, APGD-CE, Square, FGSM, PGD, mean of the corruptions (not for
ImageNet-16-120). The file does not say at which radius; attacks on networks without adversarial
training leave accuracies far below those of the main table at 8/255."""


@dataclass(frozen=True)
class StandardTable:
    """Jung et al.'s table."""

    raw: Raw

    @classmethod
    def load(cls, where: str | Path | None, *, verify: bool = True) -> "StandardTable":
        """Read `acc.json` under a data root or folder.

        Raises: UserError when it is missing or not what it should be.
        """
        root = data_root(where)
        if root is None:
            raise UserError(
                f"no data root: put {STANDARD.name} (standard-trained networks, attacked) from "
                f"{STANDARD.url} into DIR/{FOLDER} and name DIR with --data-root"
            )
        path = root / STANDARD.name
        if not path.is_file():
            path = root / FOLDER / STANDARD.name
        if not path.is_file():
            raise UserError(
                f"{path} is missing (standard-trained networks, attacked): put it there from "
                f"{STANDARD.url}"
            )
        raw = read_small(load_json(path, verify=verify))
        if ("cifar10", "aa_square") not in raw.columns:
            raise UserError(f"{path} has no column cifar10#aa_square: it is another table")
        return cls(raw)

    def columns(self, dataset: str) -> list[str]:
        """The columns of a data set."""
        return [c for c in STANDARD_COLUMNS if (dataset, c) in self.raw.columns]

    def values(self, dataset: str, column: str) -> NDArray[np.float64]:
        """A column by row of this table."""
        check_name("column", column, self.columns(dataset))
        return self.raw.values[:, self.raw.columns.index((dataset, column))]


def compare(table: Table, standard: StandardTable, dataset: str) -> dict[str, Any]:
    """Correlations between the two ways of training, and what the best of one are in the other.

    `spearman` and `kendall`[region][i][j]: adversarially trained column i against standard-trained
    column j, among the best cells (all, top 10 %, top 1 %) by the adversarially trained column i.
    `best_of_standard[column]`: the cell that is best there, with its place in this table.
    `overlap[region][i][j]`: share of the best cells by i that are also among the best by j.

    Raises: UserError when the tables do not have the same classes.
    """
    check_name("data set", dataset, table.datasets)
    table.require_whole("the comparison with standard-trained networks needs")
    if not (standard.raw.row_of == table.row_of).all():
        raise UserError(f"{STANDARD.name} and the benchmark table do not have the same classes")
    names = standard.columns(dataset)
    ours = [table.values(dataset, c) for c in COLUMNS]
    theirs = [standard.values(dataset, c) for c in names]
    answer: dict[str, Any] = {
        "dataset": dataset,
        "adversarial_columns": list(COLUMNS),
        "standard_columns": names,
        "mean_adversarial": dict(zip(COLUMNS, (float(v.mean()) for v in ours), strict=True)),
        "mean_standard": dict(zip(names, (float(v.mean()) for v in theirs), strict=True)),
    }
    for kind in ("spearman", "kendall"):
        answer[kind] = {
            region: [
                [correlation(x[rows], y[rows], kind) for y in theirs]  # type: ignore[arg-type]
                for x in ours
                for rows in [best_rows(x, share)]
            ]
            for region, share in SHARES.items()
        }
    answer["overlap"] = {
        region: [[_overlap(x, y, share) for y in theirs] for x in ours]
        for region, share in SHARES.items()
        if share < 1
    }
    answer["best_of_standard"] = {
        name: {"accuracy": float(values.max()), **_place(table, int(values.argmax()), dataset)}
        for name, values in zip(names, theirs, strict=True)
    }
    return answer


def _overlap(x: NDArray[np.float64], y: NDArray[np.float64], share: float) -> float:
    mine, yours = (set(best_rows(values, share).tolist()) for values in (x, y))
    return len(mine & yours) / len(mine)


def _place(table: Table, row: int, dataset: str) -> dict[str, Any]:
    answer = query_cell(table, table.genotypes[row])
    keep = {key: answer[key] for key in ("arch", "code", "index", "params", "flops")}
    return {
        **keep,
        "adversarial": answer["results"][dataset],
        "adversarial_ranks": answer["ranks"][dataset],
    }
