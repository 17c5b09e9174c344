"""The readers of what a run leaves: its results for reports, ledgers, networks and checkpoints."""

import functools
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from supernet.benchmark.load import shipped_table
from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.nets.derived import DerivedNetwork
from supernet.report import (
    figures,
    finalists,
    front,
    place,
    proposals,
    refinement,
    standalone,
    terminal,
)
from supernet.report import search_sections as sections
from supernet.report.page import charts, markup
from supernet.report.page.path import path_chart
from supernet.report.records import seeds_of
from supernet.report.run_files import RunFiles
from supernet.report.write import _answer, _repeat
from supernet.runs.checkpoint import FORMAT, load_last, save_checkpoint
from supernet.runs.state import load_state
from supernet.train.card import model_card, published, require_facts
from supernet.train.config import TrainConfig
from supernet.train.export import load_model, save_model
from supernet.train.exported import _evaluation as evaluation_of
from supernet.train.side_by_side import read_ledger
from supernet.train.training import Training
from tests.fuzz.reader import Reader

HASH = "0123456789ab"
DRAWING = dict.fromkeys(
    ("draw_cell", "scatter_in_benchmark", "found_front", "heatmap", "alpha_curves",
     "training_curves"),
    lambda *given, **more: None,
)  # fmt: skip
"""Takes seconds, and has tests of its own."""
CELL = Genotype.parse("313021")
SMALL_CELL = Genotype.parse("112101")
"""With one convolution: a checkpoint of few tensors."""


@functools.cache
def whole_run() -> Path:
    """A run directory with everything that a report can show."""
    from tests.supernet.report.page.conftest import set_config, write_everything

    folder = write_everything(Path(tempfile.mkdtemp()) / "run", shipped_table())
    set_config(folder, refine_steps=[50, 100], refine_attack="n_fgsm")
    path = folder / "standalone/evaluation.json"
    evaluation = json.loads(path.read_text())
    for row in evaluation["results"]:
        row |= {"images": 200, "split": "test"}
    path.write_text(json.dumps(evaluation))
    return folder


def _copied(folder: Path) -> None:
    """Everything that lies beside a file; of the proposals two, which are read each time."""
    for path in whole_run().rglob("*.json*"):
        target = folder / path.relative_to(whole_run())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    record = json.loads((folder / "genotype.json").read_text())
    cells = record["proposals"]["cells"]
    record["proposals"]["cells"] = dict(list(cells.items())[:2])
    (folder / "genotype.json").write_text(json.dumps(record))


def _report(section: Callable[[RunFiles], Any]) -> Callable[[Path], None]:
    """Reads the run and writes the sections that show the file."""

    def read(path: Path) -> None:
        folder = path.parent if (path.parent / "config.json").exists() else path.parent.parent
        with mock.patch.multiple(figures, **DRAWING):
            blocks = section(RunFiles.read(folder, shipped_table()))
        if blocks:
            markup.from_markdown("\n\n".join(blocks))

    return read


def _config_sections(run: RunFiles) -> list[str]:
    return [*_answer(run), *_repeat(run), *place.section(run), *refinement.section(run),
            *sections.edge_weights(run), *sections.learning_curves(run)]  # fmt: skip


def _genotype_sections(run: RunFiles) -> list[str]:
    terminal.describe_run(run.folder)
    return [*_answer(run), *proposals.section(run), *sections.derivation(run),
            *sections.edge_weights(run)]  # fmt: skip


def _log_sections(run: RunFiles) -> list[str]:
    charts.curves(run.epochs)
    if run.epochs:
        charts.edge_weights(run.epochs)
    return [*sections.edge_weights(run), *sections.learning_curves(run)]


def _front_sections(run: RunFiles) -> list[str]:
    charts.front(run.front() or {}, run.table)
    return front.section(run)


def _finalist_sections(run: RunFiles) -> list[str]:
    charts.finalists(run.finalists() or {})
    return finalists.section(run)


def _refinement_sections(run: RunFiles) -> list[str]:
    path_chart(run, run.refinement() or {})
    return [*refinement.section(run), *place.section(run)]


def _evaluation_sections(run: RunFiles) -> list[str]:
    evaluation_of(run.folder / "standalone", _published())
    for evaluated in run.evaluations:
        charts.curves(evaluated.epochs, standalone.PANELS)
    return standalone.section(run)


def _of_run(file: str) -> Callable[[], list[bytes]]:
    return lambda: [(whole_run() / file).read_bytes()]


def ledger_line() -> dict[str, Any]:
    """A short training in a ledger."""
    outcome = {"loss": 1.5, "acc": 0.4, "robust_loss": 2.0, "robust_acc": None, "train_loss": 1.75,
               "seconds": 3.5}  # fmt: skip
    return {"cell": "333333", "seed": 1000, "steps": 50, "attack": "n_fgsm", "outcome": outcome}


