"""Classes of many cells at once are those of the cells' own strings."""

import numpy as np

from supernet.cells.genotype import all_genotypes
from supernet.cells.isomorphs import class_numbers


def test_all_cells_fall_into_the_classes_of_their_strings() -> None:
    cells = list(all_genotypes())
    numbers = class_numbers(np.array([cell.ops for cell in cells]))
    by_string = [cell.canonical for cell in cells]
    assert len(set(numbers.tolist())) == len(set(by_string)) == 6466
    assert len(set(zip(numbers.tolist(), by_string, strict=True))) == 6466


def test_a_cell_has_its_number_whatever_stands_beside_it() -> None:
    cells = np.array([cell.ops for cell in all_genotypes()])
    picked = np.random.default_rng(0).permutation(len(cells))[:50]
    assert (class_numbers(cells[picked]) == class_numbers(cells)[picked]).all()
