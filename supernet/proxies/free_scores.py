"""Scores of all 6,466 cells that ship with this package: nothing has to be trained or scored.

`scripts/make_free_scores.py` packs what `scripts/rank.py --cells 0` found into one file. No torch.

Legend: K scores; R = 6,466 evaluated cells, by row of the table (ascending published index).
"""

import functools
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.benchmark.table import Table, check_name
from supernet.errors import UserError

PATH = Path(__file__).with_name("free_scores.npz")
CELLS = 6466

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FreeScores:
    """Scores of all evaluated cells. `free_scores` reads them."""

    names: tuple[str, ...]
    """The K scores, names of `supernet.proxies.registry`. Higher is better in each."""
    values: Array
    """(K, R)."""
    facts: dict[str, Any]
    """`runs`: the `scores` of each ranking that was packed, its `command`, `config`, `images` and
    `machine` with package versions."""

    def of(self, name: str) -> Array:
        """(R,) one score. Raises: UserError that lists the good names."""
        check_name("shipped score", name, self.names)
        return self.values[self.names.index(name)]


@functools.cache
def free_scores() -> FreeScores:
    """The shipped scores, read at the first call.

    Raises: UserError when the file is missing or damaged.
    """
    try:
        return unpacked(PATH.read_bytes())
    except OSError as error:
        raise UserError(
            f"cannot read {PATH}: {error.strerror}; install the package again"
        ) from error
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{PATH} is damaged ({error}); install the package again") from error


def parts_of_sums(table: Table) -> Mapping[str, Array]:
    """[name] -> (R,) all that a sum of ranks may name: the shipped scores, and `params`.

    `params` is the number of parameters of the cheapest member of each class, since an edge that
    leads nowhere adds parameters and nothing else.
    """
    scores = free_scores()
    found = {name: scores.of(name) for name in scores.names}
    return found | {"params": table.costs("params", cheapest=True).astype(np.float64)}


def packed(scores: FreeScores) -> bytes:
    """The file's bytes; the same scores and facts give the same bytes."""
    text = json.dumps({"names": scores.names, **scores.facts}, sort_keys=True, allow_nan=False)
    stream = io.BytesIO()
    facts = np.frombuffer(text.encode(), dtype=np.uint8)
    np.savez_compressed(stream, values=scores.values, facts=facts)
    return stream.getvalue()


def unpacked(data: bytes) -> FreeScores:
    """What `packed` was given. Raises: ValueError, KeyError or BadZipFile for other bytes."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        values_KR = arrays["values"].astype(np.float64)
        facts = json.loads(arrays["facts"].tobytes())
    names = tuple(facts.pop("names"))
    if values_KR.shape != (len(names), CELLS) or not np.isfinite(values_KR).all():
        raise ValueError(f"it has {values_KR.shape} values for {len(names)} scores")
    values_KR.setflags(write=False)  # they are the same for everyone who asks
    return FreeScores(names, values_KR, facts)
