"""Defaults that depend on each other, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.runs.folder import FORMAT
from supernet.search.config import SearchConfig
from supernet.studies.ranking.config import DEFAULT_PROXIES, RankConfig, located


def write_description(folder: Path, config: dict[str, Any]) -> None:
    description = {
        "format": FORMAT, "kind": "search", "config": config, "config_hash": "0", "command": "x",
        "data": {"name": "x", "source": "x"}, "device": "cpu", "device_type": "cpu", "threads": 1,
        "versions": {}, "impl": "batched",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(description))


def test_scores_and_attack_follow_from_what_is_ranked() -> None:
    assert RankConfig().proxy_names == DEFAULT_PROXIES
    assert RankConfig(supernet="runs/x").proxy_names == ()
    assert RankConfig(supernet="runs/x", proxies=("snip",)).proxy_names == ("snip",)
    assert RankConfig().attack_name == "fgsm" and RankConfig(supernet="x").attack_name == "pgd"
    assert RankConfig(attack="n_fgsm").attack_name == "n_fgsm"


def test_the_benchmark_is_that_of_the_images_or_cifar10() -> None:
    assert RankConfig(dataset="cifar100").benchmark_dataset == "cifar100"
    assert RankConfig(dataset="digits").benchmark_dataset == "cifar10"
    assert RankConfig(dataset="digits", benchmark="cifar100").benchmark_dataset == "cifar100"


def test_a_supernet_brings_its_data_set(tmp_path: Path) -> None:
    write_description(tmp_path, SearchConfig(dataset="cifar100").to_dict())
    config = RankConfig(supernet=str(tmp_path), epoch=4)
    found = located(config)
    assert found.benchmark_dataset == "cifar100"
    assert found.folder == "runs/rank-cifar100-300-epoch4-seed0"
    assert found.fixed() == config.fixed(), "training-free scores keep the images of --dataset"
    named = located(dataclasses.replace(config, benchmark="imagenet16-120", out="there"))
    assert (named.benchmark_dataset, named.folder) == ("imagenet16-120", "there")
    assert located(RankConfig()) == RankConfig()


def test_a_supernet_of_another_version_or_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run directory"):
        located(RankConfig(supernet=str(tmp_path)))
    write_description(tmp_path, {"colour": 1})
    with pytest.raises(UserError, match=r"config\.json was written by another version"):
        located(RankConfig(supernet=str(tmp_path)))


def test_folders() -> None:
    assert RankConfig(out="there").folder == "there"
    assert RankConfig(seed=3).folder == "runs/rank-cifar10-300-seed3"
    assert RankConfig(dataset="folder:a/b", cells=0).folder == "runs/rank-folder-a-b-all-seed0"


def test_fields_that_change_no_score_are_free() -> None:
    one = RankConfig(columns=("clean",), processes=2, bootstrap=5, out="x", data_root="y",
                     ntk_memory=9)  # fmt: skip
    assert one.fixed() == RankConfig().fixed()
    for fields in ({"seed": 1}, {"batch": 8}, {"attack": "pgd"}, {"cells": 10}, {"N": 1},
                   {"ntk_outputs": "trace"}):  # fmt: skip
        assert RankConfig(**fields).fixed() != RankConfig().fixed()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 1}, "--batch is 1; it must be at least 2"),
        ({"eps": 8.0}, r"--eps is 8; it must be from 0 to 1 \(write for example 8/255\)"),
        ({"attack": "cw"}, "--attack 'cw' is unknown; choose one of fgsm"),
        ({"columns": ()}, "--columns is empty"),
        ({"ntk_outputs": "mean"}, "--ntk-outputs 'mean' is unknown; choose one of sum, trace"),
        ({"ntk_sketches": 2}, "estimate the trace; give --ntk-outputs trace"),
        ({"epoch": 2}, "--epoch is one of a search; name it with --supernet"),
    ],
)
def test_bad_fields(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RankConfig(**fields)  # type: ignore[arg-type]


def test_shipped_scores_are_not_scored_anew() -> None:
    for fields in ({"proxies": ("snip",)}, {"supernet": "runs/x"}):
        with pytest.raises(UserError, match="leave --proxies and --supernet out"):
            RankConfig(shipped=True, **fields)
