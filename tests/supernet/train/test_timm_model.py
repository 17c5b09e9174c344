from pathlib import Path

import pytest
import timm
import torch
from timm.data import resolve_model_data_config

import supernet.train.timm_model  # noqa: F401  (registers the model)
from supernet.cells.genotype import Genotype
from supernet.data import DATASETS
from supernet.nets.derived import DerivedNetwork
from supernet.train.export import save_model

ARCH = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def _create(**kwargs: object) -> torch.nn.Module:
    return timm.create_model("nas_robbench_201", **kwargs)


def test_create_model_by_name_gives_the_benchmarks_network() -> None:
    net = _create(genotype=ARCH, num_classes=10)
    assert sum(p.numel() for p in net.parameters()) == 1_288_506
    assert "nas_robbench_201" in timm.list_models()
    assert net.num_features == 64
    mean, std = DATASETS["cifar10"][1]["mean"], DATASETS["cifar10"][1]["std"]
    torch.testing.assert_close(net.normalize.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(net.normalize.std.flatten(), torch.tensor(std))
    # timm's transforms leave [0, 1] alone: normalisation is inside.
    config = resolve_model_data_config(net)
    assert (config["mean"], config["std"]) == ((0, 0, 0), (1, 1, 1))


def test_conventions_of_timm() -> None:
    net = _create(genotype="333133", num_classes=7, C=4, N=1).eval()
    x = torch.rand(2, 3, 16, 16)
    features = net.forward_features(x)
    assert features.shape == (2, 16, 4, 4)
    assert torch.equal(net.forward_head(features), net(x))
    pooled = net.forward_head(features, pre_logits=True)
    assert torch.equal(pooled, features.mean((2, 3)))
    assert torch.equal(net.get_classifier()(pooled), net(x))
    net.reset_classifier(3)
    assert net(x).shape == (2, 3) and net.num_classes == 3
    net.reset_classifier(0)
    assert torch.equal(net(x), pooled)
    net.reset_classifier(0, "")
    assert torch.equal(net(x), features)
    assert _create(genotype="333133", num_classes=0, C=4, N=1)(x).shape == (2, 16)


def test_a_trained_model_loads_as_checkpoint(tmp_path: Path) -> None:
    network = DerivedNetwork(Genotype.parse("313021"), C=4, N=1, mean=(0.2,) * 3, std=(0.3,) * 3)
    path = save_model(tmp_path, network.eval(), {})
    net = _create(genotype="313021", C=4, N=1, checkpoint_path=str(path)).eval()
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(net(x), network(x))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"in_chans": 1}, "in_chans is 1"),
        ({"pretrained": True}, "there are no pretrained weights; train some"),
        ({"features_only": True}, "features_only is not offered"),
        ({"global_pool": "max"}, "global_pool is 'max'"),
        ({"global_pool": ""}, "a classifier needs pooled features"),
        ({"genotype": "333"}, "code '333' has 3 digits"),
    ],
)
def test_what_cannot_be_is_refused(kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _create(**{"C": 4, "N": 1, **kwargs})
