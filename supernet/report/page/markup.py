"""Turns the report's Markdown into HTML in which text from files cannot become markup."""

import re
from collections.abc import Sequence
from functools import cache
from html import escape

from markdown import Markdown

RAW_HTML = ("html", "autolink", "automail")
"""Inline patterns that would let tags and addresses through as they are."""
LINKS = (
    "link", "image_link", "reference", "image_reference", "short_reference", "short_image_ref",
)  # fmt: skip
"""Inline patterns of links and pictures: a report has none in its text, and a link may run code."""

OPERATOR = re.compile(r"~\d\|(?=[a-z+])")
"""The end of an operator within a cell's string."""


@cache
def _converter() -> Markdown:
    converter = Markdown(extensions=["tables", "fenced_code"], output_format="html")
    converter.preprocessors.deregister("html_block")
    converter.parser.blockprocessors.deregister("reference")
    for name in (*RAW_HTML, *LINKS):
        converter.inlinePatterns.deregister(name)
    return converter


def from_markdown(text: str) -> str:
    """The HTML of a Markdown text, with tags, links and pictures in it shown as the text they are.

    A cell's string may break between its operators, and a table can be scrolled sideways where it
    is wider than the window.
    """
    converted: str = _converter().reset().convert(text)
    return _scrolled(OPERATOR.sub(r"\g<0><wbr>", converted))


def heading(level: int, text: str) -> str:
    """The HTML of a heading; `text` is Markdown without its leading `#`."""
    inside = from_markdown(text).removeprefix("<p>").removesuffix("</p>")
    return f"<h{level}>{inside}</h{level}>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """The HTML of a table of plain texts.

    align: one letter per column, l or r; the default is l, then r.
    """
    letters = align or "l" + "r" * (len(header) - 1)
    lines = [
        "".join(
            f'<{tag} style="text-align: {"right" if letter == "r" else "left"};">{escape(text)}'
            f"</{tag}>"
            for letter, text in zip(letters, line, strict=True)
        )
        for tag, line in [("th", header), *(("td", row) for row in rows)]
    ]
    head, *body = (f"<tr>{line}</tr>" for line in lines)
    return _scrolled(f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>")


def command(text: str) -> str:
    """The HTML of a command line."""
    return f"<pre><code>{escape(text)}</code></pre>"


def plain(text: str) -> str:
    """A text as HTML that shows it letter by letter, in an attribute as well."""
    return escape(text)


def _scrolled(html: str) -> str:
    opened = html.replace("<table>", '<div class="scroll"><table>')
    return opened.replace("</table>", "</table></div>")
