from collections.abc import Sequence

from ops.space import CONV1, CONV3, NONE, SKIP
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.search.refine import (
    Round,
    Sweep,
    neighbours,
    refine,
)

ALL_3X3 = Genotype((CONV3,) * 6)
TARGET = Genotype.parse("323133")


class Distance:
    """A judge whose loss is the number of edges that differ from TARGET, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, cells: Sequence[Genotype], number: int) -> list[float]:
        self.asked.append((number, len(cells)))
        return [float(distance(cell)) for cell in cells]


def distance(cell: Genotype) -> int:
    return sum(a != b for a, b in zip(cell.ops, TARGET.ops, strict=True))


def flat(cell: Genotype) -> float:
    return 0.0


def around(cell: Genotype) -> list[Genotype]:
    return neighbours(cell, allow_none=False)


def _refined(proposals: list[Genotype], judge: Distance, moves: int) -> list[Sweep]:
    return list(refine(proposals, judge, standing=flat, around=around, rounds=3, moves=moves))


def test_two_moves_reach_a_cell_that_two_changes_lead_to() -> None:
    judge = Distance()
    sweeps = _refined([ALL_3X3], judge, 2)
    assert [sweep.start for sweep in sweeps] == [None, ALL_3X3, sweeps[1].chosen]
    assert distance(sweeps[1].chosen) == 1
    assert sweeps[2].chosen == TARGET
    # 18 neighbours; a third of them; a third of those, and the start.
    assert judge.asked == [(0, 18), (1, 6), (2, 3)] * 2


def test_no_move_goes_on_from_a_cell_that_no_neighbour_beats() -> None:
    sweeps = _refined([TARGET], Distance(), 5)
    assert [sweep.chosen for sweep in sweeps] == [TARGET, TARGET]


def test_the_number_of_moves_is_a_limit() -> None:
    far = Genotype.parse("444444")
    sweeps = _refined([far], Distance(), 2)
    assert distance(sweeps[-1].chosen) == distance(far) - 2
    assert len(sweeps) == 3
    assert _refined([far], Distance(), 0) == [Sweep(None, (), far)]


def test_proposals_compete_first() -> None:
    judge, far = Distance(), Genotype.parse("444444")
    sweeps = _refined([far, ALL_3X3, far, Genotype.parse("111111"), Genotype.parse("222222")],
                      judge, 0)  # fmt: skip
    assert sweeps[0].chosen == ALL_3X3
    assert judge.asked == [(0, 4)]  # a third of four is one, which has won


def test_one_neighbour_has_to_beat_the_start() -> None:
    for loss, chosen in ((3.0, ALL_3X3), (1.0, TARGET)):

        def judge(cells: Sequence[Genotype], number: int, loss: float = loss) -> list[float]:
            return [2.0 if cell == ALL_3X3 else loss for cell in cells]

        (_, sweep) = refine([ALL_3X3], judge, standing=flat, around=lambda cell: [TARGET],
                            rounds=2, moves=1)  # fmt: skip
        assert sweep.chosen == chosen
    assert list(refine([TARGET], Distance(), standing=flat, around=lambda cell: [], rounds=2,
                       moves=3))[1:] == [Sweep(TARGET, (), TARGET)]  # fmt: skip


def test_a_later_round_decides_with_the_start() -> None:
    """A neighbour that looks best at first and is worse than the start later is not taken."""

    def judge(cells: Sequence[Genotype], number: int) -> list[float]:
        if number < 2:
            return [0.0 if cell.ops[0] == SKIP else 1.0 for cell in cells]
        return [0.5 if cell == ALL_3X3 else 0.7 for cell in cells]

    (_, sweep) = refine([ALL_3X3], judge, standing=flat, around=around, rounds=3, moves=2)
    assert ALL_3X3.replace(0, SKIP) in sweep.rounds[2].cells
    assert sweep.chosen == ALL_3X3


def test_a_training_that_diverged_loses() -> None:
    def judge(cells: Sequence[Genotype], number: int) -> list[float]:
        return [1e3 if cell.ops[3] != CONV1 else 2.0 for cell in cells]

    sweeps = list(refine([ALL_3X3], judge, standing=flat, around=around, rounds=2, moves=1))
    assert sweeps[-1].chosen == ALL_3X3.replace(3, CONV1)


def test_a_high_standing_outweighs_a_low_loss() -> None:
    """The trap of small cells, which learn fastest."""

    def judge(cells: Sequence[Genotype], number: int) -> list[float]:
        return [float(cell.params()) for cell in cells]

    small = Genotype.parse("111111")
    standing = {small: 0.0, ALL_3X3: 1.0}
    (sweep,) = refine([small, ALL_3X3], judge, standing=standing.__getitem__, around=around,
                      rounds=1, moves=0)  # fmt: skip
    assert sweep.rounds[0].losses[0] < sweep.rounds[0].losses[1]
    assert sweep.chosen == ALL_3X3


def test_best_of_a_round_names_equal_cells_in_their_order() -> None:
    cells = tuple(Genotype.parse(code) for code in ("333333", "111111", "222222"))
    assert Round(0, cells, (0, 0, 0), (1.0, 2.0, 2.0)).best(2) == list(cells[1:])


def test_neighbours_differ_on_one_edge() -> None:
    found = neighbours(ALL_3X3, allow_none=False)
    assert len(found) == 18
    assert all(sum(a != b for a, b in zip(n.ops, ALL_3X3.ops, strict=True)) == 1 for n in found)
    assert not any(n.count(NONE) for n in found)
    with_none = neighbours(ALL_3X3, allow_none=True)
    assert len(with_none) == 24
    # The only edges into the output: without them a cell is not connected.
    bridge = Genotype.parse("300300")
    assert bridge.replace(3, NONE) not in neighbours(bridge, allow_none=True)


def test_neighbours_are_of_other_classes_than_the_cell_and_each_other() -> None:
    for code in ("113333", "030333"):  # nothing reaches node 1: its edge into node 2 is dead
        cell = Genotype.parse(code)
        classes = [other.canonical for other in neighbours(cell, allow_none=True)]
        assert len(set(classes)) == len(classes)
        every = {other.canonical for other in cell.neighbours() if other.is_connected}
        assert set(classes) == every - {cell.canonical}


def test_within_a_budget_a_large_change_comes_with_one_that_makes_room() -> None:
    """Of a cell with one 3x3 within the size of one: the 3x3 can move, as two changes."""
    cell = Genotype.parse("311111")

    def fits(other: Genotype) -> bool:
        return other.params() <= cell.params()

    found = neighbours(cell, allow_none=False, fits=fits)
    assert all(fits(other) for other in found)
    assert Genotype.parse("131111") in found
    assert Genotype.parse("411111") in found  # smaller cells stay
    by_hand = set()
    for other in all_genotypes():
        changed = [edge for edge in range(6) if other.ops[edge] != cell.ops[edge]]
        if not fits(other) or other.count(NONE) or len(changed) not in (1, 2):
            continue
        if len(changed) == 1 or not all(fits(cell.replace(e, other.ops[e])) for e in changed):
            by_hand.add(other.canonical)
    assert {other.canonical for other in found} == by_hand - {cell.canonical}
