"""The two halves: disjoint, in an order that resumes, and measured on images as they are."""

import dataclasses

import torch

from supernet.data import load_dataset
from supernet.randomness import Randomness
from supernet.search.halves import GAIN_IMAGES, Halves
from tests.supernet.search.test_search import make_search


def test_weights_and_alpha_see_disjoint_images() -> None:
    search = make_search(images=50)
    images = search.images
    weights, alpha = set(images.weight_half.tolist()), set(images.alpha_half.tolist())
    assert not weights & alpha
    assert weights | alpha == set(range(50))
    x, _ = images.held_out(10)
    held_out = {tuple(image.flatten().tolist()) for image in x}
    trained = {tuple((search.data.train_x[i].float() / 255).flatten().tolist()) for i in weights}
    assert not held_out & trained
    calibration = {tuple(image.flatten().tolist()) for image in images.calibration()}
    assert calibration <= trained


def test_the_halves_as_a_split_for_trainings_alone() -> None:
    search = make_search(images=50)
    split = search.images.as_split(10)
    assert torch.equal(split.train_x, search.data.train_x[search.images.weight_half])
    assert torch.equal(split.train_y, search.data.train_y[search.images.weight_half])
    x, y = search.images.held_out(10)
    assert torch.equal(split.test_x / 255, x) and torch.equal(split.test_y, y)
    assert len(search.images.as_split(1000).test_y) == len(search.images.alpha_half)


def test_gains_see_whole_batches_of_a_shuffle_that_the_seed_decides() -> None:
    images = make_search(images=50).images
    assert len(images.alpha_half) < GAIN_IMAGES
    batches = list(images.for_gains(seed=3))
    assert [len(y) for _, y in batches] == [8, 8, 8]  # of 25 one is left out
    again, other = images.for_gains(seed=3), images.for_gains(seed=4)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches, again, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(batches, other, strict=True))


def test_balanced_halves_have_the_classes_equally_often_in_every_epoch() -> None:
    data = load_dataset("digits", limit=100, test_limit=0)
    wanted = {0: 4, 1: 10, 2: 10}
    kept = torch.cat([(data.train_y == c).nonzero().flatten()[:n] for c, n in wanted.items()])
    some = dataclasses.replace(data, train_x=data.train_x[kept], train_y=data.train_y[kept])
    for balance, expected in ((True, [4, 4, 4]), (False, [2, 5, 5])):
        halves = Halves(some, 4, Randomness(0, torch.device("cpu")), balance=balance)
        for following in (halves.next_weights, halves.next_alpha):
            labels = torch.cat([following()[1] for _ in range(3)])  # 12 images, an epoch
            assert labels.bincount().tolist() == expected
