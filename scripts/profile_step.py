#!/usr/bin/env python3
"""Show where a search step's time goes: by kind of work, by kernel, and in waits of the host.

    python scripts/profile_step.py --robust --dataset cifar10 --preset gpu --json step.json

Takes the flags of scripts/search.py and profiles whole steps (alpha and weights, after the warm-up
epochs) of that search on its own images. On a GPU the times are the device's, and the time that it
did not work is `idle`. On a CPU they are the operators' own, without their callees'.

    python scripts/profile_step.py --count --robust --preset gpu

counts what each part of such a step asks of a GPU, launches and waits of the host; it needs neither
a GPU nor images, and computes nothing.
"""

import argparse
import re
import shlex
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags
from supernet.search import presets
from supernet.search.config import SearchConfig

KINDS = {
    "our kernels": r"robust_supernet|run_kernel",
    "convolutions": r"conv|cudnn|mkldnn|cutlass|xmma|implicit_gemm|winograd",
    "matrix products": r"gemm|::mm|::bmm|addmm|einsum|gemv",
    "normalisation and sums": r"norm|moments|reduce|::sum|::mean|welford",
    "copies and layouts": r"copy|memcpy|memset|::to|contiguous|clone|nchw|nhwc|cat|fill|zero_",
    "optimiser": r"foreach|multi_tensor|adam|sgd",
    "elementwise": r"elementwise|relu|add|mul|sub|div|clamp|sign|where|threshold|vectorized",
}
"""First match wins; everything else is `other`."""
WAITS = r"cuda(Stream|Device|Event)Synchronize"
STEPS = "the steps that are profiled"
"""A label around them: the profiler waits for the device itself once they are done."""
SHOWN = 15


def main() -> None:
    """Profile, print tables, write JSON."""
    arguments = _parser().parse_args()
    if arguments.steps < 1 or arguments.skip < 1:
        raise UserError("--steps and --skip must be at least 1")

    if arguments.count:
        return count(arguments)

    import torch

    from supernet.files import write_json
    from supernet.runs.machine import describe, resolve_device
    from supernet.search.search import Search, load_images

    settings = presets.with_preset(
        arguments.preset, given_flags(arguments, SearchConfig),
        cuda=torch.cuda.is_available(),
    )  # fmt: skip
    device = resolve_device(settings.device)
    search = Search(settings, load_images(settings, device), device)
    search.step = settings.warmup_epochs * search.steps_per_epoch
    found = profile(search, arguments.skip, arguments.steps)
    report = {
        "command": shlex.join(["python", *sys.argv]), **describe(device),
        "config": settings.to_dict(), "images": search.data.source, **found,
    }  # fmt: skip
    print(table(report))
    if arguments.json:
        write_json(arguments.json, report)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    add = parser.add_argument
    names = ", ".join(presets.PRESETS)
    add("--preset", metavar="NAME", help=f"One of {names}. Default: automatic.")
    add("--steps", type=int, default=5, help="Steps that are profiled. Default: 5.")
    add("--skip", type=int, default=10, help="Steps before them, which warm up. Default: 10.")
    add("--count", action="store_true", help="Count launches and waits instead; needs no GPU.")
    add("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    add_config_flags(parser, SearchConfig)
    return parser


def count(arguments: argparse.Namespace) -> None:
    """Print launches and waits of each part of a step, and write them as JSON."""
    from ops.rehearsal import HostWait
    from supernet.files import write_json
    from supernet.search.launches import count_launches

    given = given_flags(arguments, SearchConfig)
    settings = presets.with_preset(arguments.preset, given, cuda=False)
    try:
        parts = count_launches(settings)
    except HostWait as wait:
        raise UserError(
            f"a step of {settings.strategy} waits for the GPU ({wait}): what follows depends on "
            "values, and cannot be counted without one; leave --count out on a machine with a GPU"
        ) from None
    print(f"{'':16}{'operators':>10}{'kernels':>10}{'waits':>10}")
    for name, part in parts.items():
        print(f"{name:16}{part.operators:10,}{part.launches:10,}{len(part.waits):10,}")
    if arguments.json:
        rows = {name: vars(part) for name, part in parts.items()}
        command = shlex.join(["python", *sys.argv])
        write_json(
            arguments.json, {"command": command, "config": settings.to_dict(), "parts": rows}
        )


def profile(search: Any, skip: int, steps: int) -> dict[str, Any]:
    """Milliseconds per step by kind and by kernel, launches and host waits per step."""
    import torch
    from torch.profiler import ProfilerActivity, record_function

    from supernet.runs.timing import seconds

    cuda = search.device.type == "cuda"
    for _ in range(skip):
        search.train_step()

    def train() -> None:
        for _ in range(steps):
            search.train_step()

    plain = seconds(train, search.device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with torch.profiler.profile(activities=activities) as run, record_function(STEPS):
        train()
    kernels: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in run.key_averages():
        if event.key == STEPS or event.is_user_annotation:  # a label, such as an optimiser's step
            continue
        on_device = str(event.device_type).endswith("CUDA")
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        if spent and on_device == cuda:
            kernels[event.key][0] += spent / 1e3 / steps
            kernels[event.key][1] += event.count / steps
    kinds: dict[str, float] = defaultdict(float)
    for name, (milliseconds, _) in kernels.items():
        kinds[kind_of(name)] += milliseconds
    step = 1e3 * plain / steps
    if cuda:
        kinds["idle"] = max(0.0, step - sum(kinds.values()))
    ordered = sorted(kernels.items(), key=lambda item: -item[1][0])
    return {
        "steps": steps,
        "step_ms": step,
        "images_per_second": 2e3 * search.config.batch_size / step,
        "host_waits_per_step": waits_in(run.events()) / steps,
        "kinds_ms": dict(sorted(kinds.items(), key=lambda item: -item[1])),
        "kernels": [
            {"name": name, "ms": ms, "calls": calls, "kind": kind_of(name)}
            for name, (ms, calls) in ordered
        ],
    }


def waits_in(events: Any) -> int:
    """How often the host waits for the device while the steps run."""
    # On a GPU the label is there a second time, with the time that the device spends in it.
    whole = min(
        (event.time_range for event in events if event.name == STEPS), key=lambda span: span.start
    )
    return sum(
        bool(re.search(WAITS, event.name)) and whole.start <= event.time_range.start <= whole.end
        for event in events
    )


def kind_of(name: str) -> str:
    """The kind of work that a kernel or operator does, by its name."""
    return next((k for k, pattern in KINDS.items() if re.search(pattern, name, re.I)), "other")


def table(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    total = sum(report["kinds_ms"].values())
    lines = [
        f"{report['device']}: {report['step_ms']:.1f} ms per step, "
        f"{report['images_per_second']:,.0f} images/s, "
        f"{report['host_waits_per_step']:.1f} waits of the host per step"
    ]
    lines += [f"{ms:10.2f} ms {ms / total:6.1%}  {kind}" for kind, ms in report["kinds_ms"].items()]
    lines.append("")
    lines += [
        f"{row['ms']:10.2f} ms {row['calls']:8.1f} calls  {row['name'][:80]}"
        for row in report["kernels"][:SHOWN]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
