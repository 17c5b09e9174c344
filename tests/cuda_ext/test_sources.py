"""The digest of the kernels' sources."""

from pathlib import Path

from cuda_ext.sources import sources_digest


def write(folder: Path, **contents: str) -> Path:
    folder.mkdir()
    for name, text in contents.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_equal_sources_have_one_digest(tmp_path: Path) -> None:
    one = write(tmp_path / "one", a_cpp="int a;", b_h="int b;")
    other = write(tmp_path / "other", b_h="int b;", a_cpp="int a;", notes_txt="not compiled")
    digest = sources_digest(one)
    assert digest is not None and len(digest) == 64 and digest == sources_digest(other)


def test_every_change_of_the_sources_is_seen(tmp_path: Path) -> None:
    changed = [
        write(tmp_path / "0", a_cpp="int a;", b_h="int b;"),
        write(tmp_path / "1", a_cpp="int a; ", b_h="int b;"),
        write(tmp_path / "2", a_cpp="int b;", b_h="int a;"),
        write(tmp_path / "3", a_cpp="int a;", c_h="int b;"),
        write(tmp_path / "4", a_cpp="int a;"),
        write(tmp_path / "5", a_cu="int a;"),
    ]
    below = tmp_path / "6"
    write(below, a_cpp="int a;")
    write(below / "cuda", b_h="int b;")
    assert len({sources_digest(folder) for folder in [*changed, below]}) == len(changed) + 1


def test_an_installed_package_has_no_sources(tmp_path: Path) -> None:
    assert sources_digest(tmp_path / "absent") is None
    assert sources_digest(write(tmp_path / "empty", notes_txt="")) is None
