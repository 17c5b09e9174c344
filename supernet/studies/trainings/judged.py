"""Trains a cell and its neighbours in every setting, and judges the settings by the benchmark.

Where `supernet.search.refine` would have gone follows without further training: its rounds find
every cell trained already.
"""

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from supernet.benchmark.correlation import kendall
from supernet.benchmark.judged_by import other_datasets
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.progress import Progress
from supernet.proxies.standing import LOSS_WEIGHT, Standing, scores_of
from supernet.randomness import Randomness
from supernet.report.markdown import table as markdown_table
from supernet.report.words import dataset_name
from supernet.runs.refinement import AROUND, HELD_OUT, automatic_processes, seed_of
from supernet.search.halves import Halves
from supernet.search.proposals import propose
from supernet.search.refine import neighbours, refine
from supernet.search.search import load_images
from supernet.studies.trainings.config import StudyConfig
from supernet.train.short import Outcome, Recipe
from supernet.train.side_by_side import SideBySide, Trial

COLUMN = "pgd_8"
DESCRIPTION, LEDGER = "images.json", "trainings.jsonl"
WEIGHTS = (0.1, LOSS_WEIGHT, 1.0, 3.0)
"""Of the losses next to the standing."""

MEASURES: dict[str, Callable[[Outcome], float | None]] = {
    "loss": lambda outcome: outcome.loss,
    "error": lambda outcome: 1 - outcome.acc,
    "loss in training": lambda outcome: outcome.train_loss,
    "loss under attack": lambda outcome: outcome.robust_loss,
    "error under attack": lambda outcome: (
        None if outcome.robust_acc is None else 1 - outcome.robust_acc
    ),
}
"""What a training may be judged by, less being better: on clean held-out images unless it says
otherwise. After a clean training nothing is attacked."""


class Way(NamedTuple):
    """One setting, and the luck of it."""

    attack: str
    steps: int
    seed: int


Outcomes = Mapping[Way, Mapping[Genotype, Outcome]]


def cells_of(study: StudyConfig) -> list[Genotype]:
    """The cell and its neighbours."""
    start = Genotype.parse(study.start)
    return [start, *neighbours(start, allow_none=study.search.allows_none)]


def train_all(study: StudyConfig, *, quiet: bool) -> Outcomes:
    """The outcome of every cell in every setting; those that the folder's ledger lacks are trained.

    Raises: UserError as a search on these images would, and where the folder has trainings on
            others or of other lengths.
    """
    folder, device = Path(study.out), torch.device("cpu")
    path = folder / DESCRIPTION
    if path.exists() and read_json(path) != study.images:
        raise UserError(f"{path} has other images or steps than {study.images}; give another --out")
    data = load_images(study.search, device)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, study.images)
    cells, found = cells_of(study), {}
    total = len(cells) * len(study.seeds) * len(study.attacks) * sum(study.steps)
    bar = Progress("short trainings", total, "step", quiet=quiet)

    def done(trial: Trial, outcome: Outcome) -> None:
        bar.update(trial.recipe.steps)

    with bar:
        for seed in study.seeds:
            halves = Halves(data, study.search.batch_size, Randomness(seed, device))
            split = halves.as_split(HELD_OUT)
            processes = study.processes or automatic_processes(split, halves.ranks)
            with SideBySide(split, folder / LEDGER, processes=processes, done=done) as pool:
                for way in _ways(study, seed):
                    trials = [_trial(study, cell, way) for cell in cells]
                    bar.update(sum(way.steps for trial in trials if pool.is_known(trial)))
                    found[way] = dict(zip(cells, pool.outcomes(trials), strict=True))
    return found


