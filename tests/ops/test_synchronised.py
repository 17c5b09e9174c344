"""Batch statistics of a shared batch, with both processes' parts at hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ops.candidates import batch_norm, kept_statistics
from ops.mixed import MixedCell
from ops.synchronised import Gather, bessel, joint_moments, synchronise

PARTS = (5, 3)


def images(channels: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sum(PARTS), channels, 6, 6, generator=generator, dtype=torch.float64)
    first, second = (100 + 3 * x).split(PARTS)
    return first, second


def both(run: Callable[[Gather, Tensor], Tensor], parts: tuple[Tensor, Tensor]) -> list[Tensor]:
    """`run` for each part with rows of both: rows of the other part come from runs before, again
    and again until every message is known."""
    messages: list[list[Tensor]] = [[], []]
    while True:
        before = len(messages[0])
        results = []
        for own, part in enumerate(parts):
            seen: list[Tensor] = []

            def gather(
                row: Tensor, own: int = own, seen: list[Tensor] = seen, before: int = before
            ) -> Tensor:
                place = len(seen)
                seen.append(row.detach())
                known = place < before
                other = messages[1 - own][place] if known else row.detach()
                return torch.stack([row, other] if own == 0 else [other, row])

            results.append(run(gather, part))
            messages[own] = [*messages[own][:before], *seen[before : before + 1]]
        if len(messages[0]) == before:
            return results


def test_moments_are_those_of_all_images_without_cancellation() -> None:
    parts = images()
    seen = []
    both(lambda gather, x: seen.append(joint_moments([x, 2 * x], gather)) or x, parts)
    var, mean = torch.var_mean(torch.cat(parts), dim=(0, 2, 3), correction=0)
    for found_mean, found_var, count in seen[-2:]:
        torch.testing.assert_close(found_mean, torch.stack([mean, 2 * mean]))
        torch.testing.assert_close(found_var, torch.stack([var, 4 * var]))
        assert int(count) == 8 * 36
    single = joint_moments([parts[0].float() + 1000], lambda row: torch.stack([row, row]))[1]
    wanted = parts[0].var(dim=(0, 2, 3), correction=0).float()
    torch.testing.assert_close(single[0], wanted, rtol=1e-3, atol=0)


@pytest.mark.parametrize("affine", [False, True])
def test_a_batch_norm_as_in_one_process(affine: bool) -> None:
    parts, layers = images(), []

    def run(gather: Gather, x: Tensor) -> Tensor:
        layer = batch_norm(4, affine).double()
        if affine:
            torch.nn.init.constant_(layer.weight, 1.5)
            torch.nn.init.constant_(layer.bias, -0.5)
        synchronise(layer, gather)
        layers.append(layer)
        y: Tensor = layer(x)
        with kept_statistics(layer, record=True):
            layer(x)
        return y

    found = torch.cat(both(run, parts))
    alone = batch_norm(4, affine).double()
    if affine:
        torch.nn.init.constant_(alone.weight, 1.5)
        torch.nn.init.constant_(alone.bias, -0.5)
    torch.testing.assert_close(found, alone(torch.cat(parts)))
    for layer in layers[-2:]:
        torch.testing.assert_close(layer.running_mean, alone.running_mean)
        torch.testing.assert_close(layer.running_var, alone.running_var)
        assert int(layer.num_batches_tracked) == 1
        recorded = layer.batch_statistics
        torch.testing.assert_close(recorded[0], torch.cat(parts).mean(dim=(0, 2, 3)))
    layer.eval()
    torch.testing.assert_close(layer(parts[0]), alone.eval()(parts[0]))


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["reference", "batched", "auto"])
def test_a_mixed_cell_as_in_one_process(impl: str) -> None:
    parts, cells = images(), []
    w_EO = torch.rand(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def cell() -> MixedCell:
        torch.manual_seed(2)
        return MixedCell(4).double()

    def run(gather: Gather, x: Tensor) -> Tensor:
        cells.append(cell())
        synchronise(cells[-1], gather)
        return cells[-1].forward_mixture(x, w_EO, impl)

    found = torch.cat(both(run, parts))
    alone = cell()
    torch.testing.assert_close(found, alone.forward_mixture(torch.cat(parts), w_EO, "reference"))
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(cells[-1].state_dict()[name], value)


def test_bessel() -> None:
    assert bessel(4) == 4 / 3
    assert float(bessel(torch.tensor(4.0))) == pytest.approx(4 / 3)
    assert bessel(1) == float(bessel(torch.tensor(1.0))) == 1
