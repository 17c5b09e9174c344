"""The table: landmarks on the published files, exact answers on an invented one."""

import itertools
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supernet.benchmark.files import Loaded
from supernet.benchmark.formats import read_meta
from supernet.benchmark.order_statistics import best_of_probabilities
from supernet.benchmark.table import COLUMNS, DATASETS, Table
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.cells.order import find_index_order
from supernet.errors import UserError
from tests.tables import class_values, write_large


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


# Accuracies in percent: clean, FGSM 3, PGD 3, FGSM 8, PGD 8, AutoAttack 8.
LANDMARKS = {
    2581: ("323133", 79.37, 69.55, 68.93, 53.51, 48.11, 44.34),
    9930: ("333133", 79.56, 69.71, 69.24, 53.34, 47.79, 44.38),
    13714: ("333123", 79.48, 69.73, 69.10, 53.17, 47.73, 44.28),
    1462: ("333333", 77.06, 67.64, 67.07, 52.48, 47.37, 43.48),
    4317: ("222222", 61.94, 52.87, 52.53, 39.06, 36.21, 31.00),
    1835: ("111111", 33.24, 28.57, 28.53, 21.48, 21.25, 16.09),
}


@pytest.mark.parametrize("index", LANDMARKS)
def test_landmarks_of_the_published_table(real: Table, index: int) -> None:
    code, *percents = LANDMARKS[index]
    answer = real.query(Genotype.parse(code))
    assert answer["index"] == index
    shown = [round(100 * answer["results"]["cifar10"][column], 2) for column in COLUMNS]
    assert shown == percents


def test_best_cells_and_the_rank_of_all_3x3(real: Table) -> None:
    best = {
        column: real.unique[int(np.argmin(real.ranks("cifar10", column)))] for column in COLUMNS
    }
    assert best["pgd_8"] == 2581
    assert best["clean"] == best["pgd_3"] == best["autoattack"] == 9930
    assert best["fgsm_3"] == 13714
    assert real.rank(Genotype.parse("333333"), "cifar10", "pgd_8") == 34
    assert real.rank(Genotype.parse("443444"), "cifar10", "pgd_8") == 6254


def test_classes_and_cheapest_members_of_the_published_table(real: Table) -> None:
    assert real.size == 6466
    assert real.multiplicity.sum() == 15625
    cheapest, evaluated = real.costs("params", cheapest=True), real.costs("params")
    assert (cheapest < evaluated).sum() == 358 and not (cheapest > evaluated).any()
    assert all(source["verified"] for source in real.sources)
    classes = {cell.canonical for cell in real.genotypes}
    assert len(classes) == 6466
    for cell in random.Random(0).sample(list(all_genotypes()), 200):
        assert real.genotypes[real.row(cell)].canonical == cell.canonical


def test_expected_best_of_random_on_the_published_table(real: Table) -> None:
    assert round(100 * real.expected_best_of(50, "cifar10", "pgd_8"), 2) == 46.75
    assert round(100 * real.expected_best_of(150, "cifar10", "pgd_8"), 2) == 47.14


def test_every_string_answers_with_the_values_of_its_class(invented: Table) -> None:
    for cell in random.Random(1).sample(list(all_genotypes()), 300):
        answer = invented.query(cell)
        flat = [answer["results"][d][c] for d in DATASETS for c in COLUMNS]
        assert flat == class_values(cell.canonical, 18)
        assert invented.order.genotype(answer["unique_index"]).canonical == cell.canonical
        assert answer["params"] == cell.params() and answer["flops"] == cell.flops()


def test_both_published_forms_give_the_same_table(invented: Table, large_root: Path) -> None:
    large = Table.load(large_root, verify=False)
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
    table = Table.load(tmp_path, verify=False)
    index = int(next(iter(data["cifar100"])))
    values = table.query(table.order.genotype(index))["results"]["cifar100"]
    assert values["pgd_8"] == pytest.approx(0.3)
    assert values["clean"] == 0.5


def test_ranks_of_ties_are_the_best_of_their_group(invented: Table) -> None:
    values = invented.values("cifar100", "fgsm_8")
    ranks = invented.ranks("cifar100", "fgsm_8")
    assert len(set(values.tolist())) < len(values)  # the invented values have ties
    for row in range(0, 6466, 97):
        assert ranks[row] == 1 + (values > values[row]).sum()
    smallest = int(np.argmin(invented.costs("params")))
    assert invented.ranks("cifar10", "params")[smallest] == 1


