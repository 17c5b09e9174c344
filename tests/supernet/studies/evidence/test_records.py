"""A finished search as a record, and an evidence.json that cannot be read."""

import re
from pathlib import Path

import pytest

from supernet.benchmark.table import Table
from supernet.benchmark.true_front import found_against_true
from supernet.cells.genotype import Genotype
from supernet.data import ImageData
from supernet.errors import UserError
from supernet.files import read_json, write_json
from supernet.studies.evidence.judge import judged
from supernet.studies.evidence.plan import runs_of
from supernet.studies.evidence.records import read_evidence, record_of
from tests.supernet.studies.evidence.conftest import CELLS, ROWS, write_search

(OTHER,) = runs_of(ROWS, "", ("other",), ())


def test_a_record_has_cells_gains_and_front(
    tmp_path: Path, invented: Table, digits: ImageData
) -> None:
    folder = write_search(tmp_path / OTHER.name, digits, invented)
    record = record_of(OTHER, folder, invented)
    assert {guide: cell["code"] for guide, cell in record["cells"].items()} == CELLS
    assert record["cells"]["gains"] == judged(invented, CELLS["gains"])
    saved = read_json(folder / "genotype.json")["derivation"]
    assert record["chosen_by"] == saved["chosen_by"] == "gains"
    assert record["gains"] == {by: saved[by] for by in ("gains", "inner_gains")}
    assert record["gains"]["gains"] != record["gains"]["inner_gains"]
    front = [Genotype.parse(code) for code in record["front_codes"]]
    sizes = [cell.params() for cell in front]
    assert sizes == sorted(sizes) and len(set(sizes)) == 28
    assert record["front"] == found_against_true(invented, front, "cifar10")
    assert (record["row"], record["seed"]) == ("other", 0)
    assert record["flags"] == "--robust --dataset cifar10 --preset cpu --beta-decay 0"
    assert record["config_hash"] == OTHER.config().hash()
    assert (record["machine"], record["impl"], record["torch"]) == ("a test", "batched", "9.9")
    assert (record["images"], record["seconds"], record["commit"]) == ("some images", 95.0, None)


@pytest.mark.parametrize(
    ("content", "found"), [({"runs": []}, "1"), ({"format": 3}, "3"), ([], "unknown")]
)
def test_evidence_of_another_format(tmp_path: Path, content: object, found: str) -> None:
    path = tmp_path / "evidence.json"
    write_json(path, content)
    message = f"{re.escape(str(path))} has format {found}, this version reads format 2: use the "
    with pytest.raises(UserError, match=message + "version that wrote it, or give another --out"):
        read_evidence(path)
    write_json(path, {"format": 2, "runs": []})
    assert read_evidence(path) == {"format": 2, "runs": []}
