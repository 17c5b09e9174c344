"""Which searches the evidence is made of. No torch."""

import functools
import itertools
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from supernet import cli
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags
from supernet.search.config import SearchConfig
from supernet.search.presets import with_preset
from supernet.settings import choose

BASE = "--robust --preset cpu --prior none"
"""Flags of every search. A change of what all rows share is made here alone."""
JUDGE = "pgd_8"
"""The benchmark's column by which every row is judged, the clean search too."""

TOP, HALF = 64, 3233
"""The last rank of the best 1 % of 6,466 cells, and of the better half."""

HELD_OUT = (5, 6, 7, 8, 9)
"""Seeds that nothing is chosen by: what is claimed stands on them. Settings may be chosen by seeds
0 to 4, which the page has none of."""
FEW, ONE = HELD_OUT[:3], HELD_OUT[:1]


@dataclass(frozen=True)
class Images:
    """Images to search on, and the data set of the benchmark that judges what is found."""

    name: str
    """As --dataset and the benchmark name it."""
    words: str
    flags: str = ""
    seeds: tuple[int, ...] = HELD_OUT
    """Of a row's seeds those that are run on these images."""


IMAGES = (
    Images("cifar10", "CIFAR-10"),
    # A fifth of the images and five times the epochs: as many steps.
    Images("cifar100", "CIFAR-100, 10,000 images", "--epochs 20", FEW),
    Images("imagenet16-120", "16x16 stand-in for ImageNet16-120", "--shrink 1 --epochs 8", FEW),
)


@dataclass(frozen=True)
class Row:
    """A search and the seeds it is repeated with; its flags come after all others and win."""

    name: str
    words: str
    flags: str = ""
    seeds: tuple[int, ...] = FEW
    budgets: tuple[str, ...] = ()
    """Each is a search of its own, with `--max-params`."""
    images: tuple[str, ...] = tuple(images.name for images in IMAGES)
    guides: tuple[str, ...] = ("answer",)
    """What the page shows a line for: the answer, or the cell by alpha, gains, free, ..."""


BUDGETS = ("0.2M", "0.4M", "0.6M", "0.8M", "1.2M")

ROWS = (
    Row("main", "the search as it is: supernet, free scores, short trainings",
        seeds=HELD_OUT, guides=("answer", "gains")),
    Row("supernet", "the supernet alone: short trainings from its cell by gains, without free "
        "scores' cells", "--proposals supernet", guides=("answer", "gains")),
    Row("free", "no supernet: free scores and short trainings", "--epochs 0",
        seeds=HELD_OUT, guides=("answer", "free")),
    Row("free-8", "no supernet and no moves: the best of eight proposals of free scores",
        "--epochs 0 --refine-moves 0"),
    Row("both", "no supernet: free scores, a prior of the benchmark's other two data sets, and "
        "short trainings", "--epochs 0 --prior tables", guides=("answer", "both")),
    Row("prior", "no supernet: short trainings from the best cells by prior and free scores "
        "together", "--epochs 0 --prior tables --proposals prior", guides=("answer", "prior")),
    Row("from-333333", "no supernet: short trainings from all 3x3",
        "--epochs 0 --proposals 333333"),
    Row("from-random", "no supernet: short trainings from a random cell",
        "--epochs 0 --proposals random"),
    Row("clean", "the search without attacks: weights and alpha see clean images, and free scores "
        "propose, too",
        "--no-robust", images=("cifar10",), guides=("answer", "gains")),
    Row("deep", "a supernet of five cells a stage and twice the epochs, without short trainings",
        "--N 5 --epochs 8 --proposals supernet --refine-moves 0", seeds=ONE,
        images=("cifar10",), guides=("alpha", "gains")),
    Row("free-budgets", "within a budget: the best cell by free scores, the same for every seed",
        "--epochs 0", seeds=ONE, budgets=BUDGETS),
    Row("prior-budgets", "the same with the prior", "--epochs 0 --prior tables", seeds=ONE,
        budgets=BUDGETS),
    Row("trained-budgets", "short trainings choose among the eight best by free scores within a "
        "budget, and move", "--epochs 0 --proposals free", budgets=("0.4M", "0.6M", "0.8M"),
        images=("cifar10",)),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One search of the plan."""

    images: Images
    row: Row
    seed: int
    budget: str | None
    more: str
    """Further flags of every search."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Everything but seed and place, as on the command line of scripts/search.py."""
        images = f"--dataset {self.images.name} {self.images.flags}"
        limit = () if self.budget is None else ("--max-params", self.budget)
        return (*shlex.split(f"{BASE} {images} {self.more} {self.row.flags}"), *limit)

    @property
    def key(self) -> tuple[str, str, str | None, int]:
        """(data set, row, budget, seed): what its record is recognised by."""
        return self.images.name, self.row.name, self.budget, self.seed

    @property
    def name(self) -> str:
        """Its folder: `cifar10/main-budgets-0.4M-seed5`."""
        budget = "" if self.budget is None else f"-{self.budget}"
        return f"{self.images.name}/{self.row.name}{budget}-seed{self.seed}"

    @property
    def group(self) -> tuple[str, int]:
        """Runs of a group share short trainings and are made one after the other."""
        return self.images.name, self.seed

    def config(self) -> SearchConfig:
        """What scripts/search.py makes of the flags.

        Raises: UserError for a flag or value that it would refuse.
        """
        return config_of(self.flags, self.seed)


def config_of(flags: Sequence[str], seed: int) -> SearchConfig:
    """What scripts/search.py makes of flags today.

    Raises: UserError for a flag or value that it would refuse.
    """
    arguments = _parser().parse_args([*flags, "--seed", str(seed)])
    return with_preset(arguments.preset, given_flags(arguments, SearchConfig), cuda=False)


def runs_of(
    rows: tuple[Row, ...],
    more: str = "",
    *,
    images: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
) -> list[Run]:
    """The plan's runs, group by group: cut short, they have something of each row.

    `more` are flags for every row after BASE and those of the images; images (data sets), names (of
    rows) and seeds restrict, empty ones do not.
    Raises: UserError for a row, data set or seed that the plan does not have.
    """
    for name in names:
        choose("row", name, [row.name for row in rows])
    known = tuple(dict.fromkeys(seed for row in rows for seed in row.seeds))
    for seed in seeds:
        if seed not in known:
            raise UserError(f"seed {seed} is not in the plan, which has {shown(known)}")
    some = [each for each in IMAGES if not images or each.name in images]
    return [
        run
        for seed, each in itertools.product(seeds or known, some)
        for row in rows
        if not names or row.name in names
        for run in _runs(row, each, seed, more)
    ]


def shown(seeds: Sequence[int]) -> str:
    """0, 1, 2, 5 -> `seeds 0 to 2, 5`; 5 -> `seed 5`."""
    spans: list[list[int]] = []
    for seed in sorted(seeds):
        if spans and seed == spans[-1][-1] + 1:
            spans[-1].append(seed)
        else:
            spans.append([seed])
    parts = [
        f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(map(str, span))
        for span in spans
    ]  # fmt: skip
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(parts)}"


def _runs(row: Row, images: Images, seed: int, more: str) -> Iterator[Run]:
    if seed not in row.seeds or seed not in images.seeds or images.name not in row.images:
        return
    for budget in row.budgets or (None,):
        yield Run(images, row, seed, budget, more)


@functools.cache
def _parser() -> ArgumentParser:
    parser = cli.argument_parser("search")
    parser.add_argument("--preset")
    add_config_flags(parser, SearchConfig)
    return parser
