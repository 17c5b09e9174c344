"""What a resumed run compares: the first difference is named with its remedy."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.data import ImageData, load_dataset
from supernet.errors import UserError
from supernet.runs.machine import (
    device_of_run,
    refuse_other_surroundings,
    resolve_device,
    same_images,
)
from tests.noise import write_noise


def _run(folder: Path, **saved: Any) -> Path:
    content = {"threads": torch.get_num_threads(), **saved}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("saved", "here", "message"),
    [
        ({"data": {"n": 3, "side": 8}}, {"data": {"n": 4, "side": 8}},
         r"another data \(n: 3 -> 4\); name the same images with --data-root"),
        ({"data": {"n": 3}}, {"data": {"n": 3, "classes": 2}}, r"\(classes: None -> 2\)"),
        ({"device_type": "cuda"}, {"device_type": "cpu"}, r"device_type \(cuda -> cpu\)"),
    ],
)  # fmt: skip
def test_differences_are_named_with_their_remedy(
    tmp_path: Path, saved: dict[str, Any], here: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        refuse_other_surroundings(_run(tmp_path, **saved), here)


def test_what_is_equal_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _run(tmp_path, data={"n": 3}, impl="native")
    refuse_other_surroundings(folder, {"data": {"n": 3}, "impl": "native"})
    assert capsys.readouterr().err == ""


def test_another_number_of_threads_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_other_surroundings(_run(tmp_path, threads=99), {})
    said = capsys.readouterr().err
    assert "was started with threads 99 and goes on with" in said
    assert said.endswith("OMP_NUM_THREADS sets the number\n")


def test_another_form_of_the_mixed_cell_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_other_surroundings(_run(tmp_path, impl="native"), {"impl": "batched"})
    assert "with impl native and goes on with batched: sums are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "started_on", "cuda", "expected"),
    [
        ("auto", "cpu", True, "cpu"), ("auto", "cuda", True, "cuda"),
        ("auto", "cuda", False, "cpu"), ("cuda:3", "cuda", False, "cpu"),
        ("cpu", "cpu", False, "cpu"), ("auto", None, False, "cpu"),
    ],
)  # fmt: skip
def test_a_run_goes_on_on_the_kind_of_device_that_it_started_on(
    monkeypatch: pytest.MonkeyPatch, name: str, started_on: str | None, cuda: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert device_of_run(name, started_on).type == expected


@pytest.mark.parametrize(("count", "remedy"), [(0, "cpu"), (1, "cuda")])
def test_a_device_that_is_not_there_is_named_with_one_that_is(
    monkeypatch: pytest.MonkeyPatch, count: int, remedy: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(UserError, match=rf"'cuda:1' is not there \({count} .*--device {remedy}$"):
        resolve_device("cuda:1")


def test_a_named_gpu_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the kernels are tried on it, and not on another of the machine."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    resolve_device("cuda")
    assert current == [torch.device("cuda:1")]


def test_images_may_have_moved_but_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"name": "folder:a", "digest": "1", "train_images": 3}
    folder = _run(tmp_path, data=before)
    refuse_other_surroundings(folder, {"data": {**before, "name": "folder:b"}})
    assert capsys.readouterr().err == ""
    refuse_other_surroundings(folder, {"data": {**before, "digest": "2"}})
    assert "warning: the pixels of folder:a are others than when" in capsys.readouterr().err
    with pytest.raises(
        UserError, match=r"another data \(name: folder:a -> folder:b\); name the sa"
    ):
        refuse_other_surroundings(folder, {"data": {**before, "name": "folder:b", "digest": "2"}})


def _images(folder: Path) -> ImageData:
    write_noise(folder, 3)
    return load_dataset(f"folder:{folder}", side=8)


def test_images_are_the_same_by_their_pixels_or_else_by_all_that_is_known(
    tmp_path: Path,
) -> None:
    data, again = (_images(tmp_path / name) for name in ("a", "b"))
    facts, moved = data.facts(), again.facts()
    assert facts["name"] != moved["name"] and same_images(facts, moved)
    other = dataclasses.replace(data, train_x=torch.zeros_like(data.train_x)).facts()
    assert same_images(facts, other)  # another decoder: the same files
    assert not same_images(moved, other)
    assert same_images({name: v for name, v in facts.items() if name != "digest"}, facts)
    assert not same_images({**facts, "digest": None, "num_classes": 3}, facts)
    assert not same_images(None, facts)
