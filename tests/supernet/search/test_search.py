"""The search's steps: exact resumption, disjoint images, and what each option changes."""

import dataclasses
import io

import pytest
import torch
from torch import Tensor

from ops.space import SKIP
from supernet.data import ImageData
from supernet.errors import UserError
from supernet.nets.folded import FoldedNetwork
from supernet.runs.search_run import derivation_of, measurement_of
from supernet.search.config import ATTACK_DTYPES, STRATEGY_NAMES, SearchConfig
from supernet.search.measure import overfits_catastrophically, warnings
from supernet.search.search import Search

TINY = SearchConfig(
    robust=True, C=2, N=1, epochs=2, batch_size=8, attack="n_fgsm", alpha_lr=0.01,
    beta_decay=1.0, probe_images=16,
)  # fmt: skip


def tiny_data(images: int = 64) -> ImageData:
    generator = torch.Generator().manual_seed(7)
    y = torch.arange(images) % 2
    x = torch.randint(0, 128, (images, 3, 8, 8), generator=generator)
    # Class 1 is brighter in its left half: there is something to learn.
    x[:, :, :, :4] += 120 * y[:, None, None, None]
    return ImageData(
        name="tiny", train_x=x.to(torch.uint8), train_y=y, test_x=x[:0].to(torch.uint8),
        test_y=y[:0], class_names=("dark", "bright"), mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2),
        source="made for this test", stand_in=False, pad=1, flip=False, eps=8 / 255,
    )  # fmt: skip


def make_search(images: int = 64, **fields: object) -> Search:
    config = dataclasses.replace(TINY, **fields)  # type: ignore[arg-type]
    return Search(config, tiny_data(images), torch.device("cpu"))


def snapshot(search: Search) -> dict[str, Tensor]:
    state = {**search.net.state_dict(), **search.strategy.state_dict()}
    return {name: value.clone() for name, value in state.items()}


def test_the_seed_decides() -> None:
    one, same, other = (make_search(seed=seed) for seed in (1, 1, 2))
    for search in (one, same, other):
        search.train_step()
    assert torch.equal(one.strategy.alpha, same.strategy.alpha)
    assert not torch.equal(one.strategy.alpha, other.strategy.alpha)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError, match="20 training images make halves of 10, fewer than one"):
        make_search(images=20, batch_size=16)


def test_the_sign_of_catastrophic_overfitting() -> None:
    assert overfits_catastrophically(0.6, 0.02, 0.1)
    assert not overfits_catastrophically(0.4, 0.35, 0.1)
    # An untrained network is at chance under any attack: no sign of anything.
    assert not overfits_catastrophically(0.12, 0.01, 0.1)


COVERING = (
    ("darts", {}, (1, 4, 5)),
    ("darts", {"path_kind": "sandwich"}, (3,)),
    ("darts", {"robust": False}, (5,)),
    ("darts2", {"objective": "mgda"}, (1,)),
    ("drnas", {"objective": "mgda"}, (5,)),
    ("gdas", {"robust_weight": 1.0}, (4,)),
)
"""(strategy, fields, stops): every strategy, both objectives, both kinds of path, a clean search.
Four steps are an epoch: the stops lie inside the first, at its end, and inside the second."""


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "fields", "stops"), COVERING)
def test_a_restored_search_goes_on_bit_for_bit(
    strategy: str, fields: dict[str, object], stops: tuple[int, ...]
) -> None:
    fields = {"strategy": strategy, "path_share": 0.3, **fields}
    # One after the other: strategies with noise draw from the process's default generator.
    whole, saved = make_search(**fields), {}
    for step in range(8):
        if step in stops:
            stream = io.BytesIO()
            torch.save(whole.state_dict(), stream)
            saved[step] = stream
        whole.train_step()
    expected, measured, means = snapshot(whole), measurement_of(whole), whole.epoch_means()
    for stop, stream in saved.items():
        torch.rand(100)  # another process has other random numbers behind it
        restored = make_search(**fields)
        stream.seek(0)
        restored.load_state_dict(torch.load(stream, weights_only=True))
        for _ in range(8 - stop):
            restored.train_step()
        found = snapshot(restored)
        assert all(torch.equal(value, found[name]) for name, value in expected.items())
        assert measurement_of(restored) == measured
        assert restored.epoch_means() == means


