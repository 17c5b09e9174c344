"""Presets: their checks, the automatic one, and what flags change of them."""

import pytest

from supernet.errors import UserError
from supernet.search.presets import PRESETS, with_preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_needs_no_flag(name: str) -> None:
    assert with_preset(name, {}, cuda=False).epochs == PRESETS[name]().get("epochs", 50)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_flags_win(name: str) -> None:
    settings = with_preset(name, {"robust": True, "epochs": 7, "warmup_epochs": 0}, cuda=False)
    assert settings.epochs == 7
    assert settings.alpha_follows == (("clean",) if name == "cpu" else ("clean", "robust"))


def test_the_automatic_preset() -> None:
    assert PRESETS["digits"]()["C"] == with_preset(None, {}, cuda=True).C
    assert PRESETS["cpu"]()["N"] == with_preset(None, {"dataset": "cifar10"}, cuda=False).N
    assert PRESETS["gpu"]()["N"] == with_preset(None, {"dataset": "cifar10"}, cuda=True).N
    with pytest.raises(UserError, match="--preset 'tpu' is unknown; choose one of digits, cpu"):
        with_preset("tpu", {}, cuda=False)


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (2, 1), (3, 2), (20, 2)])
def test_a_presets_warm_up_leaves_an_epoch_for_alpha(epochs: int, warmup: int) -> None:
    assert with_preset("digits", {"epochs": epochs}, cuda=False).warmup_epochs == warmup


def test_a_warm_up_that_was_asked_for_is_not_shortened() -> None:
    with pytest.raises(UserError, match="--warmup-epochs is 2; it must be below --epochs 2"):
        with_preset("digits", {"epochs": 2, "warmup_epochs": 2}, cuda=False)


def test_a_search_without_a_supernet_keeps_its_preset() -> None:
    given = {"epochs": 0, "proposals": ("free",), "prior": ("none",)}
    assert with_preset("digits", given, cuda=False).warmup_epochs == 2


def test_within_a_budget_a_supernet_is_trained_where_it_can_change_something() -> None:
    def epochs(**given: object) -> int:
        return with_preset("cpu", {"robust": True, **given}, cuda=False).epochs

    assert epochs(max_params=800_000) == epochs(max_flops=1e8) == 0
    assert epochs(max_params=800_000, epochs=3) == 3
    assert epochs(max_params=800_000, keep_epochs=(2,)) == 4
    assert epochs(max_params=800_000, proposals=("supernet", "free")) == epochs() == 4
    # The darts preset proposes the supernet's cell itself.
    assert with_preset("darts", {"max_params": 8e5}, cuda=False).epochs == 50
