"""What --cells of a sweep names: codes, files, the benchmark's best, or the whole space."""

import re

from supernet.benchmark.load import load_table
from supernet.benchmark.selection import best_cells
from supernet.benchmark.shipped import evaluated_cells
from supernet.benchmark.table import COLUMNS, COSTS, DATASETS, check_name
from supernet.cells.argument import read_cell, read_cells
from supernet.cells.genotype import Genotype
from supernet.cells.order import find_index_order, published_order, resolve
from supernet.errors import UserError
from supernet.files import at_home, data_root
from supernet.studies.sweep.config import SweepConfig


def cells_of(config: SweepConfig) -> list[Genotype]:
    """The cells in the order in which they are named, each once.

    Raises: UserError naming the entry of --cells that is none.
    """
    found: dict[Genotype, None] = {}
    for text in config.cells:
        found.update(dict.fromkeys(_cells(text, config)))
    if not found:
        raise UserError(
            "no cell was named; give --cells with codes, files such as RUN/front.json, top:20 or "
            "all"
        )
    return list(found)


def _cells(text: str, config: SweepConfig) -> list[Genotype]:
    if text == "all":
        order = published_order()
        unique, _ = evaluated_cells(order.codes)
        return [order.genotype(int(index)) for index in unique]
    if best := re.fullmatch(r"top:(\d+)", text):
        check_name("metric", config.metric, COLUMNS + COSTS)
        check_name("data set", config.benchmark, DATASETS)
        table = load_table(config.data_root)
        return best_cells(table, config.benchmark, config.metric, int(best[1]))
    root = data_root(config.data_root)
    path = at_home(text)
    if path.is_file():
        order = find_index_order(root)
        return [resolve(cell, order) for cell in read_cells(path)]
    return [read_cell(text, root)[0]]
