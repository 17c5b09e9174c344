"""scripts/make_pack.py as a user runs it."""

from pathlib import Path

from supernet.data import load_dataset
from tests.noise import write_noise
from tests.scripts.inprocess import run_script


def test_a_folder_becomes_a_pack_with_the_same_pixels(tmp_path: Path) -> None:
    write_noise(tmp_path / "pictures", 5)
    done = run_script("make_pack.py", "pictures", "pets.npz", "--side", "8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "8 training and 2 test images of 2 classes" in done.stdout
    assert "read back and equal" in done.stdout
    pack = load_dataset(f"pack:{tmp_path / 'pets.npz'}")
    folder = load_dataset(f"folder:{tmp_path / 'pictures'}", side=8)
    for name in ("train_x", "train_y", "test_x", "test_y"):
        assert getattr(pack, name).equal(getattr(folder, name))


def test_bad_input_is_one_sentence_and_nothing_is_left(tmp_path: Path) -> None:
    write_noise(tmp_path / "pictures", 5)
    (tmp_path / "there.npz").touch()
    for name in ("ant", "bee"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    bad = tmp_path / "pictures" / "bee" / "3.png"
    for arguments, message in (
        (["pictures/ant", "a.npz"], "ant has no class folders; give at least two"),
        (["pictures", "there.npz"], "there.npz exists already; give another name or --force"),
        (["pictures", "a.zip"], "must end in .npz"),
        (["pictures", "a.npz", "--side", "6"], "6 pixels, not a multiple of 4"),
        (["empty", "a.npz"], "ant has 0 pictures and needs at least 2"),
        (["pictures", "b.npz"], "3.png is not a readable picture"),
    ):
        if "b.npz" in arguments:
            bad.write_bytes(b"no picture")
        done = run_script("make_pack.py", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        error = done.stderr.splitlines()[-1]
        assert error.startswith("error: ") and message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "empty", "pictures", "there.npz",
    ]  # fmt: skip
