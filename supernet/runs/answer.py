"""From a trained supernet to the cells that a refinement starts from, and its answers in order."""

from collections.abc import Iterator
from typing import Any

import torch

from ops.space import NUM_EDGES, NUM_OPS
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.finite import refuse_not_finite
from supernet.progress import with_progress
from supernet.report.refinement import in_order
from supernet.runs.genotype_json import shown_prior
from supernet.search.config import SearchConfig
from supernet.search.derive import Derivation, Fits, derive, uniform_cell
from supernet.search.gains import Gains, operator_gains
from supernet.search.proposals import Proposals, propose
from supernet.search.search import Search

FIRST = 8
"""Cells that free scores and prior propose, half each where both do."""


def derivation_of(search: Search, *, quiet: bool = False) -> Derivation:
    """The cells of a search as it stands, by alpha and by gains; none without a supernet.

    Raises: Diverged when the gains are not finite.
    """
    config = search.config
    if not config.epochs:
        nothing = torch.zeros(NUM_EDGES, NUM_OPS, dtype=torch.float64)
        return Derivation({}, "", Gains(nothing, nothing))
    batches = with_progress(search.images.gain_batches(config.seed), "gains", "batch", quiet=quiet)
    images = map(search.images.images_at, batches)
    gains = operator_gains(search.net, images, search.ranks)
    refuse_not_finite({"gains": torch.stack(tuple(gains))}, search.step, search.remedy)
    return derive(
        search.strategy.expected_weights(),
        gains,
        by=config.derive_by,
        allow_none=config.reads_none,
        fits=search.fits,
    )


def proposals_of(
    search: Search, derivation: Derivation, table: Table, *, allow_none: bool
) -> Proposals:
    """All cells that may be the answer, with scores by gains, free scores and a prior.

    A search that follows no prior has one all the same, of data sets that do not judge it, to be
    shown next to its answer.
    """
    config = search.config
    return propose(
        table, derivation.gains[1], shown_prior(config), follows_prior=bool(config.prior_datasets),
        robust=config.robust, allow_none=allow_none, fits=search.fits,
    )  # fmt: skip


def starting_cells(
    config: SearchConfig, derivation: Derivation, proposals: Proposals, fits: Fits | None
) -> dict[str, list[Genotype]]:
    """The cells that the refinement starts from, by where they come from (config.proposed_by).

    Cells that the user named are taken as they are: `Search` has looked at them.
    """
    found: dict[str, list[Genotype]] = {}
    count = FIRST // max(1, len({"free", "prior"} & set(config.proposed_by)))
    if not config.refines:
        count = 1
    for name in config.proposed_by:
        if name == "supernet":
            found[name] = [derivation.chosen]
        elif name == "free":
            found[name] = proposals.best("free", count)
        elif name == "prior":
            found[name] = proposals.best("both", count)
        elif name == "random":
            found[name] = [_random(config, fits)]
        else:
            found.setdefault("given", []).append(Genotype.parse(name))
    return found


def answers_in_order(refinement: dict[str, Any], proposals: Proposals) -> Iterator[Genotype]:
    """The answer, the cells that came after it in its refinement, and all others by their scores.

    `refinement` is the content of refine.json. A cell may come twice.
    """
    yield Genotype.parse(refinement["answer"])
    for sweep in reversed(refinement["sweeps"]):
        yield from map(Genotype.parse, in_order(sweep["rounds"]))
    yield from proposals.best(proposals.guide, len(proposals.cells))


def _random(config: SearchConfig, fits: Fits | None) -> Genotype:
    generator = torch.Generator().manual_seed(config.seed)
    while True:
        cell = uniform_cell(generator, config.allows_none)
        if fits is None or fits(cell):
            return cell
