"""The shipped table is the published one, value by value, and is not read when it is damaged."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from supernet.benchmark import shipped
from supernet.benchmark.files import ORDER, SHIPPED, TABLE
from supernet.benchmark.load import load_table, shipped_table
from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.cells.genotype import Genotype
from supernet.cells.order import published_order
from supernet.errors import UserError


def test_every_value_is_the_published_one(real: Table, data_root: Path) -> None:
    published = load_table(data_root)
    assert [source["verified"] for source in published.sources] == [True, True]
    assert real.matrix.tobytes() == published.matrix.tobytes()
    assert real.unique == published.unique and (real.row_of == published.row_of).all()
    assert real.order.codes == published.order.codes


def test_all_values_of_twelve_random_cells_equal_the_published_files(
    real: Table, data_root: Path
) -> None:
    folder = data_root / "robbench201"
    table, codes = (
        json.loads((folder / file.name).read_text().partition("=")[2].strip().removesuffix(";"))
        for file in (TABLE, ORDER)
    )
    for index in random.Random(5).sample(range(15_625), 12):
        entry = str(index)
        while not isinstance(table[entry], list):
            entry = table[entry]
        answer = query_cell(real, Genotype.parse(codes[index]))
        assert (answer["index"], answer["unique_index"]) == (index, int(entry))
        assert [answer["results"][d][c] for d in DATASETS for c in COLUMNS] == table[entry]


def test_every_value_is_a_sum_of_counts(real: Table) -> None:
    """Needs no published file: means of three seeds are thirds of counts, but for float32."""
    for dataset, column in shipped.PAIRS:
        images = shipped.IMAGES[dataset] * (1 if column == "autoattack" else 3)
        counts = real.values(dataset, column) * images
        assert np.abs(counts - np.rint(counts)).max() < 1e-3
        chance = {"cifar10": 0.1, "cifar100": 0.01, "imagenet16-120": 1 / 120}[dataset]
        assert 0.9 * chance < real.values(dataset, column).min() < 1.2 * chance


def test_shares_are_written_as_the_authors_wrote_them() -> None:
    shares = shipped.share_table(10_000)
    for count in range(2, 9_000):
        assert shares[count] == float(repr(float(np.float32(count / 10_000)))[:18])


def test_the_first_cell_of_a_class_was_evaluated() -> None:
    codes = published_order().codes
    unique, row_of = shipped.evaluated_cells(codes)
    first: dict[str, int] = {}
    classes = [Genotype.parse(code).canonical for code in codes]
    for index, name in enumerate(classes):
        first.setdefault(name, index)
    assert unique.tolist() == list(first.values())
    assert unique[row_of].tolist() == [first[name] for name in classes]


def test_the_file_is_small_plain_and_named() -> None:
    data = shipped.PATH.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (SHIPPED.size, SHIPPED.sha256)
    assert len(data) < 250_000
    with pytest.raises(ValueError, match="read-only"):
        shipped_table().matrix[0, 0, 0] = 0.5
    # Arrays of numbers and nothing that runs when it is read.
    with np.load(shipped.PATH, allow_pickle=False) as arrays:
        assert set(arrays) == {"low", "high", "weights", "spread", "verbatim"}
    (source,) = shipped_table().sources
    assert source == {
        "file": SHIPPED.name,
        "sha256": SHIPPED.sha256,
        "verified": True,
        "made_of": {TABLE.name: TABLE.sha256, ORDER.name: ORDER.sha256},
    }


def test_a_damaged_or_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / SHIPPED.name
    monkeypatch.setattr(shipped, "PATH", path)
    with pytest.raises(UserError, match=r"cannot read .*\.npz: No such file.*install the package"):
        shipped.read_shipped.__wrapped__()
    data = bytearray(Path(shipped.__file__).with_name(SHIPPED.name).read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"\.npz is damaged or of another version; install"):
        shipped.read_shipped.__wrapped__()


def test_notice_names_authors_and_licence() -> None:
    text = shipped.PATH.with_name("NOTICE").read_text(encoding="utf-8")
    for part in (SHIPPED.name, "CC BY-SA 4.0", "2403.13134", "Wu", TABLE.sha256, ORDER.sha256):
        assert part in text
