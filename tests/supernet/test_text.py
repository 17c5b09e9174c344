"""Texts that command lines read and files are named by."""

import pytest

from supernet.text import aligned, file_name, printable


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cifar10:pgd_8", "cifar10-pgd_8"),
        ("a/../b", "a-..-b"),
        ("/etc/passwd", "-etc-passwd"),
        ("a\\b\0c\nd", "a-b-c-d"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_text_never_names_another_folder(text: str, name: str) -> None:
    assert file_name(text) == name


def test_a_text_from_a_file_does_not_drive_a_terminal() -> None:
    assert printable("caf\u00e9 a\\b") == "caf\u00e9 a\\b"
    assert printable("\x1b[2J\ra\nb\udce9") == r"\x1b[2J\ra\nb\udce9"
    assert printable("a\nb\x07", besides="\n") == "a\nb\\x07"
    table = aligned(["class", "n"], [["a\nb", "1"], ["\x1b]0;x\x07", "20"]])
    assert table.splitlines() == [
        "class          n", r"a\nb           1", r"\x1b]0;x\x07  20",
    ]  # fmt: skip
