"""The attack of a search's steps: in one arithmetic, with random numbers that are drawn before it.

A part of a step that is captured as a CUDA graph cannot draw. So every step draws first and hands
the numbers in; the images are those of an attack that draws them itself.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from supernet.attacks.accuracy import Attack
from supernet.attacks.common import draw
from supernet.nets.folded import FoldedNetwork


@dataclass(frozen=True)
class StepAttack:
    """`run`, an attack of `ATTACKS` with its settings, on models in `dtype`; two of the same parts
    are the same attack."""

    run: Attack
    generator: torch.Generator | None
    dtype: torch.dtype = torch.float32

    def draw(self, x: Tensor) -> Tensor:
        """What one call on images like these needs of random numbers."""
        return draw(x, self.generator)

    def __call__(self, model: FoldedNetwork, x: Tensor, y: Tensor, drawn: Tensor) -> Tensor:
        lowered = model if self.dtype == torch.float32 else model.to(self.dtype)
        return self.run(lowered, x, y, drawn=drawn)
