"""The losses in numbers worked out by hand."""

import math

import pytest
import torch

from supernet.attacks.losses import LOSSES, cross_entropy, margin_loss


def test_margin_is_best_other_minus_own_and_positive_where_fooled() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, -1.0, 0.5]], requires_grad=True)
    y = torch.tensor([2, 0])
    loss = margin_loss(logits, y)
    assert loss.item() == pytest.approx((3.0 - 2.0) + (0.5 - 5.0))
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad.tolist() == [[0, 1, -1], [-1, 0, 1]]


def test_cross_entropy_is_summed_over_the_batch() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]])
    loss = cross_entropy(logits, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(math.log(2) + math.log(4))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_half_precision_is_raised_to_float32(name: str) -> None:
    logits = torch.tensor([[1.0, 3.0]], dtype=torch.bfloat16)
    assert LOSSES[name](logits, torch.tensor([0])).dtype == torch.float32
    assert LOSSES[name](logits.double(), torch.tensor([0])).dtype == torch.float64


def test_margin_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 2 classes"):
        margin_loss(torch.zeros(2, 1), torch.zeros(2, dtype=torch.long))
