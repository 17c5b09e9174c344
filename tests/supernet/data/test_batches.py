from typing import Any

import pytest
import torch
from torch import Tensor

from supernet.data.batches import Batches, augment, even_order, split_halves, to_float


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(batch: int, height: int, width: int) -> Tensor:
    return torch.randint(1, 256, (batch, 3, height, width), dtype=torch.uint8)


def _all_views(image: Tensor, pad: int, flip: bool) -> list[Tensor]:
    """Every crop and mirror image, by slicing: the independent implementation."""
    _, height, width = image.shape
    frame = torch.zeros(3, height + 2 * pad, width + 2 * pad, dtype=torch.uint8)
    frame[:, pad : pad + height, pad : pad + width] = image
    crops = [
        frame[:, top : top + height, left : left + width]
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
    ]
    return crops + ([crop.flip(2) for crop in crops] if flip else [])


def test_to_float_divides_by_255() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_float(x), torch.arange(256) / 255)


@pytest.mark.parametrize(("height", "width", "pad", "flip"), [(5, 5, 2, True), (4, 7, 1, False)])
def test_augment_gives_every_crop_and_mirror_and_nothing_else(
    height: int, width: int, pad: int, flip: bool
) -> None:
    image = _images(1, height, width)
    views = torch.stack(_all_views(image[0], pad, flip))
    out = augment(image.expand(800, -1, -1, -1), _generator(), pad, flip)
    same = (out[:, None] == to_float(views)[None]).flatten(2).all(2)
    assert same.sum(1).eq(1).all()
    assert same.any(0).all()
    # Uniform: each of the v views about 800/v times, 6 standard deviations.
    share = 800 / len(views)
    assert ((same.sum(0) - share).abs() < 6 * share**0.5).all()


def test_augment_moves_each_image_on_its_own_and_repeats_with_the_seed() -> None:
    x = _images(1, 8, 8).expand(16, -1, -1, -1)
    out = augment(x, _generator(1), 2, True)
    assert len({tuple(image.flatten().tolist()) for image in out}) > 8
    assert torch.equal(out, augment(x, _generator(1), 2, True))
    assert out.dtype == torch.float32 and out.is_contiguous()


def test_augment_without_pad_and_flip_is_to_float() -> None:
    x = _images(3, 6, 6)
    assert torch.equal(augment(x, _generator(), 0, False), to_float(x))


def test_halves_are_disjoint_complete_and_stratified() -> None:
    y = torch.tensor([0] * 7 + [1] * 5 + [2] * 9)[torch.randperm(21, generator=_generator())]
    a, b = split_halves(21, y, _generator(3))
    assert sorted(a.tolist() + b.tolist()) == list(range(21))
    assert abs(len(a) - len(b)) <= 1
    assert ((y[a].bincount() - y[b].bincount()).abs() <= 1).all()
    assert not torch.equal(a, split_halves(21, y, _generator(4))[0])
    with pytest.raises(ValueError, match="y has 21 labels for 20 images"):
        split_halves(20, y, _generator())


def test_batches_cover_an_epoch_once_and_reshuffle() -> None:
    indices = torch.arange(100, 110)
    batches = Batches(indices, 3, _generator())
    assert len(batches) == 3
    first, second = torch.cat(list(batches)), torch.cat(list(batches))
    for epoch in (first, second):
        assert len(epoch) == 9 == len(set(epoch.tolist()))
        assert set(epoch.tolist()) <= set(indices.tolist())
    assert not torch.equal(first, second)
    assert torch.equal(torch.cat(list(Batches(indices, 3, _generator()))), first)


@pytest.mark.parametrize("consumed", [0, 2, 3, 4, 7])
def test_batches_resume_in_the_middle_of_an_epoch(consumed: int) -> None:
    whole = Batches(torch.arange(10), 3, _generator())
    expected = [next(whole).tolist() for _ in range(12)]
    first = Batches(torch.arange(10), 3, _generator())
    for _ in range(consumed):
        next(first)
    state = first.state_dict()
    next(first)
    resumed = Batches(torch.arange(10), 3, _generator(99))
    resumed.load_state_dict(state)
    assert [next(resumed).tolist() for _ in range(12 - consumed)] == expected[consumed:]


