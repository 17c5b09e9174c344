"""What evidence.json gathers, and what it refuses to mix."""

import dataclasses
import json
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.studies.evidence import collected
from supernet.studies.evidence.collected import Evidence
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.evidence.judge import within_budget, without_search
from tests.supernet.studies.evidence.conftest import ROWS, read, run_of, write_search


def recorded(config: EvidenceConfig, *names: str) -> Evidence:
    evidence = Evidence(config, ROWS)
    for name in names:
        planned = run_of(name)
        folder = write_search(Path(config.runs), planned)
        evidence.shared.take(planned.config(), folder)
        evidence.record(planned)
    return evidence


@pytest.mark.slow
def test_records_are_in_the_order_of_the_plan(config: EvidenceConfig, invented: Table) -> None:
    recorded(config, "cifar100/main-seed5", "cifar10/main-budgets-0.8M-seed5", "cifar10/main-seed5")
    found = read(config)
    assert [(r["dataset"], r["row"], r["budget"]) for r in found["runs"]] == [
        ("cifar10", "main", None), ("cifar10", "main-budgets", "0.8M"), ("cifar100", "main", None),
    ]  # fmt: skip
    assert found["without_search"]["cifar100"] == without_search(invented, "cifar100")
    assert found["budgets"]["cifar10"]["0.8M"] == within_budget(invented, "cifar10", 0.8e6)
    assert (found["format"], found["judge"]) == (3, "pgd_8")
    assert [row["name"] for row in found["plan"]] == [row.name for row in ROWS]


@pytest.mark.slow
def test_regret_within_a_budget(config: EvidenceConfig, invented: Table) -> None:
    content = recorded(config, "cifar10/main-seed5", "cifar10/main-budgets-0.4M-seed5").content
    plain, within = content["runs"]
    best = within_budget(invented, "cifar10", 0.4e6)["best"]
    assert within["regret_within"] == pytest.approx(best - within["cells"]["refined"]["pgd_8"])
    assert "regret_within" not in plain


@pytest.mark.slow
def test_what_is_left(config: EvidenceConfig) -> None:
    evidence = recorded(config, "cifar10/main-seed5")
    assert [run.name for run in evidence.left()] == [
        "cifar10/other-seed5", "cifar10/main-budgets-0.4M-seed5", "cifar10/main-budgets-0.8M-seed5",
        "cifar100/main-seed5", "cifar10/main-seed6", "cifar100/main-seed6",
    ]  # fmt: skip
    some = dataclasses.replace(config, datasets=("cifar100",), rows=("main",), seeds=(6,))
    assert [run.name for run in Evidence(some, ROWS).left()] == ["cifar100/main-seed6"]


@pytest.mark.slow
def test_the_author_s_note_stays(config: EvidenceConfig) -> None:
    recorded(config, "cifar10/main-seed5")
    write_json(Path(config.out) / "evidence.json", {**read(config), "note": "These are invented."})
    Evidence(config, ROWS).write()
    assert read(config)["note"] == "These are invented." and len(read(config)["runs"]) == 1


def test_the_front_of_the_first_search_is_drawn(
    config: EvidenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(collected, "found_front", lambda record, table, path: drawn.append(path))
    recorded(config, "cifar10/main-seed6", "cifar100/main-seed5", "cifar10/other-seed5")
    assert drawn == [Path(config.out) / "fronts" / "cifar100"]


@pytest.mark.slow
def test_other_flags_are_refused(config: EvidenceConfig) -> None:
    recorded(config, "cifar10/main-seed5")
    other = dataclasses.replace(config, rows=("other",), search_flags="--epochs 3")
    with pytest.raises(UserError, match=r"has cifar10/main-seed5 with the flags --robust .*--out"):
        Evidence(other, ROWS)


@pytest.mark.slow
def test_a_row_of_a_preset_that_has_changed_gets_no_further_runs(config: EvidenceConfig) -> None:
    recorded(config, "cifar10/main-seed5")
    evidence = read(config)
    evidence["runs"][0]["config_hash"] = "0123456789ab"
    write_json(Path(config.out) / "evidence.json", evidence)
    again = Evidence(dataclasses.replace(config, rows=("main",)), ROWS)
    assert [record["row"] for record in again.content["runs"]] == ["main"]
    with pytest.raises(UserError, match="has runs of main on cifar10 with another config under"):
        again.left()
    elsewhere = dataclasses.replace(config, rows=("main", "other"), datasets=("cifar100",))
    names = [run.name for run in Evidence(elsewhere, ROWS).left()]
    assert names == ["cifar100/main-seed5", "cifar100/main-seed6"]


def test_a_folder_of_another_config_is_refused(config: EvidenceConfig) -> None:
    folder = Path(config.runs) / "cifar10" / "main-seed5"
    folder.mkdir(parents=True)
    values = run_of("cifar10/main-seed5").config().to_dict()
    where = {**values, "epochs": 7, "processes": 3}  # how many processes is no other config
    (folder / "config.json").write_text(json.dumps({"config": where}))
    with pytest.raises(UserError, match=r"another config \(epochs: 7 -> 4\)"):
        Evidence(config, ROWS).left()


@pytest.mark.slow
def test_trainings_on_other_images_are_refused(config: EvidenceConfig) -> None:
    recorded(config, "cifar10/main-seed5")
    other = dataclasses.replace(
        config, out=f"{config.out}-other", rows=("other",), search_flags="--limit 100"
    )
    with pytest.raises(UserError, match=r"short trainings on other images .* another --runs"):
        Evidence(other, ROWS).left()


def test_evidence_of_another_format_is_refused(config: EvidenceConfig) -> None:
    path = Path(config.out) / "evidence.json"
    write_json(path, {"runs": []})
    with pytest.raises(UserError, match="has format 1, this version reads format 3"):
        Evidence(config, ROWS)
    assert read_json(path) == {"runs": []}
