"""Rows that need no search: against the table itself, by other ways of asking it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.errors import UserError
from supernet.studies.evidence.judge import judged, picks, random_fronts, without_search


def test_a_cell_by_the_robust_column_of_cifar10(invented: Table) -> None:
    values = invented.values("cifar10", "pgd_8")
    cell = Genotype.parse("323133")
    found = judged(invented, "323133")
    value = values[invented.row(cell)]
    assert found["pgd_8"] == value
    assert found["rank"] == 1 + (values > value).sum()
    assert found["regret"] == pytest.approx(values.max() - value)
    assert found["clean"] == invented.values("cifar10", "clean")[invented.row(cell)]
    assert found["params"] == cell.params()


def test_random_fronts_against_cells_drawn_in_another_way(invented: Table) -> None:
    found = {f["name"]: f for f in random_fronts(invented, draws=60)}
    assert [f["cells"] for f in found.values()] == [28, 40, 150]
    cells = [c for c in all_genotypes() if c.is_connected and "0" not in c.code]
    unique = list({cell.canonical: cell for cell in cells}.values())
    random = np.random.default_rng(7)
    ratios = [
        found_against_true(
            invented, [unique[n] for n in random.permutation(len(unique))[:150]], "cifar10"
        )["hypervolume_ratio"]
        for _ in range(20)
    ]
    low, middle, high = found["150 random cells"]["hypervolume_ratio"]
    assert low < middle < high <= 1
    assert middle == pytest.approx(np.median(ratios), abs=high - low)
    assert found["40 random cells"]["hypervolume_ratio"][1] < middle


def test_rows_without_search(invented: Table) -> None:
    rows = {row["name"]: row for row in without_search(invented)}
    assert list(rows) == [
        "all 3x3, the largest cell", "all skip", "one random cell (expected)",
        "best of 10 random cells (expected)", "best of 50 random cells (expected)",
        "best of 150 random cells (expected)",
    ]  # fmt: skip
    assert max(all_genotypes(), key=Genotype.params).code == "333333"
    # One random string: the mean over all 15,625.
    mean = np.mean([invented.values("cifar10", "pgd_8")[invented.row_of]])
    assert rows["one random cell (expected)"]["pgd_8"] == pytest.approx(mean)
    assert rows["all skip"]["code"] == "111111"


def _ranking(folder: Path, scores: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    lines = [json.dumps({"index": 0, **record}) for record in scores]
    (folder / "scores.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "ranking.json").write_text(json.dumps({"images": "sixteen images"}))
    return folder / "ranking.json"


def test_the_best_scored_random_cell_is_picked(invented: Table, tmp_path: Path) -> None:
    names = ("croze", "ntk_clean_min", "supernet_robust_loss")
    ranking = _ranking(tmp_path / "r", [
        {"code": code, "random": code != "333333", "scores": dict(zip(names, values, strict=True))}
        for code, *values in (
            ("111111", 1.0, 5.0, 2.0), ("333133", 3.0, 7.0, 1.5), ("222222", 2.0, 7.0, 1.0),
            ("333333", 9.0, 9.0, 0.0),
        )
    ])  # fmt: skip
    croze, ntk, loss = picks(invented, ranking)
    assert (croze["code"], croze["ties"], croze["name"]) == (
        "333133", 1, "best of 3 cells by croze"
    )  # fmt: skip
    assert (ntk["code"], ntk["ties"], ntk["score"]) == ("333133", 2, "ntk_clean_min")
    assert croze["regret"] == judged(invented, "333133")["regret"]
    assert croze["images"] == "sixteen images"
    assert loss["code"] == "222222", "of a loss less is better"


def test_a_ranking_without_its_scores(invented: Table, tmp_path: Path) -> None:
    ranking = _ranking(tmp_path / "r", [])
    ranking.with_name("scores.jsonl").write_text('{"code": \n')
    with pytest.raises(UserError, match=r"scores\.jsonl line 1 is not a JSON object"):
        picks(invented, ranking)
    ranking.with_name("scores.jsonl").unlink()
    with pytest.raises(UserError, match=r"scores\.jsonl holds no random cells; .*ranking\.json"):
        picks(invented, ranking)
