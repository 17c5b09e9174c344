"""The stand-alone network as a timm model: importing this module registers `nas_robbench_201`.

    import timm
    import supernet.train.timm_model

    net = timm.create_model(
        "nas_robbench_201", genotype="|nor_conv_3x3~0|+...", num_classes=10,
        checkpoint_path="runs/NAME/standalone/model.pt",
    )

Where normalisation sits: inside. timm normalises outside the model, with the mean and std of its
config; here images in [0, 1] go in, because an attack's eps is in that range. So the config says
mean 0 and std 1, for which timm's transforms leave [0, 1] alone, and the arguments `mean` and `std`
of the model (CIFAR-10's by default) are those of its first layer. A checkpoint brings its own.
"""

import contextlib
import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models._features import feature_take_indices
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

from ops.candidates import kept_statistics
from supernet.cells.genotype import Genotype
from supernet.data.load import CIFAR10_MEAN, CIFAR10_STD
from supernet.invocation import named
from supernet.nets.derived import DerivedNetwork
from supernet.nets.skeleton import check_num_classes

ALL_CONV3 = "333333"


class NasRobBench201(DerivedNetwork):
    """`DerivedNetwork` with timm's conventions; the weights of one load into the other.

    genotype: string or six-digit code. num_classes=0 leaves the classifier out: pooled features.
    drop_rate: probability of dropout in front of the classifier.
    drop_path_rate: probability that the last cell's edges lose an image's path, skip connections
        never; it grows linearly from 0 at the first cell.
    Raises: ValueError for in_chans other than 3, one class, an unknown pooling, or a bad cell.
    """

    def __init__(
        self,
        genotype: str | Genotype = ALL_CONV3,
        *,
        num_classes: int = 10,
        in_chans: int = 3,
        C: int = 16,
        N: int = 5,
        mean: Sequence[float] = CIFAR10_MEAN,
        std: Sequence[float] = CIFAR10_STD,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        if in_chans != 3:
            raise ValueError(f"in_chans is {in_chans}; the networks of the benchmark take 3")
        _check_head(num_classes, global_pool)
        cell = genotype if isinstance(genotype, Genotype) else Genotype.parse(genotype)
        super().__init__(cell, C=C, N=N, num_classes=num_classes or 2, mean=mean, std=std)
        self.in_chans, self.num_classes, self.global_pool = in_chans, num_classes, global_pool
        self.num_features = self.head_hidden_size = 4 * C
        self.feature_info = [
            {"num_chs": C << stage, "reduction": 1 << stage, "module": f"cells.{stage * N + N - 1}"}
            for stage in range(self.num_stages)
        ]
        self.drop_rate, self.grad_checkpointing = drop_rate, False
        if drop_path_rate:
            for number, part in enumerate(self.cells):
                part.drop_path = StochasticDepth(drop_path_rate * number / (3 * N - 1), "row")
        if not num_classes:
            self.add_module("classifier", nn.Identity())

    def run_cell(self, cell: Any, x: Tensor) -> Tensor:
        """One cell, computed again in the backward pass where checkpointing is on."""
        if not (self.grad_checkpointing and torch.is_grad_enabled()):
            return super().run_cell(cell, x)
        contexts = functools.partial(_contexts, cell)
        out: Tensor = checkpoint(cell, x, use_reentrant=False, context_fn=contexts)
        return out

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only the cells' inputs for the backward pass: less memory, the same numbers."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's groups of parameters in the order of depth, by stage (coarse) or by layer.

        A residual block belongs to the stage behind it, and is a layer of its own; the last batch
        norm belongs to the layer in front of it.
        """
        blocks = []
        for stage in range(self.num_stages):
            first = stage * (self.N + 1)
            if stage:
                place = stage if coarse else first - 1
                blocks.append((rf"^reductions\.{stage - 1}\.", (place,)))
            for number in range(self.N):
                place = stage if coarse else first + number
                blocks.append((rf"^cells\.{stage * self.N + number}\.", (place,)))
        blocks.append((r"^last_bn", (99999,)))
        return {"stem": r"^stem", "blocks": blocks}

    def no_weight_decay(self) -> set[str]:
        """Parameters without weight decay besides those that timm leaves out for every network."""
        return set()

    def get_classifier(self, name_only: bool = False) -> nn.Module | str:
        """The last layer, an identity where num_classes is 0; or its name."""
        return "classifier" if name_only else self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier for num_classes; 0 takes it away. "" pools nothing: feature maps.

        Raises: ValueError for what cannot be, and then nothing is changed.
        """
        pool = self.global_pool if global_pool is None else global_pool
        _check_head(num_classes, pool)
        like = next(self.stem.parameters())
        layer = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.add_module("classifier", layer.to(like.device, like.dtype).train(self.training))
        self.num_classes, self.global_pool = num_classes, pool

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, 4C, h, w) -> (B, K); pre_logits stops before the classifier."""
        pooled = features.mean(dim=(2, 3)) if self.global_pool else features
        if self.drop_rate:
            pooled = F.dropout(pooled, self.drop_rate, self.training)
        return pooled if pre_logits else self.classifier(pooled)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The last features, and the outputs of those stages that `indices` names.

        indices: the last n stages, or their numbers, or all. norm: the last stage's output is
        given after batch norm and relu. stop_early: stages behind the last named one do not run.
        Shapes:  x (B, 3, H, W) -> (B, 2^s C, H / 2^s, W / 2^s) of stage s.
        Raises:  ValueError for another format than NCHW.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt is {output_fmt!r}; the network gives 'NCHW'")
        taken, last = feature_take_indices(len(self.feature_info), indices)
        intermediates, final = [], len(self.feature_info) - 1
        x = self.forward_stem(x)
        for stage in range(min(last + 1, self.num_stages) if stop_early else self.num_stages):
            x = self.forward_stage(x, stage)
            ready = F.relu(self.last_bn(x)) if stage == final else x
            if stage in taken:
                intermediates.append(ready if norm else x)
            if stage == final:
                x = ready
        return intermediates if intermediates_only else (x, intermediates)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Take away what the named stages do not need; returns their numbers."""
        taken, last = feature_take_indices(len(self.feature_info), indices)
        cut = last + 1 < self.num_stages
        if prune_norm or cut:
            self.add_module("last_bn", nn.Identity())
        if cut:
            self.cells = self.cells[: (last + 1) * self.N]
            self.reductions = self.reductions[:last]
            self.num_features = self.head_hidden_size = self.C << last
        if prune_head or cut:
            self.reset_classifier(0, "")
        numbers: list[int] = taken
        return numbers


