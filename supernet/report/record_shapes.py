"""The shapes of what reports and derived commands take from the files of a run."""

from typing import Any

from ops.space import NUM_EDGES, NUM_OPS
from supernet.benchmark.table import COLUMNS, COSTS, DATASETS
from supernet.report.words import BASELINE_NAMES, GUIDE_NAMES, PROPOSAL_NAMES
from supernet.shapes import Each, Items, Like, Maybe, Within

MOST = 10**12
"""Above every count, size and number of seconds that a run has."""
COUNT = Within(int, 0, MOST)
AMOUNT = Within(float, 0, MOST)
POSITIVE = Within(int, 1, 10**9)
SHARE = Within(float, 0, 1)
SEED = Within(int, -MOST, 2**63)
NUMBER = Within(float, -1e100, 1e100)
"""Any number that a figure can be drawn of."""
CODE = Like("[0-4]{6}", "the six-digit code of a cell")
ARCH = Like(r"[\w|~+]{10,150}", "the string of a cell")
DATASET, COLUMN = tuple(DATASETS), tuple(COLUMNS)

BY_COLUMN = dict.fromkeys(DATASETS, dict.fromkeys(COLUMNS, NUMBER))
RANKS = dict.fromkeys(DATASETS, dict.fromkeys(COLUMNS, COUNT))
PLACES = {"results": BY_COLUMN, "ranks": RANKS, "regret": BY_COLUMN}
ENTRY = {**PLACES, "code": CODE, **dict.fromkeys(COSTS, AMOUNT)}
"""What the table said of a cell when the run ended."""
CELL = {"code": CODE, "params": COUNT, "benchmark": ENTRY}
WEIGHTS = Items(Items(SHARE, NUM_OPS, NUM_OPS), NUM_EDGES, NUM_EDGES)
GAINS = Items(Items(NUMBER, NUM_OPS, NUM_OPS), NUM_EDGES, NUM_EDGES)

CONFIG = {
    "dataset": str, "robust": bool, "data_root": Maybe((str, None)), "C": Within(int, 1, 4096),
    "N": Within(int, 1, 1000), "epochs": COUNT, "warmup_epochs": COUNT, "batch_size": COUNT,
    "strategy": str, "attack": str, "attack_steps": COUNT, "path_share": SHARE, "path_kind": str,
    "derive_none": (bool, None), "probe_images": COUNT, "seed": SEED,
    "refine_steps": [COUNT], "refine_attack": str,
}  # fmt: skip
DESCRIPTION = {
    "config": CONFIG,
    "data": {
        "name": str, "source": str, "stand_in": bool, "num_classes": Within(int, 1, 10**6),
        "image_size": Within(int, 1, 10**6), "full_size": Within(int, 1, 10**6),
        "weight_images": COUNT, "alpha_images": COUNT,
    },
    "command": str, "config_hash": str, "device": str, "device_type": str, "eps": AMOUNT,
    "impl": str, "steps_per_epoch": COUNT, "versions": Each(str),
}  # fmt: skip
"""Of a search's config.json."""

GENOTYPE = {
    "arch": ARCH, "code": CODE, "index": (COUNT, None), "params": COUNT, "flops": COUNT,
    "seed": SEED, "seconds": AMOUNT, "objective": str, "alpha_follows": [str],
    "without_graphs": Maybe([str]), "edge_weights": WEIGHTS, "robust": bool, "dataset": str,
    "benchmark": ENTRY, "side": Maybe((POSITIVE, None)), "stand_in": Maybe(bool),
    "baselines": Maybe(([{**PLACES, "key": str, "n": Maybe(POSITIVE)}], None)),
    "derivation": {
        "chosen_by": tuple(GUIDE_NAMES), "cells": Each({"code": CODE}, GUIDE_NAMES),
        "gains": GAINS, "inner_gains": GAINS,
    },
    "proposals": {
        "prior_datasets": Items(DATASET, 1), "prior_used": bool,
        "cells": Each(CELL, PROPOSAL_NAMES),
    },
}  # fmt: skip
"""Of genotype.json."""
BASELINES = tuple(BASELINE_NAMES)

REFINEMENT = {
    "proposals": Each([CODE]),
    "sweeps": Items({
        "start": (CODE, None), "chosen": CODE,
        "rounds": [{"number": COUNT, "cells": Items(CODE, 1), "losses": [NUMBER],
                    "scores": [NUMBER]}],
    }, 1),
    "trainings": COUNT, "cpu_seconds": AMOUNT,
}  # fmt: skip
"""Of refine.json."""

