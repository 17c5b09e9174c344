"""Published files: both forms, and every way in which they can be wrong."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark import files
from supernet.benchmark.files import Loaded, Published
from supernet.benchmark.formats import read_meta
from supernet.benchmark.load import load_table, shipped_table
from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.cells.order import find_index_order
from supernet.errors import UserError
from supernet.files import sha256
from tests.tables import write_large


@pytest.fixture(scope="module")
def large_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The invented table in the larger form."""
    root = tmp_path_factory.mktemp("large")
    write_large(root)
    return root


def copy_of(root: Path, target: Path) -> Path:
    """A copy to be damaged; returns the table's path."""
    shutil.copytree(root, target, dirs_exist_ok=True)
    return target / "robbench201" / "NAS-RobBench-201_all.json"


@pytest.mark.slow
def test_both_published_forms_give_the_same_table(invented: Table, large_root: Path) -> None:
    large = load_table(large_root, verify=False)
    assert large.unique == invented.unique
    assert (large.row_of == invented.row_of).all()
    assert large.order.codes == invented.order.codes
    np.testing.assert_allclose(large.matrix, invented.matrix, atol=1e-12)
    assert not any(source["verified"] for source in large.sources)


@pytest.mark.slow
def test_larger_form_without_a_stored_mean_averages_its_seeds(
    large_root: Path, tmp_path: Path
) -> None:
    path = copy_of(large_root, tmp_path)
    data = json.loads(path.read_text())
    entry = next(iter(data["cifar100"].values()))
    entry["val_pgd_8.0_acc"] = {"0": 0.1, "1": 0.2, "2": 0.6}
    entry["val_acc"] = {"0": 0.1, "1": 0.2, "threeseed": 0.5}  # a stored mean wins
    path.write_text(json.dumps(data))
    table = load_table(tmp_path, verify=False)
    index = int(next(iter(data["cifar100"])))
    values = query_cell(table, table.order.genotype(index))["results"]["cifar100"]
    assert values["pgd_8"] == pytest.approx(0.3)
    assert values["clean"] == 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; download it again from https://"),
        (
            b"<!DOCTYPE html><html><head><title>Drive - Virus scan</title>",
            "is an HTML page titled 'Drive - Virus scan', not the table",
        ),
        (b"PK\x03\x04rest", "is a zip archive: unpack it"),
        (b'acc={"0": [0.1, 0.2', "is cut short: 19 bytes instead of 2,580,686"),
        (b'acc={"": [], "0": []};', "is not the published file: its SHA-256 is"),
    ],
)
def test_wrong_file_is_named(
    invented_root: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "NAS-RobBench-201_html.json"
    path.write_bytes(content)
    (tmp_path / "ops.json").write_bytes((invented_root / "robbench201/ops.json").read_bytes())
    with pytest.raises(UserError, match=message):
        load_table(path)


def test_changed_number_is_noticed(invented_root: Path) -> None:
    with pytest.raises(UserError, match=r"is not the published file.*--no-verify"):
        load_table(invented_root)


def odd_value(table: dict[str, Any], value: object) -> None:
    """Put it in the place of one number."""
    next(row for key, row in table.items() if key and isinstance(row, list))[3] = value


def every_value(table: dict[str, Any], value: object) -> None:
    """Put it in the place of every number."""
    for key, row in table.items():
        if key and isinstance(row, list):
            row[:] = [value] * len(row)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("17"), "has no entry for index 17"),
        (lambda t: t.update({"17": {"a": 1}}), "has no entry for index 17"),
        (lambda t: t.update({"17": "15625", "15625": []}), "has no entry for index 15625"),
        (lambda t: t.update({"": []}), "does not hold names of columns"),
        (lambda t: t.update({"": [1] * 18}), "does not hold names of columns"),
        (lambda t: odd_value(t, None), "values that are not numbers"),
        (lambda t: odd_value(t, "0.5"), "values that are not numbers"),
        (lambda t: odd_value(t, [0.5]), "values that are not numbers"),
        (lambda t: odd_value(t, 10**400), "not numbers|outside 0..1|is not JSON|is cut short"),
        (lambda t: every_value(t, [0.5]), "values that are not numbers"),
        (lambda t: every_value(t, True), "values that are not numbers"),
        (lambda t: t.update({"017": t.pop("17")}), "has no entry for index 17"),
        (lambda t: t.update({"17": "17"}), "isomorphs of index 17 form a circle"),
        (lambda t: t.update({"": ["cifar10#clean"] * 18}), "it is another table"),
        (lambda t: t.pop(""), 'no "" entry that names its columns'),
        (lambda t: t.update({"17": [2.0] * 18}), "instead of 6,466|outside 0..1"),
        (lambda t: t.update({"17": [0.1]}), "not every cell has 18 values"),
    ],
)
def test_damaged_table_is_named(
    invented_root: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = invented_root / "robbench201"
    text = (folder / "NAS-RobBench-201_html.json").read_text()
    table = json.loads(text.removeprefix("acc=").removesuffix(";"))
    edit(table)
    path = tmp_path / "NAS-RobBench-201_html.json"
    path.write_text(f"acc={json.dumps(table)};")
    (tmp_path / "ops.json").write_bytes((folder / "ops.json").read_bytes())
    with pytest.raises(UserError, match=message):
        load_table(path, verify=False)


@pytest.mark.slow
def test_larger_form_with_a_hole_is_named(large_root: Path, tmp_path: Path) -> None:
    path = copy_of(large_root, tmp_path)
    data = json.loads(path.read_text())
    key = next(iter(data["imagenet"]))
    del data["imagenet"][key]["val_acc"]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"no number for imagenet, cell {key}, val_acc"):
        load_table(tmp_path, verify=False)
    (tmp_path / "robbench201/meta.json").write_text('{"ids": {}}')
    with pytest.raises(UserError, match=r"is not the benchmark's meta\.json"):
        load_table(tmp_path, verify=False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (10**400, "no number for imagenet|damaged at data set imagenet"),
        ({"threeseed": [0.5]}, "not numbers|no number"),
        ({"threeseed": "0.5"}, "not numbers|no number"),
        ({}, "no number for imagenet"),
        ([0.5], "no number for imagenet"),
        (None, "no number for imagenet"),
        ({"0": "a"}, "no number for imagenet"),
    ],
)
@pytest.mark.slow
def test_odd_values_in_the_larger_form_are_named(
    large_root: Path, tmp_path: Path, value: object, message: str
) -> None:
    path = copy_of(large_root, tmp_path)
    data = json.loads(path.read_text())
    next(iter(data["imagenet"].values()))["val_acc"] = value
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        load_table(tmp_path, verify=False)


