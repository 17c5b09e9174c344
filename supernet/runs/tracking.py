"""Writes the log of a run: one line per epoch in metrics.jsonl, and TensorBoard events.

After an interruption and a resume both are as the uninterrupted run would have left them.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ops.space import EDGES, OP_NAMES
from supernet.cells.genotype import Genotype
from supernet.files import appending, atomic_write
from supernet.report import figures
from supernet.report.record_shapes import STEP
from supernet.report.records import read_metrics
from supernet.report.run_files import METRICS_FILE

FIRST_SETTINGS = frozenset({"dataset", "epochs", "objective", "seed", "strategy"})
"""Of the settings, those that the page of settings shows without being asked."""
_GROUPS = (
    ("accuracy", ("_acc",)),
    ("loss", ("_loss",)),
    ("speed", ("seconds", "memory_mb", "per_second")),
    ("alpha", ("entropy", "skip_share", "conflict_angle", "coefficient")),
    ("optimiser", ("lr",)),
)
_EVENTS = re.compile(r"events\.out\.tfevents\.([0-9]{10,12})\.(.+)")
_EDGES = tuple(f"{source}-{node}" for node, source in EDGES)
_EDGE_TAGS = [[f"edges/{edge}_{op}" for op in OP_NAMES] for edge in _EDGES]
"""Of all edge weights: one group of charts, in the order of alpha."""


class Tracker:
    """The log of one run.

    `resume_step` is the step of the checkpoint that the run goes on from: lines of metrics.jsonl
    after it are dropped, and TensorBoard hides the events after it (they are written again).
    """

    def __init__(
        self, run_dir: str | Path, config: Mapping[str, Any], resume_step: int | None = None
    ) -> None:
        self.run_dir = Path(run_dir)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.metrics = self.run_dir / METRICS_FILE
        _keep_until(self.metrics, resume_step)
        _keep_before_now(self.run_dir)
        # SummaryWriter hides events from purge_step on; those of the checkpoint's step stay.
        purge_step = None if resume_step is None else resume_step + 1
        self.writer = SummaryWriter(str(self.run_dir), purge_step=purge_step, flush_secs=30)
        if resume_step is None:
            self.text("config", _as_code(json.dumps(dict(config), indent=2, default=str)))
        self._has_layout = False
        self._last_cell: Genotype | None = None

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        """Log numbers at an optimiser step; null values are left out."""
        for name, value in values.items():
            if value is not None:
                self.writer.add_scalar(tag_of(name), value, step)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Append the record to metrics.jsonl and log its plain numbers at `record["step"]`.

        A number that is not finite becomes null, so that every line is strict JSON.
        """
        clean = _finite(dict(record))
        line = json.dumps(clean, allow_nan=False)
        with appending(self.metrics) as stream:
            stream.write(line + "\n")
        numbers = {
            name: value
            for name, value in clean.items()
            if isinstance(value, int | float)
            and not isinstance(value, bool)
            and name not in ("step", "epoch")
        }
        self.scalars(numbers, int(record["step"]))

    def edge_weights(
        self, w_EO: torch.Tensor, taken: Genotype, step: int, *, none: bool = False
    ) -> None:
        """Log the (6, 5) edge weights: a heat map, and 30 numbers that TensorBoard's Custom Scalars
        page draws as one chart per edge. `taken` is the cell that is read from them, `none` whether
        it may hold that operator."""
        if not self._has_layout:
            self.writer.add_custom_scalars({"edge weights": _curve_layout()})
            self._has_layout = True
        w = w_EO.detach().float().cpu()
        picture = figures.heatmap(w.numpy(), taken.ops, none=none, small=True)
        self.writer.add_figure("edge_weights", picture, step, close=False)
        for edge, tags in enumerate(_EDGE_TAGS):
            for op, tag in enumerate(tags):
                self.writer.add_scalar(tag, w[edge, op].item(), step)

    def cell(self, genotype: Genotype, step: int) -> None:
        """Log the current cell as picture and text, when it is another than the last one."""
        if genotype == self._last_cell:
            return
        self._last_cell = genotype
        self.writer.add_figure("cell", figures.draw_cell(genotype, small=True), step, close=False)
        self.text(
            "cell",
            f"`{genotype.arch}` (code {genotype.code}), {genotype.params():,} parameters with "
            "C=16, N=5 and 10 classes",
            step,
        )

    def result(
        self,
        cell: Genotype,
        values: Mapping[str, float],
        settings: Mapping[str, Any],
        step: int,
        compared: Sequence[str],
    ) -> None:
        """Log the result of a run: the cell, its values, and both for the HPARAMS page.

        `compared` are the names of the values by which the page compares runs, also those that this
        run lacks: it takes them from one run, and shows five. Settings that are not plain are shown
        as text.
        """
        picture = figures.draw_cell(cell, small=True)
        self.writer.add_figure("cell/chosen", picture, step, close=False)
        for name, value in values.items():
            self.writer.add_scalar(f"result/{name}", value, step)
        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in settings.items()
        }
        metrics = {f"result/{name}": 0.0 for name in compared}
        file_writer = self.writer._get_file_writer()
        experiment, *session = hparams(plain, metrics)
        _bring_forward(experiment)
        for summary in (experiment, *session):
            file_writer.add_summary(summary)

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """Log Markdown text."""
        self.writer.add_text(tag, text, step)

    def flush(self) -> None:
        """Put all that was logged on the disk."""
        self.writer.flush()

    def close(self) -> None:
        """Write what is still buffered."""
        self.writer.close()


