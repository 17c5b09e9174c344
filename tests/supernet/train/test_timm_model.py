from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from timm.optim import create_optimizer_v2

import supernet.train.timm_model  # noqa: F401  (registers the model)
from supernet.attacks import pgd
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
        ({"num_classes": 1}, "num_classes is 1; a network needs at least 2"),
        ({"num_classes": -3}, "num_classes is -3; a network needs at least 2"),
        ({"global_pool": "max"}, "global_pool is 'max'"),
        ({"global_pool": ""}, "a classifier needs pooled features"),
        ({"genotype": "333"}, "code '333' has 3 digits"),
    ],
)
def test_what_cannot_be_is_refused(kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _create(**{"C": 4, "N": 1, **kwargs})


SMALL = {"genotype": "333143", "num_classes": 7, "C": 4, "N": 2}


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16)


@pytest.mark.parametrize(
    ("classes", "pool", "message"),
    [
        (7, "", "a classifier needs pooled features"),
        (7, "max", "global_pool is 'max'"),
        (1, None, "num_classes is 1"),
        (-1, None, "num_classes is -1"),
        (2.5, None, "float"),
    ],
)
@pytest.mark.parametrize("before", [0, 5])
def test_a_refused_reset_changes_nothing(
    classes: int, pool: str | None, message: str, before: int, x: torch.Tensor
) -> None:
    net = _create(**{**SMALL, "num_classes": before}).eval()
    logits, settings = net(x), (net.num_classes, net.global_pool, net.classifier)
    with pytest.raises((ValueError, TypeError), match=message):
        net.reset_classifier(classes, pool)
    assert torch.equal(net(x), logits)
    assert (net.num_classes, net.global_pool, net.classifier) == settings


def test_a_new_classifier_is_new_and_has_the_networks_mode_and_dtype() -> None:
    net = _create(**SMALL).double().eval()
    before = net.classifier.weight
    net.reset_classifier(7)
    after = net.get_classifier()
    assert after.weight.shape == before.shape and not torch.equal(after.weight, before)
    assert after.weight.dtype == torch.float64 and not after.training
    assert net.get_classifier(name_only=True) == net.default_cfg["classifier"] == "classifier"


@pytest.mark.parametrize("pool", ["avg", ""])
def test_networks_without_a_classifier_fold(pool: str, x: torch.Tensor) -> None:
    net = _create(**{**SMALL, "num_classes": 0, "global_pool": pool})
    net(x)
    torch.testing.assert_close(net.eval().fold()(x), net(x), rtol=1e-4, atol=1e-5)


def test_dropout_in_front_of_the_classifier(x: torch.Tensor) -> None:
    net = _create(**SMALL, drop_rate=0.75).train()
    features = torch.ones(200, 16, 2, 2)
    kept = net.forward_head(features, pre_logits=True)
    assert set(kept.unique().tolist()) == {0.0, 4.0}
    assert 0.2 < (kept > 0).double().mean() < 0.3
    assert torch.equal(net.eval().forward_head(features, pre_logits=True), torch.ones(200, 16))
    assert torch.equal(net(x), net(x))


def test_dropped_paths_grow_with_depth_and_spare_skip_connections() -> None:
    net = _create(**{**SMALL, "genotype": "111111", "N": 1}, drop_path_rate=1.0).train()
    x = torch.rand(4, 3, 16, 16)
    assert not torch.equal(net(x), torch.zeros(4, 7))
    torch.testing.assert_close(net.cells[2](x), 4 * x)
    net = _create(**SMALL, drop_path_rate=0.4)
    assert set(net.state_dict()) == set(_create(**SMALL).state_dict())
    rates = [cell.drop_path.p for cell in net.cells]
    assert rates == pytest.approx([0, 0.08, 0.16, 0.24, 0.32, 0.4])
    cell, x = net.cells[5].train(), torch.rand(500, 16, 4, 4)
    for edge in range(5):
        cell.edges[edge] = torch.nn.Identity()
    cell.edges[5] = torch.nn.AvgPool2d(1)
    # Nodes 1 and 2 are x and 2 x, and the pool passes 2 x on, for 60 % of the images times 1/0.6.
    share = (cell(x) / x - 2) / 2
    assert share.round(decimals=3).unique().tolist() == pytest.approx([0, 1 / 0.6], abs=2e-3)
    assert 0.5 < (share > 1).double().mean() < 0.7
    torch.testing.assert_close(cell.eval()(x), 4 * x)


