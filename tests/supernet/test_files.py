"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from supernet import files
from supernet.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.txt"
    with files.atomic_write(path) as stream:
        stream.write("old")
    with pytest.raises(RuntimeError), files.atomic_write(path) as stream:
        stream.write("half of the ne")
        raise RuntimeError("power cut")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["result.txt"]


def test_new_files_have_ordinary_permissions(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {})
    (tmp_path / "b.json").write_text("{}")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"x": [1, None, 0.5]})
    assert files.read_json(path) == {"x": [1, None, 0.5]}
    with pytest.raises(ValueError):
        files.write_json(path, float("nan"))
    assert files.read_json(path) == {"x": [1, None, 0.5]}
    path.write_text('{"x": [1,')
    with pytest.raises(UserError, match=r"a\.json is not valid JSON .*cut short"):
        files.read_json(path)
    with pytest.raises(UserError, match=r"cannot read .*b\.json"):
        files.read_json(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not a finite number"),
        ("[-Infinity]", "-Infinity is not a finite number"),
        ("[1e999]", "1e999 is not a finite number"),
        ("9" * 5000, "is not valid JSON"),
        ("[" * 51 + "]" * 51, "nested more than 50 levels deep"),
        ("[" * 100_000, "nested more than 50 levels deep|is not valid JSON"),
        ('{"a":' * 100_000, "nested more than 50 levels deep|is not valid JSON"),
        ("\udcff", "is not valid JSON"),
    ],
)
def test_json_is_finite_and_bounded(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=rf"a\.json .*({reason})"):
        files.read_json(path)


def test_json_of_50_levels_and_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + b"[" * 49 + b"[1]" + b"]" * 49)
    assert isinstance(files.read_json(path), list)


def test_a_long_json_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_json(tmp_path / "a.json", ["x" * 100])
    monkeypatch.setattr(files, "MOST_JSON_BYTES", 50)
    with pytest.raises(UserError, match=r"a\.json is longer than 50 bytes; name another"):
        files.read_json(tmp_path / "a.json")


def test_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert files.read_jsonl(path) == []
    path.write_text('{"step": 1}\n{"step": 2, "name": "\u2028"}\n')
    whole = [{"step": 1}, {"step": 2, "name": "\u2028"}]
    assert files.read_jsonl(path) == whole
    for unfinished in ('{"st', '{"step": 3}'):  # with the newline it would be finished
        path.write_text('{"step": 1}\n{"step": 2, "name": "\u2028"}\n' + unfinished)
        assert files.read_jsonl(path) == whole
    for damaged in (b'{"st', b"[2]", b"", b'{"name": "\xff"}'):
        for rest in (b"", b'{"step": 3}\n'):
            path.write_bytes(b'{"step": 1}\n' + damaged + b"\n" + rest)
            with pytest.raises(UserError, match=r"log\.jsonl line 2 is not a JSON object; delete"):
                files.read_jsonl(path)
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory; check the path"):
        files.read_jsonl(tmp_path)


def test_sha256_of_the_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert files.sha256(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")


def test_the_data_root_is_named_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(files.DATA_ROOT_VARIABLE, raising=False)
    assert files.data_root() is None
    (tmp_path / "data").mkdir()
    assert files.data_root() == Path("data")
    monkeypatch.setenv(files.DATA_ROOT_VARIABLE, str(tmp_path))
    assert files.data_root() == tmp_path
    assert files.data_root("data") == Path("data")
    monkeypatch.setenv(files.DATA_ROOT_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"gone \(from ROBUST_SUPERNET_DATA\) is not a folder"):
        files.data_root()
    with pytest.raises(UserError, match="from --data-root"):
        files.data_root(tmp_path / "nowhere")


def test_a_file_that_a_kill_cut_short_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert files.recover_jsonl(path) == [] and not path.exists()
    files.append_jsonl(path, {"number": 1})
    with path.open("a") as stream:
        stream.write('{"number": 2, "rest')
    assert files.recover_jsonl(path) == [{"number": 1}]
    files.append_jsonl(path, {"number": 3})
    assert files.read_jsonl(path) == [{"number": 1}, {"number": 3}]
    with pytest.raises(ValueError, match="JSON compliant"):
        files.append_jsonl(path, {"number": float("nan")})
    assert len(files.read_jsonl(path)) == 2
