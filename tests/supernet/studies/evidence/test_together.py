"""Groups of seeds, against every group read by hand; the committed page's own numbers elsewhere."""

import itertools
import statistics

import numpy as np

from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.studies.evidence.together import together


def test_every_group_of_seeds_is_one_answer(invented: Table) -> None:
    random = np.random.default_rng(0)
    gains = random.normal(size=(5, 6, 5)) * np.array([1, 10, 0.1, 1, 3])[:, None, None]
    records = [{"gains": {"gains": g.tolist(), "inner_gains": (-g).tolist()}} for g in gains]
    found = together(invented, records)
    assert [(f["by"], f["seeds"], f["groups"]) for f in found] == [
        (by, k, n) for by in ("gains", "inner_gains") for k, n in ((1, 5), (2, 10), (3, 10))
    ]
    scaled = gains / np.sqrt((gains**2).mean(axis=(1, 2), keepdims=True))
    for answer, sign in ((found[2], 1), (found[5], -1)):
        ranks = []
        for group in itertools.combinations(range(5), 3):
            ops = (sign * scaled[list(group)].mean(axis=0))[:, 1:].argmax(axis=1) + 1
            ranks.append(invented.rank(Genotype(tuple(ops.tolist())), "cifar10", "pgd_8"))
        assert answer["median_rank"] == statistics.median(ranks)
        assert answer["worst_rank"] == max(ranks)
        assert answer["in_top"] == sum(rank <= 64 for rank in ranks)
        assert answer["worst_pgd_8"] <= answer["median_pgd_8"]
    assert together(invented, records[:3]) == [], "few seeds say nothing"
    assert {f["seeds"] for f in together(invented, records[:4])} == {1, 2, 3}
