"""Markdown of reports becomes HTML; what files hold stays text."""

import pytest

from supernet.report.markdown import table as markdown_table
from supernet.report.page import markup
from tests.supernet.report.page.reading import Reading


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b>bold</b> name & more",
        "<http://example.org/>",
        "<someone@example.org>",
    ],
)
def test_tags_in_a_text_are_shown(hostile: str) -> None:
    for html in (
        markup.from_markdown(f"before {hostile} after"),
        markup.from_markdown(hostile),
        markup.from_markdown(markdown_table(["a", "b"], [[hostile, "1"]])),
        markup.from_markdown(f"```\n{hostile}\n```"),
        markup.heading(2, hostile),
        markup.table(["a"], [[hostile]]),
        markup.command(hostile),
        f'<p title="{markup.plain(hostile)}">{markup.plain(hostile)}</p>',
    ):
        page = Reading(html)
        tags = {tag for tag, _ in page.elements}
        assert tags <= {
            "p", "table", "thead", "tbody", "tr", "th", "td", "div", "pre", "code", "h2"
        }  # fmt: skip
        assert hostile in page.text


@pytest.mark.parametrize(
    "hostile",
    ["[click](javascript:alert(1))", "![x](http://example.org/x.png)", "[x]: http://example.org"],
)
def test_there_are_no_links_and_pictures(hostile: str) -> None:
    page = Reading(markup.from_markdown(f"{hostile}\n\n[x]"))
    assert [tag for tag, _ in page.elements] == ["p", "p"]
    assert hostile in page.text


def test_the_markdown_of_reports_is_understood() -> None:
    assert markup.from_markdown("**bold** and `|a~0|`") == (
        "<p><strong>bold</strong> and <code>|a~0|</code></p>"
    )
    page = Reading(markup.from_markdown(markdown_table(["x", "y"], [["a|b", "1"]])))
    assert page.tables == [[["x", "y"], ["a|b", "1"]]]
    assert page.elements[0] == ("div", {"class": "scroll"})
    assert ("td", {"style": "text-align: right;"}) in page.elements
    assert markup.heading(3, "a `b`") == "<h3>a <code>b</code></h3>"


def test_a_cells_string_breaks_between_operators() -> None:
    arch = "|skip_connect~0|+|none~0|nor_conv_3x3~1|"
    html = markup.from_markdown(f"`{arch}`")
    assert html == ("<p><code>|skip_connect~0|<wbr>+|none~0|<wbr>nor_conv_3x3~1|</code></p>")
    assert arch in Reading(html).text


def test_a_table_of_plain_texts() -> None:
    page = Reading(markup.table(["x", "y"], [["*a*", "1"], ["b", "2"]]))
    assert page.tables == [[["x", "y"], ["*a*", "1"], ["b", "2"]]]
    assert [attributes["style"] for tag, attributes in page.elements if tag == "th"] == [
        "text-align: left;", "text-align: right;",
    ]  # fmt: skip