def _contexts(cell: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of the two forward passes of a checkpointed cell: the second tracks no statistics anew."""
    return contextlib.nullcontext(), kept_statistics(cell)


def _check_head(num_classes: int, global_pool: str) -> None:
    if global_pool not in ("avg", ""):
        raise ValueError(f"global_pool is {global_pool!r}; the network pools by 'avg' or ''")
    if num_classes and not global_pool:
        raise ValueError("a classifier needs pooled features; give global_pool='avg'")
    if num_classes:
        check_num_classes(num_classes)


def _config(**changes: Any) -> dict[str, Any]:
    return {
        "url": "",
        "num_classes": 10,
        "input_size": (3, 32, 32),
        "pool_size": (8, 8),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "fixed_input_size": False,
        "min_input_size": (3, 4, 4),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "first_conv": "stem.0",
        "classifier": "classifier",
        "paper_ids": "arXiv:2403.13134",
        **changes,
    }


default_cfgs = generate_default_cfgs({"nas_robbench_201.untrained": _config()})


@register_model
def nas_robbench_201(pretrained: bool = False, **kwargs: Any) -> NasRobBench201:
    """A stand-alone cell network of NAS-RobBench-201. There are no weights to download.

    features_only=True gives the outputs of the three stages instead of logits.
    Raises: ValueError when pretrained ones are asked for.
    """
    if pretrained:
        raise ValueError(
            f"there are no pretrained weights; train some with {named('train')} and give their"
            " model.pt as checkpoint_path"
        )
    features = {"out_indices": (0, 1, 2), "feature_cls": "getter"}
    return build_model_with_cfg(
        NasRobBench201, "nas_robbench_201", False, feature_cfg=features, **kwargs
    )
