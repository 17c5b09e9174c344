"""Rankings along a search: what is gathered, when parameters are passed, what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.curve import curves_of, draw_curve, make_curve
from supernet.studies.ranking.run import run_ranking


def point(value: float | None, n: int = 100) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    return {"kendall": {"n": n, "value": value, "low": low, "high": high}}


def ranking(
    steps: int, robust: tuple[float, float | None], clean: tuple[float, float]
) -> dict[str, Any]:
    rows = {
        "supernet_robust_loss": robust, "supernet_clean_loss": clean,
        "supernet_robust": (-0.1, None), "supernet_clean": (-0.2, -0.3),
        "supernet_gains": (0.4, 0.1), "supernet_gains_inner": (0.5, 0.2),
        "parameters": (0.65, 0.28),
    }  # fmt: skip
    return {
        "supernet_steps": steps,
        "rows": {
            "pgd_8": {
                name: {"all": point(everywhere), "top_10": point(top, 12)}
                for name, (everywhere, top) in rows.items()
            }
        },
    }


RANKINGS = [
    ranking(100, (0.3, None), (0.2, 0.1)),
    ranking(200, (0.7, 0.2), (0.4, 0.2)),
    ranking(400, (0.6, 0.3), (0.5, 0.28)),
]


def test_the_budget_is_the_first_above_parameters() -> None:
    record = curves_of(RANKINGS)
    # Equal is not above; a coefficient that is not defined passes nothing.
    assert record["passes"]["pgd_8"] == {
        "supernet_robust_loss": {"all": 200, "top_10": 400},
        "supernet_clean_loss": {"all": None, "top_10": None},
        "supernet_robust": {"all": None, "top_10": None},
        "supernet_clean": {"all": None, "top_10": None},
        "supernet_gains": {"all": None, "top_10": None},
        "supernet_gains_inner": {"all": None, "top_10": None},
    }
    points = record["curves"]["pgd_8"]["supernet_robust_loss"]["all"]
    assert [(p["steps"], p["value"]) for p in points] == [(100, 0.3), (200, 0.7), (400, 0.6)]
    assert record["parameters"]["pgd_8"]["top_10"]["value"] == 0.28


@pytest.mark.slow
def test_the_figure_shows_what_is_defined(tmp_path: Path) -> None:
    figure = draw_curve(curves_of(RANKINGS), "pgd_8", tmp_path / "curve")
    everywhere, top = figure.axes
    # Scores of one budget stand side by side, within 2 % of the longest.
    drawn = [
        [[round(x, -2), y] for x, y in container.lines[0].get_xydata().tolist()]
        for container in top.containers
    ]
    places = [line.get_xdata()[-1] for line, *_ in top.containers if len(line.get_xdata())]
    assert len(set(places)) == len(places) and all(392 <= x <= 408 for x in places)
    assert drawn[:2] == [[[200, 0.2], [400, 0.3]], [[100, 0.1], [200, 0.2], [400, 0.28]]]
    assert drawn[2:4] == [[], [[100, -0.3], [200, -0.3], [400, -0.3]]]
    assert drawn[4:] == [[[s, tau] for s in (100, 200, 400)] for tau in (0.1, 0.2)]
    assert everywhere.get_title() == "all cells (n = 100)"
    assert top.get_title() == "top 10 % (n = 12)"
    assert everywhere.lines[0].get_ydata() == [0.65, 0.65]
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png"}


def _write(folder: Path, record: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "ranking.json").write_text(json.dumps(record))
    return folder


def test_other_cells_and_other_rankings_are_refused(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", RANKINGS[0])
    other = ranking(200, (0.7, 0.2), (0.4, 0.2))
    other["rows"]["pgd_8"]["parameters"]["all"] = point(0.6)
    with pytest.raises(UserError, match="are not of the same cells and columns"):
        make_curve([first, _write(tmp_path / "b", other)], tmp_path / "out")
    without_losses = ranking(200, (0.7, 0.2), (0.4, 0.2))
    del without_losses["rows"]["pgd_8"]["supernet_clean_loss"]
    with pytest.raises(UserError, match="is not a ranking by a supernet"):
        make_curve([first, _write(tmp_path / "c", {"rows": {}})], tmp_path / "out")
    message = r"ranking\.json was written by another version \(no supernet_clean_loss\)"
    with pytest.raises(UserError, match=message):
        make_curve([first, _write(tmp_path / "d", without_losses)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_curve_from_the_epochs_of_a_search(
    trained: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    config = RankConfig(**quick | {"proxies": ()}, supernet=str(trained), images=20, steps=1)
    folders = [
        run_ranking(
            dataclasses.replace(config, epoch=epoch, out=str(tmp_path / str(epoch))), quiet=True
        )
        for epoch in (None, 1)
    ]
    text = make_curve(folders, tmp_path / "curve")
    record = json.loads((tmp_path / "curve" / "curve.json").read_text())
    points = record["curves"]["pgd_8"]["supernet_clean"]["all"]
    assert [p["steps"] for p in points] == [3, 6], "in the order of the steps"
    ranked = json.loads((folders[1] / "ranking.json").read_text())
    assert (
        points[0]["value"] == ranked["rows"]["pgd_8"]["supernet_clean"]["all"]["kendall"]["value"]
    )
    assert (tmp_path / "curve" / "figures" / "curve-pgd_8.png").exists()
    lines = [line.split() for line in text.splitlines() if line]
    assert lines[1] == ["score", "cells", "3", "steps", "6", "steps", "passes", "at"]
    assert [line[0] for line in lines[2:9]] == [
        "robust", "clean", "robust", "clean", "gains", "gains", "parameters"
    ]  # fmt: skip
