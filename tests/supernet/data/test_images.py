"""What is computed of images: their moments and their digest."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supernet.data import ImageData, load_dataset
from supernet.data.images import _moments
from tests.noise import write_noise


def test_moments_are_those_of_all_pixels() -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (1030, 3, 2, 3)).astype(np.uint8)
    pixels[..., 2] = 7
    mean, std = _moments(pixels)
    values = pixels.reshape(-1, 3) / 255
    assert mean == pytest.approx(values.mean(0), rel=1e-12)
    assert std[:2] == pytest.approx(values.std(0)[:2], rel=1e-12)
    assert std[2] == 1 / 255
    assert _moments(pixels[:0]) == ((0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def data(tmp_path: Path) -> ImageData:
    return _folder(tmp_path / "a")


def _folder(folder: Path) -> ImageData:
    write_noise(folder, 3)
    return load_dataset(f"folder:{folder}", side=8)


def test_the_digest_is_of_pixels_and_labels(data: ImageData, tmp_path: Path) -> None:
    assert _folder(tmp_path / "b").digest == data.digest
    pixels = data.train_x.clone()
    pixels[3, 2, 7, 7] ^= 1
    for change in (
        {"train_x": pixels},
        {"train_y": data.train_y.flip(0)},
        {"train_x": data.train_x.transpose(2, 3)},
        {"test_x": data.train_x[:2]},
        {"train_x": data.train_x.reshape(4, 3, 4, 16)},
    ):
        assert dataclasses.replace(data, **change).digest != data.digest
    assert data.shrink(2).digest != data.digest


def test_the_sentence_says_what_was_left_out_and_seen(data: ImageData, tmp_path: Path) -> None:
    assert "left out" not in data.source
    (tmp_path / "a" / "bee" / "x.heic").touch()
    Image.new("LA", (8, 8)).save(tmp_path / "a" / "ant" / "0.png")
    source = load_dataset(f"folder:{tmp_path / 'a'}", side=8).source
    assert source.endswith(
        "; left out: pictures of types that are not read, convert them to .png: 1 (.heic)"
        "; pictures with transparent parts, shown on white: 1"
    )
