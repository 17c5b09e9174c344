#!/usr/bin/env python3
"""Time the supernet's passes in every formulation, side by side in one run.

    OMP_NUM_THREADS=1 python scripts/bench_mixed_op.py --json docs/bench/mixed_op_cpu.json

training_node    forward and backward of the whole supernet in training mode, gradients to all
                 weights and to the edge weights
alpha_gradient   the same for the edge weights alone, as a search moves alpha
attack_gradient  one gradient to the images with frozen batch norm
robust_step      PGD-7 and the alpha gradient, then PGD-7 and a weight step, folding included
fast_step        the same with N-FGSM

reference is the plain NCHW formulation (five operators and a weighted sum per edge),
reference_channels_last the same in channels-last, compiled torch.compile of its cells,
compiled_folded that of the folded network's cells, native the compiled kernels, native_bfloat16
the same with attacks in bfloat16, native_all_bfloat16 the same with the convolutions of the passes
in bfloat16, too (--train-dtype), search the steps of a search itself, which a GPU replays as CUDA
graphs, convolutions_only the convolutions that native calls and nothing else. They take turns, so
that a busy minute hits all of them; the median counts, and CPU seconds stand beside the wall-clock:
where they differ by more than a tenth the machine was busy, and only the CPU seconds tell. The
compiled ones, on a GPU with mode="reduce-overhead", come after all others, since their compilation
takes minutes (no cache is used), and take turns with native and search once more, for their ratio.
The JSON is written after every measurement and names those that are missing, so that a run that is
cut short leaves the others.
"""

import argparse
import itertools
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

MEASUREMENTS = ("training_node", "alpha_gradient", "attack_gradient", "robust_step", "fast_step")
FORMS = ("reference", "reference_channels_last", "compiled", "compiled_folded", "native",
         "native_bfloat16", "native_all_bfloat16", "search", "convolutions_only")  # fmt: skip
COMPILED, OURS = ("compiled", "compiled_folded"), ("native", "search")
RATIOS = {
    "speedup": ("reference", "native"),
    "speedup_bfloat16": ("reference", "native_bfloat16"),
    "speedup_all_bfloat16": ("reference", "native_all_bfloat16"),
    "speedup_search": ("reference", "search"),
    "native_over_convolutions": ("native", "convolutions_only"),
}
"""name -> (slow, fast)."""


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
                   "side": arguments.side},
        "repeats": arguments.repeats,
        "kernels": bench.kernels,
        "compile_seconds": bench.compile_seconds,
        "results": bench.results,
    }  # fmt: skip
    for missing in bench.run():
        if arguments.json:
            write_json(arguments.json, {**report, "busy": bench.busy, "missing": missing})
    print(table({**report, "busy": bench.busy}))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add = parser.add_argument
    add("--C", type=int, default=16, help="Channels of the first stage. Default: 16.")
    add("--N", type=int, default=5, help="Cells per stage. Default: 5.")
    add("--batch-size", type=int, default=64, help="Images. Default: 64.")
    add("--side", type=int, default=32, help="Image side in pixels. Default: 32.")
    add("--repeats", type=int, default=5,
        help="Timed rounds; a step takes half of them. Default: 5.")  # fmt: skip
    add("--quick", action="store_true", help="N=1, batch 16, 2 rounds: a look, not a measurement.")
    add("--device", default="auto", help="auto, cpu or cuda. Default: auto.")
    add("--measure", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS),
        metavar="NAME",
        help=f"Some of {', '.join(MEASUREMENTS)}. Default: all.")  # fmt: skip
    add("--skip", nargs="+", choices=FORMS, default=[], metavar="FORM",
        help=f"Leave out some of {', '.join(FORMS)}; the compiled ones take minutes.")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    return parser