def test_percentile_and_regret(invented: Table) -> None:
    values = invented.values("cifar10", "clean")
    best, worst = (invented.genotypes[int(pick(values))] for pick in (np.argmax, np.argmin))
    assert invented.query(best)["percentiles"]["cifar10"]["clean"] == 100.0
    assert invented.query(best)["regret"]["cifar10"]["clean"] == 0.0
    answer = invented.query(worst)
    assert answer["regret"]["cifar10"]["clean"] == values.max() - values.min()
    share = 100 * (values <= values.min()).mean()
    assert answer["percentiles"]["cifar10"]["clean"] == pytest.approx(share)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_probabilities_against_every_draw(n: int, replacement: bool) -> None:
    values = np.array([0.5, 0.2, 0.5, 0.9, 0.1])
    weights = np.array([2, 1, 1, 1, 2])
    urn = np.repeat(np.arange(5), weights)
    draws = itertools.product(range(7), repeat=n)
    if not replacement:
        draws = itertools.permutations(range(7), n)  # type: ignore[assignment]
    best = np.array([max(values[urn[i]] for i in draw) for draw in draws])
    p = best_of_probabilities(values, weights, n, replacement=replacement)
    for level in np.unique(values):
        assert p[values == level].sum() == pytest.approx((best == level).mean(), abs=1e-12)
    assert p[0] == pytest.approx(2 * p[2])  # equal values share by weight


def test_expected_best_of_knows_its_limits(invented: Table) -> None:
    values = invented.values("cifar10", "pgd_8")
    of_all = invented.expected_best_of(
        6466, "cifar10", "pgd_8", population="classes", replacement=False
    )
    assert of_all == pytest.approx(values.max(), abs=1e-9)
    one = invented.expected_best_of(1, "cifar10", "pgd_8")
    assert one == pytest.approx(np.average(values, weights=invented.multiplicity))
    with pytest.raises(UserError, match="at least 1 and at most 6,466, not 6467"):
        invented.expected_best_of(6467, "cifar10", "clean", population="classes", replacement=False)
    with pytest.raises(UserError, match="at least 1, not 0"):
        invented.expected_best_of(0, "cifar10", "clean")


def test_baseline_rows_choose_by_one_column_and_report_all(invented: Table) -> None:
    conv, skip, best = invented.baseline_rows("cifar100", "autoattack", best_of=(20,))
    assert (conv["name"], skip["name"], best["n"]) == ("all 3x3", "all skip", 20)
    assert conv["code"] == "333333" and skip["code"] == "111111"
    expected = invented.expected_best_of(20, "cifar100", "autoattack")
    assert best["results"]["cifar100"]["autoattack"] == pytest.approx(expected)
    # Columns of the invented table are independent: choosing by one says nothing of another.
    assert best["results"]["cifar10"]["clean"] == pytest.approx(0.5, abs=0.1)


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
        Table.load(path)


def test_changed_number_is_noticed(invented_root: Path) -> None:
    with pytest.raises(UserError, match=r"is not the published file.*--no-verify"):
        Table.load(invented_root)


def test_published_file_cut_short_is_named(data_root: Path, tmp_path: Path) -> None:
    source = data_root / "robbench201"
    name = "NAS-RobBench-201_html.json"
    (tmp_path / name).write_bytes((source / name).read_bytes()[:1_000_000])
    (tmp_path / "ops.json").write_bytes((source / "ops.json").read_bytes())
    with pytest.raises(UserError, match="cut short: 1,000,000 bytes instead of 2,580,686"):
        Table.load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("17"), "has no entry for index 17"),
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
        Table.load(path, verify=False)


def test_larger_form_with_a_hole_is_named(large_root: Path, tmp_path: Path) -> None:
    path = copy_of(large_root, tmp_path)
    data = json.loads(path.read_text())
    key = next(iter(data["imagenet"]))
    del data["imagenet"][key]["val_acc"]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"no number for imagenet, cell {key}, val_acc"):
        Table.load(tmp_path, verify=False)
    (tmp_path / "robbench201/meta.json").write_text('{"ids": {}}')
    with pytest.raises(UserError, match=r"is not the benchmark's meta\.json"):
        Table.load(tmp_path, verify=False)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.999])
