"""The config: its checks, presets, hash, and agreement with the registries it names."""

import dataclasses
import json
from typing import Any

import pytest

from ops.mixed import IMPLS
from supernet.attacks import ATTACKS
from supernet.errors import UserError
from supernet.flags import field_docs
from supernet.search import config
from supernet.search.config import SearchConfig
from supernet.settings import ATTACK_NAMES, from_saved


def test_the_names_are_those_of_the_registries() -> None:
    # The config does not import torch, so that --help is instant; this keeps the two in step.
    assert tuple(ATTACKS) == ATTACK_NAMES
    assert config.IMPL_NAMES == IMPLS


def test_every_field_is_documented() -> None:
    docs = field_docs(SearchConfig)
    assert set(docs) == {field.name for field in dataclasses.fields(SearchConfig)}
    assert all(text.endswith(".") for text in docs.values())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "random"}, "--strategy 'random' is unknown; choose one of darts"),
        ({"attack": "cw"}, "--attack 'cw' is unknown; choose one of fgsm"),
        ({"objective": "mgda"}, "--objective mgda weighs two losses; it needs --robust"),
        ({"epochs": 3, "keep_epochs": (1, 4)}, "--keep-epochs is 4; it must be at most --epochs 3"),
        ({"epochs": 3, "warmup_epochs": 3}, "--warmup-epochs is 3; it must be below --epochs 3"),
        ({"eps": 8.0}, r"--eps is 8; it must be above 0 and at most 1 .write for example 8/255"),
        ({"max_params": 0.0}, r"--max-params is 0; it must be above 0 .write for example 0\.8M"),
        ({"path_kind": "sandwich"}, "--path-kind needs --path-share above 0"),
        ({"prior": ("none", "cifar10")}, "--prior is 'none,cifar10'; none and tables stand alone"),
        ({"prior": ("cifar10", "cifar10")}, "--prior is 'cifar10,cifar10'; name one or more data"),
        ({"prior": ()}, "--prior is ''; name one or more data sets, each once, or write none"),
        ({"prior": ("svhn",)}, "--prior 'svhn' is unknown; choose one of none, tables, cifar10"),
        ({"dataset": "cifar100", "prior": ("cifar10", "cifar100")}, "on cifar100 itself, whose"),
        ({"alpha_lr": 0.0}, "--alpha-lr is 0; it must be above 0"),
    ],
)
def test_bad_values_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchConfig(**fields)  # type: ignore[arg-type]


def test_budgets_go_with_every_search() -> None:
    assert SearchConfig().budgets == {}
    assert SearchConfig(max_flops=9e7).budgets == {"flops": 9e7}
    both = SearchConfig(robust=True, max_params=8e5, max_flops=9e7)
    assert both.budgets == {"params": 8e5, "flops": 9e7}


@pytest.mark.parametrize(
    ("fields", "follows"),
    [
        ({"robust": False}, ("clean",)),
        ({"robust": False, "robust_weight": 1.0}, ("clean",)),
        ({"robust": True}, ("clean", "robust")),
        ({"robust": True, "robust_weight": 0.0}, ("clean",)),
        ({"robust": True, "robust_weight": 1.0}, ("robust",)),
        ({"robust": True, "robust_weight": 1.0, "objective": "mgda"}, ("clean", "robust")),
    ],
)
def test_what_alpha_follows(fields: dict[str, object], follows: tuple[str, ...]) -> None:
    assert SearchConfig(**fields).alpha_follows == follows  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dataset", "prior", "datasets"),
    [
        ("cifar100", None, ()),
        ("cifar100", ("none",), ()),
        ("cifar100", ("tables",), ("cifar10", "imagenet16-120")),
        ("cifar100", ("imagenet16-120",), ("imagenet16-120",)),
        ("digits", None, ("cifar10", "cifar100", "imagenet16-120")),
        ("folder:p", ("none",), ()),
        ("pack:p", ("cifar10", "cifar100"), ("cifar10", "cifar100")),
    ],
)
def test_a_prior_never_holds_the_answer(
    dataset: str, prior: tuple[str, ...] | None, datasets: tuple[str, ...]
) -> None:
    assert SearchConfig(dataset=dataset, prior=prior).prior_datasets == datasets


def test_the_hash_covers_what_matters_and_not_where() -> None:
    one = SearchConfig()
    assert one.hash() == SearchConfig(out="elsewhere", data_root="there", keep_epochs=(1,)).hash()
    assert one.hash() != SearchConfig(seed=1).hash()


def test_json_round_trip() -> None:
    one = SearchConfig(robust=True, eps=4 / 255, limit=100, keep_epochs=(2, 4), prior=("cifar10",))
    saved = json.loads(json.dumps(one.to_dict()))
    assert from_saved(SearchConfig, saved, "config.json") == one
    with pytest.raises(UserError, match=r"another version .unknown fields colour"):
        from_saved(SearchConfig, {**saved, "colour": "red"}, "config.json")


def test_the_hash_leaves_out_where_pictures_lie() -> None:
    hashes = [SearchConfig(dataset=name).hash() for name in ("folder:a", "folder:/b", "pack:a")]
    assert hashes[0] == hashes[1] != hashes[2]
    assert SearchConfig(dataset="cifar10").hash() != SearchConfig(dataset="cifar100").hash()


def test_within_a_budget_trainings_decide_between_cells_that_are_named() -> None:
    free, small = SearchConfig(), SearchConfig(max_params=4e5)
    assert free.refines and free.moves == 2 and free.proposed_by == ("supernet", "free", "prior")
    assert not small.refines and small.moves == 0 and small.proposed_by == ("prior",)
    assert SearchConfig(max_flops=5e7, prior=("none",)).proposed_by == ("free",)
    named = SearchConfig(max_params=4e5, proposals=("free", "prior"))
    assert named.refines and named.moves == 2 and named.proposed_by == ("free", "prior")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"proposals": ()}, "--proposals is empty; leave it out"),
        ({"proposals": ("luck",)}, r"--proposals has 'luck'; choose .*free.*six-digit codes"),
        ({"proposals": ("free", "33313")}, "--proposals has '33313'"),
        ({"proposals": ("333135",)}, "--proposals has '333135'"),
        ({"proposals": ("supernet",), "epochs": 0}, "supernet needs one; give --epochs above 0"),
        ({"proposals": ("prior",), "prior": ("none",)}, "prior needs one; give --prior tables"),
    ],
)
def test_proposals_that_nothing_can_make_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchConfig(**fields)
    assert SearchConfig(proposals=("free", "333133")).proposed_by == ("free", "333133")
