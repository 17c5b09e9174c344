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

from collections.abc import Sequence
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.data.load import CIFAR10_MEAN, CIFAR10_STD
from supernet.nets.derived import DerivedNetwork

ALL_CONV3 = "333333"


class NasRobBench201(DerivedNetwork):
    """`DerivedNetwork` with timm's conventions; the weights of one load into the other.

    genotype: string or six-digit code. num_classes=0 leaves the classifier out: pooled features.
    Raises: ValueError for in_chans other than 3, an unknown pooling, or a bad cell.
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
    ) -> None:
        if in_chans != 3:
            raise ValueError(f"in_chans is {in_chans}; the networks of the benchmark take 3")
        cell = genotype if isinstance(genotype, Genotype) else Genotype.parse(genotype)
        super().__init__(cell, C=C, N=N, num_classes=num_classes or 2, mean=mean, std=std)
        self.num_features = self.head_hidden_size = 4 * C
        self.reset_classifier(num_classes, global_pool)

    def get_classifier(self) -> nn.Module:
        """The last layer; an identity where num_classes is 0."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier for num_classes; 0 takes it away. "" pools nothing: feature maps."""
        if global_pool not in (None, "avg", ""):
            raise ValueError(f"global_pool is {global_pool!r}; the network pools by 'avg' or ''")
        if global_pool is not None:
            self.global_pool = global_pool
        if num_classes and not self.global_pool:
            raise ValueError("a classifier needs pooled features; give global_pool='avg'")
        if num_classes != getattr(self.classifier, "out_features", None):
            like = next(self.stem.parameters())
            layer = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
            self.add_module("classifier", layer.to(like.device, like.dtype))
        self.num_classes = num_classes

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, 4C, h, w) -> (B, K); pre_logits stops before the classifier."""
        pooled = features.mean(dim=(2, 3)) if self.global_pool else features
        return pooled if pre_logits else self.classifier(pooled)


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

    Raises: ValueError when pretrained ones or intermediate features alone are asked for.
    """
    if kwargs.get("features_only"):
        raise ValueError(
            "features_only is not offered; forward_features gives the last feature map"
        )
    if pretrained:
        raise ValueError(
            "there are no pretrained weights; train some with scripts/train.py and give their"
            " model.pt as checkpoint_path"
        )
    return build_model_with_cfg(NasRobBench201, "nas_robbench_201", False, **kwargs)