def test_larger_form_cut_short_is_named(large_root: Path, tmp_path: Path, keep: float) -> None:
    path = copy_of(large_root, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(UserError, match="is cut short"):
        Table.load(tmp_path, verify=False)
    # Cut just behind a brace, it looks whole until its last data set is read.
    path.write_bytes(data[: data.rindex(b"}", 0, int(keep * len(data))) + 1])
    with pytest.raises(UserError, match=r"is cut short|is not JSON"):
        Table.load(tmp_path, verify=False)


@pytest.mark.slow
def test_larger_form_in_another_layout_is_read(large_root: Path, tmp_path: Path) -> None:
    path = copy_of(large_root, tmp_path)
    data = json.loads(path.read_text())
    other = {"imagenet": data["imagenet"], "note": "about cifar10", **data, "about": {"by": "us"}}
    path.write_text(json.dumps(other, indent=1) + "\n")
    whole = Table.load(large_root, verify=False)
    assert (Table.load(tmp_path, verify=False).matrix == whole.matrix).all()
    del data["cifar100"]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="damaged at data set cifar100"):
        Table.load(tmp_path, verify=False)


def test_reordered_larger_form_is_named(large_root: Path, tmp_path: Path) -> None:
    message = r"meta\.json has the cells in another order than the published one.*--no-verify"
    with pytest.raises(UserError, match=message):
        Table.load(large_root)
    copy_of(large_root, tmp_path)
    path = tmp_path / "robbench201/meta.json"
    meta = json.loads(path.read_text())
    meta["ids"]["17"]["nb201-string"] = meta["ids"]["18"]["nb201-string"]
    path.write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"is not the benchmark's meta\.json .*is there twice"):
        Table.load(tmp_path, verify=False)


def test_reordered_small_form_is_named(data_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "robbench201"
    folder.mkdir()
    for name in ("NAS-RobBench-201_html.json", "ops.json"):
        shutil.copyfile(data_root / "robbench201" / name, folder / name)
    text = (folder / "ops.json").read_text()
    first, last = "421211", "334034"  # indices 0 and 11
    text = text.replace(first, "swap").replace(last, first).replace("swap", last)
    (folder / "ops.json").write_text(text)
    with pytest.raises(UserError, match=r"ops\.json is not the published file"):
        Table.load(tmp_path)
    with pytest.raises(UserError, match=r"ops\.json has the cells in another order"):
        find_index_order(tmp_path)
    assert Table.load(tmp_path, verify=False).order.genotype(0).code == last


def test_the_published_order_of_the_larger_form_is_accepted(real: Table) -> None:
    ids = {
        str(index): {"nb201-string": cell.arch, "isomorph": str(real.unique[real.row(cell)])}
        for index, cell in enumerate(map(real.order.genotype, range(15_625)))
    }
    codes, roots = read_meta(Loaded({"ids": ids}, Path("meta.json"), "", verified=False))
    assert tuple(codes) == real.order.codes
    assert (roots == np.array(real.unique)[real.row_of]).all()


def test_missing_table_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"no benchmark table under .* put .* from https://"):
        Table.load(tmp_path)
    assert Table.find(tmp_path) is None
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no data root: name the folder"):
        Table.load()
    (tmp_path / "NAS-RobBench-201_html.json").write_text("acc={};")
    with pytest.raises(UserError, match=r"ops\.json is missing"):
        Table.load(tmp_path)


def test_unknown_names_list_the_good_ones(invented: Table) -> None:
    with pytest.raises(UserError, match="unknown data set 'cifar'; choose from cifar10, cifar100"):
        invented.values("cifar", "clean")
    with pytest.raises(UserError, match="unknown column 'pgd'; choose from clean, fgsm_3"):
        invented.rank(Genotype.parse("333333"), "cifar10", "pgd")


def test_loading_needs_no_torch_scipy_or_matplotlib() -> None:
    script = (
        "import sys, supernet.benchmark.table;"
        "heavy = {'torch', 'scipy', 'matplotlib', 'pymoo', 'moocore'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
