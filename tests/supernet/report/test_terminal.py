"""What the terminal shows at the end of a search."""

import json
from pathlib import Path

import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.report.terminal import describe_run
from supernet.report.words import percent
from tests.supernet.report.runs import ARGMAX, FOUND, OTHER, write_run
from tests.supernet.report.test_front import write_front


@pytest.fixture
def folder(tmp_path: Path, invented: Table) -> Path:
    write_run(tmp_path, invented)
    record = json.loads((tmp_path / "genotype.json").read_text())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "genotype.json").write_text(json.dumps(record | {"baselines": []}))
    (tmp_path / "config.json").write_text(json.dumps(config | {"device_type": "cpu"}))
    return tmp_path


def ranks(table: Table) -> list[str]:
    cells = (FOUND, ARGMAX, OTHER)
    return [f"{query_cell(table, c)['ranks']['cifar10']['pgd_8']:,}" for c in cells]


def test_what_each_part_proposes_and_what_the_front_covers(folder: Path, invented: Table) -> None:
    front = write_front(folder, invented)
    lines = describe_run(folder).splitlines()
    found, argmax, other = ranks(invented)
    at = lines.index(f"proposals  supernet alone {FOUND.code}, rank {found}")
    assert lines[at + 1 : at + 4] == [
        f"           free scores alone {ARGMAX.code}, rank {argmax}",
        f"           prior alone {OTHER.code}, rank {other} (not used)",
        f"           prior and free scores {OTHER.code}, rank {other} (not used)",
    ]
    assert lines[at + 4] == (
        f"front      3 cells of 2 sizes, 101.306k to 1.289M parameters: {folder / 'front.json'}"
    )
    whole, first = (
        percent(front[name]["hypervolume_ratio"], 1)
        for name in ("found_vs_true", "first_choices_vs_true")
    )
    assert lines[at + 5] == (
        f"           {whole} of the true front's hypervolume, the first choices {first}, as many "
        "random cells 92.0 %"
    )


def test_a_prior_that_holds_the_judge_is_no_test(folder: Path, invented: Table) -> None:
    write_front(folder, invented, judge_is_in_prior=True)
    record = json.loads((folder / "genotype.json").read_text())
    record["proposals"] |= {"prior_used": True, "prior_datasets": ["cifar10", "cifar100"]}
    (folder / "genotype.json").write_text(json.dumps(record))
    text = describe_run(folder)
    assert text.count("(no test: the prior holds CIFAR-10)") == 4
    assert "not used" not in text
