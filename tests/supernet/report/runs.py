"""An invented finished search: a run directory with known numbers."""

import json
from pathlib import Path
from typing import Any

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype

FOUND, ARGMAX, OTHER = (Genotype.parse(code) for code in ("333133", "333333", "323133"))

CONFIG: dict[str, Any] = {
    "dataset": "cifar10", "data_root": None, "robust": True, "C": 16, "N": 1,
    "strategy": "darts", "epochs": 3, "warmup_epochs": 1, "batch_size": 10,
    "path_share": 0.0, "path_kind": "alpha", "derive_none": False,
    "attack": "n_fgsm", "attack_steps": 7, "probe_images": 512, "seed": 4,
    "refine_steps": [50, 100], "refine_attack": "none",
}  # fmt: skip


def write_run(folder: Path, table: Table, **changes: Any) -> Path:
    """The run directory; `changes` overwrite fields of the config or of its data facts."""
    config = {key: changes.get(key, value) for key, value in CONFIG.items()}
    data = {
        "name": config["dataset"], "source": "the first 1,000 images of a file", "stand_in": False,
        "num_classes": 10, "image_size": 32, "full_size": 32, "train_images": 1000,
        "weight_images": 500, "alpha_images": 500,
    }  # fmt: skip
    data = {key: changes.get(key, value) for key, value in data.items()}
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", {
        "format": 3, "kind": "search",
        "config": config, "config_hash": "0123456789ab", "command": "python scripts/search.py X",
        "eps": 8 / 255,
        "impl": "batched", "steps_per_epoch": 50, "data": data, "device": "a test",
        "device_type": "cpu", "threads": 1, "versions": {"torch": "9.9"},
    })  # fmt: skip
    _write(folder / "genotype.json", _genotype(config, table))
    lines = [json.dumps(_epoch(epoch)) for epoch in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def _genotype(config: dict[str, Any], table: Table) -> dict[str, Any]:
    def cell(genotype: Genotype) -> dict[str, Any]:
        entry = query_cell(table, genotype)
        return {
            "arch": genotype.arch, "code": genotype.code, "index": entry["index"],
            "unique_index": entry["unique_index"], "params": genotype.params(),
            "flops": genotype.flops(), "benchmark": entry,
        }  # fmt: skip

    return {
        **cell(FOUND), "baselines": None, "robust": config["robust"], "dataset": config["dataset"],
        "objective": "weighted",
        "alpha_follows": ["clean", "robust"] if config["robust"] else ["clean"],
        "seed": config["seed"], "edge_weights": _epoch(3)["edge_weights"], "seconds": 95.0,
        "derivation": {
            "chosen_by": "gains",
            "cells": {"alpha": cell(ARGMAX), "gains": cell(FOUND), "inner_gains": cell(OTHER)},
            "gains": [[-0.004, -0.001, 0.0, 0.012, -0.007]] * 6,
            "inner_gains": [[-0.003, -0.001, 0.0, 0.005, -0.001]] * 6,
        },
        "proposals": {
            "prior_datasets": ["cifar100", "imagenet16-120"], "prior_used": False,
            "cells": {"gains": cell(FOUND), "free": cell(ARGMAX), "prior": cell(OTHER),
                      "both": cell(OTHER)},
        },
    }  # fmt: skip


def _epoch(epoch: int) -> dict[str, Any]:
    row = [0.1, 0.2 + epoch / 100, 0.2, 0.3 - epoch / 100, 0.2]
    return {
        "epoch": epoch, "step": 50 * epoch, "train_loss": 2 / epoch, "val_clean_acc": 0.2 * epoch,
        "val_robust_acc": 0.1 * epoch, "val_train_attack_acc": 0.15 * epoch, "entropy": 0.9,
        "skip_share": 0.5, "edge_weights": [row] * 6,
        "warnings": ["3 of 6 edges are skips: the search may be collapsing"] if epoch > 1 else [],
    }  # fmt: skip


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
