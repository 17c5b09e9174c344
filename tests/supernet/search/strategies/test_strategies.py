"""Every strategy: rows sum to one, gradients reach alpha, and closed forms on quadratics."""

import pytest
import torch
from torch import Tensor, nn

from supernet.errors import UserError
from supernet.nets.supernet import Supernet
from supernet.search.config import STRATEGY_NAMES
from supernet.search.strategies import STRATEGIES, Losses, Strategy, WeightStep, make_strategy
from supernet.search.strategies.base import edge_gradients
from supernet.search.strategies.darts2 import unrolled_gradients
from supernet.search.strategies.drnas import DrNAS
from supernet.search.strategies.gdas import GDAS, drawn_operators
from supernet.search.strategies.regularisers import (
    collapse_warning,
    decay_step,
    entropy,
    none_warning,
    skip_share,
)


def quadratic_losses(target_EO: Tensor, w: nn.Parameter | None = None) -> Losses:
    """One validation term |w_EO - target|^2 / 2; training pulls w (6, 5) to w_EO."""
    return Losses(
        validation=lambda w_EO: [(w_EO - target_EO).square().sum() / 2, w_EO.sum()],
        training=lambda w_EO: (w - w_EO).square().sum() / 2 if w is not None else w_EO.sum(),
    )


def gradients_of(strategy: Strategy, losses: Losses, step: WeightStep) -> tuple[Tensor, Tensor]:
    """What an alpha step makes of these losses."""
    if strategy.differentiates_weights:
        return strategy.alpha_gradients(losses, step)
    w_EO = strategy.edge_weights()
    gradients_TEO, values = edge_gradients(losses.validation, w_EO.detach())
    return strategy.through_edges(w_EO, gradients_TEO), values


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_rows_sum_to_one_and_gradients_reach_alpha(name: str) -> None:
    strategy = make_strategy(name, torch.Generator().manual_seed(3))
    assert strategy.alpha.shape == (6, 5)
    assert 1e-4 < strategy.alpha.abs().max() < 1e-2
    for w_EO in (strategy.edge_weights(), strategy.expected_weights()):
        assert (w_EO >= 0).all()
        torch.testing.assert_close(w_EO.sum(dim=1), torch.ones(6))
    assert not strategy.expected_weights().requires_grad
    weights = nn.Parameter(torch.zeros(6, 5))
    step = WeightStep(parameters=[weights], lr=0.1)
    target = torch.eye(5)[[0, 1, 2, 3, 4, 0]]
    losses = quadratic_losses(target, weights)
    gradients, values = gradients_of(strategy, losses, step)
    assert gradients.shape == (2, 30) and values.shape == (2,)
    assert gradients[0].abs().max() > 1e-3
    # The sum of the weights is constant: no direction of alpha changes it.
    torch.testing.assert_close(gradients[1], torch.zeros(30), atol=1e-6, rtol=0)


def test_first_order_darts_is_the_softmax_gradient() -> None:
    strategy = make_strategy("darts", torch.Generator().manual_seed(0))
    target = torch.rand(6, 5)
    losses = quadratic_losses(target)
    gradients, _ = gradients_of(strategy, losses, WeightStep((), 0.1))
    p = strategy.alpha.detach().softmax(dim=1)
    g = p - target
    closed = p * (g - (p * g).sum(dim=1, keepdim=True))
    torch.testing.assert_close(gradients[0], closed.flatten())


