"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
import torch

from supernet import files
from supernet.errors import UserError
from tests.disk import largest_file


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


def test_a_full_disk_is_named_by_the_path_that_was_given(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_text("old")
    with largest_file(1000):
        with pytest.raises(OSError) as text, files.atomic_write(path) as stream:
            stream.write("x" * 5000)
        with pytest.raises(OSError) as tensors, files.atomic_write(path, "wb") as stream:
            torch.save(torch.rand(5000), stream)
        with pytest.raises(OSError) as line:
            files.append_jsonl(path, {"text": "x" * 5000})
    for caught in (text, tensors, line):
        assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert os.listdir(tmp_path) == ["result"]
    assert path.read_text().startswith("old")


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_grows_is_not_reached_through_a_link(tmp_path: Path, there: bool) -> None:
    """Of a run folder that someone else made."""
    target, link = tmp_path / "precious", tmp_path / "metrics.jsonl"
    if there:
        target.write_text('{"a": 1}\ncut')
    link.symlink_to(target)
    refused = pytest.raises(UserError, match=r"metrics\.jsonl is a link, .*; remove the link")
    with refused, files.appending(link) as stream:
        stream.write("mine")
    with pytest.raises(UserError, match="is a link"):
        files.append_jsonl(link, {})
    if there:
        with pytest.raises(UserError, match="is a link"):
            files.recover_jsonl(link)  # would cut the last line off
        assert target.read_text() == '{"a": 1}\ncut'
    assert target.exists() == there
    files.write_json(link, {"b": 2})  # takes the place of the link
    assert not link.is_symlink() and target.exists() == there


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", b'{"a": NaN}',
     b'{"a": 1e999}', b'{"a": -Infinity}', b'{"a": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"[]"],
)  # fmt: skip
def test_lines_are_json_objects_of_finite_numbers(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(UserError, match=r"a\.jsonl line 2 is not a JSON object"):
        files.read_jsonl(path)


def test_a_log_beyond_all_logs_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_JSONL_BYTES", 18)
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n' * 2)
    assert len(files.read_jsonl(tmp_path / "a.jsonl")) == 2
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n' * 2 + b"\n")
    with pytest.raises(UserError, match=r"a\.jsonl is longer than 18 bytes"):
        files.read_jsonl(tmp_path / "a.jsonl")


def test_no_error_names_a_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as refused:
        files.write_json(tmp_path / "folder", {})
    assert refused.value.filename == str(tmp_path / "folder") and refused.value.filename2 is None
    long = tmp_path / ("x" * 250)  # a name that fits, whose temporary neighbour does not
    with pytest.raises(OSError) as refused:
        files.write_json(long, {})
    assert (refused.value.errno, refused.value.filename) == (errno.ENAMETOOLONG, str(long))
    assert os.listdir(tmp_path) == ["folder"]


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as absent, files.atomic_write(tmp_path / "a"):
        (tmp_path / "absent").read_text()
    assert absent.value.filename == str(tmp_path / "absent")
    with pytest.raises(ConnectionResetError) as reset, files.atomic_write(tmp_path / "a"):
        raise ConnectionResetError(errno.ECONNRESET, "the other side hung up")
    assert reset.value.filename is None


def test_a_name_that_is_not_utf_8_is_written_as_an_escape(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    with files.atomic_write(tmp_path / "report.md") as stream:
        stream.write(f"# {name}")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "# caf\\udce9"
    files.write_json(tmp_path / name, {"folder": name})
    assert files.read_json(tmp_path / name) == {"folder": name}
    files.append_jsonl(tmp_path / f"{name}.jsonl", {"folder": name})
    assert files.read_jsonl(tmp_path / f"{name}.jsonl") == [{"folder": name}]


def test_the_mark_that_windows_puts_first_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(tmp_path / "a.json") == {"a": 1}


def test_leftovers_are_what_atomic_write_leaves_and_nothing_else(tmp_path: Path) -> None:
    kept = {"a.json", ".a.json.tmp", ".a.json.ABCDEFGH.tmp", "a.json.abcd_123.tmp", ".lock"}
    for name in (*kept, ".a.json.abcd_123.tmp", ".a b\nc.00000000.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".folder.abcd_123.tmp").mkdir()
    with files.atomic_write(tmp_path / "b"):
        written = {path.name for path in tmp_path.iterdir()}
        files.remove_leftovers(tmp_path)
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {*kept, ".folder.abcd_123.tmp"} and len(written - left) == 3
        descriptor, name = files.temporary_neighbour(tmp_path / "b")
        os.close(descriptor)
        (tmp_path / next(n for n in written if n.startswith(".b."))).touch()
    files.remove_leftovers(tmp_path)
    assert not Path(name).exists() and (tmp_path / "b").exists()
    files.remove_leftovers(tmp_path / "gone")


def test_a_home_folder_that_is_not_here_stays_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert files.at_home("~/a") == Path("/home/me/a")
    assert files.at_home(Path("a/~")) == Path("a/~")
    assert files.at_home("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a")
    with pytest.raises(UserError, match=r"the data root ~nobody-of-this-name/a \(from --data-root"):
        files.data_root("~nobody-of-this-name/a")
