"""report.html holds what report.md and the files of the run hold, and nothing is fetched for it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from supernet.benchmark.rows import baseline_rows, query_cell
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.report.write import write_report
from tests.supernet.report.page.conftest import finalists_record, set_config, write_everything
from tests.supernet.report.page.reading import Reading
from tests.supernet.report.runs import ARGMAX, FOUND, OTHER, write_run
from tests.supernet.report.test_refinement import RECORD

WEIGHTS = ["", "none", "skip", "conv 1×1", "conv 3×3", "avg pool"]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def _markdown_tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text, rules left out and code and bold as plain text."""
    tables: list[list[list[str]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                tables.append([])
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            tables[-1].append([re.sub(r"[`*]", "", cell).strip() for cell in cells])
        before = line
    return [[header, *rows] for header, _, *rows in tables]


@pytest.mark.slow
def test_the_tables_are_those_of_the_markdown(full: Path, page: Reading) -> None:
    expected = _markdown_tables((full / "report.md").read_text())
    own = [table for table in page.tables if table[0] != WEIGHTS]
    assert len(expected) > 10 and own == expected


def test_the_edge_weights_are_those_of_the_files(full: Path, page: Reading) -> None:
    (table,) = [table for table in page.tables if table[0] == WEIGHTS]
    record = json.loads((full / "genotype.json").read_text())
    assert [row[1:] for row in table[1:]] == [
        [f"{w:.3f}" for w in row] for row in record["edge_weights"]
    ]
    epochs = [json.loads(line) for line in (full / "metrics.jsonl").read_text().splitlines()]
    for edge, label in enumerate(("0→1", "0→2", "1→2", "0→3", "1→3", "2→3")):
        (panel,) = page.panels(f"edge {label}")
        for op, trace in enumerate(panel["traces"]):
            assert trace["x"] == [1, 2, 3]
            assert trace["y"] == [record["edge_weights"][edge][op] for record in epochs]


def test_the_learning_curves_are_those_of_the_files(full: Path, page: Reading) -> None:
    epochs = [json.loads(line) for line in (full / "metrics.jsonl").read_text().splitlines()]
    for title, name, metric in (
        ("Loss", "weight half, as trained", "train_loss"),
        ("Accuracy of the mixture, alpha half", "clean", "val_clean_acc"),
        ("Accuracy of the mixture, alpha half", "under PGD", "val_robust_acc"),
        ("Edge weights", "entropy (1 = uniform)", "entropy"),
    ):
        assert page.trace(title, name)["y"] == [record[metric] for record in epochs]
    assert page.trace("Training loss", "as trained")["y"] == [2.5, 2.25]  # stand-alone
    assert page.trace("Accuracy", "test, clean")["y"] == [0.25, 0.375]


def test_the_scatter_has_the_values_of_all_cells(page: Reading, invented: Table) -> None:
    scatter, values = page.data["scatter"], page.values()
    codes = [scatter["codes"][6 * row : 6 * row + 6] for row in range(invented.size)]
    cells = [Genotype.parse(code) for code in codes]
    assert [cell.canonical for cell in cells] == [c.canonical for c in invented.genotypes]
    expected = [invented.values(d, c) for d in DATASETS for c in COLUMNS]
    expected += [np.array([cell.params() for cell in cells])]
    expected += [np.array([cell.flops() for cell in cells])]
    for row, column in zip(values, expected, strict=True):
        assert (row == column).all()
    assert scatter["start"] == {"dataset": "cifar10", "x": "params", "y": "pgd_8"}
    assert (values[18] <= invented.costs("params")).all()
    assert (values[18] < invented.costs("params")).any()


def test_the_marks_of_the_scatter_are_the_tables(page: Reading, invented: Table) -> None:
    marks = {mark["label"]: mark for mark in page.data["scatter"]["marks"]}
    rows = {row["key"]: row for row in baseline_rows(invented, "cifar10", "pgd_8", best_of=(50,))}
    for label, group, row in (
        ("found", "found", query_cell(invented, FOUND)),
        ("by alpha", "answer", query_cell(invented, ARGMAX)),
        ("by gains without the last cell", "answer", query_cell(invented, OTHER)),
        ("all 3x3", "baseline", rows["all_3x3"]),
        ("all skip", "baseline", rows["all_skip"]),
        ("best of 50 random cells (expected)", "baseline", rows["best_of_50"]),
        ("front.json:0", "front", query_cell(invented, Genotype.parse("111112"))),
        ("front.json:2", "front", query_cell(invented, FOUND)),
    ):
        mark = marks[label]
        accuracies = [row["results"][d][c] for d in DATASETS for c in COLUMNS]
        assert (mark["group"], mark["code"]) == (group, row.get("code"))
        assert mark["values"] == [*accuracies, row["params"], row["flops"]]
    assert "by gains" not in marks  # it is the found one


def test_the_path_of_the_refinement_is_that_of_the_file(page: Reading, invented: Table) -> None:
    last = RECORD["sweeps"][1]["rounds"][1]
    trained = page.trace("Held-out loss of the short trainings", "100 steps")
    shown = dict(zip(trained["text"], trained["y"], strict=True))
    assert sorted(shown.values()) == sorted(last["losses"])
    for code, loss in zip(last["cells"], last["losses"], strict=True):
        (words,) = [words for words, y in shown.items() if y == loss]
        entry = query_cell(invented, Genotype.parse(code))
        assert words == (
            f"<b>{code}</b><br>loss {loss:.3f}<br>benchmark "
            f"{100 * entry['results']['cifar10']['pgd_8']:.2f} %, "
            f"rank {entry['ranks']['cifar10']['pgd_8']:,}"
        )
    path = page.trace("Held-out loss of the short trainings", "chosen")
    assert path["y"] == [2.25, 1.7]
    chosen = [invented.values("cifar10", "pgd_8")[invented.row(Genotype.parse(code))]
              for code in ("333333", "333123")]  # fmt: skip
    assert page.trace("Benchmark: CIFAR-10 PGD-20 8/255", "chosen")["y"] == chosen


def test_a_loss_that_is_not_finite_is_no_point(page: Reading) -> None:
    short = page.trace("Held-out loss of the short trainings", "50 steps")
    (number,) = [n for n, words in enumerate(short["text"]) if "loss not finite" in words]
    assert short["y"][number] is None and short["text"][number].startswith("<b>333133</b>")


def test_the_finalists_are_those_of_the_file(page: Reading, invented: Table) -> None:
    cells = finalists_record(invented)["cells"]
    for name, measure in (("clean", "clean"), ("attacked", "robust")):
        trace = page.trace("Finalists", name)
        assert trace["x"] == [value for cell in cells for value in cell[measure]]
        assert trace["y"] == ["answer"] * 3 + ["all 3x3 = prior"] * 3


def test_the_front_is_that_of_the_file(full: Path, page: Reading, invented: Table) -> None:
    first, second, third = json.loads((full / "front.json").read_text())["cells"]
    for name, cells in (("first choices", [first, third]), ("further choices", [second])):
        trace = page.trace("Size and robust accuracy", name)
        assert trace["x"] == [cell["params"] for cell in cells]
        assert trace["y"] == [cell["benchmark"]["results"]["cifar10"]["pgd_8"] for cell in cells]


def test_command_and_verdict_stand_in_the_page(full: Path, page: Reading) -> None:
    assert "python scripts/search.py X" in page.text
    verdict = (full / "report.md").read_text().splitlines()[2]
    assert re.sub(r"\*", "", verdict) in page.text
    assert page.text.count("Robust search on cifar10, seed 4: cell 333133") == 2  # title, heading


def test_nothing_is_fetched(full: Path, page: Reading) -> None:
    assert (full / "report.html").stat().st_size < 5e6
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert "src" not in attributes and "srcset" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page.scripts["style"] and "@import" not in page.scripts["style"]
    policies = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert policies == [
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
    ]


def test_the_library_stands_once_in_the_file(page: Reading) -> None:
    assert sorted(page.scripts) == ["data", "plotly", "script", "style", "values"]
    library = page.unpacked("plotly").decode()
    assert "plotly.js v" in library[:200] and len(library) > 1e6


@pytest.mark.slow
def test_text_of_files_is_no_markup(tmp_path: Path, invented: Table, no_figures: None) -> None:
    folder = write_everything(tmp_path / "run", invented)
    set_config(folder, data_root=HOSTILE)
    for file, field in (
        ("config.json", ("command",)), ("config.json", ("data", "source")),
        ("config.json", ("device",)), ("config.json", ("data", "name")),
        ("finalists.json", ("cells", 0, "names", 0)),
        ("config.json", ("config", "attack")), ("config.json", ("config", "refine_attack")),
        ("config.json", ("impl",)), ("genotype.json", ("objective",)),
        ("standalone/evaluation.json", ("split",)), ("standalone/evaluation.json", ("precision",)),
        ("standalone/evaluation.json", ("training", "attack")),
        ("standalone/evaluation.json", ("results", 1, "attack")),
        ("standalone/evaluation.json", ("results", 2, "version")),
        ("standalone/evaluation.json", ("results", 2, "stages", 0, "attack")),
        ("finalists.json", ("recipe", "attack")),
    ):  # fmt: skip
        content = json.loads((folder / file).read_text())
        inner = content
        for key in field[:-1]:
            inner = inner[key]
        inner[field[-1]] = f"{field[-1]} {HOSTILE}"
        (folder / file).write_text(json.dumps(content))
    write_report(folder, invented)
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", (folder / "report.md").read_text())
    assert HOSTILE.split()[0] not in re.sub(r"(`+)[^`].*?\1", "", outside)
    page = Reading((folder / "report.html").read_text())
    assert [tag for tag, _ in page.elements].count("script") == 4
    assert not any(tag == "img" or "onerror" in given for tag, given in page.elements)
    for words in ("command", "source", "device", "0", "name", '"data_root": "'):
        assert f"{words} {HOSTILE}".replace('" <', '"<') in page.text
    # Plotly understands a few tags in names.
    assert not any("<" in name for name in page.trace("Finalists", "clean")["y"])


@pytest.mark.slow
def test_a_search_without_a_supernet(tmp_path: Path, invented: Table, no_figures: None) -> None:
    folder = write_run(tmp_path / "run", invented, epochs=0)
    (folder / "metrics.jsonl").unlink()
    write_report(folder, invented)
    page = Reading((folder / "report.html").read_text())
    assert page.data["charts"] == {} and page.data["scatter"] is not None
    assert "Learning curves" not in page.text


@pytest.mark.slow
def test_a_clean_search_on_own_pictures(tmp_path: Path, invented: Table, no_figures: None) -> None:
    folder = write_run(tmp_path / "run", invented, dataset="folder:pets", robust=False)
    write_report(folder, invented)
    page = Reading((folder / "report.html").read_text())
    assert page.data["scatter"]["start"] == {"dataset": "cifar10", "x": "params", "y": "clean"}
    assert "The table knows nothing of folder:pets" in page.text


@pytest.mark.slow
def test_the_page_may_go_elsewhere(tmp_path: Path, invented: Table, no_figures: None) -> None:
    folder = write_run(tmp_path / "run", invented)
    write_report(folder, invented, tmp_path / "there.html")
    assert (tmp_path / "there.html").is_file() and not (folder / "report.html").exists()


def test_an_unfinished_run_leaves_no_page(tmp_path: Path, invented: Table) -> None:
    (write_run(tmp_path, invented) / "genotype.json").unlink()
    with pytest.raises(UserError, match=r"genotype\.json is missing"):
        write_report(tmp_path, invented)
    assert not (tmp_path / "report.html").exists()