def tag_of(name: str) -> str:
    """`val_clean_acc` -> `accuracy/val_clean`: TensorBoard folds charts by the first word."""
    if "/" in name:
        return name
    for group, endings in _GROUPS:
        for ending in endings:
            if name.endswith(ending) or name.startswith(ending):
                short = name.removesuffix(ending) if ending.startswith("_") else name
                return f"{group}/{short}"
    return f"search/{name}"


def _keep_until(path: Path, step: int | None) -> None:
    """Rewrite metrics.jsonl with the records up to `step`; without a step, with none."""
    if not path.exists():
        path.unlink(missing_ok=True)  # a link that leads nowhere, which a write would follow
        return
    records = [] if step is None else [r for r in read_metrics(path, STEP) if r["step"] <= step]
    with atomic_write(path) as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)


def _keep_before_now(run_dir: Path) -> None:
    """Rename event files whose names bear a time that is not past: the clock was set back.

    TensorBoard reads the files of a folder by the times in their names, and hides what a resume
    writes again only in files that it has read before.
    """
    stamped = sorted(
        (int(match[1]), match[2], path)
        for path in run_dir.glob("events.out.tfevents.*")
        if (match := _EVENTS.fullmatch(path.name))
    )
    now = int(time.time())
    for place, (stamp, rest, path) in enumerate(stamped):
        past = min(stamp, now - len(stamped) + place)
        if past != stamp:
            path.rename(run_dir / f"events.out.tfevents.{past:010d}.{rest}")


def _finite(value: Any) -> Any:
    """Numbers that are not finite as None, tensors and tuples as lists, through all levels."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().tolist()
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _curve_layout() -> dict[str, list[Any]]:
    return {
        f"edge {edge}": ["Multiline", tags] for edge, tags in zip(_EDGES, _EDGE_TAGS, strict=True)
    }


def _bring_forward(experiment: Any) -> None:
    """Let the HPARAMS page begin with the settings of FIRST_SETTINGS: it shows five columns, those
    first that are marked to differ between runs, and orders by name what is left."""
    plugin = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin.content)
    for setting in content.experiment.hparam_infos:
        if "differs" in setting.DESCRIPTOR.fields_by_name:  # not in older ones
            setting.differs = setting.name in FIRST_SETTINGS
    plugin.content = content.SerializeToString()


def _as_code(text: str) -> str:
    """Four spaces before each line: a code block in the Markdown of TensorBoard's text page."""
    return "\n".join("    " + line for line in text.splitlines())
