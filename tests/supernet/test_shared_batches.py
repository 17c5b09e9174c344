"""Gradients and statistics of processes that share a batch."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ops.candidates import batch_norm
from ops.synchronised import synchronise
from supernet.distributed import ALONE, Ranks, digest
from supernet.shared_batches import add_up_gradients, average_statistics, gather_rows
from tests.ranks import together

X = torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network() -> nn.Sequential:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), batch_norm(4, affine=True), nn.ReLU())
    return layers.double()


def step(ranks: Ranks, *, joint: bool) -> dict[str, Any]:
    """One pass over this process's part of X: gradients, loss and running statistics of all."""
    net = network()
    if joint and ranks.count > 1:
        synchronise(net, gather_rows)
    net.register_parameter("unused", nn.Parameter(torch.zeros(2)))
    x = X[ranks.part(torch.arange(len(X)))]
    loss = ranks.weigh(net(x).square().mean(), len(x), len(X))
    loss.backward()
    (loss,) = add_up_gradients(net, [loss.detach()], ranks)
    if not joint:
        average_statistics(net, ranks)
    gradients = {n: p.grad for n, p in net.named_parameters()}
    return {"loss": loss, "gradients": gradients, "state": net.state_dict()}


def rows(ranks: Ranks) -> tuple[torch.Tensor, torch.Tensor]:
    row = torch.tensor([1.0, 10.0]) * (ranks.rank + 1)
    gathered = gather_rows(row.requires_grad_())
    coefficients = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * (1 + 4 * ranks.rank)
    return gathered.detach(), torch.autograd.grad((gathered * coefficients).sum(), row)[0]


def test_the_gradient_of_a_row_is_what_all_losses_say_of_it(tmp_path: Path) -> None:
    (first, of_first), (second, of_second) = together(2, rows, tmp_path)
    assert torch.equal(first, torch.tensor([[1.0, 10.0], [2.0, 20.0]]))
    assert torch.equal(first, second)
    # Both losses weigh row 0 by (1, 2): the first by 1, the second by 5 times that.
    assert torch.equal(of_first, torch.tensor([6.0, 12.0]))
    assert torch.equal(of_second, torch.tensor([18.0, 24.0]))


def test_a_shared_batch_is_the_whole_batch(tmp_path: Path) -> None:
    alone = step(ALONE, joint=True)
    for each in together(3, lambda ranks: step(ranks, joint=True), tmp_path):  # 3, 2 and 2 images
        torch.testing.assert_close(each["loss"], alone["loss"], rtol=1e-13, atol=0)
        assert each["gradients"]["unused"] is None
        for name in ("0.weight", "1.weight", "1.bias"):
            assert float(alone["gradients"][name].abs().max()) > 1e-3
            torch.testing.assert_close(
                each["gradients"][name], alone["gradients"][name], rtol=1e-10, atol=1e-13
            )
        for name, value in alone["state"].items():
            torch.testing.assert_close(each["state"][name], value, rtol=1e-12, atol=1e-14)


def test_without_synchronisation_each_normalises_by_its_own(tmp_path: Path) -> None:
    alone = step(ALONE, joint=True)
    first, second = together(2, lambda ranks: step(ranks, joint=False), tmp_path)
    assert digest(first) == digest(second)
    assert abs(float(first["loss"] - alone["loss"])) > 1e-6
    halves = [network(), network()]
    for half, x in zip(halves, X.tensor_split(2), strict=True):
        half(x)
    mean = torch.stack([half[1].running_mean for half in halves]).mean(0)
    torch.testing.assert_close(first["state"]["1.running_mean"], mean)
