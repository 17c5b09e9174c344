"""The search's steps: exact resumption, disjoint images, and what each option changes."""

import dataclasses
import io
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from ops.candidates import kept_statistics
from ops.space import SKIP
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.data import ImageData
from supernet.errors import UserError
from supernet.nets.folded import FoldedNetwork
from supernet.search.config import (
    ATTACK_DTYPES,
    FRONT_OBJECTIVES,
    OBJECTIVE_NAMES,
    STRATEGY_NAMES,
    SearchConfig,
)
from supernet.search.measure import derive_cells, measure, overfits_catastrophically, warnings
from supernet.search.objectives import cost_share, expected_cost
from supernet.search.preference import features
from supernet.search.search import Search
from supernet.search.strategies.regularisers import decay_step

TINY = SearchConfig(
    robust=True, C=2, N=1, epochs=2, batch_size=8, weight_attack="n_fgsm", alpha_lr=0.01,
    beta_decay=1.0, probe_steps=2, probe_images=16, derive_candidates=3, derive_images=16,
    derive_score=True,
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
    if search.preferences is not None:
        state |= search.preferences.state_dict()
    return {name: value.clone() for name, value in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 4, 5])
@pytest.mark.parametrize(
    ("strategy", "objective"),
    [
        *((name, "weighted") for name in STRATEGY_NAMES),
        ("darts", "pareto"),
        ("gdas", "pareto"),
        ("darts", "pareto_fixed"),
    ],
)
def test_a_restored_search_goes_on_bit_for_bit(stop: int, strategy: str, objective: str) -> None:
    # Four steps are an epoch: the stops lie inside the first, at its end, and inside the second.
    # One after the other: strategies with noise draw from the process's default generator.
    fields = {"strategy": strategy, "objective": objective, "path_share": 0.3}
    whole = make_search(**fields)
    for _ in range(8):
        whole.train_step()
    whole_means = whole.epoch_means()
    part = make_search(**fields)
    for _ in range(stop):
        part.train_step()
    stream = io.BytesIO()
    torch.save(part.state_dict(), stream)
    stream.seek(0)
    torch.rand(100)  # another process has other random numbers behind it
    restored = make_search(**fields)
    restored.load_state_dict(torch.load(stream, weights_only=True))
    for _ in range(8 - stop):
        restored.train_step()
    assert torch.equal(whole.strategy.alpha, restored.strategy.alpha)
    expected, found = snapshot(whole), snapshot(restored)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert measure(whole) == measure(restored)
    assert whole_means == restored.epoch_means()


@pytest.mark.slow
def test_measuring_changes_nothing() -> None:
    one, two = make_search(), make_search()
    for _ in range(3):
        one.train_step()
        measure(one)
        derive_cells(one)
        two.train_step()
    assert torch.equal(one.strategy.alpha, two.strategy.alpha)
    assert all(torch.equal(v, snapshot(two)[name]) for name, v in snapshot(one).items())


def test_the_seed_decides() -> None:
    one, same, other = (make_search(seed=seed) for seed in (1, 1, 2))
    for search in (one, same, other):
        search.train_step()
    assert torch.equal(one.strategy.alpha, same.strategy.alpha)
    assert not torch.equal(one.strategy.alpha, other.strategy.alpha)


def test_weights_and_alpha_see_disjoint_images() -> None:
    search = make_search(images=50)
    weights, alpha = set(search.weight_half.tolist()), set(search.alpha_half.tolist())
    assert not weights & alpha
    assert weights | alpha == set(range(50))
    x, _ = search.held_out(10)
    held_out = {tuple(image.flatten().tolist()) for image in x}
    trained = {tuple((search.data.train_x[i].float() / 255).flatten().tolist()) for i in weights}
    assert not held_out & trained


def test_warming_up_leaves_alpha_alone_and_attacks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = make_search(warmup_epochs=1)
    monkeypatch.setattr(search, "_attacked", lambda *a: pytest.fail("attacked while warming up"))
    before = snapshot(search)
    for _ in range(search.steps_per_epoch):
        assert search.warming_up
        search.train_step()
    assert not search.warming_up
    assert torch.equal(search.strategy.alpha, before["alpha"])
    assert not torch.equal(search.net.classifier.weight, before["classifier.weight"])


def test_alpha_moves_no_running_statistics() -> None:
    search = make_search()
    search.net.train()
    before = {n: b.clone() for n, b in search.net.named_buffers()}
    batch = search._images(next(search.alpha_batches))
    search._alpha_step(batch, batch)
    assert all(torch.equal(b, before[n]) for n, b in search.net.named_buffers())
    assert all(p.grad is None for p in search.net.parameters())