@pytest.mark.parametrize(
    ("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.3), (0.9, 0.3)]
)
def test_second_order_darts_on_a_quadratic(momentum: float, weight_decay: float) -> None:
    # Without Nesterov. L_train = |w - alpha|^2 / 2 and L_val = |w - c|^2 / 2. One step gives
    # w' = w - xi (w - alpha + weight_decay w + momentum buffer), so dw'/dalpha = xi and the
    # gradient of L_val(w') is exactly xi (w' - c).
    xi = 0.2
    w, alpha, c, buffer = (torch.randn(7, dtype=torch.float64) for _ in range(4))
    weights, logits = nn.Parameter(w.clone()), nn.Parameter(alpha.clone())
    step = WeightStep([weights], xi, momentum, False, weight_decay, [buffer])
    gradients, values = unrolled_gradients(
        logits,
        step,
        lambda: (weights - logits).square().sum() / 2,
        lambda: [(weights - c).square().sum() / 2],
    )
    moved = w - xi * (w - alpha + weight_decay * w + momentum * buffer)
    torch.testing.assert_close(gradients[0], xi * (moved - c), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(values[0], (moved - c).square().sum() / 2)
    assert torch.equal(weights, w), "the weights must be as before"


def test_second_order_darts_follows_sgd_with_nesterov_momentum() -> None:
    # The step that torch's own optimiser takes, from the second one on, where there is a buffer.
    lr, momentum, decay = 0.1, 0.9, 0.02
    weights, alpha = (nn.Parameter(torch.randn(5, dtype=torch.float64)) for _ in range(2))
    c = torch.randn(5, dtype=torch.float64)
    sgd = torch.optim.SGD([weights], lr=lr, momentum=momentum, weight_decay=decay, nesterov=True)

    def training_loss() -> Tensor:
        return (weights - alpha).square().sum() / 2

    for _ in range(2):
        step = WeightStep(
            [weights], lr, momentum, True, decay, [sgd.state[weights].get("momentum_buffer")]
        )
        gradients, _ = unrolled_gradients(
            alpha, step, training_loss, lambda: [(weights - c).square().sum() / 2]
        )
        sgd.zero_grad()
        training_loss().backward()
        sgd.step()
        # dw'/dalpha = lr (1 + momentum), so the gradient is that times (w' - c).
        expected = lr * (1 + momentum) * (weights.detach() - c)
        torch.testing.assert_close(gradients[0], expected, rtol=1e-8, atol=1e-10)


def test_second_order_restores_the_weights_when_a_loss_raises() -> None:
    weights, alpha = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))

    def failing() -> list[Tensor]:
        raise RuntimeError("no loss today")

    with pytest.raises(RuntimeError, match="no loss today"):
        step = WeightStep([weights], 0.5)
        unrolled_gradients(alpha, step, lambda: (weights * alpha).sum() + weights.sum(), failing)
    assert torch.equal(weights, torch.ones(3))


def test_drnas_samples_around_its_mean() -> None:
    strategy = DrNAS(torch.Generator().manual_seed(0))
    with torch.no_grad():
        strategy.alpha.copy_(torch.linspace(-2, 3, 30).view(6, 5))
    beta = torch.where(strategy.alpha > 0, strategy.alpha + 1, strategy.alpha.exp()).detach()
    mean = beta / beta.sum(dim=1, keepdim=True)
    torch.testing.assert_close(strategy.expected_weights(), mean)
    samples = torch.stack([strategy.edge_weights().detach() for _ in range(3000)])
    # Five standard errors; the variance of a Dirichlet is m (1 - m) / (sum(beta) + 1).
    error = (mean * (1 - mean) / (beta.sum(dim=1, keepdim=True) + 1) / 3000).sqrt()
    assert ((samples.mean(dim=0) - mean).abs() < 5 * error + 1e-4).all()
    assert strategy.regulariser() > 0


def test_drnas_regulariser_vanishes_at_the_uniform_distribution() -> None:
    strategy = DrNAS()
    with torch.no_grad():
        strategy.alpha.zero_()
    assert strategy.regulariser().item() == pytest.approx(0, abs=1e-9)


