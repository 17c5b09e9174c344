"""The folded cell against the cell it folds: values and input gradients, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ops.candidates import kept_statistics
from ops.fold import FoldedCell, SparseFoldedCell, fold_mixture, fold_sampled
from ops.mixed import MixedCell
from ops.space import CONV1, CONV3, NONE, POOL, SKIP

SHAPE = (2, 5, 7, 6)


def random_cell() -> MixedCell:
    cell = MixedCell(SHAPE[1]).double()
    for norm in cell.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return cell


def random_weights() -> Tensor:
    return torch.randn(6, 5, dtype=torch.float64).softmax(dim=1)


def input_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    out = function(x)
    # A fixed random direction: a plain sum would hide errors that cancel.
    direction = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return out.detach(), torch.autograd.grad((out * direction).sum(), x)[0]


def run(folded: FoldedCell | SparseFoldedCell, x: Tensor) -> Tensor:
    out, relu = folded(x, x.relu())
    assert torch.equal(relu, out.relu())
    return out


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_the_folded_cell_is_the_cell(statistics: str) -> None:
    cell, w_EO = random_cell(), random_weights()
    x = torch.randn(SHAPE, dtype=torch.float64)
    if statistics == "batch":
        with kept_statistics(cell, record=True), torch.no_grad():
            expected = cell.train()(x, w_EO, impl="reference")
        # Freezing the statistics of the very batch reproduces the training-mode forward pass; its
        # input gradient is another function, so a cell in eval mode with them is the reference.
        for norm in cell.modules():
            if isinstance(norm, nn.BatchNorm2d):
                mean, var = norm.batch_statistics
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(var)
        torch.testing.assert_close(cell.eval()(x, w_EO), expected, rtol=1e-10, atol=1e-10)
    cell.eval()
    folded = fold_mixture(cell, w_EO, statistics=statistics)
    expected, gradient = input_gradient(lambda x: cell(x, w_EO), x)
    out, folded_gradient = input_gradient(lambda x: run(folded, x), x)
    assert gradient.abs().max() > 0.1
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(folded_gradient, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("op", [NONE, SKIP, CONV1, CONV3, POOL])
def test_one_hot_weights_fold_to_one_operator(op: int) -> None:
    cell = random_cell().eval()
    w_EO = torch.zeros(6, 5, dtype=torch.float64)
    w_EO[:, op] = 1
    x = torch.randn(SHAPE, dtype=torch.float64)
    expected = cell(x, w_EO)
    for folded in (fold_mixture(cell, w_EO), fold_sampled(cell, (op,) * 6)):
        out = run(folded, x)
        torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)


def test_a_sparse_cell_computes_no_convolution_without_weight() -> None:
    cell = random_cell()
    folded = fold_sampled(cell, (CONV3, *(SKIP,) * 5))
    assert [kernel is not None for kernel in folded.kernels] == [True, False, False]
    assert folded.kernels[0].shape[0] == SHAPE[1]


def test_unknown_statistics_and_unrecorded_batches_are_refused() -> None:
    cell = random_cell()
    with pytest.raises(ValueError, match="statistics 'moving' unknown; choose running or batch"):
        fold_mixture(cell, random_weights(), statistics="moving")
    with pytest.raises(ValueError, match="needs a recorded forward pass"):
        fold_mixture(cell, random_weights(), statistics="batch")
