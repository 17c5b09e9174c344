"""report.md says what the files of the run say, and nothing else."""

import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from supernet.benchmark.order_statistics import expected_best_of
from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.report.run_files import RunFiles
from supernet.report.words import COLUMN_TITLES, DATASET_TITLES, better_than
from supernet.report.write import write_report
from tests.supernet.report.runs import ARGMAX, FOUND, OTHER, write_run


def _at_hand(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setattr("supernet.report.run_files.load_table", lambda where: table)


def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds per report go into drawing, which other tests cover."""
    monkeypatch.setattr(Figure, "savefig", lambda self, stream, **options: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, invented: Table) -> Path:
    """A run whose report is written, figures included."""
    folder = write_run(tmp_path_factory.mktemp("run"), invented)
    with pytest.MonkeyPatch.context() as monkeypatch:
        _at_hand(monkeypatch, invented)
        write_report(folder)
    return folder


@pytest.fixture
def report(run: Path) -> str:
    return (run / "report.md").read_text()


def _rows(report: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, header left out."""
    lines = report.split(heading, 1)[1].splitlines()
    table: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif table:
            break
    return table[2:]


@pytest.mark.slow
def test_all_values_are_the_tables(report: str, invented: Table) -> None:
    entry = query_cell(invented, FOUND)
    rows = _rows(report, "### All 18 values")
    assert len(rows) == 18
    for row, (d, c) in zip(rows, ((d, c) for d in DATASETS for c in COLUMNS), strict=True):
        assert row[:2] == [DATASET_TITLES[d], COLUMN_TITLES[c]]
        assert row[2] == f"{100 * entry['results'][d][c]:.2f} %"
        assert row[3] == f"{entry['ranks'][d][c]:,}"
        assert row[4] == better_than(entry["ranks"][d][c])
        assert row[5] == f"{100 * entry['regret'][d][c]:.2f}"


def test_beside_the_cell_stands_what_needs_no_search(report: str, invented: Table) -> None:
    rows = {row[0]: row for row in _rows(report, "## Place in the benchmark")}
    found, argmax = rows[f"**found: {FOUND.code}**"], rows["by alpha: 333333"]
    for row, cell in ((found, FOUND), (argmax, ARGMAX), (rows["all skip"], Genotype((1,) * 6))):
        entry = query_cell(invented, cell)
        shown = [entry["results"]["cifar10"][c] for c in ("clean", "pgd_8", "autoattack")]
        assert row[1:4] == [f"{100 * value:.2f} %" for value in shown]
        assert row[4] == f"{entry['ranks']['cifar10']['pgd_8']:,}"
    expected = 100 * expected_best_of(invented, 50, "cifar10", "pgd_8")
    assert rows["best of 50 random cells (expected)"][2] == f"{expected:.2f} %"


def test_the_answer_comes_first_and_is_judged(report: str, invented: Table) -> None:
    title, _, answer, *_ = report.splitlines()
    assert title == "# Robust search on cifar10, seed 4: cell 333133"
    entry, dense = query_cell(invented, FOUND), query_cell(invented, ARGMAX)
    value, other = (e["results"]["cifar10"]["pgd_8"] for e in (entry, dense))
    assert value != other
    rank = entry["ranks"]["cifar10"]["pgd_8"]
    share = f"better than {100 * (6466 - rank) // 6466} % of cells"
    assert f"**rank {rank:,} of 6,466, {share}**" in answer
    word = "above" if value > other else "below"
    assert f"That is {word} all 3x3 ({100 * other:.2f} %)" in answer
    assert FOUND.arch in report and f"| {FOUND.params():,} |" in report


def test_all_derivations_are_reported(report: str) -> None:
    rows = _rows(report, "## Derivation")
    assert "| 0 to 1 | -4 (-3) | -1 (-1) | +0 (+0) | +12 (+5) | -7 (-1) |" in report
    assert [row[:2] for row in rows] == [
        ["strongest operator of each edge by alpha", "`333333`"],
        ["strongest operator of each edge by gains **(chosen)**", "`333133`"],
        ["strongest operator of each edge by gains without the last cell", f"`{OTHER.code}`"],
    ]


@pytest.mark.slow
def test_an_untrained_supernet_has_neither_weights_nor_gains_to_show(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_hand(monkeypatch, invented)
    _no_figures(monkeypatch)
    folder = write_run(tmp_path, invented, epochs=0)
    (folder / "metrics.jsonl").write_text("")
    text = write_report(folder).read_text()
    assert "## Derivation" in text
    assert "Edge weights" not in text
    assert "Gains" not in text


@pytest.mark.slow
def test_what_the_picture_shows_and_the_cell_cannot_have_is_said(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_hand(monkeypatch, invented)
    _no_figures(monkeypatch)
    folder = write_run(tmp_path, invented)
    assert "left out when a cell is read; it leads on no edge." in write_report(folder).read_text()
    record = json.loads((folder / "genotype.json").read_text())
    record["edge_weights"][2:4] = [[0.6, 0.1, 0.1, 0.1, 0.1]] * 2
    (folder / "genotype.json").write_text(json.dumps(record))
    assert "here it leads on 2 of 6 edges" in write_report(folder).read_text()


def test_the_last_epoch_is_named_with_images_attack_and_seed(report: str) -> None:
    assert "on 500 images of the alpha half (cifar10" in report and "seed 4" in report
    rows = _rows(report, "## Learning curves")
    assert rows == [
        ["clean", "none", "60.0 %"],
        ["as trained", "n_fgsm, eps 8/255 (as in training)", "45.0 %"],
        ["robust", "PGD-10, eps 8/255", "30.0 %"],
    ]
    assert "3 of 6 edges are skips (epochs 2, 3)" in report


def test_every_figure_that_is_shown_is_there(run: Path, report: str) -> None:
    shown = re.findall(r"\]\((figures/[^)]+)\)", report)
    assert len(shown) == 5
    for name in shown:
        assert (run / name).stat().st_size > 1000
        assert (run / name).with_suffix(".png").is_file()


@pytest.mark.slow
def test_without_a_data_root_the_shipped_table_judges(
    tmp_path: Path, real: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    _no_figures(monkeypatch)
    report = write_report(write_run(tmp_path / "run", real, data_root="gone")).read_text()
    assert "**47.79 %** accuracy on CIFAR-10 (under PGD-20 8/255): **rank 2 of 6,466" in report
    assert "| index in NAS-Bench-201 | 9930 |" in report


def test_a_table_under_the_runs_own_data_root_wins(
    tmp_path: Path, invented_root: Path, real: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_SUPERNET_DATA", str(tmp_path))
    folder = write_run(tmp_path / "run", real, data_root=str(invented_root))
    with pytest.raises(UserError, match="is not the published file"):  # it was read
        RunFiles.read(folder)
    (tmp_path / "images").mkdir()
    folder = write_run(tmp_path / "other", real, data_root=str(tmp_path / "images"))
    assert RunFiles.read(folder).table is real


@pytest.mark.slow
def test_a_stand_in_is_called_one(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_hand(monkeypatch, invented)
    _no_figures(monkeypatch)
    folder = write_run(tmp_path, invented, dataset="imagenet16-120", stand_in=True)
    report = write_report(folder).read_text()
    assert report.startswith("# Robust search on a stand-in for imagenet16-120, seed 4")


@pytest.mark.slow
def test_a_gpu_without_graphs_is_told_why(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path, invented)
    _at_hand(monkeypatch, invented)
    _no_figures(monkeypatch)
    reason = "an attack runs without a CUDA graph: the capture failed"
    record = json.loads((folder / "genotype.json").read_text())
    for reasons in ([reason], []):
        (folder / "genotype.json").write_text(json.dumps({**record, "without_graphs": reasons}))
        text = write_report(folder).read_text()
        assert (f"| CUDA graphs | {reason} |" in text) == bool(reasons)


@pytest.mark.slow
def test_a_clean_search_is_judged_by_clean_accuracy(
    tmp_path: Path, invented: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_hand(monkeypatch, invented)
    _no_figures(monkeypatch)
    report = write_report(write_run(tmp_path, invented, robust=False)).read_text()
    entry = query_cell(invented, FOUND)
    assert f"**rank {entry['ranks']['cifar10']['clean']:,} of 6,466, better than" in report
    assert "Ordinary (clean) search" in report


def test_an_unfinished_run_is_refused(tmp_path: Path, invented: Table) -> None:
    (write_run(tmp_path, invented) / "genotype.json").unlink()
    with pytest.raises(UserError, match=r"genotype\.json is missing.*--resume"):
        write_report(tmp_path)
    assert not (tmp_path / "report.md").exists()


def test_a_search_of_an_earlier_version_is_refused(tmp_path: Path, invented: Table) -> None:
    folder = write_run(tmp_path / "run", invented)
    record = json.loads((folder / "genotype.json").read_text())
    del record["proposals"]
    (folder / "genotype.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=f"{folder} was searched by an earlier version"):
        write_report(folder, invented)
