#!/usr/bin/env python3
"""Measure the time that exact folding saves: one attack gradient, and one full robust step.

    python scripts/bench_fold.py --json docs/bench/fold.json

Unfolded and folded take turns in one run, on the same images and weights, with the same training
passes; unfolded attacks run through the mixed cells in eval mode. A robust step is PGD-7 and one
gradient step for alpha, then the same for the weights. `folded` uses plain PyTorch, `folded,
native` the compiled kernels for attacks and training passes, where they are built.
"""

import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli

ATTACK_STEPS = 7


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--C", type=int, default=16, help="Channels of the first stage. Default: 16."
    )
    parser.add_argument("--N", type=int, default=5, help="Cells per stage. Default: 5.")
    parser.add_argument("--batch-size", type=int, default=64, help="Images. Default: 64.")
    parser.add_argument("--side", type=int, default=32, help="Image side in pixels. Default: 32.")
    parser.add_argument("--repeats", type=int, default=5, help="Timed rounds. Default: 5.")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda. Default: auto.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    arguments = parser.parse_args()

    from supernet.errors import UserError
    from supernet.runs.machine import describe, resolve_device

    if arguments.repeats < 1:
        raise UserError(f"--repeats is {arguments.repeats}; it must be at least 1")
    device = resolve_device(arguments.device)
    results = {
        name: _rounds(variants, arguments.repeats, device)
        for name, variants in _measurements(arguments, device).items()
    }
    report = {
        "command": "python " + " ".join(sys.argv),
        **describe(device),
        "shapes": {"C": arguments.C, "N": arguments.N, "batch": arguments.batch_size,
                   "side": arguments.side, "attack_steps": ATTACK_STEPS},
        "repeats": arguments.repeats,
        "results": results,
    }  # fmt: skip
    print(_table(report))
    if arguments.json:
        from supernet.files import write_json

        write_json(arguments.json, report)


def _measurements(arguments: Any, device: Any) -> dict[str, dict[str, Callable[[], object]]]:
    """name -> implementation -> what is timed."""
    import torch

    from cuda_ext import _native

    size, side = arguments.batch_size, arguments.side
    x = torch.rand(size, 3, side, side, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(size, device=device) % 10
    impls = {"unfolded": "batched", "folded": "batched"}
    if _native.available():
        impls["folded, native"] = "native"
    gradients: dict[str, Callable[[], object]] = {}
    steps: dict[str, Callable[[], object]] = {}
    for name, impl in impls.items():
        search = _search(arguments, impl, x, y, device)
        attack = _attack(search, unfolded=name == "unfolded")
        gradients[name] = functools.partial(attack, x, y, 1)
        steps[name] = functools.partial(_robust_step, search, attack, x, y)
    return {"attack_gradient": gradients, "robust_step": steps}


def _search(arguments: Any, impl: str, x: Any, y: Any, device: Any) -> Any:
    """A search past its warm-up, whose batches are always these images."""
    from supernet.data import ImageData
    from supernet.search.config import SearchConfig
    from supernet.search.search import Search

    config = SearchConfig(
        robust=True, C=arguments.C, N=arguments.N, batch_size=arguments.batch_size, epochs=1,
        attack="pgd", attack_steps=ATTACK_STEPS, impl=impl,
    )  # fmt: skip
    pixels = (x * 255).byte().repeat(2, 1, 1, 1).contiguous()
    data = ImageData(
        name="random pixels", train_x=pixels, train_y=y.repeat(2), test_x=pixels[:0],
        test_y=y[:0], class_names=tuple("0123456789"), mean=(0.5,) * 3, std=(0.25,) * 3,
        source="made for this measurement", stand_in=False, pad=4, flip=True, eps=8 / 255,
    )  # fmt: skip
    search = Search(config, data, device)
    search.net.train()
    return search


def _attack(search: Any, *, unfolded: bool) -> Callable[..., Any]:
    """attack(x, y, steps) on the search's mixture; folding is part of the price."""
    from supernet.attacks import frozen, pgd

    net, w_EO = search.net, search.strategy.expected_weights()

    def attack(x: Any, y: Any, steps: int = ATTACK_STEPS) -> Any:
        if not unfolded:
            return pgd(net.fold_mixture(w_EO), x, y, eps=search.eps, steps=steps)
        # The plain formulation: the attack runs on the mixed cells themselves, in eval mode.
        with frozen(net):
            return pgd(
                lambda images: net.forward_mixture(images, w_EO), x, y, eps=search.eps, steps=steps
            )

    return attack


def _robust_step(search: Any, attack: Callable[..., Any], x: Any, y: Any) -> None:
    """An alpha step and a weight step of DARTS, each on images that are attacked for it."""

    def attacked(model: Any, x: Any, y: Any) -> Any:
        return attack(x, y)

    weights, alpha = search.weights, search.alpha
    alpha.step((x, y), (x, y), attacked, weights.upcoming(), progress=0.0)
    weights.step((x, y), attacked, single_cells=False)


def _rounds(
    variants: dict[str, Callable[[], object]], repeats: int, device: Any
) -> dict[str, dict[str, Any]]:
    """Median seconds of each variant; they take turns, so that a busy minute hits all of them."""
    import torch

    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(repeats + 1):
        for name, run in variants.items():
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            began = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - began)
    base = statistics.median(times["unfolded"])
    return {
        name: {
            "seconds": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
            "speedup": base / statistics.median(seconds),
        }
        for name, seconds in times.items()
    }


def _table(report: dict[str, Any]) -> str:
    shapes = json.dumps(report["shapes"])
    lines = [
        f"{report['device']}, torch {report['versions']['torch']}, {shapes}",
        "",
        f"{'':16} {'':16} {'median s':>9} {'least':>8} {'most':>8} {'speedup':>8}",
    ]
    for measurement, variants in report["results"].items():
        for name, row in variants.items():
            lines.append(
                f"{measurement:16} {name:16} {row['seconds']:9.3f} {row['least']:8.3f} "
                f"{row['most']:8.3f} {row['speedup']:8.2f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
