"""The share of images that survive: right as they are and attacked, and no others are attacked."""

import pytest
import torch
from torch import Tensor

from supernet.attacks.accuracy import surviving_share


def brighter_is_one(x: Tensor) -> Tensor:
    """Class 1 where the image's mean is above one half."""
    mean = x.mean(dim=(1, 2, 3))
    return torch.stack([0.5 - mean, mean - 0.5], dim=1)


def images(*means: float) -> Tensor:
    return torch.tensor(means).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).clone()


def test_right_before_and_after_the_attack() -> None:
    seen: list[float] = []

    def darker(model: object, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        seen.extend(x.mean(dim=(1, 2, 3)).tolist())
        return x - 0.2

    x = images(0.9, 0.6, 0.1, 0.6, 0.4)
    y = torch.tensor([1, 1, 0, 0, 1])
    # Right and stays right; falls; right and stays; wrong, and the attack would put it right; wrong
    assert surviving_share(brighter_is_one, x, y, darker, seed=0) == 2 / 5
    assert seen == pytest.approx([0.9, 0.6, 0.1])
    seen.clear()
    assert surviving_share(brighter_is_one, x, 1 - y, darker, seed=0) == 1 / 5
    assert seen == pytest.approx([0.6, 0.4])


def test_nothing_is_attacked_where_nothing_is_right() -> None:
    x, y = images(0.9, 0.8), torch.tensor([0, 0])
    assert surviving_share(brighter_is_one, x, y, None, seed=0) == 0  # type: ignore[arg-type]


def test_many_images_are_counted_in_parts_and_the_seed_decides() -> None:
    def noisy(model: object, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return x - torch.rand(len(x), 1, 1, 1, generator=generator)

    x, y = images(*[0.8] * 700), torch.ones(700, dtype=torch.int64)
    share = surviving_share(brighter_is_one, x, y, noisy, seed=0)
    # Noise is below 0.3 with a probability of 0.3; four standard errors are 0.07.
    assert share == pytest.approx(0.3, abs=0.07)
    assert surviving_share(brighter_is_one, x, y, noisy, seed=0) == share
    assert surviving_share(brighter_is_one, x, y, noisy, seed=1) != share
