"""The table of edge weights: every weight in its place, frames around what is taken."""

from supernet.report.page.weights import weights_table
from tests.supernet.report.page.reading import Reading

W = [[(10 * edge + op) / 100 for op in range(5)] for edge in range(6)]


def test_every_weight_stands_in_its_place() -> None:
    page = Reading(weights_table(W, [0, 1, 2, 3, 4, 0]))
    (table,) = page.tables
    assert table[0] == ["", "none", "skip", "conv 1×1", "conv 3×3", "avg pool"]
    for row, weights in zip(table[1:], W, strict=True):
        assert row[1:] == [f"{w:.3f}" for w in weights]
    assert [row[0] for row in table[1:]] == [
        "edge 0→1", "edge 0→2", "edge 1→2", "edge 0→3", "edge 1→3", "edge 2→3",
    ]  # fmt: skip


def test_what_is_taken_is_framed_and_what_cannot_be_is_faint() -> None:
    def classes(**given: bool) -> list[str | None]:
        page = Reading(weights_table(W, [0, 1, 2, 3, 4, 0], **given))
        return [attributes.get("class") for tag, attributes in page.elements if tag == "td"]

    taken = {5 * edge + op for edge, op in enumerate([0, 1, 2, 3, 4, 0])}
    for number, named in enumerate(classes()):
        words = (named or "").split()
        assert ("taken" in words) == (number in taken)
        assert ("faint" in words) == (number % 5 == 0)
    assert all("faint" not in (named or "") for named in classes(none=True))


def test_the_shade_is_the_share_of_the_greatest() -> None:
    page = Reading(weights_table(W, [0] * 6))
    shades = [attributes["style"] for tag, attributes in page.elements if tag == "td"]
    assert shades[0] == "--share: 0%" and shades[-1] == "--share: 100%"
    assert shades[10] == "--share: 37%"  # 0.20 of 0.54
