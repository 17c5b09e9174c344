from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from supernet.data import DATASETS, load_dataset
from supernet.data.packs import write_pack
from supernet.errors import UserError


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    random = np.random.RandomState(0)
    x = random.randint(0, 256, (9, 8, 8, 3)).astype(np.uint8)
    y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    write_pack(tmp_path / "a.npz", {"train": (x, y), "test": (x[:4], y[:4])}, ("a", "b", "c"), "")
    return tmp_path / "a.npz"


def test_digits_are_what_the_networks_expect() -> None:
    data = load_dataset("digits")
    assert data.train_x.shape == (1438, 3, 16, 16) and data.train_x.dtype == torch.uint8
    assert data.train_x.is_contiguous() and data.train_y.dtype == torch.int64
    assert (data.num_classes, data.image_size, data.pad, data.flip) == (10, 16, 2, False)
    assert data.eps == 32 / 255 and not data.stand_in
    pixels = data.train_x.double() / 255
    assert data.mean[0] == pytest.approx(pixels[:, 0].mean().item())
    assert data.std[2] == pytest.approx(pixels[:, 2].std(correction=0).item())
    assert "1,438 training and 359 test images" in data.source


def test_limits_take_the_first_of_each_class(pack: Path) -> None:
    whole, some = load_dataset(f"pack:{pack}"), load_dataset(f"pack:{pack}", limit=6, test_limit=0)
    assert some.train_y.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(some.train_x, whole.train_x[[0, 1, 4, 5, 7, 8]])
    assert some.test_x.shape == (0, 3, 8, 8) and len(some.test_y) == 0
    assert some.source.endswith("4 test images, used the first 6 training images, classes evenly")
    assert len(load_dataset(f"pack:{pack}", limit=100).train_y) == 9
    assert "used" not in whole.source
    test_only = load_dataset(f"pack:{pack}", limit=0)
    assert test_only.train_x.shape == (0, 3, 8, 8) and len(test_only.test_y) == 4
    with pytest.raises(UserError, match="limit is -1; give 0 or more"):
        load_dataset(f"pack:{pack}", limit=-1)


def test_a_folder_is_loaded_at_the_side_that_is_asked_for(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("L", (20, 10), 40).save(tmp_path / name / f"{number}.jpg")
    data = load_dataset(f"folder:{tmp_path}", side=16)
    assert data.train_x.shape == (2, 3, 16, 16) and data.test_x.shape == (2, 3, 16, 16)
    assert (data.pad, data.flip, data.class_names) == (2, True, ("ant", "bee"))
    # A constant channel gets a deviation that can be divided by.
    assert data.std == (1 / 255,) * 3


def test_shrunk_images_are_block_means(pack: Path) -> None:
    whole = load_dataset(f"pack:{pack}")
    data = whole.shrink(2)
    blocks = whole.train_x.numpy().reshape(9, 3, 4, 2, 4, 2).mean((3, 5))
    assert np.array_equal(data.train_x.numpy(), np.round(blocks).astype(np.uint8))
    assert data.test_x.shape == (4, 3, 4, 4) and data.train_x.dtype == torch.uint8
    assert (data.image_size, data.full_size, data.pad) == (4, 8, whole.pad // 2)
    assert data.source == f"{whole.source}; shrunk to 4x4"
    assert whole.shrink(1) is whole and whole.full_size == 8
    assert load_dataset(f"pack:{pack}", test_limit=0).shrink(2).test_x.shape == (0, 3, 4, 4)
    for factor, side in ((3, "2.66667"), (4, "2")):
        with pytest.raises(UserError, match=f"shrink {factor} makes images of side {side} from 8"):
            whole.shrink(factor)


def test_bad_names_list_the_good_ones(tmp_path: Path) -> None:
    for name in ("mnist", "folder:", "folder", ""):
        with pytest.raises(UserError, match=r"unknown data set .*digits, cifar10, .*folder:PATH"):
            load_dataset(name)
    with pytest.raises(UserError, match="there is no pack"):
        load_dataset(f"pack:{tmp_path}/absent.npz")
    with pytest.raises(UserError, match="digits has its own image size"):
        load_dataset("digits", side=32)


def test_no_training_images_are_named_where_some_are_wanted(tmp_path: Path) -> None:
    x = np.zeros((3, 8, 8, 3), np.uint8)
    y = np.arange(3)
    splits = {"train": (x[:0], y[:0]), "test": (x, y)}
    write_pack(tmp_path / "a.npz", splits, ("a", "b", "c"), "")
    for limit in (None, 5):
        with pytest.raises(UserError, match=r"the pack a\.npz has no training images; give"):
            load_dataset(f"pack:{tmp_path / 'a.npz'}", limit=limit)
    assert len(load_dataset(f"pack:{tmp_path / 'a.npz'}", limit=0).test_y) == 3


def test_normalisation_is_the_benchmarks() -> None:
    assert DATASETS["cifar10"][1]["mean"] == (125.3 / 255, 123.0 / 255, 113.9 / 255)
    assert DATASETS["cifar100"][1]["std"] == (68.2 / 255, 65.4 / 255, 70.4 / 255)
    assert DATASETS["imagenet16-120"][1]["std"] == (63.22 / 255, 61.26 / 255, 65.09 / 255)


def test_real_cifar(data_root: Path) -> None:
    data = load_dataset("cifar10", data_root=data_root, limit=2000, test_limit=500, download=False)
    assert data.train_x.shape == (2000, 3, 32, 32) and data.test_x.shape == (500, 3, 32, 32)
    assert data.train_y.bincount().tolist() == [200] * 10
    assert data.class_names[:2] == ("airplane", "automobile")
    # The first images of the official order: a frog and two trucks.
    assert data.train_y[:3].tolist() == [6, 9, 9]
    assert data.train_x[0, :, 0, 0].tolist() == [59, 62, 63]
    pixels = data.train_x.double() / 255
    for channel in range(3):
        assert pixels[:, channel].mean().item() == pytest.approx(data.mean[channel], abs=0.02)
        assert pixels[:, channel].std().item() == pytest.approx(data.std[channel], abs=0.02)
