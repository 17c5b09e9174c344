"""Trains the supernet's weights: a step on the attacked images of the weight half.

A step that trains the mixture is a region (`ops.regions`), from folding and attack to SGD: on a GPU
it is captured as one CUDA graph. A step that trains single cells runs as ordinary calls, since each
cell computes other operators; its attacks are captured.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ops.candidates import kept_statistics
from ops.mixed import Ops
from ops.regions import Region
from ops.space import NONE
from ops.stacks import Part
from supernet.distributed import ALONE, Ranks
from supernet.nets.supernet import Supernet
from supernet.search.alpha import why_not_captured
from supernet.search.config import SearchConfig
from supernet.search.derive import argmax_cell, uniform_cell
from supernet.search.halves import Batch
from supernet.search.step_attack import StepAttack
from supernet.search.strategies import Strategy, WeightStep
from supernet.shared_batches import add_up_gradients, average_statistics

# Published settings of DARTS on this space; no trial of ours found better ones.
MOMENTUM, WEIGHT_DECAY, LR_END, GRAD_CLIP = 0.9, 5e-4, 0.001, 5.0


class Weights:
    """SGD on the supernet's weights: the mixture, or for a share of the steps single cells.

    Nesterov momentum 0.9, weight decay 5e-4, gradient norm clipped at 5, learning rate falling by a
    cosine to 0.001.
    """

    def __init__(
        self,
        net: Supernet,
        strategy: Strategy,
        config: SearchConfig,
        total_steps: int,
        stream: torch.Generator,
        ranks: Ranks = ALONE,
    ) -> None:
        self.net, self.strategy, self.config, self.stream = net, strategy, config, stream
        self.ranks = ranks
        self.optimiser = torch.optim.SGD(
            net.parameters(), lr=config.lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY,
            nesterov=True,
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimiser, total_steps, eta_min=LR_END
        )
        self.rate: Tensor | None = None
        """The learning rate on the device; None where SGD takes a number."""
        if next(net.parameters()).is_cuda:
            self.hold_rate()
        never = why_not_captured(strategy, ranks)
        self.regions = {
            attacked: Region(f"a weight step{' under attack' * attacked}", self.state, never)
            for attacked in (False, True)
        }
        """Of steps that train the mixture, on clean and on attacked images."""

    def hold_rate(self) -> None:
        """Keep rate and momentum in tensors that stay where they are, as a CUDA graph needs.

        SGD then is torch's fused one, which reads the rate on the device. Momentum begins as zero,
        which after the first step is what it would have been.
        """
        self.rate = next(self.net.parameters()).new_zeros(())
        for parameter in self.net.parameters():
            state = self.optimiser.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)

    def state(self) -> list[Tensor]:
        """All tensors that a step changes, and its rate."""
        held = [state.get("momentum_buffer") for state in self.optimiser.state.values()]
        return [*self.net.trained_tensors(), *(t for t in (*held, self.rate) if t is not None)]

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def step(self, batch: Batch, attack: StepAttack | None, *, single_cells: bool) -> Tensor:
        """Attack the batch, differentiate, move the weights; returns the mean loss.

        attack None trains on the images as they are. Without `single_cells` it is the mixture.
        Of several processes each has a part of the batch, and all make the same step.
        """
        mixtures, cells = self.trained(single_cells)
        if self.rate is not None:
            self.rate.fill_(self.lr)
        if cells:
            partial = functools.partial
            losses = [
                *(partial(self._mixture_loss, w_EO, batch, attack) for w_EO in mixtures),
                *(partial(self._cell_loss, ops, batch, attack) for ops in cells),
            ]
            total = self._learn(losses, averaged=bool(mixtures))
        else:
            total = self._mixture_step(mixtures[0], batch, attack)
        self.schedule.step()
        return total

    def mixture_step(
        self, attack: StepAttack | None, x: Tensor, y: Tensor, w_EO: Tensor, *drawn: Tensor
    ) -> tuple[Tensor]:
        """The body of the region: attack images, and train the mixture on them; returns the loss.

        `drawn` are the attack's random numbers, and there are none without one.
        """
        loss = functools.partial(self._mixture_loss, w_EO, (x, y), attack, *drawn)
        total = self._learn([loss], averaged=True)
        self.net.forget_gradients()  # whose memory is the graph's
        return (total,)

    def _mixture_step(self, w_EO: Tensor, batch: Batch, attack: StepAttack | None) -> Tensor:
        drawn = [attack.draw(batch[0])] if attack else []
        (total,) = self.regions[attack is not None].run(
            functools.partial(self.mixture_step, attack), [*batch, w_EO, *drawn],
            key=(attack, self.net.form_of_passes),
        )  # fmt: skip
        return total

    def _learn(self, losses: Sequence[Callable[[], Tensor]], averaged: bool) -> Tensor:
        """Move the weights against the gradient of the losses' mean, which is returned. `averaged`
        makes the running statistics of several processes their mean."""
        self.net.forget_gradients()
        total = next(self.net.parameters()).new_zeros(())
        for loss in losses:
            total += _backward(loss() / len(losses))
        (total,) = add_up_gradients(self.net, [total], self.ranks)
        if averaged and not self.config.sync_batch_norm:
            average_statistics(self.net, self.ranks)
        self._clip()
        self._move()
        return total

    def _clip(self) -> None:
        # On the CPU the norm is summed edge by edge, on a GPU in one piece of a stage: a few
        # tensors are a few launches. Either sum is right; the order decides the last bits.
        parameters = list(self.net.parameters())
        on_cpu = parameters[0].device.type == "cpu"
        gradients = [_gradient(p)[rows] for p, rows in self.net.reached(by_edge=on_cpu)]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch.nn.utils.clip_grads_with_norm_(parameters, GRAD_CLIP, norm)

    @torch.no_grad()
    def _move(self) -> None:
        """SGD's step. Kernels that no gradient came back to keep their value and their momentum."""
        parts: list[Part] = []
        for stack in self.net.stacks:
            if not stack.complete:
                parts += stack.reached(by_edge=True)
        with self._rate_in_place() as group:
            if parts:
                state = self.optimiser.state
                for parameter, _ in parts:
                    if state[parameter].get("momentum_buffer") is None:
                        state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
                sgd(
                    [parameter.detach()[rows] for parameter, rows in parts],
                    [_gradient(parameter)[rows] for parameter, rows in parts],
                    [state[parameter]["momentum_buffer"][rows] for parameter, rows in parts],
                    has_sparse_grad=False, weight_decay=group["weight_decay"], lr=group["lr"],
                    momentum=group["momentum"], dampening=group["dampening"],
                    nesterov=group["nesterov"], maximize=False, fused=group["fused"],
                )  # fmt: skip
            for parameter, _ in parts:
                parameter.grad = None  # has been moved
            self.optimiser.step()

    @contextmanager
    def _rate_in_place(self) -> Iterator[dict[str, Any]]:
        """The optimiser's settings, inside with the rate of the device where that is held. Outside
        they have the number, which the schedule goes on from."""
        group = self.optimiser.param_groups[0]
        before = {name: group[name] for name in ("lr", "fused")}
        if self.rate is not None:
            group.update(lr=self.rate, fused=True)
        try:
            yield group
        finally:
            group.update(before)

    def trained(self, single_cells: bool) -> tuple[list[Tensor], list[Ops]]:
        """(edge weights of mixtures, single cells) that a step trains, by their mean loss."""
        config = self.config
        path = torch.rand((), generator=self.stream).item() < config.path_share
        if not (single_cells and path):
            return [self.strategy.edge_weights().detach()], []
        # Alpha is 30 numbers; on a GPU this wait is paid in path steps alone.
        w_EO = self.strategy.expected_weights().cpu()
        if config.path_kind == "sandwich":
            even = uniform_cell(self.stream, config.reads_none)
            best = argmax_cell(w_EO, config.reads_none)
            return [self.strategy.edge_weights().detach()], [even.ops, best.ops]
        if not config.reads_none:
            w_EO[:, NONE] = 0
        return [], [tuple(torch.multinomial(w_EO, 1, generator=self.stream).flatten().tolist())]

    def upcoming(self) -> WeightStep:
        """The step that SGD is about to take, for strategies that look one step ahead."""
        parameters = list(self.net.parameters())
        state = self.optimiser.state
        return WeightStep(
            parameters=parameters,
            lr=self.lr,
            momentum=MOMENTUM,
            nesterov=True,
            weight_decay=WEIGHT_DECAY,
            buffers=[state[p].get("momentum_buffer") for p in parameters],
        )

    def _mixture_loss(
        self, w_EO: Tensor, batch: Batch, attack: StepAttack | None, drawn: Tensor | None = None
    ) -> Tensor:
        x, y = batch
        if attack is not None:
            numbers = attack.draw(x) if drawn is None else drawn
            x = attack(self.strategy.fold(self.net, w_EO), x, y, numbers)
        return self._part(F.cross_entropy(self.strategy.logits(self.net, x, w_EO), y), y)

    def _cell_loss(self, ops: Ops, batch: Batch, attack: StepAttack | None) -> Tensor:
        x, y = batch
        # Activations of a single cell have another scale (in a fresh network five times the
        # variance): it is frozen with the batch's statistics, and its own stay out of the running
        # ones, which are the mixture's.
        if attack is not None:
            x = attack(self.net.fold_cell(ops, x=x), x, y, attack.draw(x))
        with kept_statistics(self.net):
            return self._part(F.cross_entropy(self.net.forward_cell(x, ops), y), y)

    def _part(self, loss: Tensor, y: Tensor) -> Tensor:
        return self.ranks.weigh(loss, len(y), self.config.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser and schedule; the weights themselves are the network's."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        if self.rate is not None:
            self.hold_rate()


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _backward(loss: Tensor) -> Tensor:
    loss.backward()
    return loss.detach()
