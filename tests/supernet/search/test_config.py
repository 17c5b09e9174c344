"""The config: its checks, presets, hash, and agreement with the registries it names."""

import dataclasses
import json

import pytest

from ops.mixed import IMPLS
from supernet.attacks import ATTACKS
from supernet.errors import UserError
from supernet.flags import field_docs
from supernet.search import config
from supernet.search.config import PRESETS, SearchConfig, differences, from_dict, with_preset


def test_the_names_are_those_of_the_registries() -> None:
    # The config does not import torch, so that --help is instant; this keeps the two in step.
    assert tuple(ATTACKS) == config.ATTACK_NAMES
    assert config.IMPL_NAMES == IMPLS


def test_every_field_is_documented() -> None:
    docs = field_docs(SearchConfig)
    assert set(docs) == {field.name for field in dataclasses.fields(SearchConfig)}
    assert all(text.endswith(".") for text in docs.values())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_flags_win(name: str) -> None:
    settings = with_preset(name, {"robust": True, "epochs": 7, "warmup_epochs": 0}, cuda=False)
    assert settings.epochs == 7
    assert settings.objective_name == ("clean" if name == "cpu" else "weighted")


def test_the_automatic_preset() -> None:
    assert PRESETS["digits"]()["C"] == with_preset(None, {}, cuda=True).C
    assert PRESETS["cpu"]()["N"] == with_preset(None, {"dataset": "cifar10"}, cuda=False).N
    assert PRESETS["gpu"]()["N"] == with_preset(None, {"dataset": "cifar10"}, cuda=True).N
    with pytest.raises(UserError, match="preset 'tpu' is unknown; choose one of digits, cpu"):
        with_preset("tpu", {}, cuda=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "random"}, "strategy 'random' is unknown; choose one of darts"),
        ({"weight_attack": "cw"}, "weight-attack 'cw' is unknown; choose one of fgsm"),
        ({"alpha_attack": "cw"}, "alpha-attack 'cw' is unknown"),
        (
            {"attack_dtype": "float16"},
            "attack-dtype 'float16' is unknown; choose one of float32",
        ),
        ({"objective": "both", "robust": True}, "objective 'both' is unknown"),
        ({"objective": "mgda"}, "objective 'mgda' needs --robust"),
        ({"objective": "pareto"}, "objective 'pareto' needs --robust"),
        ({"objective": "epsilon", "robust": True}, "needs one budget, not 0; give either"),
        (
            {"objective": "epsilon", "robust": True, "max_params": 8e5, "max_flops": 9e7},
            "needs one budget, not 2",
        ),
        ({"robust": True, "max_flops": 9e7}, "max-flops is a budget; it goes with --objective eps"),
        (
            {"objective": "pareto_fixed", "robust": True, "size_weight": 0.1},
            "size is an objective of pareto_fixed itself; leave --size-weight out",
        ),
        (
            {"robust": True, "front_baseline": True},
            "--front-baseline needs a front: --objective pareto or pareto_fixed",
        ),
        ({"front_queries": 0}, "front-queries is 0; it must be at least 1"),
        (
            {"bn_statistics": "none"},
            "bn-statistics 'none' is unknown; choose one of running, batch",
        ),
        ({"epochs": 3, "keep_epochs": (1, 4)}, "keep-epochs is 4; it must be from 1 to 3"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"epochs": 3, "warmup_epochs": 3}, "warmup-epochs is 3; it must be from 0 to epochs - 1"),
        ({"eps": 8.0}, "eps is 8.0; it must be above 0 and at most 1"),
        ({"robust_weight": 1.5}, "robust-weight is 1.5; it must be between 0 and 1"),
        (
            {"path_share": 0.5, "path_kind": "beta"},
            "path-kind 'beta' is unknown; choose one of alp",
        ),
        ({"path_kind": "uniform"}, "path-kind and distill are of steps that train single cells"),
        ({"distill": 1.0}, "train single cells; give --path-share"),
        ({"distill": -1.0, "path_share": 0.5}, "distill is -1.0; it must be 0 or more"),
        ({"alpha_lr": 0.0}, "alpha-lr is 0.0; it must be positive"),
    ],
)
def test_bad_values_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchConfig(**fields)  # type: ignore[arg-type]


def test_the_budget_is_the_one_that_is_given() -> None:
    assert SearchConfig().budget is None
    config = SearchConfig(robust=True, objective="epsilon", max_flops=9e7)
    assert config.budget == ("flops", 9e7)


def test_the_hash_covers_what_matters_and_not_where() -> None:
    one = SearchConfig()
    assert one.hash() == SearchConfig(out="elsewhere", data_root="there", keep_epochs=(1,)).hash()
    assert one.hash() != SearchConfig(seed=1).hash()
    assert differences(one, SearchConfig(out="elsewhere")) == []
    assert differences(one, SearchConfig(seed=1)) == ["seed: 0 -> 1"]


def test_json_round_trip() -> None:
    one = SearchConfig(robust=True, eps=4 / 255, limit=100, keep_epochs=(2, 4))
    assert from_dict(json.loads(json.dumps(one.to_dict()))) == one
    with pytest.raises(UserError, match="unknown fields colour"):
        from_dict({"colour": "red"})
