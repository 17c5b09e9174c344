"""A whole network with frozen BN, folded. Attacks and inference run on it.

It lives for one attack: fold once, take k steps, drop it. Gradients flow to the images only.
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.candidates import scale_shift
from ops.fold import FoldedConv, FoldedStage, SparseFoldedCell, fold_conv_bn
from supernet.nets.skeleton import ResidualBlock, Skeleton, check_images


class FoldedReduction:
    """A residual block with its two BN folded into its convolutions."""

    def __init__(self, block: ResidualBlock, statistics: str) -> None:
        self.conv1 = fold_conv_bn(block.conv1, block.bn1, statistics)
        self.conv2 = fold_conv_bn(block.conv2, block.bn2, statistics)
        self.shortcut = block.shortcut.weight.detach()

    def to(self, dtype: torch.dtype) -> "FoldedReduction":
        block = copy.copy(self)
        block.conv1, block.conv2 = self.conv1.to(dtype), self.conv2.to(dtype)
        block.shortcut = self.shortcut.to(dtype)
        return block

    def __call__(self, v: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        # Not r, which is a constant to autograd behind a native cell.
        y = self.conv2(F.relu(self.conv1(F.relu(v))))
        v = y + F.conv2d(F.avg_pool2d(v, 2), self.shortcut)
        return v, F.relu(v)


@dataclass(frozen=True)
class FoldedNetwork:
    """Images (B, 3, H, W) in [0, 1] -> logits (B, K). A plain callable, not a module.

    Of a network without a classifier: pooled features (B, 4C), or feature maps.
    """

    mean: Tensor
    std: Tensor
    stem: FoldedConv
    body: Sequence[FoldedStage | SparseFoldedCell | FoldedReduction]
    last_scale: Tensor
    last_shift: Tensor
    head_weight: Tensor | None
    head_bias: Tensor | None
    pooled: bool = True

    def to(self, dtype: torch.dtype) -> "FoldedNetwork":
        """The same network with its convolutions and activations in `dtype`.

        Normalisation, the last BN and the classifier stay as they are, so that images and logits
        keep their precision: an attack in bfloat16 needs no more than the sign of a gradient.
        """
        body = [block.to(dtype) for block in self.body]
        return dataclasses.replace(self, stem=self.stem.to(dtype), body=body)

    def __call__(self, x: Tensor) -> Tensor:
        check_images(x)
        x = x.contiguous(memory_format=torch.channels_last)
        # Padding is zero after normalisation, so mean and std cannot move into the stem's kernel.
        v = self.stem(((x - self.mean) / self.std).to(self.stem.weight.dtype))
        r = F.relu(v)
        for block in self.body:
            v, r = block(v, r)
        features = F.relu(v * self.last_scale[:, None, None] + self.last_shift[:, None, None])
        if self.pooled:
            features = features.mean(dim=(2, 3))
        if self.head_weight is None:
            return features
        return F.linear(features, self.head_weight, self.head_bias)


@torch.inference_mode(False)
@torch.no_grad()
def fold_network(
    network: Skeleton,
    fold_cells: Callable[[int], Sequence[FoldedStage | SparseFoldedCell]],
    statistics: str = "running",
) -> FoldedNetwork:
    """Fold a network; fold_cells(stage) folds the cells of a stage, together or one by one.

    Raises: ValueError for unknown statistics, or "batch" before a recorded forward pass, or for
            a classifier that is neither linear nor an identity.
    """
    head = network.classifier
    if not isinstance(head, nn.Linear | nn.Identity):
        raise ValueError(
            f"the classifier is a {type(head).__name__}; folding needs an nn.Linear, or an"
            " nn.Identity in a network without one"
        )
    linear = isinstance(head, nn.Linear)
    body: list[FoldedStage | SparseFoldedCell | FoldedReduction] = []
    for stage in range(network.num_stages):
        if stage:
            block = network.reductions[stage - 1]
            assert isinstance(block, ResidualBlock)
            body.append(FoldedReduction(block, statistics))
        body += fold_cells(stage)
    scale, shift = scale_shift(network.last_bn, statistics)
    return FoldedNetwork(
        mean=network.normalize.mean,
        std=network.normalize.std,
        stem=fold_conv_bn(network.stem[0], network.stem[1], statistics),
        body=body,
        last_scale=scale,
        last_shift=shift,
        head_weight=head.weight.detach() if linear else None,
        head_bias=head.bias.detach() if linear and head.bias is not None else None,
        pooled=bool(network.global_pool),
    )
