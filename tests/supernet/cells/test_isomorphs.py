"""Classes of many cells at once are those of the cells' own strings."""

import numpy as np

from supernet.cells.genotype import Genotype, all_genotypes
from supernet.cells.isomorphs import class_numbers, one_of_each_class


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


def test_one_of_each_class_is_the_first() -> None:
    first, twin, other = map(Genotype.parse, ("123121", "132211", "333133"))
    assert list(one_of_each_class([first, first, other, twin])) == [first, other]
    assert list(one_of_each_class([other, twin, first])) == [other, twin]
    assert list(one_of_each_class([first, twin, other], besides=[twin])) == [other]
