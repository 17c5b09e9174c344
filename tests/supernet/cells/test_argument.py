import json
from pathlib import Path

import pytest

from supernet.cells.argument import index_remark, read_cell, read_cells
from supernet.errors import UserError

ARCH = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def test_strings_and_codes() -> None:
    assert read_cell(ARCH)[0].code == "333133"
    assert read_cell("333133") == (read_cell(ARCH)[0], {})
    assert read_cell("9930") == (read_cell(ARCH)[0], {})
    with pytest.raises(UserError, match=r"index 15625 is outside 0\.\.15624"):
        read_cell("15625")


def test_files_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps({"arch": ARCH, "dataset": "digits"}))
    for text in (str(path), str(tmp_path)):
        cell, record = read_cell(text)
        assert cell.code == "333133" and record["dataset"] == "digits"


@pytest.mark.parametrize("wrap", [lambda cells: cells, lambda cells: {"cells": cells}])
def test_one_cell_of_a_list(tmp_path: Path, wrap: object) -> None:
    path = tmp_path / "front.json"
    path.write_text(json.dumps(wrap([{"code": "000003"}, {"code": "333133"}])))  # type: ignore[operator]
    assert read_cell(f"{path}:1")[0].code == "333133"
    with pytest.raises(UserError, match=r"has 2 cells, numbered from 0; there is no 2"):
        read_cell(f"{path}:2")
    with pytest.raises(UserError, match=r"front\.json names no cell"):
        read_cell(str(path))


def test_a_cell_of_a_front(tmp_path: Path) -> None:
    cells = [{"arch": ARCH, "code": "000000", "clean": 0.5, "preference": None}]
    (tmp_path / "front.json").write_text(json.dumps({"dataset": "digits", "cells": cells}))
    cell, record = read_cell(f"{tmp_path}/front.json:0")
    assert cell.arch == ARCH and record["clean"] == 0.5
    assert record["dataset"] == "digits", "what train.py takes its images from"
    with pytest.raises(UserError, match="has 1 cells, numbered from 0; there is no 3"):
        read_cell(f"{tmp_path}/front.json:3")


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*absent\.json"):
        read_cell(str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match=r"cannot read .*genotype\.json"):
        read_cell(str(tmp_path))
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        read_cell(str(path))
    path.write_text(json.dumps({"arch": ARCH}))
    with pytest.raises(UserError, match="holds no list of cells; leave out :0"):
        read_cell(f"{path}:0")
    path.write_text(json.dumps({"arch": ARCH.replace("skip_connect", "skip")}))
    with pytest.raises(UserError, match="skip"):
        read_cell(str(path))


@pytest.mark.parametrize("text", ["3" * 5000, "|" + "none~0|" * 900, "x" * 300, "a/" * 3000 + "b"])
def test_what_no_file_can_be_called_is_taken_for_a_cell(text: str) -> None:
    with pytest.raises(UserError) as caught:
        read_cell(text)
    assert len(str(caught.value)) < 400 and "cell" in str(caught.value)
    assert "File name too long" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"dataset": 5}, "dataset is 5, not text"),
        ({"side": "16"}, "side is '16', not a whole number"),
        ({"side": 0}, "side is 0, not a whole number from 1"),
        ({"side": 10**30}, "side is 10+, not a whole number"),
    ],
)
def test_images_that_a_file_names_are_typed(
    tmp_path: Path, more: dict[str, object], reason: str
) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps({"code": "333333", **more}))
    with pytest.raises(UserError, match=reason):
        read_cell(str(path))
    path.write_text(json.dumps({"cells": [{"code": "333333"}], **more}))
    with pytest.raises(UserError, match=reason):
        read_cell(f"{path}:0")


def test_cells_of_a_file_are_lines_or_json(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    path.write_text(f"# two forms\n333133\n\n{ARCH}  # a comment\n")
    assert read_cells(path) == ["333133", ARCH]
    found = {
        json.dumps({"arch": ARCH}): [ARCH],
        json.dumps([{"code": "333133", "arch": None}]): ["333133"],
        json.dumps({"cells": ["1", "2"]}): ["1", "2"],
    }
    for text, cells in found.items():
        path.write_text(text)
        assert read_cells(path) == cells
    for text in ("{", "[null]", '{"cells": 3}', "[{}]"):
        path.write_text(text)
        with pytest.raises(UserError, match="is JSON without cells; it must hold"):
            read_cells(path)
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="names no cell; write one string, code or index a line"):
        read_cells(path)
    with pytest.raises(UserError, match="cannot read cells from"):
        read_cells(tmp_path / "absent")


def test_cells_of_a_file_from_windows(tmp_path: Path) -> None:
    path = tmp_path / "cells.txt"
    path.write_bytes("333133\r\n9930\r\n".encode("utf-8-sig"))
    assert read_cells(path) == ["333133", "9930"]
    path.write_bytes("333133".encode("utf-16"))
    with pytest.raises(UserError, match=r"cells\.txt is not UTF-8 text; save it as UTF-8"):
        read_cells(path)


def test_indices_and_codes_of_a_json_list(tmp_path: Path) -> None:
    path = tmp_path / "cells.json"
    path.write_text('[9930, "333133", {"code": "000003"}]')
    assert read_cells(path) == ["9930", "333133", "000003"]
    path.write_text('[{"name": 1}]')
    with pytest.raises(UserError, match="is JSON without cells; it must hold indices, codes, or"):
        read_cells(path)


@pytest.mark.parametrize(("text", "code"), [("13333", "013333"), (" 3131 ", "003131")])
def test_a_code_that_lost_its_zeros_is_remarked_on(text: str, code: str) -> None:
    remark = index_remark(text)
    assert remark is not None and remark.startswith(f"{text.strip()} is read as an index; ")
    assert f"the code {code} is another one" in remark


@pytest.mark.parametrize("text", ["9930", "13353", "333", "013333", ARCH, "genotype.json", ""])
def test_what_is_one_thing_alone_is_not_remarked_on(text: str) -> None:
    assert index_remark(text) is None


@pytest.mark.parametrize("text", ["run", "~nobody-of-this-name", "genotype.jsn", " best cell "])
def test_a_name_that_is_nothing_here_is_called_so(text: str) -> None:
    with pytest.raises(UserError, match=f"'{text}' is neither a file or folder here nor a cell"):
        read_cell(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_cells_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "cells.txt"
    path.write_text("333133\n9930\n", encoding=encoding)
    with pytest.raises(UserError, match=r"cells\.txt is not UTF-8 text; save it as UTF-8"):
        read_cells(path)
