"""Files of a run are read typed and bounded: a damaged or crafted one is a sentence naming it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supernet.benchmark.table import Table
from supernet.errors import UserError
from supernet.report import record_shapes, records, standalone
from supernet.report.figures import training
from supernet.report.run_files import RunFiles
from tests.supernet.report.page.conftest import write_everything

Reader = Callable[[RunFiles], Any]

EVALUATION = "standalone/evaluation.json"
CHANGES: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("config.json", ("config", "C"), 10**9, r"config.C is 1000000000, not a whole number from 1"),
    ("config.json", ("config", "attack"), None, "config.attack is None, not text"),
    ("config.json", ("data", "num_classes"), 0, "data.num_classes is 0, not a whole number from 1"),
    ("config.json", ("steps_per_epoch",), -1, "steps_per_epoch is -1"),
    ("config.json", ("versions", "torch"), {}, "versions.torch is dict, not text"),
    ("genotype.json", ("arch",), "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
     "its arch and its code name different cells"),
    ("genotype.json", ("derivation", "chosen_by"), "luck", "derivation.chosen_by is 'luck'"),
    ("genotype.json", ("derivation", "chosen_by"), "refined", "no cell by what it was chosen by"),
    ("genotype.json", ("edge_weights",), [[0.2] * 5] * 5, "edge_weights has 5 items, not 6"),
    ("genotype.json", ("edge_weights", 2, 3), 1.5, r"edge_weights\[2\]\[3\] is 1.5, not a finite"),
    ("genotype.json", ("proposals", "cells", "../../x"), {}, "a key '../../x', which is none of"),
    ("genotype.json", ("proposals", "cells", "free", "code"), "33333x", "not the six-digit code"),
    ("genotype.json", ("proposals", "prior_datasets"), ["mnist"], "'mnist', not cifar10"),
    ("refine.json", ("sweeps",), [], "sweeps has 0 items, not at least 1"),
    ("refine.json", ("sweeps", 0, "rounds", 0, "losses"), [1.0], "not as many losses and scores"),
    ("refine.json", ("sweeps", 1, "rounds", 1, "number"), 2, "no refine_steps for round 2"),
    ("refine.json", ("proposals", "free"), ["<b>"], "'<b>', not the six-digit code of a cell"),
    ("front.json", ("cells", 0, "place"), "1", r"cells\[0\].place is '1'"),
    ("front.json", ("cells",), [], "cells has 0 items"),
    ("front.json", ("judged_by",), "../cifar10", "judged_by is '../cifar10'"),
    ("front.json", ("found_vs_true", "regret"), {"x": 1.0}, "not by the budgets 200000, "),
    ("front.json", ("compared",), [], "compared has not every menu once"),
    ("front.json", ("compared", 0, "name"), "luck", r"compared\[0\].name is 'luck'"),
    ("finalists.json", ("judged_by",), ["pgd_8", "cifar10"], "not a data set and a column"),
    ("finalists.json", ("cells", 0, "robust"), None, "not an accuracy for each seed"),
    ("finalists.json", ("cells", 0, "clean", 0), 1e308, r"cells\[0\].clean\[0\] is 1e\+308"),
    ("finalists.json", ("images", "num_classes"), 0, "images.num_classes is 0"),
    ("finalists.json", ("seeds",), [], "seeds has 0 items"),
    (EVALUATION, ("results",), [], "results has 0 items, not at least 1"),
    (EVALUATION, ("results", 1, "accuracy"), "high", r"results\[1\].accuracy is 'high'"),
    (EVALUATION, ("results", 2, "version"), None, r"results\[2\].version is None"),
    (EVALUATION, ("code",), "../../../etc", "not the six-digit code of a cell"),
    (EVALUATION, ("training", "data"), [], "training.data is list, not an object"),
    ("metrics.jsonl", ("epoch",), 10**12, "epoch is 1000000000000, not a whole number from 0"),
    ("metrics.jsonl", ("val_clean_acc",), [], "val_clean_acc is list, not a finite number"),
    ("metrics.jsonl", ("warnings",), "collapse", "warnings is 'collapse', not a list"),
    ("metrics.jsonl", ("edge_weights", 0), [0.5], r"edge_weights\[0\] has 1 items, not 5"),
    ("standalone/metrics.jsonl", ("epoch",), "1", "epoch is '1'"),
    ("standalone/metrics.jsonl", ("train_loss",), 1e308, r"train_loss is 1e\+308"),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, invented: Table) -> Path:
    return write_everything(tmp_path_factory.mktemp("whole") / "run", invented)


def read_all(folder: Path, table: Table) -> RunFiles:
    run = RunFiles.read(folder, table)
    assert None not in (run.front(), run.finalists(), run.refinement())
    return run


@pytest.mark.slow
def test_files_as_the_program_writes_them_are_read(whole: Path, invented: Table) -> None:
    run = read_all(whole, invented)
    assert len(run.epochs) == 3 and len(run.evaluations[0].epochs) == 2


@pytest.mark.parametrize(("file", "place", "value", "reason"), CHANGES)
def test_what_does_not_fit_is_named(
    whole: Path, invented: Table, file: str, place: tuple[str | int, ...], value: Any, reason: str
) -> None:
    path = whole / file
    before = path.read_text()
    lines = before.splitlines() if path.suffix == ".jsonl" else [before]
    content = json.loads(lines[0])
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = copy.deepcopy(value)
    path.write_text("\n".join([json.dumps(content), *lines[1:]]) + "\n")
    try:
        with pytest.raises(UserError, match=reason) as caught:
            read_all(whole, invented)
        assert str(path) in str(caught.value)
    finally:
        path.write_text(before)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{}", '{"a": NaN}', "[" * 10_000])
@pytest.mark.parametrize(
    "file",
    ["config.json", "genotype.json", "refine.json", "front.json", "finalists.json", EVALUATION],
)
def test_what_is_no_such_file_is_named(whole: Path, invented: Table, file: str, text: str) -> None:
    path = whole / file
    before = path.read_text()
    path.write_text(text)
    try:
        with pytest.raises(UserError, match="run"):
            read_all(whole, invented)
    finally:
        path.write_text(before)


@pytest.mark.parametrize("seed", ["0/../../elsewhere", "0", None, 1.5, [0]])
def test_names_of_seeds_never_become_paths(tmp_path: Path, seed: Any) -> None:
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps({"runs": [{"seed": seed}]}))
    with pytest.raises(UserError, match=r"runs\[0\]\.seed is .*, not a whole number"):
        records.seeds_of(path)
    path.write_text(json.dumps({"runs": [{"seed": 3}, {"seed": 4}]}))
    assert records.seeds_of(path) == [3, 4]


def test_every_metric_that_is_drawn_has_a_shape() -> None:
    drawn = {
        metric for _, _, _, lines in (*training.PANELS, *standalone.PANELS) for metric, *_ in lines
    }
    assert drawn <= set(record_shapes.SEARCHED) | set(record_shapes.EPOCH)