def _ledger() -> list[bytes]:
    return [(json.dumps(ledger_line()) + "\n").encode() * 3]


@functools.cache
def small_model() -> Path:
    """The folder of a network."""
    facts = {
        "dataset": "folder:p", "image_size": 16, "side": 16, "class_names": ["a", "b"],
        "eps": 0.03, "weights": "last", "epochs": 2, "training": {
            "attack": "pgd", "attack_steps": 7, "batch_size": 8, "lr": 0.1, "weight_decay": 5e-4,
            "seed": 0, "ema_decay": 0.99, "epochs": 2,
            "data": {"name": "folder:p", "source": "x", "stand_in": False, "train_images": 9},
        },
    }  # fmt: skip
    network = DerivedNetwork(SMALL_CELL, C=1, N=1, num_classes=2)
    return save_model(Path(tempfile.mkdtemp()), network, facts).parent


@functools.cache
def _published() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((small_model() / "model.json").read_text())
    return facts


def _read_model(path: Path) -> None:
    _, facts = load_model(path.parent)
    require_facts(facts, path)
    model_card(published(facts), [], index=1, files={}, size="", license=None)


def _beside_model(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes((small_model() / name).read_bytes())


@functools.cache
def _fresh() -> Callable[[], Training]:
    config = TrainConfig(
        dataset="digits", C=1, N=1, epochs=2, batch_size=32, attack="none", ema=True
    )
    data = load_dataset("digits", limit=64)
    return lambda: Training(config, SMALL_CELL, data, torch.device("cpu"))


@functools.cache
def _state() -> dict[str, Any]:
    training = _fresh()()
    training.train_step()
    return training.state_dict()


def _checkpoint() -> list[bytes]:
    path = Path(tempfile.mkdtemp()) / "checkpoint.pt"
    save_checkpoint(path, "training", HASH, {"state": _state(), "seconds": 1.5})
    return [path.read_bytes()]


_UNTOUCHED: list[Training] = []
"""A training that no state was given to, for the next file: making one takes longest."""


def _resume(path: Path) -> None:
    saved = load_last(path.parent, "training", HASH)
    training = _UNTOUCHED.pop() if _UNTOUCHED else _fresh()()
    with mock.patch.object(
        training, "load_state_dict", side_effect=training.load_state_dict
    ) as given:
        try:
            load_state(training, saved["state"], path.parent)
        finally:
            if not given.called:
                _UNTOUCHED.append(training)


def _edited_checkpoint(edit: Callable[[Any], Any]) -> bytes:
    head = {"format": FORMAT, "kind": "training", "config_hash": HASH}
    return _saved(edit({**head, "state": _state(), "seconds": 1.5}))


def _edited_weights(edit: Callable[[Any], Any]) -> bytes:
    return _saved(edit(torch.load(small_model() / "model.pt", weights_only=True)))


def _saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


RUN_READERS = {
    "run's config": Reader(
        _report(_config_sections), "config.json", _of_run("config.json"), _copied, json=True
    ),
    "run's genotype.json": Reader(
        _report(_genotype_sections), "genotype.json", _of_run("genotype.json"), _copied, json=True
    ),
    "run's log": Reader(
        _report(_log_sections), "metrics.jsonl", _of_run("metrics.jsonl"), _copied
    ),
    "refine.json": Reader(
        _report(_refinement_sections), "refine.json", _of_run("refine.json"), _copied, json=True
    ),
    "front.json": Reader(
        _report(_front_sections), "front.json", _of_run("front.json"), _copied, json=True
    ),
    "finalists.json": Reader(
        _report(_finalist_sections), "finalists.json", _of_run("finalists.json"), _copied,
        json=True,
    ),
    "evaluation.json": Reader(
        _report(_evaluation_sections), "standalone/evaluation.json",
        _of_run("standalone/evaluation.json"), _copied, json=True,
    ),
    "network's log": Reader(
        _report(_evaluation_sections), "standalone/metrics.jsonl",
        _of_run("standalone/metrics.jsonl"), _copied,
    ),
    "seeds.json": Reader(
        seeds_of, "seeds.json", lambda: [b'{"runs": [{"seed": 0}, {"seed": 1}]}'], json=True
    ),
    "ledger": Reader(read_ledger, "refine.jsonl", _ledger),
    "model.json": Reader(
        _read_model, "model.json", lambda: [(small_model() / "model.json").read_bytes()],
        _beside_model("model.pt"), json=True,
    ),
    "model.pt": Reader(
        _read_model, "model.pt", lambda: [(small_model() / "model.pt").read_bytes()],
        _beside_model("model.json"), edited=_edited_weights, zipped=True,
    ),
    "checkpoint": Reader(
        _resume, "checkpoint.pt", _checkpoint, edited=_edited_checkpoint, zipped=True
    ),
}  # fmt: skip