def test_gdas_draws_one_operator_per_edge_in_proportion() -> None:
    strategy = GDAS(torch.Generator().manual_seed(0))
    with torch.no_grad():
        strategy.alpha[:] = torch.tensor([0.0, 1.0, 0.5, -1.0, 0.0])
    draws = torch.stack([strategy.edge_weights().detach() for _ in range(1500)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    # The Gumbel-max trick draws from softmax(alpha).
    p = strategy.expected_weights()[0]
    error = (p * (1 - p) / (1500 * 6)).sqrt()
    assert ((draws.mean(dim=(0, 1)) - p).abs() < 5 * error).all()
    strategy.set_progress(0.5)
    assert strategy.tau == pytest.approx(5.05)


def test_beta_decay_pulls_the_leader_and_moves_no_uniform_edge() -> None:
    alpha = torch.zeros(6, 5)
    alpha[0] = torch.tensor([0.0, 0.0, 0.0, 2.0, 0.0])
    leaf = alpha.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(leaf.logsumexp(dim=1).mean(), leaf)
    moved = alpha.clone()
    decay_step(moved, strength=3.0, lr=0.1)
    expected = alpha - 0.1 * 3.0 * (gradient - gradient.mean(dim=1, keepdim=True))
    torch.testing.assert_close(moved, expected)
    assert torch.equal(moved[1:], alpha[1:])
    assert moved[0].softmax(0)[3] < alpha[0].softmax(0)[3]


def test_entropy_skip_share_and_the_warning() -> None:
    def weights(ops: str) -> Tensor:
        return torch.eye(5)[[int(op) for op in ops]] * 0.6 + 0.08

    assert entropy(torch.full((6, 5), 0.2)) == pytest.approx(1)
    assert entropy(torch.eye(5)[[0, 1, 2, 3, 4, 0]]) == pytest.approx(0, abs=1e-9)
    assert skip_share(weights("111333")) == 0.5
    assert collapse_warning(weights("331133")) is None
    assert "3 of 6 edges are skips" in (collapse_warning(weights("111333")) or "")
    assert "no edge is a convolution" in (collapse_warning(weights("440014")) or "")


def test_none_that_leads_half_of_the_edges_is_a_warning() -> None:
    def leads(count: int) -> Tensor:
        w_EO = torch.full((6, 5), 0.1)
        w_EO[:count, 0] = 0.6
        w_EO[count:, 3] = 0.6
        return w_EO

    assert none_warning(leads(2)) is None
    warning = none_warning(leads(3)) or ""
    assert "none leads on 3 of 6 edges and is left out" in warning and "--derive-none" in warning


def test_gdas_computes_the_drawn_operators_alone() -> None:
    # With the other operators' parameters not a number, nothing of them may be seen.
    net, strategy = Supernet(C=2, N=1, num_classes=2).train(), GDAS(torch.Generator())
    w_EO = strategy.edge_weights()
    ops = drawn_operators(w_EO)
    with torch.no_grad():
        for cell in net.cells:
            for edge, op in zip(cell.edges, ops, strict=True):
                for number, other in enumerate(edge.ops):
                    if number != op and hasattr(other, "conv"):
                        other.conv.weight.fill_(torch.nan)
    x = torch.rand(4, 3, 8, 8)
    leaf = w_EO.detach().requires_grad_()
    logits = strategy.logits(net, x, leaf)
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    assert logits.isfinite().all() and gradient.isfinite().all()
    drawn = torch.zeros(6, 5, dtype=torch.bool)
    drawn[range(6), ops] = True
    assert (gradient[~drawn] == 0).all() and (gradient[drawn] != 0).any()
    # It is what a mixture with these weights gives, and its gradient at the drawn operators.
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.nan_to_num_(0.01)
    dense = w_EO.detach().requires_grad_()
    sparse_loss = strategy.logits(net, x, leaf).square().sum()
    (of_drawn,) = torch.autograd.grad(sparse_loss, leaf)
    dense_loss = net.forward_mixture(x, dense).square().sum()
    (of_all,) = torch.autograd.grad(dense_loss, dense)
    torch.testing.assert_close(sparse_loss, dense_loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(of_drawn[drawn], of_all[drawn], rtol=1e-3, atol=1e-5)


def test_unknown_strategies_list_the_good_ones() -> None:
    assert tuple(STRATEGIES) == STRATEGY_NAMES
    with pytest.raises(UserError, match="strategy 'evolution' is unknown; choose one of darts"):
        make_strategy("evolution")
