"""A ranking from start to end: sample, estimate, score, judge."""

import functools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from supernet.benchmark.load import load_table
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.files import atomic_write, sha256, write_json
from supernet.on_ray import PROCESSES, Lost, OnRay, Share, address_of, require_ray
from supernet.processes import one_thread, start_worker
from supernet.progress import Progress
from supernet.proxies.free_scores import free_scores
from supernet.quiet import hushed
from supernet.report.words import duration
from supernet.runs.machine import describe, resolve_device
from supernet.studies.ranking.config import RankConfig, located
from supernet.studies.ranking.figures import draw_coefficients, draw_scatter
from supernet.studies.ranking.judge import (
    PARAMETERS,
    check_columns,
    check_combinations,
    judge_scores,
    markdown,
    oriented_scores,
    truth_of,
)
from supernet.studies.ranking.sample import Cell, draw_cells
from supernet.studies.ranking.scorers import (
    Scorer,
    check_names,
    make_scorer,
    score_names,
    supernet_file,
    supernet_steps,
)
from supernet.studies.ranking.store import Store
from supernet.text import file_name

CHEAPEST, DEAREST = Genotype.parse("111111"), Genotype.parse("333333")


def run_ranking(config: RankConfig, *, quiet: bool = False) -> Path:
    """Score the cells that have no scores yet, then write ranking.json, ranking.md and the figures.

    Raises: UserError before anything is written; and after Ctrl-C, saying how to go on.
    """
    config = located(config)
    table = load_table(config.data_root, verify=config.verify)
    if config.shipped:
        return _judge_shipped(config, table)
    check_names(config.proxy_names)
    check_combinations(config, (*score_names(config), PARAMETERS))
    check_columns(config, table)
    cells = draw_cells(table, config)
    device = resolve_device(config.device)
    require_ray(config.workers)
    if device.type == "cuda" and (config.processes > 1 or config.workers != PROCESSES):
        raise UserError(
            "--processes and --workers are of CPUs; leave both out with a CUDA device, or give "
            "--device cpu"
        )
    store = Store(Path(config.folder))
    with one_thread():
        scorer, source = make_scorer(config)
    with one_thread(), store.locked():
        facts = {"images": source, "machine": describe(device)}
        if config.supernet is not None:
            facts["supernet_sha256"] = sha256(supernet_file(config))
        done = store.open(config, facts, cells)
        _refuse_other_scores(store, cells, score_names(config))
        say = (lambda text: None) if quiet else (lambda text: print(text, file=sys.stderr))
        _score_all(config, scorer, store, cells, done, quiet=quiet, say=say)
        more = {} if config.supernet is None else {"supernet_steps": supernet_steps(config)}
        return _write(config, table, cells, store.read(cells), {"images": source, **more})


def _judge_shipped(config: RankConfig, table: Table) -> Path:
    """The same of the scores that ship, without a file of scores."""
    shipped = free_scores()
    check_combinations(config, (*shipped.names, PARAMETERS))
    check_columns(config, table)
    cells = draw_cells(table, config)
    store = Store(Path(config.folder))
    if store.path.exists():
        raise UserError(f"{config.folder} holds a ranking of other scores; give another --out")
    values = {name: shipped.of(name) for name in shipped.names}
    records = [{"scores": {name: float(v[cell.row]) for name, v in values.items()}}
               for cell in cells]  # fmt: skip
    sources = sorted({run["images"] for run in shipped.facts["runs"]})
    with store.locked():
        return _write(config, table, cells, records, {"images": f"shipped: {'; '.join(sources)}"})


def _write(
    config: RankConfig,
    table: Table,
    cells: list[Cell],
    records: list[dict[str, Any]],
    facts: dict[str, Any],
) -> Path:
    """Judge, and write the table and the figures; returns their folder."""
    folder = Path(config.folder)
    ranking = judge_scores(config, table, cells, records) | facts
    write_json(folder / "ranking.json", ranking)
    with atomic_write(folder / "ranking.md") as stream:
        stream.write(markdown(ranking))
    scores = oriented_scores(config, table, cells, records)
    random = np.array([cell.random for cell in cells])
    for column, rows in ranking["rows"].items():
        truth = truth_of(table, config, column)[[cell.row for cell in cells]]
        name, figures = file_name(column), folder / "figures"
        draw_scatter(scores, truth, random, rows, column, figures / f"scatter-{name}")
        draw_coefficients(rows, column, figures / f"kendall-{name}")
    return folder


