"""Which searches the evidence is made of. No torch."""

import shlex
from dataclasses import dataclass

from supernet import cli
from supernet.errors import UserError
from supernet.flags import add_config_flags, given_flags
from supernet.search.config import SearchConfig, with_preset

BASE = "--robust --dataset cifar10 --preset cpu"
"""Flags of every search: the preset. A change of what all rows share is made here alone."""
JUDGE = ("cifar10", "pgd_8")
"""(data set, column) of the benchmark by which every row is judged, the clean search too."""

TOP, HALF = 64, 3233
"""The last rank of the best 1 % of 6,466 cells, and of the better half."""


@dataclass(frozen=True)
class Row:
    """A search and the seeds it is repeated with; its flags come after all others and win."""

    name: str
    words: str
    flags: str = ""
    seeds: int = 3


ROWS = (
    Row("main", "the preset", seeds=10),
    Row("clean", "no adversarial training: the weights see clean images", "--no-robust"),
    Row("no-beta-decay", "nothing against collapse", "--beta-decay 0"),
    Row(
        "weighted", "alpha follows the clean and the attacked loss, half and half",
        "--robust-weight 0.5",
    ),
    Row(
        "mgda", "alpha follows the min-norm direction of the clean and the attacked loss",
        "--objective mgda",
    ),
    Row("pgd", "weights trained against PGD-7 instead of N-FGSM", "--attack pgd"),
    Row("longer", "twice the epochs", "--epochs 8", seeds=2),
)  # fmt: skip

RANDOM = (1, 10, 50, 150)
"""Random searches of so many cells stand next to the rows, in expectation."""
PICKS = ("croze", "croze_released", "ntk_clean_min", "ntk_robust_min", "ntk_all_robust_min",
         "supernet_clean_loss", "supernet_robust_loss", "supernet_gains",
         "supernet_gains_inner")  # fmt: skip
"""Scores of a ranking whose best cell stands next to the rows."""


@dataclass(frozen=True)
class Run:
    """One search of the plan."""

    row: Row
    seed: int
    flags: tuple[str, ...]
    """Everything but seed and place, as on the command line of scripts/search.py."""

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.row.name}-seed{self.seed}"

    def config(self) -> SearchConfig:
        """What scripts/search.py makes of the flags.

        Raises: UserError for a flag or value that it would refuse.
        """
        parser = cli.argument_parser("search")
        parser.add_argument("--preset")
        add_config_flags(parser, SearchConfig)
        arguments = parser.parse_args([*self.flags, "--seed", str(self.seed)])
        return with_preset(
            arguments.preset, given_flags(arguments, SearchConfig), cuda=False
        )  # fmt: skip


def runs_of(
    rows: tuple[Row, ...], more: str, names: tuple[str, ...], seeds: tuple[int, ...]
) -> list[Run]:
    """The plan's runs, seed by seed through all rows: cut short, it has something of each row.

    `more` are flags for every row after BASE; names and seeds restrict, empty ones do not.
    Raises: UserError for a row or seed that the plan does not have, or flags that are no good.
    """
    known = tuple(row.name for row in rows)
    for name in names:
        if name not in known:
            raise UserError(f"row '{name}' is unknown; choose from {', '.join(known)}")
    most = max(row.seeds for row in rows)
    for seed in seeds:
        if not 0 <= seed < most:
            raise UserError(f"seed {seed} is not in the plan; its seeds are 0 to {most - 1}")
    shared = (*shlex.split(BASE), *shlex.split(more))
    return [
        Run(row, seed, (*shared, *shlex.split(row.flags)))
        for seed in range(most)
        for row in rows
        if seed < row.seeds and (not names or row.name in names) and (not seeds or seed in seeds)
    ]
