"""Texts that command lines read and files are named by."""

import pytest

from supernet.text import file_name


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
