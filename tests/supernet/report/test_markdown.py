"""Tables in Markdown."""

import pytest

from supernet.report.markdown import code, code_block, plain, table


def test_pipes_in_cells_are_escaped() -> None:
    assert table(["a", "b"], [["|x~0|", "1"]]).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| \\|x~0\\| | 1 |",
    ]


def test_a_new_line_in_a_cell_does_not_end_it() -> None:
    assert table(["a", "b"], [["x\n| y", "1\r\n"]]).splitlines()[2:] == ["| x \\| y | 1 |"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the packs a_b-1.npz (3 %)", "the packs a_b-1.npz (3 %)"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("[a](javascript:b)", "\\[a\\](javascript:b)"),
        ("a\n\n# b", "a # b"),
        ("`a` *b* _c_ ~d~", "\\`a\\` \\*b\\* \\_c\\_ \\~d\\~"),
        ("a|b\\|c", "a\\|b\\\\\\|c"),
        ("\x1b[31mred\u202e", "\\[31mred"),
    ],
)
def test_a_text_from_a_file_has_no_markup(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert table(["a"], [[plain(text)]]).splitlines()[2] == f"| {shown} |"


def test_code_ends_where_its_text_does() -> None:
    assert code("a b") == "`a b`"
    assert code("a`b``c") == "```a`b``c```"
    assert code("`a\n`") == "`` `a ` ``"
    assert code_block("x", "json") == "```json\nx\n```"
    assert code_block("```\n# x\n`````") == "``````\n```\n# x\n`````\n``````"
    assert code_block("a\n\x1b[2J") == "```\na\n\\x1b[2J\n```" and code("\x1b[") == "`\\x1b[`"
