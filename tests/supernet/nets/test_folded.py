"""The folded network in low precision: what an attack reads from it stays."""

import pytest
import torch

from cuda_ext import _native
from supernet.attacks import pgd
from supernet.nets.supernet import Supernet

IMPLS = ["batched", "native"]


@pytest.mark.parametrize("impl", IMPLS)
def test_bfloat16_keeps_logits_and_most_gradient_signs(impl: str) -> None:
    if impl == "native" and not _native.available():
        pytest.skip("nothing is built")
    net = Supernet(C=4, N=1, impl=impl)
    exact = net.fold_mixture(torch.full((6, 5), 0.2))
    low = exact.to(torch.bfloat16)
    x = torch.rand(4, 3, 8, 8)
    results = []
    for model in (exact, low):
        images = x.clone().requires_grad_()
        logits = model(images)
        assert logits.dtype == torch.float32
        (grad,) = torch.autograd.grad(logits.logsumexp(dim=1).sum() - logits[:, 0].sum(), images)
        results.append((logits.detach(), grad))
    (logits, grad), (low_logits, low_grad) = results
    assert not torch.equal(logits, low_logits), "bfloat16 was not used"
    assert (logits - low_logits).abs().max() < 0.05 * logits.abs().max()
    assert (grad.sign() == low_grad.sign()).float().mean() > 0.9


def test_to_leaves_the_original_as_it_was() -> None:
    folded = Supernet(C=4, N=1).fold_mixture(torch.full((6, 5), 0.2))
    folded.to(torch.bfloat16)
    assert folded.stem.weight.dtype == torch.float32
    assert folded.body[0].kernel.dtype == torch.float32


def test_sparse_cells_run_in_bfloat16() -> None:
    net = Supernet(C=4, N=1)
    low = net.fold_cell((3, 1, 2, 4, 3, 0)).to(torch.bfloat16)
    x, y = torch.rand(2, 3, 8, 8), torch.tensor([1, 2])
    x_adv = pgd(low, x, y, eps=8 / 255, steps=2)
    assert x_adv.dtype == torch.float32 and (x_adv - x).abs().max() > 0.01