@pytest.mark.parametrize("settings", [{}, {"drop_rate": 0.3, "drop_path_rate": 0.3}])
def test_checkpointing_changes_no_number(settings: dict[str, float], x: torch.Tensor) -> None:
    found = []
    for enable in (False, True):
        torch.manual_seed(0)
        net = _create(**SMALL, **settings).train()
        net.set_grad_checkpointing(enable)
        torch.manual_seed(1)
        calls: list[int] = []
        net.cells[0].register_forward_pre_hook(lambda module, inputs, calls=calls: calls.append(1))
        F.cross_entropy(net(x), torch.arange(4)).backward()
        assert len(calls) == 1 + enable
        found.append([*(p.grad for p in net.parameters()), *net.buffers()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    assert found[0][0].abs().max() > 0


def test_an_attack_on_a_checkpointed_network_is_the_same(x: torch.Tensor) -> None:
    net, y = _create(**SMALL), torch.arange(4)
    options = {"eps": 8 / 255, "steps": 2, "random_start": False}
    expected = pgd(net, x, y, **options)
    net.set_grad_checkpointing()
    assert torch.equal(pgd(net, x, y, **options), expected)


def _depths(net: torch.nn.Module, coarse: bool) -> dict[str, int]:
    return group_parameters(net, net.group_matcher(coarse), reverse=True)


def test_groups_of_parameters_follow_the_depth() -> None:
    net = _create(**SMALL)
    order = ["stem.", "cells.0.", "cells.1.", "reductions.0.", "cells.2.", "cells.3.",
             "reductions.1.", "cells.4.", "cells.5.", "classifier."]  # fmt: skip
    depths = _depths(net, coarse=False)
    assert set(depths) == {name for name, _ in net.named_parameters()}
    for name, depth in depths.items():
        assert name.startswith("last_bn" if depth == 8 and "bn" in name[:7] else order[depth]), name
    stages = _depths(net, coarse=True)
    place = {"stem.0.weight": 0, "cells.0": 1, "cells.1": 1, "reductions.0": 2, "cells.3": 2,
             "reductions.1": 3, "cells.5": 3, "last_bn": 3, "classifier": 4}  # fmt: skip
    for start, stage in place.items():
        assert {d for name, d in stages.items() if name.startswith(start)} == {stage}, start


def test_timms_optimiser_with_layer_decay_trains_the_network(x: torch.Tensor) -> None:
    net = _create(**SMALL, drop_rate=0.0).train()
    assert net.no_weight_decay() == set()
    optimiser = create_optimizer_v2(net, opt="sgd", lr=0.1, weight_decay=1e-4, layer_decay=0.5)
    scales = {group["lr_scale"] for group in optimiser.param_groups}
    assert len(scales) == 10 and max(scales) == 1
    before = [p.detach().clone() for p in net.parameters()]
    F.cross_entropy(net(x), torch.arange(4)).backward()
    optimiser.step()
    assert all(not torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_intermediate_features(x: torch.Tensor) -> None:
    net = _create(**SMALL).eval()
    seen = []
    for info in net.feature_info:
        net.get_submodule(info["module"]).register_forward_hook(
            lambda module, inputs, output: seen.append(output)
        )
    final, features = net.forward_intermediates(x)
    stages, seen[:] = list(seen), []
    assert torch.equal(final, net.forward_features(x))
    assert [tuple(f.shape) for f in features] == [(4, 4, 16, 16), (4, 8, 8, 8), (4, 16, 4, 4)]
    for info, feature, stage in zip(net.feature_info, features, stages, strict=True):
        assert torch.equal(feature, stage)
        assert feature.shape[1] == info["num_chs"] and 16 // feature.shape[2] == info["reduction"]
    (normed,) = net.forward_intermediates(x, indices=1, norm=True, intermediates_only=True)
    assert torch.equal(normed, final)
    seen.clear()
    (first,) = net.forward_intermediates(x, [0], stop_early=True, intermediates_only=True)
    assert torch.equal(first, features[0]) and len(seen) == 1
    with pytest.raises(ValueError, match="output_fmt is 'NLC'; the network gives 'NCHW'"):
        net.forward_intermediates(x, output_fmt="NLC")


@pytest.mark.slow
@pytest.mark.parametrize("taken", [(0, 1, 2), (0,), (1,), (-1, 0)])
def test_features_only(taken: tuple[int, ...], x: torch.Tensor) -> None:
    torch.manual_seed(0)
    whole = _create(**SMALL).eval()
    torch.manual_seed(0)
    net = _create(**SMALL, features_only=True, out_indices=taken).eval()
    expected = whole.forward_intermediates(x, list(taken), intermediates_only=True)
    found = net(x)
    assert len(found) == len(taken)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    channels = [whole.feature_info[index]["num_chs"] for index in taken]
    assert sorted(net.feature_info.channels()) == sorted(channels)
    if taken == (0,):
        assert len(list(net.model.cells)) == 2 and not list(net.model.reductions)
    default = _create(**SMALL, features_only=True)
    assert default.feature_info.reduction() == [1, 2, 4]


def test_recorded_statistics_are_those_without_dropped_paths(x: torch.Tensor) -> None:
    found = []
    for rate in (0.0, 0.9):
        torch.manual_seed(0)
        net = _create(**SMALL, drop_rate=rate, drop_path_rate=rate).train()
        found.append(net.fold(x=x)(x))
        assert all(module.training for module in net.modules())
    assert torch.equal(*found)
