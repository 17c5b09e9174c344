"""The page that compares runs: a row, a mark and a colour for each, and what differs."""

from pathlib import Path

import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.errors import UserError
from supernet.report.page.compare import write_comparison
from supernet.report.run_files import RunFiles
from tests.supernet.report.page.conftest import set_config, write_everything
from tests.supernet.report.page.reading import Reading
from tests.supernet.report.runs import FOUND, write_run


@pytest.fixture
def runs(tmp_path: Path, invented: Table) -> list[RunFiles]:
    """One with everything, a clean one on own pictures in a folder of the same name, and one
    without a supernet whose name is hostile."""
    folders = [
        write_everything(tmp_path / "a" / "run", invented),
        write_run(tmp_path / "b" / "run", invented, robust=False, dataset="folder:pets"),
        write_run(tmp_path / "<img src=x>", invented, epochs=0, seed=7),
    ]
    set_config(folders[0], train_dtype="float32")
    (folders[2] / "metrics.jsonl").unlink()
    return [RunFiles.read(folder, invented) for folder in folders]


@pytest.fixture
def page(runs: list[RunFiles], tmp_path: Path) -> Reading:
    return Reading(write_comparison(runs, tmp_path / "page.html").read_text())


@pytest.mark.slow
def test_a_row_for_each_run(page: Reading, invented: Table) -> None:
    entry, size = query_cell(invented, FOUND), f"{FOUND.params() / 1e6:.2f} M"

    def judged(column: str) -> list[str]:
        value, rank = (entry[key]["cifar10"][column] for key in ("results", "ranks"))
        return [f"{100 * value:.2f} %", f"{rank:,}", "1 min 35 s"]

    robust = ["333133", size, "CIFAR-10 PGD-20 8/255", *judged("pgd_8")]
    assert page.tables[0][1:] == [
        ["a/run", "cifar10", "robust", "4", *robust],
        ["b/run", "folder:pets", "clean", "4", "333133", size, "CIFAR-10 clean", *judged("clean")],
        [page.tables[0][3][0], "cifar10", "robust", "7", *robust],
    ]
    assert page.tables[0][3][0].endswith("/<img src=x>")


@pytest.mark.slow
def test_a_rank_that_a_prior_knew_is_called_no_test(
    page: Reading, runs: list[RunFiles], tmp_path: Path
) -> None:
    assert "No test:" not in page.text
    for run in (runs[0], runs[2]):
        run.record["proposals"] |= {"prior_used": True, "prior_datasets": ["cifar10", "cifar100"]}
    runs[1].record["proposals"] |= {"prior_used": False, "prior_datasets": ["cifar10"]}
    text = Reading(write_comparison(runs, tmp_path / "seen.html").read_text()).text
    said = text[text.index("No test:") : text.index(" chose with a prior that holds CIFAR-10.")]
    assert said.startswith("No test: a/run, ") and said.endswith("/<img src=x>")
    assert "b/run" not in said


def test_a_mark_for_each_run(page: Reading, invented: Table) -> None:
    marks = [mark for mark in page.data["scatter"]["marks"] if "colour" in mark]
    entry = query_cell(invented, FOUND)
    accuracies = [entry["results"][d][c] for d in DATASETS for c in COLUMNS]
    assert [mark["values"] for mark in marks] == [
        [*accuracies, entry["params"], entry["flops"]]
    ] * 3
    assert [mark["label"] for mark in marks][:2] == ["a/run", "b/run"]
    assert len({mark["colour"] for mark in marks}) == len({mark["group"] for mark in marks}) == 3
    assert (page.values()[4] == invented.values("cifar10", "pgd_8")).all()


def test_curves_of_the_runs_that_have_some(page: Reading, runs: list[RunFiles]) -> None:
    (panel,) = page.panels("cross-entropy: weight half, as trained")
    assert [trace["name"] for trace in panel["traces"]] == ["a/run", "b/run"]
    for trace, run in zip(panel["traces"], runs, strict=False):
        assert trace["y"] == [record["train_loss"] for record in run.epochs]
    assert panel["traces"][0]["line"]["color"] != panel["traces"][1]["line"]["color"]


def test_only_settings_that_differ_are_listed(page: Reading) -> None:
    rows = {row[0]: row[1:] for row in page.tables[1][1:]}
    assert rows["robust"] == ["yes", "no", "yes"]
    assert rows["train_dtype"] == ["float32"] + ["not a setting of that version"] * 2
    assert "C" not in rows and "strategy" not in rows


def test_settings_are_shown_in_words(runs: list[RunFiles], tmp_path: Path) -> None:
    for run, value in zip(runs, ([10, 20], None, True), strict=True):
        run.config["made_up"] = value
    page = Reading(write_comparison(runs, tmp_path / "words.html").read_text())
    rows = {row[0]: row[1:] for row in page.tables[1]}
    assert rows["made_up"] == ["10, 20", "not set", "yes"]


@pytest.mark.slow
def test_names_and_commands_are_text(page: Reading) -> None:
    assert page.text.count("python scripts/search.py X") == 3
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert "333333 -> 333123" in page.text
    assert all("<" not in mark["label"] for mark in page.data["scatter"]["marks"])


@pytest.mark.slow
def test_equal_settings_are_said_to_be(tmp_path: Path, invented: Table) -> None:
    runs = [RunFiles.read(write_run(tmp_path / n, invented), invented) for n in ("a", "b")]
    page = Reading(write_comparison(runs, tmp_path / "page.html").read_text())
    assert "None: these runs have one configuration." in page.text
    set_config(tmp_path / "b", C=32)
    runs[1] = RunFiles.read(tmp_path / "b", invented)
    page = Reading(write_comparison(runs, tmp_path / "page.html").read_text())
    assert page.tables[1] == [["setting", "a", "b"], ["C", "16", "32"]]


def test_a_run_that_is_given_twice_is_refused(tmp_path: Path, invented: Table) -> None:
    run = RunFiles.read(write_run(tmp_path / "a", invented), invented)
    with pytest.raises(UserError, match="a is given twice; name each run once"):
        write_comparison([run, run], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_values_that_are_not_finite_stay_away(tmp_path: Path, invented: Table) -> None:
    """metrics.jsonl has null for them."""
    runs = [RunFiles.read(write_run(tmp_path / n, invented), invented) for n in ("a", "b")]
    runs[0].epochs[1]["train_loss"] = None
    page = Reading(write_comparison(runs, tmp_path / "page.html").read_text())
    trace = page.trace("cross-entropy: weight half, as trained", "a")
    assert (trace["x"], trace["y"]) == ([1, 3], [2.0, 2 / 3])
