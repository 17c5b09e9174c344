"""A program that captures CUDA graphs, and fails where one cannot be, or replays other bits.

    python -m tests.cuda_ext.captures attack cuda
    python -m tests.cuda_ext.captures search cuda
    python -m tests.cuda_ext.captures search cpu       (graphs played by tests.ops.recorded)
    python -m tests.cuda_ext.captures broken cpu       (must fail)

It is a process of its own, because after a capture that failed torch's allocator may believe that
one is still under way, and whatever runs next would be blamed.
"""

import dataclasses
import gc
import sys

import torch

from cuda_ext.mixed_op import attack_step
from ops.captures import CAPTURES, Captures
from ops.graphs import ATTACK_LOOPS, AttackLoops
from supernet.attacks import common
from supernet.attacks.common import input_gradient
from supernet.nets.supernet import Supernet
from supernet.search.search import Search
from tests.ops.recorded import RecordedGraph
from tests.supernet.search.test_search import TINY, snapshot, tiny_data

STEPS = 16  # of which 4 are clean


def attack(device: str) -> None:
    """Ordinary calls, captured, replayed with another model: each as ordinary calls have it."""
    net = Supernet(C=16, N=1, impl="native").to(device)
    x, y = torch.rand(8, 3, 32, 32, device=device), torch.arange(8, device=device)

    def step(model, x_adv, x, y):  # type: ignore[no-untyped-def]
        grad = input_gradient(model, x_adv, y, "ce")
        attack_step(x_adv, grad, x, eps=8 / 255, step_size=2 / 255)

    loops = AttackLoops(process=Captures(strict=True))
    for scale in (1.0, 1.0, 0.5):
        model = net.fold_mixture(torch.full((6, 5), 0.2 * scale, device=device))
        graphed = loops.run(step, 3, model, x.clone(), x, y, key="test")
        eager = x.clone()
        for _ in range(3):
            step(model, eager, x, y)
        assert torch.equal(graphed, eager), f"another attack at {scale}"
    assert len(loops._graphs) == 1
    # The graph of another form comes and goes; the one that was there is as good as before.
    for cells in (1, 1):
        others = Supernet(C=32, N=cells, impl="native").to(device)
        model = others.fold_mixture(torch.full((6, 5), 0.1, device=device))
        loops.run(step, 3, model, x.clone(), x, y, key="other")
    assert len(loops._graphs) == 2
    loops._graphs.popitem()
    gc.collect()
    model = net.fold_mixture(torch.full((6, 5), 0.1, device=device))
    graphed, eager = loops.run(step, 3, model, x.clone(), x, y, key="test"), x.clone()
    for _ in range(3):
        step(model, eager, x, y)
    assert torch.equal(graphed, eager), "another attack after a graph is gone"


def search(device: str, broken: bool = False) -> None:
    """A search with every region captured, and cells between, is the one of ordinary calls."""
    ordinary, captured = make(device), make(device)
    regions = captured.alpha.region, *captured.weights.regions.values()
    for region in (ordinary.alpha.region, *ordinary.weights.regions.values()):
        region.devices = ()
    if device == "cpu":
        common.check_labels = lambda y, num_classes: None  # as on a GPU
        for each in (ordinary, captured):
            each.weights.hold_rate()
        for region in regions:
            region.devices, region.make_graph = ("cpu",), RecordedGraph
    if broken:
        inner = captured.alpha.at_edges
        captured.alpha.at_edges = lambda *a: (inner(*a), float(a[1].sum()))[0]  # type: ignore
    for step in range(STEPS):
        for each in (ordinary, captured):
            each.train_step()
        expected, found = snapshot(ordinary), snapshot(captured)
        different = [name for name in expected if not torch.equal(expected[name], found[name])]
        assert not different, f"after step {step + 1}: {different}"
    assert all(region.captured for region in regions)
    if device != "cpu":
        _again_beside_a_graph_that_goes(captured)
    if device != "cpu":
        assert ATTACK_LOOPS._graphs, "the attacks of single cells were not captured"


def _again_beside_a_graph_that_goes(first: Search) -> None:
    """Regions share their memory: those of a search are right while another's come and go."""
    expected = make("cuda")
    for region in (expected.alpha.region, *expected.weights.regions.values()):
        region.devices = ()
    for _ in range(STEPS):
        expected.train_step()
    second = make("cuda")
    for _ in range(STEPS):
        second.train_step()
    del second
    gc.collect()
    for _ in range(STEPS // 4):
        first.train_step()
        expected.train_step()
    found, wanted = snapshot(first), snapshot(expected)
    different = [name for name in wanted if not torch.equal(wanted[name], found[name])]
    assert not different, f"after another search's graphs are gone: {different}"


def make(device: str) -> Search:
    config = dataclasses.replace(
        TINY, C=16, epochs=4, warmup_epochs=1, path_share=0.3, attack="pgd", attack_steps=2
    )
    data = tiny_data()
    tensors = {name: getattr(data, name).to(device) for name in ("train_x", "train_y")}
    return Search(config, dataclasses.replace(data, **tensors), torch.device(device))


def main() -> None:
    """What the command line names."""
    name, device = sys.argv[1:]
    CAPTURES.strict = True
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        attack(device) if name == "attack" else search(device, name == "broken")


if __name__ == "__main__":
    main()