@pytest.mark.parametrize(
    "meta",
    [
        [], {}, {"ids": None}, {"ids": 3}, {"ids": [1]},
        {"ids": {str(i): 1 for i in range(15_625)}},
        {"ids": {str(i): {"nb201-string": "|", "isomorph": "0"} for i in range(15_625)}},
        {"ids": {str(i): {"nb201-string": 1, "isomorph": "0"} for i in range(15_625)}},
        {"ids": {str(i): {"nb201-string": "|", "isomorph": 1e300} for i in range(15_625)}},
    ],
)  # fmt: skip
def test_an_odd_meta_is_named(large_root: Path, tmp_path: Path, meta: object) -> None:
    copy_of(large_root, tmp_path)
    (tmp_path / "robbench201/meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"is not the benchmark's meta\.json"):
        load_table(tmp_path, verify=False)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "3", '"x"', "[]", "null"])
def test_nested_and_other_json_is_named(invented_root: Path, tmp_path: Path, text: str) -> None:
    copy_of(invented_root, tmp_path).with_name("NAS-RobBench-201_html.json").write_text(text)
    with pytest.raises(UserError, match=r"html\.json (is cut short|has no \"\" entry)"):
        load_table(tmp_path, verify=False)


def test_a_file_longer_than_any_is_refused(
    invented_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="longer than any file of the benchmark"):
        load_table(invented_root, verify=False)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.999])
def test_larger_form_cut_short_is_named(large_root: Path, tmp_path: Path, keep: float) -> None:
    path = copy_of(large_root, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(UserError, match="is cut short"):
        load_table(tmp_path, verify=False)
    # Cut just behind a brace, it looks whole until its last data set is read.
    path.write_bytes(data[: data.rindex(b"}", 0, int(keep * len(data))) + 1])
    with pytest.raises(UserError, match=r"is cut short|is not JSON"):
        load_table(tmp_path, verify=False)


@pytest.mark.slow
def test_larger_form_in_another_layout_is_read(large_root: Path, tmp_path: Path) -> None:
    path = copy_of(large_root, tmp_path)
    data = json.loads(path.read_text())
    other = {"imagenet": data["imagenet"], "note": "about cifar10", **data, "about": {"by": "us"}}
    path.write_text(json.dumps(other, indent=1) + "\n")
    whole = load_table(large_root, verify=False)
    assert (load_table(tmp_path, verify=False).matrix == whole.matrix).all()
    del data["cifar100"]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="damaged at data set cifar100"):
        load_table(tmp_path, verify=False)


