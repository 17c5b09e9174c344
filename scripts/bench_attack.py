#!/usr/bin/env python3
"""Measure whether the fast attack is as strong: PGD-20 as searches run it, and by the book.

    python scripts/bench_attack.py --model RUN/standalone --json attack.json

Every attack starts from the same random points, on the same test images, and its images are
judged by the same float32 network. `plain` differentiates the network itself in evaluation mode, by
ordinary calls; `folded` is the exactly folded network in float32, `bfloat16` the same in bfloat16.
On a GPU the last two run as CUDA graphs, as they do in a search.
"""

import argparse
import functools
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError


def main() -> None:
    """Measure, print a table, write JSON."""
    arguments = _parser().parse_args()
    if min(arguments.limit, arguments.batch_size, arguments.steps) < 1:
        raise UserError("--limit, --batch-size and --steps must be at least 1")

    import torch

    from supernet.files import write_json
    from supernet.runs.machine import describe, resolve_device
    from supernet.train.export import load_images_of, load_model

    device = resolve_device(arguments.device)
    model, facts = load_model(arguments.model, device)
    data = load_images_of(
        facts, None, data_root=arguments.data_root, limit=0, test_limit=arguments.limit,
        device=device,
    )  # fmt: skip
    rows = measure(model.use_layout(torch.channels_last), data, arguments)
    print(
        f"{data.source}, {len(data.test_y)} test images, PGD-{arguments.steps}, eps {data.eps:.4g}"
    )
    for name, row in rows.items():
        print(
            f"{name:9} {row['accuracy']:7.2%}  {row['against_plain']:+6.2%} against plain  "
            f"{row['images_per_second']:10,.0f} images/s"
        )
    if arguments.json:
        content = {
            "command": shlex.join(["python", *sys.argv]), **describe(device),
            "model": str(arguments.model), "code": facts["code"], "source": data.source,
            "images": len(data.test_y), "batch_size": arguments.batch_size,
            "steps": arguments.steps, "eps": data.eps, "rows": rows,
        }  # fmt: skip
        write_json(arguments.json, content)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__)
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="RUN",
        help="Folder of scripts/train.py, or its model.pt.")  # fmt: skip
    add("--data-root", help="Folder with data sets; else ROBUST_SUPERNET_DATA, else ./data.")
    add("--limit", type=int, default=2048, help="Test images. Default: 2048.")
    add("--batch-size", type=int, default=256, help="Images per attack. Default: 256.")
    add("--steps", type=int, default=20, help="Steps of PGD. Default: 20.")
    add("--device", default="auto", help="auto, cpu or cuda. Default: auto.")
    add("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    return parser


def measure(model: Any, data: Any, arguments: Any) -> dict[str, dict[str, float]]:
    """Accuracy in [0, 1] and speed by attack; the speed is of all batches but the first two, which
    warm up and capture, or of all where there are no more."""
    import torch

    from supernet.attacks import frozen
    from supernet.precision import exact

    folded = model.fold()
    # A plain function hides the network's tensors from the graphs: ordinary calls.
    attacked: dict[str, Callable[[Any], Any]] = {
        "plain": lambda x: model(x), "folded": folded, "bfloat16": folded.to(torch.bfloat16),
    }  # fmt: skip
    rows: dict[str, dict[str, float]] = {}
    for name, target in attacked.items():
        with frozen(model), exact():
            right, speed = _attack_all(model, target, data, arguments)
        accuracy = right / len(data.test_y)
        plain = rows["plain"]["accuracy"] if rows else accuracy
        rows[name] = {
            "accuracy": accuracy, "against_plain": accuracy - plain, "images_per_second": speed
        }  # fmt: skip
    return rows


def _attack_all(model: Any, target: Any, data: Any, arguments: Any) -> tuple[int, float]:
    import torch

    from supernet.attacks import ATTACKS
    from supernet.data import to_float

    attack = functools.partial(ATTACKS["pgd"], eps=data.eps, steps=arguments.steps)
    generator = torch.Generator(data.test_x.device).manual_seed(0)
    right, marks = 0, []
    chunks = torch.arange(len(data.test_y), device=data.test_y.device).split(arguments.batch_size)
    for chunk in chunks:
        marks.append((time.perf_counter(), len(chunk)))
        x = to_float(data.test_x[chunk]).contiguous(memory_format=torch.channels_last)
        x_adv = attack(target, x, data.test_y[chunk], generator=generator)
        with torch.no_grad():
            # int() waits for the device, so that the next mark is the end of this batch.
            right += int((model(x_adv).argmax(1) == data.test_y[chunk]).sum())
    end = time.perf_counter()
    timed = marks[2:] or marks
    return right, sum(count for _, count in timed) / (end - timed[0][0])


if __name__ == "__main__":
    cli.run(main)