def judged_all(study: StudyConfig, outcomes: Outcomes, table: Table) -> dict[str, Any]:
    """What each setting and measure says of the cells, and where each schedule would have ended.

    `measures` has for each setting and measure `kendall` with the benchmark's COLUMN over all
    cells, the `rank` of the cell that it likes best, and as `with_standing` the rank of the cell
    that the standing by free scores and the measure like best, for each of WEIGHTS. `schedules` has
    for each run of lengths the cell that one move leads to with `around` neighbours, at LOSS_WEIGHT
    and by losses alone, and the steps that it takes.
    """
    dataset, cells = study.dataset, cells_of(study)
    free = propose(
        table, np.zeros((6, 5)), other_datasets(dataset), follows_prior=False, robust=True,
        allow_none=study.search.allows_none,
    )  # fmt: skip
    standing, ranks_R = free.standing("free"), table.ranks(dataset, COLUMN)
    truth = table.values(dataset, COLUMN)[[table.row(cell) for cell in cells]]

    def rank(cell: Genotype) -> int:
        return int(ranks_R[table.row(cell)])

    return {
        **study.images,
        "column": COLUMN,
        "start": study.start,
        "best_standing": max(cells, key=standing).code,
        "ranks": {cell.code: rank(cell) for cell in cells},
        "measures": [
            {
                **way._asdict(),
                "measure": name,
                "cpu_seconds": statistics.median(each.seconds for each in known.values()),
                "kendall": kendall(-np.array(losses), truth),
                "rank": rank(cells[losses.index(min(losses))]),
                "with_standing": [rank(_best(cells, losses, standing, w)) for w in WEIGHTS],
            }
            for way, known in outcomes.items()
            for name, losses in _losses([known[cell] for cell in cells])
        ],
        "schedules": [
            {**schedule, "rank": rank(chosen), "rank_by_losses": rank(by_losses)}
            for schedule, chosen, by_losses in _schedules(
                study, outcomes, free.ordered(cells[1:], "free"), standing
            )
        ],
    }


