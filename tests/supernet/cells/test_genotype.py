"""Strings, codes, costs and classes of cells, against facts published with the benchmark."""

import pytest

from ops.space import CONV1, CONV3, EDGES, INCOMING, OP_NAMES, OUTGOING
from supernet.cells.genotype import Genotype, all_genotypes
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


@pytest.mark.slow
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
