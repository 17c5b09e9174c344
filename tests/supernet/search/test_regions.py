"""A search whose passes are captured and replayed is the search whose passes are ordinary calls."""

import io
import logging
from typing import Any

import pytest
import torch

from ops.captures import Captures
from ops.regions import Region
from supernet.attacks import common
from supernet.search.search import Search
from tests.cuda_ext.cases import needs_native
from tests.ops.recorded import RecordedGraph
from tests.supernet.search.test_search import make_search, snapshot

pytestmark = pytest.mark.slow

FIELDS = {"path_share": 0.3, "warmup_epochs": 1, "epochs": 4, "attack": "pgd", "attack_steps": 2}


@pytest.fixture(autouse=True)
def labels_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU an attack does not look at labels; on a CPU it does, and a capture refuses that."""
    monkeypatch.setattr(common, "check_labels", lambda y, num_classes: None)


def regions(search: Search) -> list[Region]:
    return [search.alpha.region, *search.weights.regions.values()]


def as_on_a_gpu(captured: bool, **fields: object) -> Search:
    """The learning rate in a tensor, and regions that are captured where that is asked for."""
    search = make_search(**{**FIELDS, **fields})
    search.weights.hold_rate()
    process = Captures(strict=True)
    for region in regions(search) if captured else ():
        region.make_graph, region.devices, region.process = RecordedGraph, ("cpu",), process
    return search


def states(search: Search, steps: int) -> list[dict[str, torch.Tensor]]:
    found = []
    for _ in range(steps):
        search.train_step()
        found.append(snapshot(search))
    return found


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"impl": "native"}, marks=needs_native),
        {"impl": "batched", "attack_dtype": "bfloat16"},
        {"impl": "batched", "strategy": "drnas", "objective": "mgda"},
        {"impl": "batched", "robust_weight": 0.0, "attack": "n_fgsm"},
        {"impl": "batched", "strategy": "darts2", "path_share": 0.0},
        {"impl": "batched", "robust": False},
    ],
)
def test_a_captured_search_is_the_ordinary_one_bit_for_bit(fields: dict[str, object]) -> None:
    torch.manual_seed(3)  # drnas draws from torch's own generator
    ordinary = as_on_a_gpu(False, **fields)
    expected = states(ordinary, 14)
    torch.manual_seed(3)
    search = as_on_a_gpu(True, **fields)
    RecordedGraph.made = 0
    for step, (found, wanted) in enumerate(zip(states(search, 14), expected, strict=True)):
        assert all(torch.equal(found[name], wanted[name]) for name in wanted), step
    assert ordinary.epoch_means() == search.epoch_means()
    clean, second_order = not search.config.robust, search.strategy.differentiates_weights
    assert search.weights.regions[not clean].captured
    assert search.alpha.region.captured != second_order
    # A clean search trains clean images in the warm-up and after it: one graph fewer.
    assert RecordedGraph.made == 3 - clean - second_order


def test_a_captured_search_is_resumed_bit_for_bit() -> None:
    whole, stream = as_on_a_gpu(True), io.BytesIO()
    for step in range(12):
        if step == 9:
            torch.save(whole.state_dict(), stream)
        whole.train_step()
    stream.seek(0)
    resumed = as_on_a_gpu(True)
    resumed.load_state_dict(torch.load(stream, weights_only=True))
    for _ in range(3):
        resumed.train_step()
    expected = snapshot(whole)
    assert all(torch.equal(value, expected[name]) for name, value in snapshot(resumed).items())


def test_a_state_that_is_loaded_makes_a_graph_void() -> None:
    """A load gives the optimiser other tensors than those that were captured."""
    search, other = as_on_a_gpu(True, path_share=0.0), as_on_a_gpu(False, path_share=0.0)
    for each in (search, other):
        for _ in range(9):
            each.train_step()
        each.load_state_dict(each.state_dict())
    for found, wanted in zip(states(search, 4), states(other, 4), strict=True):
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_the_rate_on_the_device_is_that_of_the_schedule() -> None:
    """torch's fused SGD against its other one: alike, but for how sums are rounded."""
    one, other = make_search(**FIELDS, lr=0.5), make_search(**FIELDS, lr=0.5)
    other.weights.hold_rate()
    for search in (one, other):
        for _ in range(3):
            search.train_step()
    assert one.weights.lr == other.weights.lr < 0.5
    before = make_search(**FIELDS, lr=0.5).net.classifier.weight
    moved = (one.net.classifier.weight - before).detach().abs().max()
    torch.testing.assert_close(
        one.net.classifier.weight, other.net.classifier.weight, rtol=0, atol=1e-3 * float(moved)
    )
    assert other.weights.optimiser.param_groups[0]["lr"] == one.weights.lr
    assert "rate" not in str(other.weights.state_dict().keys())


@pytest.mark.parametrize(
    ("strategy", "said", "graphs"),
    [
        ("gdas", {"alpha's pass", "a weight step under attack"}, 0),
        ("darts2", {"alpha's pass"}, 1),  # its weights are trained as those of darts
    ],
)
def test_what_varies_from_step_to_step_is_never_captured(
    strategy: str, said: set[str], graphs: int, caplog: Any
) -> None:
    search = as_on_a_gpu(True, strategy=strategy, warmup_epochs=0, path_share=0.0)
    RecordedGraph.made = 0
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            search.train_step()
    assert RecordedGraph.made == graphs and not search.alpha.region.captured
    lines = [r.getMessage().split(" runs without a CUDA graph: ") for r in caplog.records]
    assert {name for name, _ in lines} == said and len(lines) == len(said)
    assert all("attacks are captured" in reason for _, reason in lines)