def test_reordered_larger_form_is_named(large_root: Path, tmp_path: Path) -> None:
    message = r"meta\.json has the cells in another order than the published one.*--no-verify"
    with pytest.raises(UserError, match=message):
        load_table(large_root)
    copy_of(large_root, tmp_path)
    path = tmp_path / "robbench201/meta.json"
    meta = json.loads(path.read_text())
    meta["ids"]["17"]["nb201-string"] = meta["ids"]["18"]["nb201-string"]
    path.write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"is not the benchmark's meta\.json .*is there twice"):
        load_table(tmp_path, verify=False)


def test_reordered_small_form_is_named(
    invented_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(invented_root, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "robbench201"
    table, order = folder / "NAS-RobBench-201_html.json", folder / "ops.json"
    known = Published(table.name, sha256(table), table.stat().st_size)
    monkeypatch.setitem(files.PUBLISHED, table.name, known)
    with pytest.raises(UserError, match=r"ops\.json is not the published file"):
        load_table(tmp_path)
    with pytest.raises(UserError, match=r"ops\.json has the cells in another order"):
        find_index_order(tmp_path)
    first = json.loads(order.read_text().removeprefix("arch=").removesuffix(";"))[0]
    assert load_table(tmp_path, verify=False).order.genotype(0).code == first


@pytest.mark.slow
def test_published_files_win_over_the_shipped_table(
    invented_root: Path, large_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        invented_root: ["NAS-RobBench-201_html.json", "ops.json"],
        large_root: ["NAS-RobBench-201_all.json", "meta.json"],
    }
    for root, expected in names.items():
        for where in (root, root / "robbench201", root / "robbench201" / expected[0]):
            table = load_table(where, verify=False)
            assert [source["file"] for source in table.sources] == expected
        monkeypatch.setenv("ROBUST_SUPERNET_DATA", str(root))
        assert [s["file"] for s in load_table(verify=False).sources] == expected
    assert load_table(tmp_path) is shipped_table(), "a data root without a table"
    monkeypatch.delenv("ROBUST_SUPERNET_DATA")
    monkeypatch.chdir(tmp_path)
    assert load_table() is shipped_table(), "no data root"
    with pytest.raises(UserError, match="is not a folder; correct it"):
        load_table(tmp_path / "absent")
    (tmp_path / "NAS-RobBench-201_html.json").write_text("acc={};")
    with pytest.raises(UserError, match=r"ops\.json is missing"):
        load_table(tmp_path)


def test_a_long_chain_of_isomorphs_is_followed_once(invented_root: Path, tmp_path: Path) -> None:
    folder = invented_root / "robbench201"
    text = (folder / "NAS-RobBench-201_html.json").read_text()
    table = json.loads(text.removeprefix("acc=").removesuffix(";"))
    twins = [key for key, entry in table.items() if key and isinstance(entry, str)]
    # Nine thousand cells one behind the other; followed anew from each they are 42 million links.
    for key, following in zip(twins, [*twins[1:], "0"], strict=True):
        table[key] = following
    assert isinstance(table["0"], list)
    path = tmp_path / "NAS-RobBench-201_html.json"
    path.write_text(f"acc={json.dumps(table)};")
    shutil.copyfile(folder / "ops.json", tmp_path / "ops.json")
    began = time.process_time()
    found = load_table(path, verify=False)
    assert time.process_time() - began < 2
    assert found.multiplicity[0] == 1 + len(twins) == 15_625 - 6_466 + 1


def test_the_published_order_of_the_larger_form_is_accepted(real: Table) -> None:
    ids = {
        str(index): {"nb201-string": cell.arch, "isomorph": str(real.unique[real.row(cell)])}
        for index, cell in enumerate(map(real.order.genotype, range(15_625)))
    }
    codes, roots = read_meta(Loaded({"ids": ids}, Path("meta.json"), "", verified=False))
    assert tuple(codes) == real.order.codes
    assert (roots == np.array(real.unique)[real.row_of]).all()
