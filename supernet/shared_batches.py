"""Sums over the processes that share a batch: of gradients, and of batch statistics.

torch's DistributedDataParallel is not used. It hooks into one forward and one backward pass of one
module a step; a step here has up to three passes of the weights (a mixture and single cells, of
which each leaves out other operators), passes whose gradient is alpha's alone and must not touch
the weights' (`torch.autograd.grad`, which its hooks do not see), and, for darts2, gradients that
are needed in the middle of a step. So each step adds up all its gradients in one message.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from supernet.distributed import Ranks, losing


class _GatherRows(torch.autograd.Function):
    """The gradient of a row is the sum of what all processes' losses say of it."""

    @staticmethod
    def forward(ctx: Any, row: Tensor) -> Tensor:
        rows = [torch.empty_like(row) for _ in range(dist.get_world_size())]
        with losing():
            dist.all_gather(rows, row.contiguous())
        return torch.stack(rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        with losing():
            dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def gather_rows(row: Tensor) -> Tensor:
    """(n,) of this process -> (R, n) of all R, the same bits everywhere.

    Gradient: to this process's row, of the sum of all processes' losses. All processes must take
    the same passes in the same order. A second derivative is refused.
    """
    rows: Tensor = _GatherRows.apply(row)
    return rows


def add_up_gradients(
    network: torch.nn.Module, losses: Sequence[Tensor], ranks: Ranks
) -> list[Tensor]:
    """Make every gradient that a network's parameters have the sum over the processes; returns the
    losses added up, which go in the same message."""
    if ranks.count == 1:
        return list(losses)
    trained = [p for p in network.parameters() if p.grad is not None]
    gradients = [p.grad for p in trained if p.grad is not None]
    sums = ranks.summed([*gradients, *losses])
    for gradient, total in zip(gradients, sums, strict=False):
        gradient.copy_(total)
    return sums[len(gradients) :]


def average_statistics(network: torch.nn.Module, ranks: Ranks) -> None:
    """Make the running statistics of every batch norm the mean over the processes."""
    if ranks.count == 1:
        return
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    running: list[Any] = [part for norm in norms for part in (norm.running_mean, norm.running_var)]
    for part, total in zip(running, ranks.summed(running), strict=True):
        part.copy_(total / ranks.count)