@pytest.mark.slow
def test_measuring_changes_nothing() -> None:
    one, two = make_search(), make_search()
    for _ in range(3):
        one.train_step()
        measurement_of(one)
        derivation_of(one)
        two.train_step()
    assert torch.equal(one.strategy.alpha, two.strategy.alpha)
    assert all(torch.equal(v, snapshot(two)[name]) for name, v in snapshot(one).items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "objective", "weight"),
    [
        *((strategy, "weighted", 0.5) for strategy in STRATEGY_NAMES),
        *((strategy, "mgda", 0.5) for strategy in STRATEGY_NAMES),
        ("darts", "weighted", 0.0), ("darts2", "weighted", 1.0), ("gdas", "weighted", 0.0),
    ],
)  # fmt: skip
def test_strategies_run_with_objectives(strategy: str, objective: str, weight: float) -> None:
    search = make_search(strategy=strategy, objective=objective, robust_weight=weight, epochs=1)
    before = search.strategy.alpha.detach().clone()
    for _ in range(2):
        search.train_step()
    alpha = search.strategy.alpha
    assert alpha.isfinite().all() and not torch.equal(alpha, before)
    means = search.epoch_means()
    terms = search.config.alpha_follows
    assert {name for name in means if name.startswith("alpha_")} == {
        f"alpha_{term}_loss" for term in terms
    }
    assert ("conflict_angle_deg" in means) == (len(terms) == 2)
    assert 0 <= measurement_of(search)["val_robust_acc"] <= 1


def test_warming_up_leaves_alpha_alone_and_attacks_nothing() -> None:
    search = make_search(warmup_epochs=1)
    search.attack = lambda *a: pytest.fail("attacked while warming up")
    before = snapshot(search)
    for _ in range(search.steps_per_epoch):
        assert search.warming_up
        search.train_step()
    assert not search.warming_up
    assert torch.equal(search.strategy.alpha, before["alpha"])
    assert not torch.equal(search.net.classifier.weight, before["classifier.weight"])


def test_a_clean_search_attacks_nothing() -> None:
    search = make_search(robust=False)
    assert search.attack is None is search.probe
    assert search.attack_dtype is None
    search.train_step()
    record = measurement_of(search)
    assert "val_clean_acc" in record and "val_robust_acc" not in record


def test_the_attack_is_the_configured_one() -> None:
    attack = make_search(attack="pgd", attack_steps=5, eps=0.25).attack
    assert attack.func.__name__ == "pgd"  # type: ignore[union-attr]
    assert attack.keywords["steps"] == 5 and attack.keywords["eps"] == 0.25  # type: ignore[union-attr]
    assert make_search(attack="fgsm").attack.keywords["steps"] == 1  # type: ignore[union-attr]
    assert make_search().eps == 8 / 255


@pytest.mark.parametrize("dtype", ATTACK_DTYPES)
def test_attacks_run_in_the_configured_arithmetic_and_the_rest_does_not(dtype: str) -> None:
    search = make_search(attack_dtype=dtype, attack="pgd", attack_steps=2, eps=0.1, path_share=0.5)
    x, y = search.images.held_out(16)
    inner, seen = search.attack, []

    def attack(model: FoldedNetwork, x: Tensor, y: Tensor, drawn: Tensor) -> Tensor:
        seen.append(model.stem.weight.dtype)
        assert inner is not None
        return inner(model, x, y, drawn=drawn)

    search.attack = attack
    made = search.make_attack()
    assert made is not None
    w_EO = search.strategy.expected_weights()
    cell = search.net.fold_cell((3, 2, 3, 1, 3, 4), x=x)
    for model in (search.net.fold_mixture(w_EO), cell):
        x_adv = made(model, x, y, made.draw(x))
        assert x_adv.dtype == torch.float32 and 0.05 < (x_adv - x).abs().max() <= 0.1 + 1e-6
    search.train_step()
    assert len(seen) == 4 and set(seen) == {getattr(torch, str(search.attack_dtype))}
    assert dtype in ("auto", search.attack_dtype)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in search.net.parameters())


def test_no_cell_of_a_search_exceeds_its_budget() -> None:
    search = make_search(max_params=400_000.0)
    search.train_step()
    cells = derivation_of(search).cells.values()
    assert all(cell.params(2) <= 400_000 for cell in cells)
    with pytest.raises(UserError, match=r"no cell has params of 70,000 or less; the smallest has"):
        make_search(max_params=70_000.0)
    with pytest.raises(UserError, match="--proposals 333333 may not be the answer: it is too"):
        make_search(max_params=400_000.0, proposals=("333333",))


def test_a_search_warns_of_skips_that_lead() -> None:
    search = make_search()
    with torch.no_grad():
        search.strategy.alpha[:, SKIP] += 5
    record = measurement_of(search)
    found = warnings(record, attack="n_fgsm", num_classes=2, none=False)
    assert len(found) == 1 and "6 of 6 edges are skips" in found[0]
