"""The deployed form: the same logits, and exactly the parameters and operations that are left."""

import random

import numpy as np
import pytest
import torch

from ops.space import CONV1, CONV3, NONE
from supernet.cells.genotype import Genotype
from supernet.cells.live import live_operators
from supernet.train.inference import InferenceNetwork, count, used_edges
from tests.supernet.train.cells import CODES, trained

BORDER = "002103"
"""Node 2 is what batch norm adds, and a 3x3 convolution reads it."""


@pytest.mark.parametrize("code", CODES)
def test_logits_and_gradients_stay(code: str) -> None:
    network = trained(code).double()
    small = InferenceNetwork(network)
    x = torch.rand(3, 3, 8, 12, dtype=torch.float64, requires_grad=True)
    logits, expected = small(x), network(x)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 0.01
    direction = torch.randn_like(expected)
    (grad,) = torch.autograd.grad((expected * direction).sum(), x)
    if not logits.requires_grad:  # no image reaches them
        assert not grad.any()
        return
    (same,) = torch.autograd.grad((logits * direction).sum(), x)
    torch.testing.assert_close(same, grad)


def test_one_pixel_of_height_in_the_last_stage() -> None:
    """There the border of a 3x3 convolution is everything."""
    network = trained("002103").double()
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(InferenceNetwork(network)(x), network(x))


@pytest.mark.parametrize("code", CODES)
def test_what_is_left_is_counted_in_closed_form(code: str) -> None:
    """Live convolutions with a bias each, and of the batch norms the last."""
    cell, C, K, side = Genotype.parse(code), 4, 5, 16
    network = trained(code)
    small = InferenceNetwork(network)
    live = live_operators(np.array([cell.ops]))[0].tolist()
    if code == BORDER:
        live[5] = CONV3
    widths, areas = (C, 2 * C, 4 * C), (side**2, side**2 // 4, side**2 // 16)
    convs = [{CONV1: 1, CONV3: 9}[op] for op in live if op in (CONV1, CONV3)]
    params = sum(k * c * c + c for c in widths for k in convs)
    operations = sum(k * c * c * area for c, area in zip(widths, areas, strict=True) for k in convs)
    inside = {name for name, _ in small.cells[0].named_parameters(recurse=False)}
    assert inside == CONSTANTS.get(code, set())
    params += len(inside) * sum(widths)
    blocks = [(9 * a * b + 9 * b * b + a * b, 2 * b) for a, b in ((4, 8), (8, 16))]
    params += 27 * C + C + sum(w + biases for w, biases in blocks) + 2 * 16 + 17 * K
    operations += 27 * C * areas[0] + sum(
        w * a for (w, _), a in zip(blocks, areas[1:], strict=True)
    )
    operations += 16 * areas[2] + 16 * K
    assert count(small, side) == (params, operations)
    before = count(network, side)
    assert before[0] == cell.params(K, C, 1)
    norms = (
        sum(areas[i] * widths[i] * (cell.count(CONV1) + cell.count(CONV3)) for i in range(3))
        + 4 * areas[0]
        + 2 * 8 * areas[1]
        + 2 * 16 * areas[2]
        + 16 * areas[2]
    )
    assert before[1] == cell.flops(K, side, C, 1) - K + norms
    assert params < before[0] and operations < before[1]


CONSTANTS = {
    BORDER: {"constant_2"},
    "000000": {"constant_3"},
    "333000": {"constant_3"},
    "002010": {"constant_3"},
    "002101": {"constant_3"},
}
"""Which nodes are kept as constants, worked out by hand; none in the other cells."""


def test_used_edges_agree_with_an_enumeration_of_paths() -> None:
    paths = [(3,), (0, 4), (1, 5), (0, 2, 5)]
    tails = {0: [(0, 4), (0, 2, 5)], 1: [(1, 5)], 2: [(2, 5)], 3: [(3,)], 4: [(4,)], 5: [(5,)]}
    assert {path for tail in tails.values() for path in tail} >= set(paths)
    for _ in range(200):
        cell = Genotype(tuple(random.randrange(5) for _ in range(6)))
        expected = [
            edge
            for edge, ways in tails.items()
            if any(all(cell.ops[e] != NONE for e in way) for way in ways)
        ]
        assert used_edges(cell) == expected


def test_the_network_itself_stays_as_it_was() -> None:
    network = trained("333133")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    small = InferenceNetwork(network)
    for parameter in small.parameters():
        parameter.data.zero_()
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)
    assert all(parameter.requires_grad for parameter in network.parameters())
    with pytest.raises(ValueError, match="divisible by 4"):
        small(torch.rand(1, 3, 6, 8))
