"""The section on the finalists: the best answers and what needs no search, trained alone alike."""

import shlex
from collections.abc import Sequence
from typing import Any

from supernet.invocation import command
from supernet.report.markdown import code_block, plain, table
from supernet.report.run_files import FINALISTS_FILE, RunFiles
from supernet.report.words import column_name, dataset_name, duration, percent, pixels

Cell = dict[str, Any]
"""An entry of `cells` in finalists.json."""


def section(run: RunFiles) -> list[str]:
    """Markdown blocks; none where the run has no finalists.json."""
    record, path = run.finalists(), run.folder / FINALISTS_FILE
    if record is None:
        return []
    return [
        "## Finalists",
        plain(verdict(record)),
        *_too_short(record),
        _recipe(record),
        _table(record),
        f"Means over {len(record['seeds'])} seeds, in brackets the lowest and the highest. "
        f"The trainings took {duration(record['seconds'])} of computing in all.",
        "Short trainings favour cells that learn fast: small ones, and ones with skips and pools. "
        "A lead over a cell of the same size says more than one over a larger cell, and only a "
        "full training decides between cells that are close:",
        code_block(f"{command('train')} --genotype {shlex.quote(str(path))}:0"),
    ]


def verdict(record: dict[str, Any]) -> str:
    """Which finalists the answer is better than by more than the spread over seeds, which not."""
    answer, *others = record["cells"]
    low, high = min(_values(record, answer)), max(_values(record, answer))
    better = [cell for cell in others if max(_values(record, cell)) < low]
    worse = [cell for cell in others if min(_values(record, cell)) > high]
    level = [cell for cell in others if cell not in better and cell not in worse]
    parts = [
        f"{words} {_listed(record, cells)}"
        for words, cells in (
            ("better by more than the spread over seeds than", better),
            ("within the spread of", level),
            ("worse by more than the spread than", worse),
        )
        if cells
    ]
    same = answer["names"][1:]
    text = f"The answer is {' and '.join(same)} itself, which needs no search. " if same else ""
    text += f"{_measure(record)} the answer has {percent(_mean(record, answer), 1)}"
    return text + (f": it is {'; '.join(parts)}." if parts else ".")


def _too_short(record: dict[str, Any]) -> list[str]:
    """A warning where even the best cell has learnt next to nothing."""
    chance = 1 / record["images"]["num_classes"]
    if max(_mean(record, cell) for cell in record["cells"]) >= 2 * chance:
        return []
    return [
        f"These accuracies are less than twice that of guessing ({percent(chance, 1)}): the "
        "trainings are too short to say much. Resume the run with more `--finalist-steps`."
    ]


def in_one_line(record: dict[str, Any]) -> str:
    """`under PGD-20 8/255 answer 24.1 %, all 3x3 20.3 %`, for the terminal."""
    cells = ", ".join(
        f"{_name(cell)} {percent(_mean(record, cell), 1)}" for cell in record["cells"]
    )
    measure = _measure(record)
    return f"{measure[0].lower()}{measure[1:]} {cells}"


def _recipe(record: dict[str, Any]) -> str:
    recipe, images = record["recipe"], record["images"]
    name = plain(images["name"])
    named = f"a stand-in for {name}" if images["stand_in"] else name
    side = images["image_size"]
    if images["held_out_from"] == "test":
        held_out = "test images, by which nothing was chosen"
    else:
        held_out = (
            "images of the alpha half, by which the answer was chosen, too: that favours it a "
            "little, but these images have no test split"
        )
    return (
        f"Every cell was trained alone by one recipe (C={recipe['C']}, N={recipe['N']}; "
        f"{recipe['steps']} steps of {recipe['batch_size']} {_trained_on(record)}; the same "
        f"{len(record['seeds'])} seeds) on {images['train_images']:,} images of {named} at "
        f"{side}x{side}, and measured on {images['held_out_images']:,} {held_out}. Nothing in the "
        "search follows these figures."
    )


def _trained_on(record: dict[str, Any]) -> str:
    recipe = record["recipe"]
    if record["eps"] is None:
        return "clean images"
    name = plain(recipe["attack"].upper().replace("_", "-"))
    name = f"PGD-{recipe['attack_steps']}" if recipe["attack"] == "pgd" else name
    return f"images under {name} at {pixels(record['eps'])}"


def _table(record: dict[str, Any]) -> str:
    dataset, column = record["judged_by"]
    robust = record["eps"] is not None
    rows = [
        [
            plain(_name(cell)),
            f"`{cell['code']}`",
            f"{cell['params'] / 1e6:.2f} M",
            _spread(cell["clean"]),
            *([_spread(cell["robust"])] if robust else []),
            percent(cell["benchmark"]["results"][dataset][column]),
            f"{cell['benchmark']['ranks'][dataset][column]:,}",
        ]
        for cell in record["cells"]
    ]
    header = ["finalist", "code", "params", "clean"]
    header += [_measured(record)] if robust else []
    header += [f"benchmark: {dataset_name(dataset)} {column_name(column)}", "rank there"]
    return table(header, rows, align="ll" + "r" * (len(header) - 2))


def _name(cell: Cell) -> str:
    return "".join(letter for letter in " = ".join(cell["names"]) if letter.isprintable())


def _listed(record: dict[str, Any], cells: Sequence[Cell]) -> str:
    return ", ".join(f"{_name(cell)} ({percent(_mean(record, cell), 1)})" for cell in cells)


def _values(record: dict[str, Any], cell: Cell) -> list[float]:
    """By seed, what finalists are compared by."""
    values: list[float] = cell["clean" if record["eps"] is None else "robust"]
    return values


def _mean(record: dict[str, Any], cell: Cell) -> float:
    return sum(_values(record, cell)) / len(record["seeds"])


def _spread(values: Sequence[float]) -> str:
    """[0.2, 0.3] -> `25.0 % (20.0 to 30.0)`."""
    low, high = (f"{100 * value:.1f}" for value in (min(values), max(values)))
    return f"{percent(sum(values) / len(values), 1)} ({low} to {high})"


def _measured(record: dict[str, Any]) -> str:
    return f"PGD-{record['recipe']['pgd_steps']} {pixels(record['eps'])}"


def _measure(record: dict[str, Any]) -> str:
    return "On clean images" if record["eps"] is None else f"Under {_measured(record)}"