def test_a_single_cell_moves_no_running_statistics() -> None:
    search = make_search(path_share=1.0)
    search.net.train()
    before = snapshot(search)
    search._weight_step(*search._images(next(search.weight_batches)))
    for name, buffer in search.net.named_buffers():
        assert torch.equal(buffer, before[name]), name
    assert not torch.equal(search.net.classifier.weight, before["classifier.weight"])


@pytest.mark.parametrize("allow_none", [False, True])
def test_uniform_paths_are_connected_cells_drawn_evenly(allow_none: bool) -> None:
    search = make_search(path_share=1.0, path_kind="uniform", derive_none=allow_none)
    with torch.no_grad():
        search.strategy.alpha[:, SKIP] += 9  # of which the draw knows nothing
    drawn = [search._trained_weights() for _ in range(3000)]
    assert all(len(paths) == 1 for paths in drawn)
    cells = [Genotype(paths[0]) for paths in drawn if isinstance(paths[0], tuple)]
    assert len(cells) == 3000 and all(cell.is_connected for cell in cells)
    everything = [c for c in all_genotypes() if c.is_connected and (allow_none or 0 not in c.ops)]
    for edge in range(6):
        for op in range(5):
            share = sum(c.ops[edge] == op for c in everything) / len(everything)
            found = sum(c.ops[edge] == op for c in cells) / 3000
            assert abs(found - share) < 0.035, (edge, op)  # over four standard deviations


PLAIN = {
    "path_share": 1.0, "weight_attack": "fgsm", "momentum": 0.0, "weight_decay": 0.0,
    "grad_clip": 1e9, "lr": 0.5,
}  # fmt: skip
"""A weight step that is nothing but - lr * gradient, under an attack that draws nothing."""


def expected_step(search: Search, x: Tensor, y: Tensor, distill: float = 0.0) -> list[Tensor]:
    """The weights after a step on the mean loss of what `_trained_weights` says, written out."""
    parameters, trained = list(search.net.parameters()), search._trained_weights()
    sums = [torch.zeros_like(p) for p in parameters]
    mixture = search.strategy.expected_weights()
    for w_EO in trained:
        x_adv = search._attacked(search.weight_attack, x, y, w_EO)
        with kept_statistics(search.net) if isinstance(w_EO, tuple) else nullcontext():
            logits = search.net(x_adv, w_EO)
            loss = -logits.log_softmax(1)[torch.arange(len(y)), y].mean()
            if isinstance(w_EO, tuple) and distill > 0:
                p, q = search.net(x_adv, mixture).softmax(1).detach(), logits.softmax(1)
                loss = loss + distill * (p * (p / q).log()).sum(1).mean()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for total, gradient in zip(sums, gradients, strict=True):
            total += 0 if gradient is None else gradient / len(trained)
    return [p.detach() - 0.5 * total for p, total in zip(parameters, sums, strict=True)]


def one_step(search: Search) -> tuple[Tensor, Tensor]:
    search.net.train()
    return search._images(next(search.weight_batches))


def test_a_sandwich_trains_mixture_random_and_argmax_cell_alike() -> None:
    search, other = (make_search(**PLAIN, path_kind="sandwich") for _ in range(2))
    for each in (search, other):
        with torch.no_grad():
            each.strategy.alpha[:, 2] += 1
    trained = other._trained_weights()
    assert [isinstance(w_EO, tuple) for w_EO in trained] == [False, True, True]
    assert torch.equal(torch.as_tensor(trained[0]), other.strategy.expected_weights())
    assert trained[2] == (2,) * 6 != trained[1]
    other = make_search(**PLAIN, path_kind="sandwich")
    with torch.no_grad():
        other.strategy.alpha[:, 2] += 1
    expected = expected_step(other, *one_step(other))
    search._weight_step(*one_step(search))
    for found, wanted in zip(search.net.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=1e-4, atol=1e-6)
    # The running statistics moved once, by the mixture.
    for (name, found), wanted in zip(search.net.named_buffers(), other.net.buffers(), strict=True):
        torch.testing.assert_close(found, wanted, msg=name)


