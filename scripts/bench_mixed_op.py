#!/usr/bin/env python3
"""Time the supernet's passes in every formulation, side by side in one run.

    python scripts/bench_mixed_op.py --json docs/bench/mixed_op_cpu.json

training_node    forward and backward of the whole supernet in training mode, gradients to all
                 weights and to the edge weights
attack_gradient  one gradient to the images with frozen batch norm
robust_step      PGD-7 and the alpha gradient, then PGD-7 and a weight step, folding included

reference is the plain NCHW formulation (five operators and a weighted sum per edge),
reference_channels_last the same in channels-last, compiled torch.compile of its cells, native the
compiled kernels, convolutions_only the convolutions that native calls and nothing else. They take
turns, so that a busy minute hits all of them; the median counts. compiled comes after all others,
since its compilation takes minutes (no cache is used), and takes turns with native once more, for
their ratio. The JSON is written after every measurement and names those that are missing, so that a
run that is cut short leaves the others.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError

MEASUREMENTS = ("training_node", "attack_gradient", "robust_step")
FORMS = ("reference", "reference_channels_last", "compiled", "native", "convolutions_only")
ATTACK_STEPS = 7
EPS, STEP_SIZE = 8 / 255, 2 / 255


def main() -> None:
    """Measure, print a table, write JSON."""
    arguments = _parser().parse_args()
    if arguments.quick:
        arguments.N, arguments.batch_size, arguments.repeats = 1, 16, 2
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # read when torch is imported
    from supernet.files import write_json
    from supernet.runs.machine import describe, resolve_device

    device = resolve_device(arguments.device)
    bench = Bench(arguments, device)
    report = {
        "command": "python " + " ".join(sys.argv),
        **describe(device),
        "threads": bench.threads,
        "shapes": {"C": arguments.C, "N": arguments.N, "batch": arguments.batch_size,
                   "side": arguments.side, "attack_steps": ATTACK_STEPS},
        "dtypes": {"training": "float32", "attack": arguments.attack_dtype},
        "repeats": arguments.repeats,
        "compile_seconds": bench.compile_seconds,
        "results": bench.results,
    }  # fmt: skip
    for missing in bench.run():
        if arguments.json:
            write_json(arguments.json, {**report, "missing": missing})
    print(table(report))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add = parser.add_argument
    add("--C", type=int, default=16, help="Channels of the first stage. Default: 16.")
    add("--N", type=int, default=5, help="Cells per stage. Default: 5.")
    add("--batch-size", type=int, default=64, help="Images. Default: 64.")
    add("--side", type=int, default=32, help="Image side in pixels. Default: 32.")
    add("--repeats", type=int, default=5,
        help="Timed rounds; a robust step takes half of them. Default: 5.")  # fmt: skip
    add("--quick", action="store_true", help="N=1, batch 16, 2 rounds: a look, not a measurement.")
    add("--device", default="auto", help="auto, cpu or cuda. Default: auto.")
    add("--attack-dtype", choices=("float32", "bfloat16"), default="float32",
        help="What native and compiled attack in. Default: float32.")  # fmt: skip
    add("--measure", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS),
        metavar="NAME",
        help=f"Some of {', '.join(MEASUREMENTS)}. Default: all.")  # fmt: skip
    add("--skip", nargs="+", choices=FORMS, default=[], metavar="FORM",
        help=f"Leave out some of {', '.join(FORMS)}; compiled takes a minute.")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    return parser


class Bench:
    """The networks of every formulation, on the same images, labels and weights."""

    def __init__(self, arguments: argparse.Namespace, device: Any) -> None:
        import torch

        from cuda_ext import _native

        if "native" not in arguments.skip and not _native.runs_on(device.type):
            why = _native.why_unavailable() or f"it was built without kernels for {device.type}"
            raise UserError(f"native cannot run: {why}; build it or give --skip native")
        self.arguments, self.device = arguments, device
        self.threads = torch.get_num_threads()
        torch.manual_seed(0)
        size, side = arguments.batch_size, arguments.side
        self.x = torch.rand(size, 3, side, side, device=device)
        self.y = torch.arange(size, device=device) % 10
        self.w_EO = torch.full((6, 5), 0.2, device=device).requires_grad_()
        self.forms = {form: Form(form, self) for form in FORMS[:-1] if form not in arguments.skip}
        self.compile_seconds: dict[str, float] = {}
        self.results: dict[str, dict[str, Any]] = {}

    def run(self) -> Iterator[list[str]]:
        """Measure everything, compiled last; yields after each part what is still missing."""
        todo = [
            (name, forms)
            for compiled in (False, True)
            for name in self.arguments.measure
            if (forms := self.forms_of(name, compiled))
        ]
        for done, (name, forms) in enumerate(todo, 1):
            self.measure(name, forms)
            yield [f"{name} {form}" for name, forms in todo[done:] for form in forms]

    def forms_of(self, name: str, compiled: bool) -> list[str]:
        """The formulations that take turns."""
        left_out = [*self.arguments.skip, *(["convolutions_only"] if name == "robust_step" else [])]
        return [f for f in FORMS if f not in left_out and (f == "compiled") is compiled]

    def measure(self, name: str, forms: Sequence[str]) -> None:
        """Median, spread and peak memory of some formulations, and what native gains."""
        from supernet.runs.timing import in_turns, spread

        again = ["native"] if "native" not in forms and "native" in self.forms else []
        runs: dict[str, Callable[[], object]] = {
            form: self.convolutions(training=name == "training_node")
            if form == "convolutions_only"
            else getattr(self.forms[form], name)
            for form in [*forms, *again]
        }
        repeats = self.arguments.repeats
        if name == "robust_step":
            repeats = (repeats + 1) // 2
        rows = {form: self._first(name, form, runs[form]) for form in forms}
        times = in_turns(runs, repeats, self.device)
        for form, row in rows.items():
            row.update(spread(times[form]))
        summary = self.results.setdefault(name, {})
        summary.update(rows)
        for form in again:
            summary["native_beside_compiled"] = statistics.median(times[form])
        self._compare(summary)

    def _compare(self, rows: dict[str, Any]) -> None:
        def ratio(slow: str, fast: str) -> float | None:
            if slow in rows and fast in rows:
                return float(rows[slow]["seconds"] / rows[fast]["seconds"])
            return None

        comparisons = {
            "speedup": ratio("reference", "native"),
            "native_over_convolutions": ratio("native", "convolutions_only"),
        }
        if "native_beside_compiled" in rows:
            comparisons["speedup_over_compiled"] = (
                rows["compiled"]["seconds"] / rows["native_beside_compiled"]
            )
        rows.update({name: value for name, value in comparisons.items() if value is not None})

    def _first(self, name: str, form: str, run: Callable[[], object]) -> dict[str, Any]:
        """The warm-up call: compiles, and is watched for its peak memory."""
        from supernet.runs.timing import peak_memory

        began = time.perf_counter()
        if form == "compiled":
            run()
            self.compile_seconds[name] = time.perf_counter() - began
        return {"peak_memory_mb": peak_memory(run, self.device)}

    def convolutions(self, training: bool) -> Callable[[], None]:
        """The convolutions of one native pass with their gradients, on tensors of their own.

        An attack needs only the gradients to the inputs. Cells are stacked: per source node one
        3x3 convolution for all edges that leave it, and in training one 1x1 next to it.
        """
        import torch

        C, N, B, side = (getattr(self.arguments, name) for name in ("C", "N", "batch_size", "side"))
        dtype = torch.float32 if training else getattr(torch, self.arguments.attack_dtype)
        calls = []

        def add(c_in: int, c_out: int, k: int, size: int, stride: int = 1) -> None:
            options = {"device": self.device, "dtype": dtype}
            last = torch.channels_last
            x = torch.rand(B, c_in, size, size, **options).contiguous(memory_format=last)
            w = torch.rand(c_out, c_in, k, k, **options).contiguous(memory_format=last)
            g = torch.rand(B, c_out, size // stride, size // stride, **options)
            calls.append((x, w, g.contiguous(memory_format=last), stride))

        add(3, C, 3, side)
        for stage in range(3):
            c, size = C << stage, side >> stage
            for kernel in (3, 1) if training else (3,):
                for edges in (3, 2, 1):
                    for _ in range(N):
                        add(c, edges * c, kernel, size)
            if stage < 2:
                add(c, 2 * c, 3, size, 2)
                add(2 * c, 2 * c, 3, size // 2)
                add(c, 2 * c, 1, size // 2)

        def run() -> None:
            for x, w, g, stride in calls:
                pad = w.shape[-1] // 2
                torch.ops.aten.convolution(
                    x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1
                )
                torch.ops.aten.convolution_backward(
                    g, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1,
                    [True, training, False],
                )  # fmt: skip

        return run


class Form:
    """One formulation of the three measurements."""

    def __init__(self, form: str, bench: Bench) -> None:
        import torch

        from supernet.nets.supernet import Supernet

        self.form, self.bench = form, bench
        torch.manual_seed(0)
        self.net = Supernet(
            C=bench.arguments.C, N=bench.arguments.N,
            impl="native" if form == "native" else "reference",
        ).to(bench.device)  # fmt: skip
        self.layout = torch.channels_last
        if form == "reference":
            self.layout = torch.contiguous_format
        self.net.use_layout(self.layout)
        if form == "compiled":
            # Cell by cell: each width and mode is compiled once and shared by all its cells. They
            # are more than dynamo's usual eight variants of one function.
            torch._dynamo.config.recompile_limit = 64
            for cell in self.net.cells:
                cell.compile(dynamic=False)
        self.x = bench.x.contiguous(memory_format=self.layout)
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9)
        self.folded = self.model() if form == "native" else None

    def loss(self, x: Any) -> Any:
        """Cross entropy in whatever mode the network is; `x` keeps its layout."""
        import torch.nn.functional as F

        return F.cross_entropy(self.net.forward_mixture(x, self.bench.w_EO), self.bench.y)

    def training_node(self) -> None:
        import torch

        self.net.train()
        parameters = list(self.net.parameters())
        torch.autograd.grad(self.loss(self.x), [*parameters, self.bench.w_EO])

    def model(self) -> Callable[[Any], Any]:
        """What an attack differentiates: native folds, the others run in eval mode."""
        import torch

        dtype = getattr(torch, self.bench.arguments.attack_dtype)
        if self.form == "native":
            return self.net.fold_mixture(self.bench.w_EO.detach()).to(dtype)
        low = self.form == "compiled" and dtype != torch.float32

        def plain(x: Any) -> Any:
            with torch.autocast(self.bench.device.type, dtype, enabled=low):
                return self.net.forward_mixture(x, self.bench.w_EO.detach()).float()

        return plain

    def attack(self, steps: int, model: Any) -> Any:
        from supernet.attacks import frozen, pgd

        # A plain function hides the network's tensors: frozen from here, and no CUDA graph.
        with frozen(self.net):
            return pgd(
                model, self.x, self.bench.y, eps=EPS, step_size=STEP_SIZE, steps=steps,
                random_start=False,
            )  # fmt: skip

    def attack_gradient(self) -> None:
        self.attack(1, self.folded or self.model())

    def robust_step(self) -> None:
        import torch

        x_adv = self.attack(ATTACK_STEPS, self.model())
        self.net.train().requires_grad_(False)  # alpha's gradient needs none of the weights
        torch.autograd.grad(self.loss(x_adv), self.bench.w_EO)
        self.net.requires_grad_(True)
        x_adv = self.attack(ATTACK_STEPS, self.model())
        self.net.train()
        self.optimiser.zero_grad()
        self.loss(x_adv).backward(inputs=list(self.net.parameters()))
        self.optimiser.step()


def table(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    lines = [
        f"{report['device']}, {report['threads']} threads, torch {report['versions']['torch']}",
        f"{json.dumps(report['shapes'])}, attack in {report['dtypes']['attack']}",
        "",
        f"{'':16} {'':24} {'median s':>9} {'least':>8} {'most':>8} {'peak MiB':>9}",
    ]
    for name, rows in report["results"].items():
        for form in (form for form in FORMS if form in rows):
            row = rows[form]
            peak = row["peak_memory_mb"]
            lines.append(
                f"{name:16} {form:24} {row['seconds']:9.4f} {row['least']:8.4f} "
                f"{row['most']:8.4f} {'-' if peak is None else f'{peak:.0f}':>9}"
            )
        for key, words in (
            ("speedup", "reference / native"),
            ("speedup_over_compiled", "compiled / native"),
            ("native_over_convolutions", "native / convolutions_only"),
        ):
            if key in rows:
                lines.append(f"{name:16} {words:24} {rows[key]:9.2f}")
    if report["compile_seconds"]:
        seconds = ", ".join(f"{k} {v:.0f} s" for k, v in report["compile_seconds"].items())
        lines.append(f"first calls of compiled, compilation included: {seconds}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
