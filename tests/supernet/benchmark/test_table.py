"""The table: facts of the published one, exact answers on an invented one."""

import random
import subprocess
import sys

import numpy as np
import pytest

from supernet.benchmark.table import COLUMNS, Table
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.errors import UserError


def test_best_cells_and_the_rank_of_all_3x3(real: Table) -> None:
    best = {
        column: real.unique[int(np.argmin(real.ranks("cifar10", column)))] for column in COLUMNS
    }
    assert best["pgd_8"] == 2581
    assert best["clean"] == best["pgd_3"] == best["autoattack"] == 9930
    assert best["fgsm_3"] == 13714
    assert real.rank(Genotype.parse("333333"), "cifar10", "pgd_8") == 34
    assert real.rank(Genotype.parse("443444"), "cifar10", "pgd_8") == 6254


def test_classes_and_cheapest_members_of_the_published_table(real: Table) -> None:
    assert real.size == 6466
    assert real.multiplicity.sum() == 15625
    cheapest, evaluated = real.costs("params", cheapest=True), real.costs("params")
    assert (cheapest < evaluated).sum() == 358 and not (cheapest > evaluated).any()
    assert all(source["verified"] for source in real.sources)
    classes = {cell.canonical for cell in real.genotypes}
    assert len(classes) == 6466
    for cell in random.Random(0).sample(list(all_genotypes()), 200):
        assert real.genotypes[real.row(cell)].canonical == cell.canonical


def test_ranks_of_ties_are_the_best_of_their_group(invented: Table) -> None:
    values = invented.values("cifar100", "fgsm_8")
    ranks = invented.ranks("cifar100", "fgsm_8")
    assert len(set(values.tolist())) < len(values)  # the invented values have ties
    for row in range(0, 6466, 97):
        assert ranks[row] == 1 + (values > values[row]).sum()
    smallest = int(np.argmin(invented.costs("params")))
    assert invented.ranks("cifar10", "params")[smallest] == 1


def test_unknown_names_list_the_good_ones(invented: Table) -> None:
    with pytest.raises(UserError, match="unknown data set 'cifar'; choose from cifar10, cifar100"):
        invented.values("cifar", "clean")
    with pytest.raises(UserError, match="unknown column 'pgd'; choose from clean, fgsm_3"):
        invented.rank(Genotype.parse("333333"), "cifar10", "pgd")


def test_loading_needs_no_torch_scipy_or_matplotlib() -> None:
    script = (
        "import sys, supernet.benchmark.load as l; l.shipped_table();"
        "heavy = {'torch', 'scipy', 'matplotlib', 'pymoo', 'moocore'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
