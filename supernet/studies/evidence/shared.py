"""The short trainings that searches of one data set and seed share, whichever of them made them.

An outcome depends on images, seed, cell and recipe alone, so that a training that one search has
made is as good for the next. Lines of another recipe do no harm: no search asks for them.
"""

import json
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import atomic_write, read_jsonl
from supernet.runs.folder import plain
from supernet.runs.refinement import LEDGER
from supernet.search.config import SearchConfig
from supernet.shapes import require
from supernet.train.side_by_side import OUTCOME, read_ledger, trial_key

Line = dict[str, Any]
IMAGE_FIELDS = ("dataset", "limit", "side", "shrink", "seed")
"""What the images of a short training depend on."""


class SharedTrainings:
    """Files DATASET-seedN.jsonl in a folder.

    The first line says which images, each other line is an outcome as in a run's own file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, config: SearchConfig) -> None:
        """Raises: UserError when the file's trainings saw other images than the run would."""
        self._read(config)

    def lend(self, config: SearchConfig, folder: Path) -> None:
        """Add what is known to the trainings in a run directory, before the run starts."""
        known = self._read(config)
        if known:
            own = read_ledger(folder / LEDGER)
            _write(folder / LEDGER, _merged(known, own))

    def take(self, config: SearchConfig, folder: Path) -> None:
        """Keep what a run directory has, after the run ended or was stopped."""
        own = read_ledger(folder / LEDGER)
        if own:
            _write(self._path(config), [_images(config), *_merged(self._read(config), own)])

    def _path(self, config: SearchConfig) -> Path:
        return self.folder / f"{plain(config.dataset)}-seed{config.seed}.jsonl"

    def _read(self, config: SearchConfig) -> list[Line]:
        path = self._path(config)
        lines = read_jsonl(path)
        if lines and lines[0] != _images(config):
            raise UserError(
                f"{path} has short trainings on other images ({json.dumps(lines[0])[:200]}); give "
                "another --runs"
            )
        for number, line in enumerate(lines[1:], start=2):
            require(line, {"outcome": OUTCOME}, f"{path} line {number}")
        return lines[1:]


def _images(config: SearchConfig) -> Line:
    return {"images": {name: getattr(config, name) for name in IMAGE_FIELDS}}


def _merged(first: list[Line], second: list[Line]) -> list[Line]:
    """The lines of both, of equal trainings the first."""
    known = {trial_key(line): line for line in first}
    return [*known.values(), *(line for line in second if trial_key(line) not in known)]


def _write(path: Path, lines: list[Line]) -> None:
    with atomic_write(path) as stream:
        stream.writelines(json.dumps(line, allow_nan=False) + "\n" for line in lines)