_REACHED = {
    "cells": COUNT, "hypervolume_ratio": NUMBER, "generational_distance": NUMBER,
    "inverted_generational_distance": NUMBER, "regret": Each((NUMBER, None)),
}  # fmt: skip
FRONT = {
    "judged_by": DATASET, "size_metric": tuple(COSTS), "picked_by": ("menu", "prior"),
    "judge_is_in_prior": bool, "per_size": POSITIVE,
    "cells": Items({**CELL, "place": POSITIVE}, 1, 100_000),
    "found_vs_true": _REACHED, "first_choices_vs_true": _REACHED,
    "compared": [{
        "name": ("random", "synflow", "menu", "prior"), "per_size": POSITIVE,
        "hypervolume_ratio": NUMBER, "interval": Maybe(Items(NUMBER, 2, 2)),
        "datasets": Maybe(Items(DATASET, 1)),
    }],
}  # fmt: skip
"""Of front.json."""

FINALISTS = {
    "images": {
        "name": str, "stand_in": bool, "num_classes": Within(int, 1, 10**6), "image_size": COUNT,
        "train_images": COUNT, "held_out_images": COUNT, "held_out_from": ("test", "alpha half"),
    },
    "eps": (AMOUNT, None), "seeds": Items(SEED, 1, 1000), "seconds": AMOUNT,
    "judged_by": Items((*DATASETS, *COLUMNS), 2, 2),
    "recipe": {
        "steps": COUNT, "batch_size": COUNT, "attack": str, "attack_steps": COUNT,
        "pgd_steps": COUNT, "C": COUNT, "N": COUNT,
    },
    "cells": Items({
        **CELL, "names": Items(str, 1), "clean": Items(SHARE, 1),
        "robust": (Items(SHARE, 1), None),
    }, 1, 100_000),
}  # fmt: skip
"""Of finalists.json."""

TRAINING = {
    "epochs": COUNT, "attack": str, "attack_steps": COUNT, "batch_size": COUNT, "seed": SEED,
    "data": {"name": str, "stand_in": bool, "train_images": COUNT},
}  # fmt: skip
"""Of the training of a network, in evaluation.json and model.json."""
STAGE = {
    "attack": str, "attacked": COUNT, "broken": COUNT, "accuracy": SHARE, "seconds": AMOUNT,
}  # fmt: skip
EVALUATION = {
    "code": CODE, "C": POSITIVE, "N": POSITIVE, "weights": Maybe((str, None)), "dataset": str,
    "split": str, "images": COUNT, "stand_in": bool, "precision": str, "device": str,
    "source": str, "training": Maybe((TRAINING, None)),
    "results": Items({
        "name": str, "attack": str, "accuracy": SHARE, "eps": SHARE, "seed": SEED,
        "seconds": AMOUNT, "steps": (COUNT, None), "step_size": Maybe((AMOUNT, None)),
        "images": Maybe(COUNT), "split": Maybe(str), "version": Maybe(str),
        "balanced_accuracy": Maybe(SHARE), "stages": Maybe([STAGE]),
    }, 1, 1000),
}  # fmt: skip
"""Of evaluation.json."""

SEEDS = {"runs": Items({"seed": SEED}, 1, 100_000)}
"""Of seeds.json, what leads to its runs."""

EPOCH = {
    "epoch": Within(int, 0, 10**9),
    **dict.fromkeys(
        ("train_loss", "alpha_clean_loss", "alpha_robust_loss", "conflict_angle_deg"),
        Maybe((NUMBER, None)),
    ),
    **dict.fromkeys(
        ("train_robust_acc", "train_clean_acc", "test_clean_acc", "test_robust_acc",
         "val_clean_acc", "val_robust_acc", "val_train_attack_acc"),
        Maybe((SHARE, None)),
    ),
    "entropy": Maybe((NUMBER, None)), "skip_share": Maybe((SHARE, None)),
    "seconds": Maybe((AMOUNT, None)), "warnings": Maybe([str]),
}  # fmt: skip
"""Of a line of metrics.jsonl of a training."""
SEARCHED: dict[str, Any] = {
    **EPOCH, "entropy": NUMBER, "skip_share": SHARE, "edge_weights": WEIGHTS,
}  # fmt: skip
"""Of a line of metrics.jsonl of a search."""
STEP = {"step": Within(int, 0, MOST)}
"""Of a line of a log that a run goes on with."""
