"""Strings, codes, indices and classes of cells, against facts published with the benchmark."""

import hashlib
import json
from pathlib import Path

import pytest

from ops.space import CONV1, CONV3, EDGES, INCOMING, OP_NAMES, OUTGOING
from supernet.cells.genotype import (
    ORDER_MD5,
    Genotype,
    IndexOrder,
    all_genotypes,
    find_index_order,
    resolve,
)
from supernet.errors import UserError

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+" + (
    "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def test_the_order_of_edges_and_operators_is_the_published_one() -> None:
    assert EDGES == ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
    assert OP_NAMES == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    assert INCOMING == ((), (0,), (1, 2), (3, 4, 5))
    assert OUTGOING == ((0, 1, 3), (2, 4), (5,), ())


def test_string_and_code_are_two_spellings_of_one_cell() -> None:
    cell = Genotype.parse("323014")
    assert cell.arch == (
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|skip_connect~1|avg_pool_3x3~2|"
    )
    assert Genotype.parse(cell.arch) == cell
    assert Genotype.parse(ALL_3X3).code == "333333"


def test_every_cell_survives_the_round_trip_through_its_string() -> None:
    cells = list(all_genotypes())
    assert len(cells) == 5**6
    assert all(Genotype.parse(cell.arch) == cell for cell in cells)


def test_there_are_6466_classes_and_341_disconnected_cells() -> None:
    cells = list(all_genotypes())
    assert len({cell.canonical for cell in cells}) == 6466
    assert sum(not cell.is_connected for cell in cells) == 341
    # Connected by a path of edges that carry something, and only then, is there a trace of node 0.
    assert all(cell.is_connected == ("0" in cell.canonical) for cell in cells)


@pytest.mark.parametrize(
    ("code", "params", "mflops"),
    [  # facts published for these cells: 10 classes, 32x32
        ("421211", 129_306, 15.64737),
        ("334034", 802_426, 113.95137),
        ("111020", 101_306, 11.71521),
        ("333333", 1_531_546, 220.11969),
        ("222222", 241_306, 31.37601),
        ("111111", 73_306, 7.78305),
        ("444444", 73_306, 7.78305),
        ("000000", 73_306, 7.78305),
        ("333133", 1_288_506, 184.73025),
    ],
)
def test_published_parameters_and_flops(code: str, params: int, mflops: float) -> None:
    cell = Genotype.parse(code)
    assert cell.params() == params
    assert cell.flops() == round(mflops * 1e6)
    assert cell.params(num_classes=120) == params + 65 * 110
    assert cell.params() == 73_306 + 28_000 * cell.count(CONV1) + 243_040 * cell.count(CONV3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("33333", "5 digits"),
        ("333383", r"edge 4 \(node 3 from 1\).*digit 8"),
        ("|nor_conv_3x3~0|", "1 node groups"),
        (ALL_3X3.replace("|nor_conv_3x3~2|", "|"), "node 3.*2 edges were given, it has 3"),
        (ALL_3X3.replace("nor_conv_3x3~2", "conv~2"), r"edge 5 \(node 3 from 2\).*'conv'.*none"),
        (ALL_3X3.replace("nor_conv_3x3~2", "nor_conv_3x3~0"), r"edge 5.*source 0; it must be ~2"),
        (ALL_3X3.replace("nor_conv_3x3~2", "nor_conv_3x3"), "edge 5.*no '~'"),
        (ALL_3X3[1:], "node 1.*must start and end"),
    ],
)
def test_a_bad_cell_is_refused_with_the_edge_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Genotype.parse(text)


def test_a_wrong_number_of_operators_is_refused() -> None:
    with pytest.raises(ValueError, match="6 edges, 2 were given"):
        Genotype((3, 3))
    with pytest.raises(ValueError, match=r"edge 1 .*operator number 7"):
        Genotype((3, 7, 3, 3, 3, 3))


def test_neighbours_differ_in_one_edge_each() -> None:
    cell = Genotype.parse("012340")
    neighbours = cell.neighbours()
    assert len(set(neighbours)) == 24
    for other in neighbours:
        assert sum(a != b for a, b in zip(cell.ops, other.ops, strict=True)) == 1


def test_isomorphic_cells_share_a_class() -> None:
    # Node 1 is a copy of node 0 in both: the 3x3 reaches node 2 either way.
    assert Genotype.parse("130001").canonical == Genotype.parse("103001").canonical
    assert Genotype.parse("130001").canonical != Genotype.parse("102001").canonical


def test_the_published_order(data_root: Path) -> None:
    order = find_index_order(data_root)
    assert order is not None
    strings = [order.genotype(index).arch for index in range(15_625)]
    digest = hashlib.md5("\n".join(strings).encode()).hexdigest()
    assert digest == "1985aacc268bf045d31ddeecaaac0dc0"
    assert hashlib.md5("\n".join(order.codes).encode()).hexdigest() == ORDER_MD5
    landmarks = {0: "421211", 11: "334034", 284: "111020", 1462: "333333", 4317: "222222",
                 1835: "111111", 7581: "444444", 1651: "000000", 9930: "333133"}  # fmt: skip
    for index, code in landmarks.items():
        assert order.genotype(index).code == code
        assert order.index(Genotype.parse(code)) == index
    assert resolve("9930", order).code == "333133"


def test_an_order_file_may_be_bare_json_or_an_assignment(tmp_path: Path) -> None:
    codes = [cell.code for cell in all_genotypes()]
    for text in (json.dumps(codes), f"arch={json.dumps(codes)};"):
        (tmp_path / "ops.json").write_text(text)
        order = IndexOrder.load(tmp_path / "ops.json", verify=False)
        assert order.genotype(15_624).code == "444444"
    with pytest.raises(UserError, match=r"index 15625 is outside 0\.\.15624"):
        order.genotype(15_625)


@pytest.mark.parametrize(
    ("text", "message"),
    [("<!DOCTYPE html><html>", "an HTML page"), ('arch=["000000","00', "cut short or changed")],
)
def test_a_bad_order_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ops.json").write_text(text)
    with pytest.raises(UserError, match=rf"ops\.json is not.*{message}"):
        IndexOrder.load(tmp_path / "ops.json")


def test_an_order_that_is_not_the_published_one_is_refused(data_root: Path, tmp_path: Path) -> None:
    text = (data_root / "robbench201" / "ops.json").read_text()
    codes = json.loads(text.partition("=")[2].strip().removesuffix(";"))
    path = tmp_path / "robbench201" / "ops.json"
    path.parent.mkdir()
    path.write_text(json.dumps(codes))
    order = find_index_order(tmp_path)
    assert order is not None and order.codes == tuple(codes)  # another file, the same order
    codes[17], codes[18] = codes[18], codes[17]
    path.write_text(json.dumps(codes))
    with pytest.raises(UserError, match=r"ops\.json has the cells in another order.*download it"):
        find_index_order(tmp_path)
    changed = find_index_order(tmp_path, verify=False)
    assert changed is not None and changed.codes == tuple(codes)
    path.write_text(json.dumps([*codes, codes[0]]))
    with pytest.raises(UserError, match=r"ops\.json is not.*cut short or changed"):
        find_index_order(tmp_path, verify=False)


def test_without_the_order_an_index_says_what_it_needs() -> None:
    assert resolve("333333").code == "333333"
    assert find_index_order(None) is None
    with pytest.raises(UserError, match=r"index 9930 needs .*ops\.json.*six-digit code"):
        resolve("9930")
