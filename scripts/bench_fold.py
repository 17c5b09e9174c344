#!/usr/bin/env python3
"""Measure the time that exact folding saves: one attack gradient, and one full robust step.

    python scripts/bench_fold.py --json docs/bench/fold.json

Unfolded and folded take turns in one run, on the same images and weights, with the same training
passes; unfolded attacks run through the mixed cells in eval mode. A robust step is that of a search
by default: PGD-7, the gradients of the clean and of the attacked loss to alpha and alpha's step,
then PGD-7 and the weights' step. `folded` uses plain PyTorch, `folded, native` the compiled kernels
for attacks and training passes, where they are built.
"""

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli

ATTACK_STEPS = 7
EPS = 8 / 255


def main() -> None:
    """Measure, print a table, write JSON."""
    arguments = _parser().parse_args()

    from supernet.errors import UserError
    from supernet.runs.machine import describe, resolve_device

    if arguments.repeats < 1:
        raise UserError(f"--repeats is {arguments.repeats}; it must be at least 1")
    device = resolve_device(arguments.device)
    results, busy = {}, False
    for name, variants in _measurements(arguments, device).items():
        results[name], taken = _compare(variants, arguments.repeats, device)
        busy |= taken
    report = {
        "command": "python " + " ".join(sys.argv),
        **describe(device),
        "shapes": {"C": arguments.C, "N": arguments.N, "batch": arguments.batch_size,
                   "side": arguments.side, "attack_steps": ATTACK_STEPS},
        "repeats": arguments.repeats,
        "results": results,
        "busy": busy,
    }  # fmt: skip
    print(_table(report))
    if arguments.json:
        from supernet.files import write_json

        write_json(arguments.json, report)


def _parser() -> argparse.ArgumentParser:
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
    return parser


def _measurements(arguments: Any, device: Any) -> dict[str, dict[str, Callable[[], object]]]:
    """name -> implementation -> what is timed."""
    import torch

    from cuda_ext import _native

    size, side = arguments.batch_size, arguments.side
    x = torch.rand(size, 3, side, side, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(size, device=device) % 10
    forms = {"unfolded": Form(arguments, "batched", False, x, y)}
    forms["folded"] = Form(arguments, "batched", True, x, y)
    if _native.available():
        forms["folded, native"] = Form(arguments, "native", True, x, y)
    return {
        "attack_gradient": {name: form.attack_gradient for name, form in forms.items()},
        "robust_step": {name: form.robust_step for name, form in forms.items()},
    }


class Form:
    """A supernet with its alpha and optimisers, all forms with the same weights."""

    def __init__(self, arguments: Any, impl: str, folded: bool, x: Any, y: Any) -> None:
        import torch

        from supernet.nets.supernet import Supernet

        self.folded, self.x, self.y = folded, x, y
        torch.manual_seed(0)
        net = Supernet(C=arguments.C, N=arguments.N, impl=impl).use_layout(torch.channels_last)
        self.net = net.to(x.device).train()
        self.alpha = (1e-3 * torch.randn(6, 5)).to(x.device).requires_grad_()
        self.optimiser = torch.optim.SGD(
            self.net.parameters(), lr=0.025, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.alpha_optimiser = torch.optim.Adam([self.alpha], lr=3e-4, betas=(0.5, 0.999))

    def attack(self, steps: int) -> Any:
        """Attacked images; folding is part of the price."""
        from supernet.attacks import frozen, pgd

        w_EO = self.alpha.detach().softmax(dim=1)
        attack = functools.partial(pgd, eps=EPS, steps=steps, trusted=True)
        if self.folded:
            return attack(self.net.fold_mixture(w_EO), self.x, self.y)
        with frozen(self.net):
            return attack(lambda x: self.net(x, w_EO), self.x, self.y)

    def attack_gradient(self) -> None:
        self.attack(1)

    def robust_step(self) -> None:
        self._alpha_step()
        self._weight_step()

    def _alpha_step(self) -> None:
        import torch
        import torch.nn.functional as F

        from ops.candidates import kept_statistics

        total = torch.zeros_like(self.alpha)
        x_adv = self.attack(ATTACK_STEPS)
        with kept_statistics(self.net):
            for images in (self.x, x_adv):
                loss = F.cross_entropy(self.net(images, self.alpha.softmax(dim=1)), self.y)
                total += torch.autograd.grad(loss, self.alpha)[0] / 2
        self.alpha.grad = total
        self.alpha_optimiser.step()

    def _weight_step(self) -> None:
        import torch
        import torch.nn.functional as F

        x_adv = self.attack(ATTACK_STEPS)
        self.optimiser.zero_grad(set_to_none=True)
        w_EO = self.alpha.detach().softmax(dim=1)
        F.cross_entropy(self.net(x_adv, w_EO), self.y).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()


def _compare(
    variants: dict[str, Callable[[], object]], repeats: int, device: Any
) -> tuple[dict[str, dict[str, float]], bool]:
    """Seconds of each variant after a warm-up and its speedup over unfolded, on a CPU by CPU
    seconds; and whether the machine was busy with other work."""
    from supernet.runs.timing import clocked_in_turns, spread, was_busy

    clocked_in_turns(variants, 1, device)
    times = clocked_in_turns(variants, repeats, device)
    rows = {
        name: {
            **spread([clock.wall for clock in clocks]),
            "cpu_seconds": statistics.median(clock.cpu for clock in clocks),
        }
        for name, clocks in times.items()
    }
    on_cpu = device.type == "cpu"
    counts = "cpu_seconds" if on_cpu else "seconds"
    base = rows["unfolded"][counts]
    busy = on_cpu and was_busy(clock for clocks in times.values() for clock in clocks)
    return {name: {**row, "speedup": base / row[counts]} for name, row in rows.items()}, busy


def _table(report: dict[str, Any]) -> str:
    shapes = json.dumps(report["shapes"])
    lines = [
        f"{report['device']}, torch {report['versions']['torch']}, {shapes}",
        *(["busy: other work took over a tenth of the time"] if report["busy"] else []),
        "",
        f"{'':16} {'':16} {'CPU s':>8} {'wall s':>8} {'least':>8} {'most':>8} {'speedup':>8}",
    ]
    for measurement, variants in report["results"].items():
        for name, row in variants.items():
            lines.append(
                f"{measurement:16} {name:16} {row['cpu_seconds']:8.3f} {row['seconds']:8.3f} "
                f"{row['least']:8.3f} {row['most']:8.3f} {row['speedup']:8.2f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