@pytest.mark.parametrize("kind", ["uniform", "sandwich"])
def test_distillation_adds_the_divergence_from_the_mixture(kind: str) -> None:
    weight = 3.0
    search, other, without = (
        make_search(**PLAIN, path_kind=kind, distill=d) for d in (weight, weight, 0.0)
    )
    expected = expected_step(other, *one_step(other), distill=weight)
    plain = expected_step(without, *one_step(without))
    search._weight_step(*one_step(search))
    far = 0.0
    for found, wanted, bare in zip(search.net.parameters(), expected, plain, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=1e-4, atol=1e-6)
        far = max(far, (wanted - bare).abs().max().item())
    assert far > 1e-3, "distillation must have changed the step"


@pytest.mark.slow
@pytest.mark.parametrize("robust", [True, False])
def test_sandwich_and_distillation_resume_bit_for_bit(robust: bool) -> None:
    fields = {"path_share": 0.5, "path_kind": "sandwich", "distill": 1.0, "robust": robust}
    whole, part, restored = (make_search(**fields) for _ in range(3))
    for _ in range(8):
        whole.train_step()
    for _ in range(3):
        part.train_step()
    restored.load_state_dict(part.state_dict())
    for _ in range(5):
        restored.train_step()
    found = snapshot(restored)
    assert all(torch.equal(value, found[name]) for name, value in snapshot(whole).items())


@pytest.mark.parametrize(("epoch", "expected"), [(1, 0), (2, 1)])
def test_no_warning_speaks_of_the_warm_up(epoch: int, expected: int) -> None:
    search = make_search(warmup_epochs=1)
    with torch.no_grad():
        search.strategy.alpha[:, SKIP] += 5
    record = {"epoch": epoch, "val_train_attack_acc": 0.9, "val_robust_acc": 0.9}
    assert len(warnings(search, record)) == expected


def test_the_two_attacks_are_the_configured_ones() -> None:
    search = make_search(weight_attack="fgsm", alpha_attack="pgd", attack_steps=5, eps=0.25)
    assert search.weight_attack.func.__name__ == "fgsm"  # type: ignore[attr-defined]
    assert search.alpha_attack.func.__name__ == "pgd"  # type: ignore[attr-defined]
    assert search.alpha_attack.keywords["steps"] == 5  # type: ignore[attr-defined]
    assert search.alpha_attack.keywords["eps"] == 0.25  # type: ignore[attr-defined]
    assert make_search().eps == 8 / 255


@pytest.mark.parametrize("dtype", ATTACK_DTYPES)
def test_attacks_run_in_the_configured_arithmetic_and_the_rest_does_not(dtype: str) -> None:
    search = make_search(attack_dtype=dtype, weight_attack="pgd", attack_steps=2, eps=0.1)
    x, y = search.held_out(16)
    seen: list[torch.dtype] = []

    def attack(model: FoldedNetwork, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(model.stem.weight.dtype)
        return search.weight_attack(model, x, y)

    for w_EO in (search.strategy.expected_weights().detach(), (3, 2, 3, 1, 3, 4)):
        x_adv = search._attacked(attack, x, y, w_EO)
        assert x_adv.dtype == torch.float32 and 0.05 < (x_adv - x).abs().max() <= 0.1 + 1e-6
    assert seen == 2 * [getattr(torch, dtype)]
    search.train_step()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in search.net.parameters())


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_the_attack_raises_the_loss_that_is_trained(statistics: str) -> None:
    search = make_search(bn_statistics=statistics, eps=0.2, alpha_attack="pgd")
    for _ in range(8):
        search.train_step()
    x, y = search.held_out(32)
    w_EO = search.strategy.expected_weights()
    model = search.net.fold(w_EO, statistics=statistics, x=x if statistics == "batch" else None)
    x_adv = search._attacked(search.alpha_attack, x, y, w_EO)
    loss = torch.nn.functional.cross_entropy
    assert loss(model(x_adv), y) > loss(model(x), y) + 0.01
    assert (x_adv - x).abs().max() <= 0.2 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
@pytest.mark.parametrize("objective", OBJECTIVE_NAMES)
def test_every_strategy_runs_with_every_objective(strategy: str, objective: str) -> None:
    most = 500_000.0 if objective == "epsilon" else None
    search = make_search(
        strategy=strategy,
        objective=objective,
        epochs=1,
        max_params=most,
        size_weight=0.0 if objective in FRONT_OBJECTIVES else 0.1,
    )
    alphas = list((search.preferences or search.strategy).parameters())
    before = [alpha.detach().clone() for alpha in alphas]
    for _ in range(2):
        search.train_step()
    assert all(alpha.isfinite().all() for alpha in alphas)
    assert not all(map(torch.equal, alphas, before))
    means = search.epoch_means()
    assert {f"alpha_{term}_loss" for term in search.objective.terms} <= set(means)
    record = measure(search)
    assert 0 <= record["val_robust_acc"] <= 1
    assert len(derive_cells(search).scores) == 3


