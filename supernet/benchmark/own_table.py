"""A table of one's own: the lines of a sweep (scripts/sweep.py), read as the benchmark is.

A line is one training; a class of isomorphic cells has the mean of its lines. No torch here.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.table import COSTS, Table, check_name
from supernet.cells.genotype import NUM_CELLS, Genotype
from supernet.cells.isomorphs import class_numbers
from supernet.cells.order import published_order
from supernet.errors import UserError
from supernet.files import at_home, read_jsonl
from supernet.invocation import named
from supernet.shapes import SHOWN, Within, misfit, require

FORMAT = 1
"""Of a line."""
SHAPE = {
    "cell": str, "seed": int, "recipe": str, "status": ("done", "diverged", "failed"),
    "dataset": str, "num_classes": int, "results": dict,
}  # fmt: skip
"""What a line holds at the least, with its shape. `results` is column -> accuracy."""
_LONGEST_NAME = 5_000
"""Characters of a recipe, a column, or a data set that may be a path."""
_ORDER = ("clean", "fgsm", "pgd", "autoattack")


def read_own_table(
    path: Path, dataset: str | None = None, recipe: str | None = None
) -> tuple[Table, str]:
    """The table of one data set and one recipe of a file, and a sentence about what it is made of.

    dataset, recipe: which; not needed where the file has one. A training that has two lines, for
    it failed and was repeated, counts by its last. Columns that not every cell has are left out.

    Raises: UserError when the file is not such a table, when it has several data sets or recipes
            and none is chosen, or when no cell has a result.
    """
    path = at_home(path)
    if path.is_dir():
        path /= "table.jsonl"
    if not path.is_file():
        raise UserError(f"there is no table {path}; {named('sweep')} makes one")
    lines = _checked(path)
    dataset = _chosen(lines, "dataset", dataset, path)
    lines = [line for line in lines if line["dataset"] == dataset]
    recipe = _chosen(lines, "recipe", recipe, path)
    lines = [line for line in lines if line["recipe"] == recipe]
    last = {(line["cell"], line["seed"]): line for line in lines}
    done = [line for line in last.values() if line["status"] == "done" and line["results"]]
    if not done:
        raise UserError(f"{path} has no finished training of {dataset} by {recipe}; go on with it")
    columns = _columns(done)
    if not columns:
        raise UserError(f"{path}: no attack was measured for every cell; sweep them again")
    table = _table(path, done, dataset, columns)
    return table, _remark(last.values(), done, dataset, recipe, table.size)


def fill_in(
    given: Any, datasets: Sequence[str], columns: Sequence[str], robust: str, *, costs: bool
) -> None:
    """Fill in what a command line leaves open by what the table has: its first data set, and the
    column by which cells are judged.

    given: `dataset`, and where the command has them `metric` and `objectives` (with `methods`, they
        begin with the parameters). costs: whether the metric may be one.
    Raises: UserError that lists the good names where one is not the table's.
    """
    if given.dataset is None:
        given.dataset = datasets[0]
    check_name("data set", given.dataset, datasets)
    if "metric" in given:
        given.metric = given.metric or robust
        check_name("metric", given.metric, (*columns, *COSTS) if costs else columns)
    if "objectives" in given and given.objectives is None:
        given.objectives = [*(["params"] if "methods" in given else []), "clean", robust]


def _checked(path: Path) -> list[dict[str, Any]]:
    lines = read_jsonl(path)
    for number, line in enumerate(lines, start=1):
        where = Path(f"{path} line {number}")
        if line.get("format") != FORMAT:
            raise UserError(f"{where} is not of a sweep of this version; name another --table")
        require(line, SHAPE, where)
        for name in (line["dataset"], line["recipe"], *line["results"]):
            if not name.isprintable() or len(name) > _LONGEST_NAME:
                raise UserError(f"{where} has the name {name[:SHOWN]!r}, which cannot be shown")
        for name, value in line["results"].items():
            if misfit(value, Within(float, 0, 1)) is not None:
                shown = f"{name[:SHOWN]} = {str(value)[:SHOWN]}"
                raise UserError(f"{where} has {shown}, which is not a fraction")
    if not lines:
        raise UserError(f"{path} has no finished line yet; let the sweep go on")
    return lines


def _chosen(lines: Sequence[dict[str, Any]], kind: str, name: str | None, path: Path) -> str:
    there = list(dict.fromkeys(line[kind] for line in lines))
    words = "data set" if kind == "dataset" else kind
    if name is None and len(there) > 1:
        raise UserError(f"{path} has the {words}s {', '.join(there)}; choose with --{kind}")
    if name is not None:
        check_name(words, name, there)
    return there[0] if name is None else name


def _columns(lines: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The names that every line has: clean first, then by attack and radius."""

    def key(name: str) -> tuple[int, float, str]:
        attack, _, radius = name.rpartition("_")
        attack = attack or name
        place = _ORDER.index(attack) if attack in _ORDER else len(_ORDER)
        try:
            return place, float(radius), name
        except ValueError:
            return place, 0.0, name

    shared = set.intersection(*(set(line["results"]) for line in lines))
    # As the benchmark orders its own: every attack at the small radius, then at the large one.
    ordered = sorted(shared, key=key)
    radii = sorted({key(name)[1] for name in ordered})
    return tuple(
        name for radius in radii for name in ordered if key(name)[1] == radius and
        name != "autoattack"
    ) + (("autoattack",) if "autoattack" in shared else ())  # fmt: skip


def _table(
    path: Path, lines: Sequence[dict[str, Any]], dataset: str, columns: tuple[str, ...]
) -> Table:
    order = published_order()
    ops = np.frombuffer("".join(order.codes).encode(), dtype=np.uint8).reshape(NUM_CELLS, -1)
    number = np.asarray(class_numbers(ops - ord("0")))
    by_class: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for line in lines:
        index = order.index(Genotype.parse(line["cell"]))
        by_class.setdefault(int(number[index]), []).append((index, line))
    # The cell that a class is known by is the first of its trained members.
    entries = sorted((min(i for i, _ in found), kind) for kind, found in by_class.items())
    values = np.array(
        [
            [np.mean([line["results"][c] for _, line in by_class[kind]]) for _, kind in entries]
            for c in columns
        ]
    )
    row_of: NDArray[np.int64] = np.full(NUM_CELLS, -1, dtype=np.int64)
    for row, (_, kind) in enumerate(entries):
        row_of[number == kind] = row
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Table(
        order,
        [index for index, _ in entries],
        row_of,
        values[None],
        [{"file": path.name, "sha256": digest, "verified": False}],
        (dataset,),
        columns,
        {dataset: lines[0]["num_classes"]},
        str(path),
    )


def _remark(
    every: Any, done: Sequence[dict[str, Any]], dataset: str, recipe: str, classes: int
) -> str:
    text = (
        f"{classes:,} cells from {len(done):,} trainings on {dataset} by the recipe {recipe}, "
        f"{_range([line.get('test_images') for line in done])} test images"
    )
    states = [line["status"] for line in every]
    for state, words in (("diverged", "diverged"), ("failed", "failed")):
        if count := states.count(state):
            text += f"; {count:,} more {words} and count nowhere"
    seeds = {line["seed"] for line in done}
    if len(seeds) > 1 and len(done) < classes * len(seeds):
        text += f"; not every cell has all {len(seeds)} seeds"
    return text


def _range(numbers: Sequence[Any]) -> str:
    known = sorted({n for n in numbers if isinstance(n, int)})
    return f"{known[0]:,}" + (f" to {known[-1]:,}" if len(known) > 1 else "") if known else "?"
