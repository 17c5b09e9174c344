"""Sweeps next to other sums: two cells, of which each weighting likes one."""

import numpy as np
import pytest

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.proxies.ensemble import rank_sum
from supernet.proxies.free_scores import parts_of_sums
from supernet.studies.trainings.other_sums import judged_sums, markdown
from supernet.studies.weightings import PARTS, all_weightings

BETTER, WORSE = "333123", "323342"  # rank 5 and 365; either is the first of many weightings


@pytest.mark.slow
@pytest.mark.parametrize(("losses", "helps"), [((1.0, 2.0), True), ((2.0, 1.0), False)])
def test_losses_help_where_they_agree_with_the_truth(
    losses: tuple[float, float], helps: bool, real: Table
) -> None:
    sweep = {"start": None, "losses": [dict(zip((BETTER, WORSE), losses, strict=True))]}
    (record,) = judged_sums([("cifar10", sweep)], real)
    rows = [real.row(Genotype.parse(code)) for code in (BETTER, WORSE)]
    values = real.values("cifar10", "pgd_8")[rows]
    parts, lead = parts_of_sums(real), []
    for weights in all_weightings():
        sum_R = rank_sum(parts, dict(zip(PARTS, weights, strict=True)))
        lead.append((sum_R[rows[0]] - sum_R[rows[1]]) / sum_R.std())
    wrong = np.mean([each < 0 for each in lead])
    # All the weight of losses is on one of two cells.
    turned = np.mean([(-0.3 < each < 0) if helps else (0 < each < 0.3) for each in lead])
    assert 0.05 < turned < 0.95 and record["weightings"] == len(lead)
    assert record["alone"] == pytest.approx(wrong * (values[0] - values[1]))
    expected = wrong - turned if helps else wrong + turned
    assert record["with_losses"] == pytest.approx(expected * (values[0] - values[1]))
    changed = (turned, 0) if helps else (0, turned)
    assert (record["better"], record["worse"]) == pytest.approx(changed)


def test_kinds_of_sweeps_have_rows_of_their_own(real: Table) -> None:
    losses = [{BETTER: 1.0, WORSE: 2.0}]
    sweeps = [
        (dataset, {"start": start, "losses": losses})
        for dataset, start in (("cifar100", "333333"), ("cifar10", None), ("cifar10", "333333"))
    ]
    text = markdown(judged_sums(sweeps, real))[-1].splitlines()[2:]
    assert [line.split(" | ")[:3] for line in text] == [
        ["| CIFAR-10", "proposals", "1"], ["| CIFAR-10", "neighbours", "1"],
        ["| CIFAR-100", "neighbours", "1"],
    ]  # fmt: skip
