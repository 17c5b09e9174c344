"""Defaults that depend on each other, and what is refused."""

from pathlib import Path

import pytest

from supernet.errors import UserError
from supernet.studies.ranking.config import DEFAULT_PROXIES, RankConfig


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
    (tmp_path / "config.json").write_text('{"config": {"dataset": "cifar100"}}')
    config = RankConfig(supernet=str(tmp_path), epoch=4)
    assert config.benchmark_dataset == "cifar100"
    assert config.folder == "runs/rank-cifar100-300-epoch4-seed0"
    assert RankConfig(supernet=str(tmp_path / "none")).benchmark_dataset == "cifar10"


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
        ({"cells": -1}, "--cells must be at least 0, not -1"),
        ({"top_cells": -1}, "--top-cells must be at least 0"),
        ({"batch": 1}, "--batch must be at least 2, not 1"),
        ({"processes": 0}, "--processes must be at least 1"),
        ({"beta": 1.5}, "--beta must lie between 0 and 1"),
        ({"eps": 8.0}, "--eps is in the pixel range"),
        ({"attack": "cw"}, "unknown attack 'cw'; choose one of fgsm"),
        ({"columns": ()}, "--columns is empty"),
        ({"ntk_memory": 0}, "--ntk-memory must be at least 1"),
        ({"ntk_outputs": "mean"}, "--ntk-outputs 'mean' is unknown; choose sum or trace"),
        ({"ntk_sketches": 2}, "estimate the trace; give --ntk-outputs trace"),
        ({"epoch": 2}, "--epoch is one of a search; name it with --supernet"),
    ],
)
def test_bad_fields(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RankConfig(**fields)  # type: ignore[arg-type]