def test_a_loop_takes_up_the_epoch_where_it_was_left() -> None:
    batches = Batches(torch.arange(12), 3, _generator())
    next(batches)
    assert len(list(batches)) == 3
    assert len(list(batches)) == 4


def test_batches_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="a batch of 5 cannot be taken from 4 images"):
        Batches(torch.arange(4), 5, _generator())
    batches = Batches(torch.arange(6), 2, _generator())
    next(batches)
    with pytest.raises(ValueError, match="saved order is of 6 images, these are 8"):
        Batches(torch.arange(8), 2, _generator()).load_state_dict(batches.state_dict())


# Classes equally often


def test_even_order_has_all_classes_alike_and_uses_every_picture_of_a_rare_one() -> None:
    y = torch.tensor([0] * 40 + [1] * 7 + [2] * 3)
    y = y[torch.randperm(50, generator=_generator(5))]
    order = even_order(y, _generator())
    assert len(order) == 50
    counts = y[order].bincount().tolist()
    assert sorted(counts) == [16, 17, 17]
    times = order.bincount(minlength=50)
    assert times[y == 0].max() == 1  # none of a frequent class twice
    for label, least in ((1, 2), (2, 5)):
        assert int(times[y == label].min()) >= least
        assert int(times[y == label].max() - times[y == label].min()) <= 1
    assert torch.equal(order, even_order(y, _generator()))
    assert not torch.equal(order, even_order(y, _generator(1)))
    assert not torch.equal(y[order], y[order].sort().values)  # shuffled


def test_classes_that_are_even_already_come_once_each() -> None:
    y = torch.arange(3).repeat(5)
    assert torch.equal(even_order(y, _generator()).sort().values, torch.arange(15))


def test_more_classes_than_images_of_an_epoch_take_turns() -> None:
    y = torch.arange(4)
    assert torch.equal(even_order(y, _generator()).sort().values, torch.arange(4))


def test_balanced_batches_go_on_where_they_were_saved() -> None:
    labels = torch.tensor([0] * 20 + [1] * 4)
    half = torch.arange(0, 24, 2)  # ten of the first class and two of the other
    batches = Batches(half, 4, _generator(), labels)
    first = torch.cat([next(batches) for _ in range(3)])
    assert labels[first].bincount().tolist() == [6, 6]
    assert set(first.tolist()) <= set(half.tolist())
    next(batches)
    state = batches.state_dict()
    expected = [next(batches) for _ in range(5)]
    again = Batches(half, 4, _generator(9), labels)
    again.load_state_dict(state)
    assert all(torch.equal(next(again), batch) for batch in expected)
    state["order"][0] = 12
    with pytest.raises(ValueError, match="holds more than 0 to 11"):
        again.load_state_dict(state)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1] * 4)])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position": -1}, "position is -1, an epoch has 4 batches"),
        ({"position": 5}, "position is 5, an epoch has 4 batches"),
        ({"order": torch.arange(8.0)}, "not a list of whole numbers"),
        ({"order": torch.arange(16).reshape(8, 2)}, "not a list of whole numbers"),
        ({"order": torch.tensor(3)}, "not a list of whole numbers"),
        ({"order": torch.arange(9)}, "the saved order is of 9 images, these are 8"),
        ({"order": torch.arange(1, 9)}, "order"),
        ({"order": torch.arange(8) - 1}, "order"),
    ],
)
def test_a_position_or_order_that_is_none_is_refused(
    change: dict[str, Any], words: str, labels: torch.Tensor | None
) -> None:
    batches = Batches(torch.arange(8), 2, _generator(), labels)
    next(batches)
    with pytest.raises(ValueError, match=words):
        batches.load_state_dict({**batches.state_dict(), **change})
    batches.load_state_dict(batches.state_dict() | {"position": 4})