def markdown(record: Mapping[str, Any]) -> str:
    """Both tables; of several seeds a number each."""
    ranks, start, best = record["ranks"], record["start"], record["best_standing"]
    in_order, shrink = sorted(ranks.values()), record["shrink"]
    size = f"shrunk by {shrink}" if shrink > 1 else "not shrunk"
    blocks = [
        "# Short trainings as judges",
        f"{start} (rank {ranks[start]:,}) and its {len(ranks) - 1} neighbours on "
        f"{dataset_name(record['dataset'])}, {size}; ranks by PGD-20 8/255.\n"
        f"The best three have {', '.join(f'{rank:,}' for rank in in_order[:3])}, the median is "
        f"{statistics.median_low(in_order):,}, and the cell that free scores like best, {best}, "
        f"has {ranks[best]:,}.\n"
        "Each seed has a number.",
        "## Lengths, attacks and measures",
        "Kendall's tau is over all of these cells.\n"
        "The rank is that of the cell that the measure likes best; `at W` is that of the best cell "
        "by standing and measure together, with weight W.",
        _measures(record["measures"]),
        "## Schedules",
        "One move from the cell: so many neighbours, those that free scores like best, are trained "
        "for the first number of steps, the best third of them anew for the next; the cell itself "
        "is in the last round.",
        _moves(record["schedules"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _measures(lines: Sequence[Mapping[str, Any]]) -> str:
    header = ("training", "steps", "judged by", "Kendall", "rank",
              *[f"at {weight:g}" for weight in WEIGHTS], "CPU seconds")  # fmt: skip
    rows = [
        [
            *key,
            _each("{:.2f}", [line["kendall"] for line in group]),
            _each("{:,}", [line["rank"] for line in group]),
            *[
                _each("{:,}", ranked)
                for ranked in zip(*[line["with_standing"] for line in group], strict=True)
            ],
            f"{statistics.median(line['cpu_seconds'] for line in group):.1f}",
        ]
        for key, group in _grouped(lines, lambda line: (str(line["steps"]), line["measure"]))
    ]
    return markdown_table(header, rows, "lrlrrrrrrr")


def _moves(lines: Sequence[Mapping[str, Any]]) -> str:
    header = ("training", "rounds", "neighbours", "rank", "by losses alone", "steps in all")
    groups = _grouped(lines, lambda line: (_each("{}", line["rounds"]), str(line["around"])))
    rows = [
        [
            *key,
            _each("{:,}", [line["rank"] for line in group]),
            _each("{:,}", [line["rank_by_losses"] for line in group]),
            f"{statistics.median(line['steps'] for line in group):,.0f}",
        ]
        for key, group in groups
    ]
    return markdown_table(header, rows, "llrrrr")


def _ways(study: StudyConfig, seed: int) -> list[Way]:
    return [Way(*each, seed) for each in itertools.product(study.attacks, study.steps)]


def _trial(study: StudyConfig, cell: Genotype, way: Way) -> Trial:
    """All cells see the same images in the same order; other lengths see others."""
    recipe = Recipe(steps=way.steps, attack=way.attack)
    return Trial(cell.code, recipe, seed_of(way.seed, study.steps.index(way.steps)))


def _losses(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[float]]]:
    """Each measure that these trainings have, and its values."""
    for name, measure in MEASURES.items():
        values = [value for outcome in outcomes if (value := measure(outcome)) is not None]
        if len(values) == len(outcomes):
            yield name, values


def _best(
    cells: Sequence[Genotype], losses: Sequence[float], standing: Standing, weight: float
) -> Genotype:
    scores = scores_of(cells, losses, standing, weight)
    return cells[scores.index(max(scores))]


def _schedules(
    study: StudyConfig, outcomes: Outcomes, near: Sequence[Genotype], standing: Standing
) -> Iterator[tuple[dict[str, Any], Genotype, Genotype]]:
    """Each schedule with its steps, and the cells where standing and losses, and losses alone, end.

    near: all neighbours, those first that are tried first.
    """
    lengths = study.steps
    runs = [
        lengths[first : first + count]
        for first in range(len(lengths)) for count in range(1, len(lengths) - first + 1)
    ]  # fmt: skip
    for seed, attack, rounds in itertools.product(study.seeds, study.attacks, runs):
        known = [outcomes[Way(attack, steps, seed)] for steps in rounds]
        for around in dict.fromkeys((AROUND, len(near))):
            (chosen, counts), (by_losses, _) = (
                _moved(Genotype.parse(study.start), near[:around], known, each)
                for each in (standing, _equal)
            )
            steps = sum(count * each for count, each in zip(counts, rounds, strict=True))
            schedule = {
                "attack": attack, "rounds": list(rounds), "around": around, "seed": seed,
                "steps": steps,
            }  # fmt: skip
            yield schedule, chosen, by_losses


def _moved(
    start: Genotype,
    near: Sequence[Genotype],
    known: Sequence[Mapping[Genotype, Outcome]],
    standing: Standing,
) -> tuple[Genotype, list[int]]:
    """Where one move of `refine` ends, and how many cells each round compares."""
    counts = []

    def judge(cells: Sequence[Genotype], number: int) -> list[float]:
        counts.append(len(cells))
        return [known[number][cell].judged for cell in cells]

    *_, last = refine(
        [start], judge, standing=standing, around=lambda _: near, rounds=len(known), moves=1
    )
    return last.chosen, counts


def _equal(cell: Genotype) -> float:
    return 0.0


Line = Mapping[str, Any]


def _grouped(
    lines: Sequence[Line], key: Callable[[Line], tuple[str, ...]]
) -> list[tuple[tuple[str, ...], list[Line]]]:
    """Lines that differ by their seed alone, with their attack and key as words."""
    found: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        attack = "clean" if line["attack"] == "none" else line["attack"]
        found.setdefault((attack, *key(line)), []).append(line)
    return list(found.items())


def _each(form: str, values: Sequence[Any]) -> str:
    return ", ".join("-" if value is None else form.format(value) for value in values)
