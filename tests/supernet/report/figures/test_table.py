"""Figures say data set, metric and n, draw every point they should, and leave no text behind."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from supernet.benchmark.searches import SEARCHES
from supernet.benchmark.standard import STANDARD_COLUMNS, StandardTable, compare
from supernet.benchmark.statistics import box_statistics, operator_shares, replacement_effects
from supernet.benchmark.table import DATASETS, Table
from supernet.benchmark.true_front import true_front
from supernet.report import figures as draw
from tests.tables import small_form


def words(figure: Figure) -> str:
    """All titles, labels and numbers of a figure."""
    texts = [figure.get_suptitle()]
    for axis in figure.axes:
        texts += [axis.get_title(), axis.get_xlabel(), axis.get_ylabel()]
        texts += [text.get_text() for text in axis.texts]
    return " | ".join(texts)


def test_boxes(invented: Table) -> None:
    figure = draw.boxes(box_statistics(invented), invented.size)
    assert len(figure.axes) == 3 and "n = 6,466" in words(figure)
    assert len(figure.axes[0].patches) == 6


def test_operators(invented: Table) -> None:
    shares = draw.operator_shares(operator_shares(invented, "cifar100", "autoattack"))
    assert "CIFAR-100 AutoAttack 8/255" in words(shares) and "n = 65" in words(shares)
    assert len(shares.axes[0].texts) == 30
    effects = draw.replacement_effects(replacement_effects(invented, "cifar10", "clean"))
    assert "over all 3,125 settings" in words(effects)
    assert len(effects.axes) == 6 and len(effects.axes[0].texts) == 20


@pytest.mark.parametrize(
    ("objectives", "panels"),
    [(["clean", "pgd_8"], 2), (["pgd_8", "params"], 1), (["clean", "flops", "autoattack"], 2)],
)
def test_front(invented: Table, objectives: list[str], panels: int) -> None:
    result = true_front(invented, "cifar10", objectives)
    figure = draw.front(invented, result)
    assert len(figure.axes) == panels and "True front: CIFAR-10" in words(figure)
    # A cost is the horizontal axis, wherever it was named.
    costs = {"params": "parameters (million)", "flops": "multiply-adds (million)"}
    expected = next((costs[name] for name in objectives if name in costs), "clean accuracy (%)")
    assert figure.axes[0].get_xlabel() == expected
    marks = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert len(marks) == len(result["cells"])
    if len(objectives) == 2 and panels == 2:
        assert result["cells"][0]["code"] in words(figure)


def test_searches_and_hypervolumes() -> None:
    flat = {name: [0.4, 0.5] for name in ("mean", "sd", "ci_low", "ci_high", "p10", "p90")}
    single = {
        "dataset": "cifar10",
        "metric": "pgd_8",
        "queries": 2,
        "seeds": 7,
        "count": "strings",
        "methods": dict.fromkeys(SEARCHES, flat),
        "expected_best_of_random": [0.4, 0.45],
        "best": 0.6,
    }
    rows = [{"results": {"cifar10": {"pgd_8": 0.47}}}]
    figure = draw.searches(single, rows)
    assert "CIFAR-10 PGD-20 8/255 accuracy, n = 7 seeds" in words(figure)
    assert "what counts: strings" in words(figure)
    legend = figure.axes[0].get_legend()
    assert legend is not None and len(legend.get_texts()) == 6
    multi = {
        "dataset": "cifar100",
        "objectives": ["params", "clean"],
        "queries": [1, 2],
        "seeds": 7,
        "methods": {"random": flat, "nsga2": flat},
    }
    assert "CIFAR-100, parameters, clean, n = 7 seeds" in words(draw.hypervolumes(multi))


@pytest.mark.slow
def test_correlations_and_comparison(invented: Table, tmp_path: Path) -> None:
    square = [[1.0] * 7] * 7
    regions = {"spearman": dict.fromkeys(("all", "top_10", "top_1"), square)}
    correlations = {
        "columns": [*invented.columns, "params"],
        "between_columns": dict.fromkeys(DATASETS, regions),
    }
    figure = draw.column_correlations(correlations, "imagenet16-120", 6466)
    assert "ImageNet16-120 (n = 6,466)" in words(figure) and len(figure.axes[2].texts) == 49
    small = {"spearman": dict.fromkeys(("all", "top_10", "top_1"), [[1.0, None, 0.5]] * 3)}
    figure = draw.dataset_correlations(
        {"between_datasets": dict.fromkeys(invented.columns, small)}, 6466
    )
    assert len(figure.axes) == 18 and [t.get_text() for t in figure.axes[0].texts][:3] == [
        "1",
        "-",
        ".50",
    ]
    table, _ = small_form([f"cifar10#{c}" for c in STANDARD_COLUMNS])
    (tmp_path / "acc.json").write_text(json.dumps(table))
    standard = StandardTable.load(tmp_path, verify=False)
    figure = draw.comparison(invented, standard, compare(invented, standard, "cifar10"))
    assert "CIFAR-10: the same 6,466 cells" in words(figure) and "APGD-CE" in [
        label.get_text() for label in figure.axes[2].get_xticklabels()
    ]
