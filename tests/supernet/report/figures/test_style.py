"""Figures are written whole, twice alike, and leave matplotlib as it was."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.report.figures import draw_cell, heatmap
from supernet.report.figures.style import save


def test_both_files_are_there_and_legible(tmp_path: Path) -> None:
    paths = save(draw_cell(Genotype.parse("333133")), tmp_path / "figures" / "cell")
    assert [path.name for path in paths] == ["cell.svg", "cell.png"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["cell.png", "cell.svg"]
    assert paths[0].read_text().lstrip().startswith("<?xml")
    image = np.asarray(Image.open(paths[1]).convert("L"))
    assert image.shape[1] >= 600
    assert image.min() < 60 and image.max() == 255


@pytest.mark.slow
def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    w = np.full((6, 5), 0.2)
    first = [path.read_bytes() for path in save(heatmap(w, (1,) * 6), tmp_path / "a")]
    again = [path.read_bytes() for path in save(heatmap(w, (1,) * 6), tmp_path / "b")]
    assert first == again


def test_drawing_leaves_the_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    draw_cell(Genotype.parse("333133"))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_the_users_settings_change_no_figure(tmp_path: Path) -> None:
    w = np.full((6, 5), 0.2)
    first = [path.read_bytes() for path in save(heatmap(w, (1,) * 6), tmp_path / "a")]
    own = {"text.usetex": True, "axes.facecolor": "black", "savefig.bbox": "tight",
           "font.family": "serif", "figure.dpi": 20, "svg.fonttype": "none",
           "axes.formatter.use_locale": True}  # fmt: skip
    with matplotlib.rc_context(own):
        again = [path.read_bytes() for path in save(heatmap(w, (1,) * 6), tmp_path / "b")]
    assert first == again


def test_a_link_in_a_run_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="figures is a link"):
        save(draw_cell(Genotype.parse("333133")), tmp_path / "figures" / "cell")
    assert not list((tmp_path / "elsewhere").iterdir())
