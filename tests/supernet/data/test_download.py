import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from supernet import progress
from supernet.data import download
from supernet.data.download import fetch, file_md5, unpack
from supernet.errors import UserError

CONTENT = b"what the publisher publishes"
MD5 = hashlib.md5(CONTENT).hexdigest()


def _tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_a_file_with_the_right_md5_arrives(tmp_path: Path) -> None:
    (tmp_path / "remote").write_bytes(CONTENT)
    target = tmp_path / "new" / "local"
    fetch((tmp_path / "remote").as_uri(), target, MD5)
    assert target.read_bytes() == CONTENT
    assert file_md5(target) == MD5


def test_a_download_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(download, "CHUNK_BYTES", 20)
    (tmp_path / "remote").write_bytes(CONTENT)
    fetch((tmp_path / "remote").as_uri(), tmp_path / "local", MD5)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("remote: 20 of 28 bytes") and said[1] == "remote: 28 of 28 bytes"


def test_an_html_page_is_called_what_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "remote").write_bytes(b"<html>Quota exceeded</html>")
    (tmp_path / "new").mkdir()
    with pytest.raises(UserError, match=r"something else than the publisher's file .*<html>Quota"):
        fetch((tmp_path / "remote").as_uri(), tmp_path / "new" / "local", MD5)
    assert not list((tmp_path / "new").iterdir())


def test_no_network_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot download .*{MD5}.* put it at .*local"):
        fetch((tmp_path / "absent").as_uri(), tmp_path / "local", MD5)
    assert not list(tmp_path.iterdir())


def test_unpack_takes_the_named_files_only(tmp_path: Path) -> None:
    _tar(tmp_path / "a.tar.gz", {"set/one": CONTENT, "../evil": b"x", "set/other": b"y"})
    folder = unpack(tmp_path / "a.tar.gz", "set", {"one": MD5})
    assert [path.name for path in folder.iterdir()] == ["one"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "set"]


@pytest.mark.parametrize("files", [{"set/one": b"changed"}, {"set/two": CONTENT}])
def test_unpack_is_whole_or_nothing(tmp_path: Path, files: dict[str, bytes]) -> None:
    _tar(tmp_path / "a.tar.gz", files)
    with pytest.raises(UserError, match=r"cannot unpack .*a.tar.gz \(.*one.*delete it"):
        unpack(tmp_path / "a.tar.gz", "set", {"one": MD5})
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_unpack_names_a_truncated_archive(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    _tar(archive, {"set/one": CONTENT})
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(UserError, match=r"cannot unpack .*a.tar.gz"):
        unpack(archive, "set", {"one": MD5})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("MOST_BYTES", 10, "longer than 10 bytes"), ("MOST_SECONDS", -3600, "longer than -1 hours")],
)
def test_a_download_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int, reason: str
) -> None:
    (tmp_path / "remote").write_bytes(CONTENT)
    monkeypatch.setattr(download, name, value)
    with pytest.raises(UserError, match=f"cannot download .*{reason}.* put it at"):
        fetch((tmp_path / "remote").as_uri(), tmp_path / "new" / "local", MD5)
    assert not list((tmp_path / "new").iterdir())


def test_a_file_of_an_archive_is_bounded_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tar(tmp_path / "a.tar.gz", {"set/one": CONTENT})
    monkeypatch.setattr(download, "MOST_BYTES", 10)
    with pytest.raises(UserError, match="set/one is longer than 10 bytes"):
        unpack(tmp_path / "a.tar.gz", "set", {"one": MD5})
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_link_in_an_archive_is_no_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("set/one")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(member)
    with pytest.raises(UserError, match=r"cannot unpack .*a\.tar\.gz"):
        unpack(tmp_path / "a.tar.gz", "set", {"one": MD5})
