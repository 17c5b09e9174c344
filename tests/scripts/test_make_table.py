"""scripts/make_table.py writes what was published, and refuses what was not."""

import io
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark import shipped
from supernet.benchmark.formats import Raw
from supernet.cells.order import published_order
from tests.scripts.inprocess import ROOT, run_script


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "make_table.py"))


def test_the_shipped_values_come_out_as_the_shipped_arrays(script: dict[str, Any]) -> None:
    values = shipped.read_shipped().values.T
    with np.load(shipped.PATH, allow_pickle=False) as arrays:
        known = dict(arrays)
    made = script["encode"](values)
    assert shipped.decode(made).tobytes() == values.tobytes()
    # The weights come from a least-squares fit, whose last digits may differ between machines.
    for name in ("spread", "verbatim"):
        np.testing.assert_array_equal(made[name], known[name])
    packed = io.BytesIO()
    np.savez_compressed(packed, **made)
    assert len(packed.getvalue()) < 250_000


def test_values_that_no_near_counts_give_are_kept(script: dict[str, Any]) -> None:
    values = shipped.read_shipped().values.T.copy()
    values[3, 17] = 0.123456789
    made = script["encode"](values)
    assert made["spread"][3, 17] == shipped.VERBATIM and 0.123456789 in made["verbatim"]
    assert shipped.decode(made).tobytes() == values.tobytes()


def test_a_difference_is_noticed(script: dict[str, Any]) -> None:
    raw, order = shipped.read_shipped(), published_order()
    values = raw.values.T
    script["compare"](values, values, raw, order)
    other = values.copy()
    other[17, 6465] = np.nextafter(other[17, 6465], 1)
    with pytest.raises(AssertionError, match="a value differs"):
        script["compare"](other, values, raw, order)
    moved = Raw(raw.unique, np.roll(raw.row_of, 1), raw.columns, raw.values)
    with pytest.raises(AssertionError, match="an isomorph differs"):
        script["compare"](values, values, moved, order)


def test_the_published_files_become_the_shipped_one(data_root: Path, tmp_path: Path) -> None:
    done = run_script(
        "make_table.py", "--data-root", str(data_root), "--out", "a.npz", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "every value read back and equal; SHA-256" in done.stdout
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert shipped.decode(arrays).tobytes() == shipped.read_shipped().values.T.tobytes()


def test_other_files_are_refused(invented_root: Path, tmp_path: Path) -> None:
    shutil.copytree(invented_root, tmp_path / "data")
    for root, message in (("data", "is not the published file: its SHA-256"),
                          (".", "cannot read")):  # fmt: skip
        done = run_script("make_table.py", "--data-root", root, "--out", "a.npz", cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr
        assert done.stderr.count("\n") == 1 and not (tmp_path / "a.npz").exists()
