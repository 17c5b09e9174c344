"""The section on refinement: from which cell, over which changes, to which answer, and why."""

from collections.abc import Iterator
from typing import Any

from ops.space import EDGES, OP_NAMES
from supernet.cells.genotype import Genotype
from supernet.proxies.standing import LOSS_WEIGHT, standings_of
from supernet.report.markdown import plain, table
from supernet.report.run_files import RunFiles, holds_judge
from supernet.report.words import (
    START_NAMES,
    column_name,
    dataset_name,
    duration,
    percent,
)

SHOWN = 8
"""Cells of a sweep that the report shows; refine.json has all."""


def section(run: RunFiles) -> list[str]:
    """Markdown blocks; none where the run has no refine.json."""
    record = run.refinement()
    if record is None:
        return []
    return [
        "## Refinement",
        _introduction(run, record),
        *[block for sweep in record["sweeps"] if sweep["rounds"] for block in _sweep(run, sweep)],
    ]


def path_words(record: dict[str, Any]) -> str:
    """333333 -> 333133 -> 323133: the cells that a refinement went through."""
    cells = [sweep["chosen"] for sweep in record["sweeps"]]
    return " -> ".join(dict.fromkeys(cells))


def _introduction(run: RunFiles, record: dict[str, Any]) -> str:
    config = run.config
    named = "; ".join(
        f"{START_NAMES.get(name, 'given')} {', '.join(f'`{code}`' for code in codes)}"
        for name, codes in record["proposals"].items()
    )
    attack = config.get("refine_attack", "none")
    how = "clean images" if attack == "none" else f"images attacked by {plain(attack)}"
    return "\n".join(
        [
            f"Short stand-alone trainings led from the search's proposals to the answer: "
            f"{path_words(record)}.",
            f"The proposals are {named}.",
            f"{record['trainings']} trainings on {how} at the benchmark's depth (N=5, C=16) took "
            f"{duration(record['cpu_seconds'])} of computing.",
            "The score of a cell is its standing among all cells without training, in standard "
            f"deviations, and {LOSS_WEIGHT:g} times the share of the cells of its table that its "
            "held-out loss beats; losses alone lead to small cells, which learn fastest.",
            "The highest score in the last round is chosen.",
            "The benchmark's values took part through the prior, and prove nothing here."
            if holds_judge(run.record, run.judge[0])
            else "The benchmark's values are shown for comparison; nothing was chosen by them.",
        ]
    )


def _sweep(run: RunFiles, sweep: dict[str, Any]) -> Iterator[str]:
    start = sweep["start"]
    yield f"### {'The proposals' if start is None else f'Changes of {start}'}"
    rounds, dataset, column = sweep["rounds"], *run.judge
    steps = run.config["refine_steps"]
    losses = {
        judged["number"]: dict(zip(judged["cells"], judged["losses"], strict=True))
        for judged in rounds
    }
    standings = standings_of(
        [(judged["cells"], judged["losses"], judged["scores"]) for judged in rounds],
        with_start=start is not None,
    )
    scores = {
        code: score
        for judged in rounds
        for code, score in zip(judged["cells"], judged["scores"], strict=True)
    }
    rows = []
    for code in in_order(rounds)[:SHOWN]:
        cell, entry = Genotype.parse(code), run.query(Genotype.parse(code))
        rows.append([
            f"`{code}`" + (" **(chosen)**" if code == sweep["chosen"] else ""),
            "" if start is None else _change(Genotype.parse(start), cell),
            f"{cell.params(run.description['data']['num_classes']) / 1e6:.2f} M",
            *[_loss(losses[number].get(code)) for number in sorted(losses)],
            f"{standings[code]:.2f}", f"{scores[code]:.2f}",
            percent(entry["results"][dataset][column]),
            f"{entry['ranks'][dataset][column]:,}",
        ])  # fmt: skip
    header = ["cell", "change", "params", *[f"loss, {steps[n]} steps" for n in sorted(losses)]]
    header += [
        "standing",
        "score",
        f"benchmark: {dataset_name(dataset)} {column_name(column)}",
        "rank",
    ]
    yield table(header, rows, align="ll" + "r" * (len(header) - 2))


def in_order(rounds: list[dict[str, Any]]) -> list[str]:
    """The codes of a sweep's cells, each once: by score, those of later rounds first."""
    order: dict[str, None] = {}
    for judged in reversed(rounds):
        pairs = sorted(zip(judged["scores"], judged["cells"], strict=True), key=lambda p: -p[0])
        order |= dict.fromkeys(code for _, code in pairs)
    return list(order)


def _change(start: Genotype, cell: Genotype) -> str:
    parts = [
        f"{source} to {target}: {OP_NAMES[new]}"
        for (target, source), old, new in zip(EDGES, start.ops, cell.ops, strict=True)
        if old != new
    ]
    return "; ".join(parts) or "none"


def _loss(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.3f}" if loss < 1e3 else "not finite"