def _refuse_other_scores(store: Store, cells: list[Cell], names: list[str]) -> None:
    for record in store.read(cells):
        if set(record["scores"]) != set(names):
            raise UserError(
                f"{store.path} was begun by another version, with the scores "
                f"{', '.join(record['scores'])[:500]}; give another --out"
            )


def _score_all(
    config: RankConfig,
    scorer: Scorer,
    store: Store,
    cells: list[Cell],
    done: int,
    *,
    quiet: bool,
    say: Callable[[str], None],
) -> None:
    left = cells[done:]
    if done:
        say(f"{done} of {len(cells)} cells are scored already in {store.path}")
    if not left:
        return
    genotypes = [cell.genotype for cell in left]
    if config.supernet is not None:
        say("first the supernet's gains: one pass for all cells, in every process")
    try:
        seconds = estimate_seconds(config, scorer, left)
        cluster = address_of(config.workers)
        what = "" if cluster is None else f" of one CPU, shared by those of {cluster}"
        say(f"{len(left)} cells to score, about {duration(seconds)}{what}")
        bar = Progress("rank", len(cells), "cell", initial=done, quiet=quiet)
        with bar, _mapped(config, scorer, genotypes) as scores:
            for cell, found in zip(left, scores, strict=True):
                store.append(cell, found)
                bar.update()
    except KeyboardInterrupt:
        count = len(store.recover(cells))
        raise UserError(
            f"interrupted with {count} of {len(cells)} cells in {store.path}; the same command "
            "goes on from there"
        ) from None


def estimate_seconds(config: RankConfig, scorer: Scorer, cells: list[Cell]) -> float:
    """Time to score these cells: linear in multiply-adds between the cheapest cell and the dearest.

    Both are timed once, after the cheapest has warmed everything up.
    """
    scorer(CHEAPEST)
    times = []
    for genotype in (CHEAPEST, DEAREST):
        began = time.perf_counter()
        scorer(genotype)
        times.append(time.perf_counter() - began)
    low, high = CHEAPEST.flops(), DEAREST.flops()
    share = sum((cell.genotype.flops() - low) / (high - low) for cell in cells)
    total = times[0] * len(cells) + max(0.0, times[1] - times[0]) * share
    return total / min(config.processes, len(cells))


@contextmanager
def _mapped(
    config: RankConfig, scorer: Scorer, genotypes: list[Genotype]
) -> Iterator[Iterator[dict[str, float]]]:
    """The scores of the cells, in their order, from this process or from several."""
    if config.workers != PROCESSES:
        with OnRay(address=address_of(config.workers), cpus=config.processes) as ray:
            found = ray.results(_score_on_ray, config, genotypes, Share())
            yield _in_order(found, genotypes)
        return
    if config.processes == 1:
        yield map(scorer, genotypes)
        return
    # Spawned, not forked: a forked process inherits torch's thread pools in an unknown state.
    context = multiprocessing.get_context("spawn")
    with context.Pool(config.processes, start_worker) as pool:
        yield pool.imap(functools.partial(_score_in_worker, config), genotypes)


def _in_order(
    found: Iterator[tuple[Genotype, Any]], genotypes: list[Genotype]
) -> Iterator[dict[str, float]]:
    """Scores in the order of the cells, of those in the order in which they finish.

    Raises: UserError where a cell has none.
    """
    early: dict[Genotype, dict[str, float]] = {}
    for genotype in genotypes:
        while genotype not in early:
            cell, scores = next(found)
            if isinstance(scores, Lost):
                raise UserError(
                    f"cell {cell.code} was not scored ({scores.reason}); the cells before it are "
                    "kept, and the same command goes on"
                )
            early[cell] = scores
        yield early.pop(genotype)


def _score_on_ray(config: RankConfig, genotype: Genotype) -> dict[str, float]:
    with one_thread():
        return _scorer_of(config)(genotype)


def _score_in_worker(config: RankConfig, genotype: Genotype) -> dict[str, float]:
    return _scorer_of(config)(genotype)


@functools.cache
def _scorer_of(config: RankConfig) -> Scorer:
    """A worker makes its scorer for the first cell and keeps it for the others."""
    with hushed():  # the process that asks for scores shows the progress
        scorer, _ = make_scorer(config)
    return scorer


def summary(folder: Path, ranking: dict[str, Any]) -> str:
    """What the command prints at its end."""
    return f"{markdown(ranking)}\nscores, table and figures: {folder}"
