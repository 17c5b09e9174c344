#!/usr/bin/env python3
"""Measure bytes per second of each kernel, against a plain copy on the same device.

    python scripts/bench_kernels.py --json docs/bench/kernels_cpu.json
    python scripts/bench_kernels.py --triton              on a GPU, those in Triton

A kernel's bytes are those of the tensors that it must read and write once. Two buffers of every
input take turns, so that a cache does not answer for the memory. The least of the timed rounds
counts: it shows the kernel, where a mean would show how busy the machine was.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError

DTYPES = ("float32", "bfloat16")


def main() -> None:
    """Measure, print a table, write JSON."""
    arguments = _parser().parse_args()

    import torch

    from cuda_ext import _native, triton_ops
    from supernet.runs.machine import describe, resolve_device

    device = resolve_device(arguments.device)
    ops: Any = torch.ops.robust_supernet
    if arguments.triton:
        if device.type != "cuda":
            raise UserError("the kernels in Triton need a GPU; leave --triton out")
        ops = SimpleNamespace(**triton_ops.OPERATORS)
    elif device.type not in _native.compiled_for():
        raise UserError(f"there are no compiled kernels for {device.type}; run `make native`")
    rows = {dtype: _measure(arguments, ops, dtype, device) for dtype in arguments.dtype}
    report = {"command": "python " + " ".join(sys.argv), **describe(device),
              "shape": [arguments.batch_size, arguments.C, arguments.side, arguments.side],
              "kernels": rows}  # fmt: skip
    for dtype in rows:
        print(f"{report['device']}, {report['shape']}, {dtype}")
        for name, row in rows[dtype].items():
            print(
                f"{name:28} {row['microseconds']:10.1f} us {row['gb_per_s']:8.1f} GB/s "
                f"{row['of_copy']:6.0%} of the copy"
            )
    if arguments.json:
        from supernet.files import write_json

        write_json(arguments.json, report)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add = parser.add_argument
    add("--C", type=int, default=16, help="Channels. Default: 16.")
    add("--batch-size", type=int, default=64, help="Images. Default: 64.")
    add("--side", type=int, default=32, help="Image side in pixels. Default: 32.")
    add("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES), metavar="DTYPE",
        help=f"Some of {', '.join(DTYPES)}. Default: all.")  # fmt: skip
    add("--rounds", type=int, default=20, help="Timed rounds. Default: 20.")
    add("--device", default="auto", help="auto, cpu or cuda. Default: auto.")
    add("--triton", action="store_true",
        help="The kernels in Triton instead of the compiled ones.")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    return parser


def _measure(arguments: Any, ops: Any, dtype: str, device: Any) -> dict[str, dict[str, float]]:
    kernels = _kernels(arguments, ops, dtype, device)
    rows: dict[str, dict[str, float]] = {}
    for name, (tensors_moved, run) in kernels.items():
        seconds = _least_seconds(run, arguments.rounds, device)
        unit = arguments.batch_size * arguments.C * arguments.side**2
        size = 2 if dtype == "bfloat16" else 4
        rate = tensors_moved * unit * size / seconds / 1e9
        copy_rate = rows["copy"]["gb_per_s"] if rows else rate
        rows[name] = {
            "microseconds": seconds * 1e6, "gb_per_s": rate, "of_copy": rate / copy_rate
        }  # fmt: skip
    return rows


def _kernels(
    arguments: Any, ops: Any, dtype_name: str, device: Any
) -> dict[str, tuple[int, Callable[[int], object]]]:
    """name -> (tensors read and written, what is timed given 0 or 1)."""
    import torch

    B, C, side = arguments.batch_size, arguments.C, arguments.side
    dtype = getattr(torch, dtype_name)

    def stack(n: int) -> Any:
        t = torch.randn(B, n * C, side, side, device=device).to(dtype)
        return t.contiguous(memory_format=torch.channels_last)

    small = {"device": device}
    kernels: dict[str, tuple[int, Callable[[int], object]]] = {}
    a, b = [stack(4), stack(4)], [stack(4), stack(4)]
    kernels["copy"] = (8, lambda i: b[i].copy_(a[i]))
    for S in (1, 2, 3):
        # As in a cell: outputs are channel slices of convolutions stacked by source node.
        v = [[stack(1) for _ in range(S)] for _ in range(2)]
        y = [[stack(S)[:, :C] for _ in range(2 * S)] for _ in range(2)]
        dy = [torch.empty_like(stack(S))[:, :C] for _ in range(2 * S)]
        g, out = [stack(1), stack(1)], stack(1)
        w, w2, bias = (torch.rand(*s, **small) for s in ((S, 5), (S, 2), (C,)))
        mean, var = (t.view(S, 2, C) for t in ops.channel_moments(y[0]))
        _, coef = ops.training_node_sums(g[0], v[0], y[0][:S], y[0][S:], w, mean, var, 1e-5)

        def add(name: str, moved: int, run: Any, S: int = S) -> None:
            kernels[f"{name} S={S}"] = (moved, run)

        def node(i: int, S: int = S, v: Any = v, y: Any = y) -> tuple[Any, ...]:
            return v[i], y[i][:S], y[i][S:]

        add("attack_node", 2 * S + 2,
            lambda i, n=node, w=w2, b=bias: ops.attack_node(*n(i)[:2], w, b, True))  # fmt: skip
        add("attack backward", S + 3,
            lambda i, v=v, y=y, g=g, w=w2, o=out:
            ops.node_backward(v[i], w, y[i][:1], g[i], [o]))  # fmt: skip
        add("moments", 2 * S, lambda i, y=y: ops.channel_moments(y[i]))
        add("training write", 3 * S + 2,
            lambda i, n=node, w=w, m=mean, s=var:
            ops.training_node_write(*n(i), w, m, s, 1e-5, True))  # fmt: skip
        add("training sums", 3 * S + 1,
            lambda i, n=node, g=g, w=w, m=mean, s=var:
            ops.training_node_sums(g[i], *n(i), w, m, s, 1e-5))  # fmt: skip
        add("norm backward", 4 * S + 1,
            lambda i, y=y, g=g, c=coef, d=dy: ops.norm_backward(g[i], y[i], c, d))  # fmt: skip
    step = [stack(1).sigmoid() for _ in range(4)]
    kernels["attack_step"] = (
        4, lambda i: ops.attack_step(step[i], step[2], step[3], 8 / 255, 2 / 255)
    )  # fmt: skip
    return kernels


def _least_seconds(run: Callable[[int], object], rounds: int, device: Any) -> float:
    import torch

    times = []
    for number in range(rounds + 2):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda._sleep(4_000_000)  # the launches queue up behind it
            start.record()
            run(number % 2)
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            began = time.perf_counter()
            run(number % 2)
            times.append(time.perf_counter() - began)
    return min(times[2:])


if __name__ == "__main__":
    cli.run(main)