def test_pareto_moves_what_alpha_is_made_by_as_alpha_itself_would_move() -> None:
    # Adam's first step is lr * sign(gradient) in each parameter; at a fixed preference the logits
    # then move by lr (1 + |phi|_1) against the direction that the objective gave.
    search = make_search(objective="pareto", beta_decay=0.0, alpha_weight_decay=0.0)
    preference = torch.tensor([0.2, 0.3, 0.5])
    search.prefer(preference)
    gradient = torch.randn(6, 5)
    search._move_alpha(gradient)
    reach = 1 + features(preference).abs().sum()
    torch.testing.assert_close(search.strategy.alpha, -0.01 * reach * gradient.sign())
    # Beta-decay alone moves the logits of this preference as it moves those of any alpha.
    search = make_search(objective="pareto", beta_decay=5.0, alpha_weight_decay=0.0)
    assert search.preferences is not None
    torch.nn.init.normal_(search.preferences.base)
    search.prefer(preference)
    expected = search.strategy.alpha.detach().clone()
    search.step = search.total_steps
    decay_step(expected, 5.0, 0.01)
    search._move_alpha(torch.zeros(6, 5))
    torch.testing.assert_close(search.preferences(preference), expected)


def test_between_steps_alpha_is_that_of_the_accuracies() -> None:
    search = make_search(objective="pareto", robust_weight=0.75)
    for _ in range(3):
        search.train_step()
    assert search.preferences is not None
    reference = search.preferences(torch.tensor([0.25, 0.75, 0.0]))
    assert torch.equal(search.strategy.alpha, reference)
    assert not torch.equal(search.preferences(torch.tensor([0.0, 0.0, 1.0])), reference)


@pytest.mark.parametrize("metric", ["params", "flops"])
def test_epsilon_holds_the_expected_cost_at_the_budget(metric: str) -> None:
    most = {"params": 200_000.0, "flops": 10e6}[metric]
    search = make_search(objective="epsilon", **{f"max_{metric}": most})
    w_EO = torch.randn(6, 5).softmax(dim=1).requires_grad_()
    images = {"num_classes": 2, "image_size": 8}
    excess = expected_cost(w_EO, metric, **images, C=16, N=5) - cost_share(most, metric, **images)
    assert search._excess(w_EO).item() == pytest.approx(max(0.0, excess.item()))
    cells = derive_cells(search)
    assert all(search.cost(s.genotype, metric) <= most for s in cells.scores)
    assert search.cost(cells.argmax, metric) <= most
    # Without a gradient of the robust loss, the penalty alone brings the mixture to the budget.
    search.alpha_optimiser.param_groups[0]["lr"] = 0.05
    for _ in range(200):
        alpha = search.strategy.alpha
        (gradient,) = torch.autograd.grad(search._excess(search.strategy.edge_weights()), alpha)
        search._move_alpha(gradient)
    assert search._excess(search.strategy.expected_weights()).item() < 0.01


def test_a_budget_that_nothing_meets_is_refused() -> None:
    with pytest.raises(UserError, match=r"no cell has params of 70,000 or less; the smallest has"):
        make_search(objective="epsilon", max_params=70_000.0)


def test_cells_of_a_robust_search_are_chosen_by_both_losses_whatever_alpha_follows() -> None:
    search = make_search(objective="clean", robust_weight=0.25, derive_candidates=6)
    search.train_step()
    values = [0.75 * s.clean_loss + 0.25 * s.robust_loss for s in derive_cells(search).scores]
    assert values == sorted(values) and len(set(values)) > 1


def test_a_clean_search_attacks_nothing() -> None:
    search = make_search(robust=False)
    search._attacked = lambda *a: pytest.fail("a clean search attacked")  # type: ignore
    search.train_step()
    record = measure(search)
    assert "val_robust_acc" not in record
    assert all(score.robust == score.clean for score in derive_cells(search).scores)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError, match="20 training images make halves of 10, fewer than one"):
        make_search(images=20, batch_size=16)


def test_the_sign_of_catastrophic_overfitting() -> None:
    assert overfits_catastrophically(0.6, 0.02, 0.1)
    assert not overfits_catastrophically(0.4, 0.35, 0.1)
    # An untrained network is at chance under any attack: no sign of anything.
    assert not overfits_catastrophically(0.12, 0.01, 0.1)