class Bench:
    """The networks of every formulation, on the same images, labels and weights."""

    def __init__(self, arguments: argparse.Namespace, device: Any) -> None:
        import torch

        from cuda_ext import _native
        from supernet.studies import formulations

        ours = [
            name for name, form in formulations.FORMS.items()
            if form.impl == "native" and name not in arguments.skip
        ]  # fmt: skip
        if ours and (why := _native.why_not(device.type)):
            raise UserError(f"native cannot run: {why}; build it or give --skip {' '.join(ours)}")
        self.arguments, self.device, self.module = arguments, device, formulations
        self.threads = torch.get_num_threads()
        self.kernels = _native.describe(device.type) if ours else None
        """Those of native and search."""
        torch.manual_seed(0)
        size, side = arguments.batch_size, arguments.side
        self.x = torch.rand(size, 3, side, side, device=device)
        self.y = torch.arange(size, device=device) % 10
        w_EO = torch.full((6, 5), 0.2, device=device).requires_grad_()
        self.forms = {
            name: formulations.make(name, arguments.C, arguments.N, self.x, self.y, w_EO)
            for name in formulations.FORMS if name not in arguments.skip
        }  # fmt: skip
        self.compile_seconds: dict[str, dict[str, float]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.busy = False
        """Whether other work took over a tenth of the time that was measured."""

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
        found = [
            form for form, network in self.forms.items()
            if name in network.form.measurements and (form in COMPILED) is compiled
        ]  # fmt: skip
        alone = "convolutions_only" not in self.arguments.skip and not name.endswith("_step")
        return found + ["convolutions_only"] * (alone and not compiled)

    def measure(self, name: str, forms: Sequence[str]) -> None:
        """Medians, spread and peak memory of some formulations, and what native gains."""
        from supernet.runs.timing import clocked_in_turns, spread, was_busy

        again = [
            form for form in OURS
            if form in self.forms and form not in forms
            and name in self.forms[form].form.measurements
        ]  # fmt: skip
        runs = {form: self.call(name, form) for form in [*forms, *again]}
        repeats = self.arguments.repeats
        if name.endswith("_step"):
            repeats = (repeats + 1) // 2
        rows = {form: self._first(name, form, runs[form]) for form in forms}
        times = clocked_in_turns(runs, repeats, self.device)
        cpu = {form: statistics.median(c.cpu for c in clocks) for form, clocks in times.items()}
        for form, row in rows.items():
            row.update(spread([clock.wall for clock in times[form]]))
            row["cpu_seconds"] = cpu[form]
        # The host of a GPU only waits: there the wall-clock is what is compared.
        compared = {form: statistics.median(c.wall for c in cs) for form, cs in times.items()}
        if self.device.type == "cpu":
            compared = cpu
            self.busy |= was_busy(clock for clocks in times.values() for clock in clocks)
        summary = self.results.setdefault(name, {})
        summary.update(rows)
        for name, (slow, fast) in RATIOS.items():
            if slow in rows and fast in rows:
                summary[name] = compared[slow] / compared[fast]
        for ours in again:
            for form in rows:
                summary[f"{form}_over_{ours}"] = compared[form] / compared[ours]

    def call(self, name: str, form: str) -> Callable[[], object]:
        """One measurement of one formulation."""
        if form == "convolutions_only":
            sizes = self.arguments
            return self.module.convolutions(
                C=sizes.C, N=sizes.N, B=sizes.batch_size, side=sizes.side, device=self.device,
                measurement=name,
            )  # fmt: skip
        run: Callable[[], object] = getattr(self.forms[form], name)
        return run

    def _first(self, name: str, form: str, run: Callable[[], object]) -> dict[str, Any]:
        """The warm-up call: compiles, and is watched for its peak memory."""
        from supernet.runs.timing import peak_memory

        began = time.perf_counter()
        if form == "search":
            run()  # which makes the search, and its graphs
        if form in COMPILED:
            run()
            self.compile_seconds.setdefault(form, {})[name] = time.perf_counter() - began
        return {"peak_memory_mb": peak_memory(run, self.device)}


def table(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    lines = [
        f"{report['device']}, {report['threads']} threads, torch {report['versions']['torch']}",
        json.dumps(report["shapes"]),
        "",
        f"{'':16} {'':26} {'CPU s':>9} {'wall s':>9} {'least':>8} {'most':>8} {'peak MiB':>9}",
    ]
    if report["busy"]:
        lines.insert(2, "busy: other work took over a tenth of the time; the CPU seconds count")
    for name, rows in report["results"].items():
        for form in (form for form in FORMS if form in rows):
            row = rows[form]
            peak = row["peak_memory_mb"]
            memory = "-" if peak is None else f"{peak:.0f}"
            lines.append(
                f"{name:16} {form:26} {row['cpu_seconds']:9.4f} {row['seconds']:9.4f} "
                f"{row['least']:8.4f} {row['most']:8.4f} {memory:>9}"
            )
        for key, (slow, fast) in RATIOS.items():
            if key in rows:
                lines.append(f"{name:16} {f'{slow} / {fast}':26} {rows[key]:9.2f}")
        for form, ours in itertools.product(COMPILED, OURS):
            if f"{form}_over_{ours}" in rows:
                ratio = rows[f"{form}_over_{ours}"]
                lines.append(f"{name:16} {f'{form} / {ours}, in turns':26} {ratio:9.2f}")
    for form, found in report["compile_seconds"].items():
        seconds = ", ".join(f"{k} {v:.0f} s" for k, v in found.items())
        lines.append(f"first calls of {form}, compilation included: {seconds}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
