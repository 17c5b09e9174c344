"""`frozen` on mixtures of modes, nested, with callables that are no modules, and overridden."""

import pytest
import torch
from torch import nn

from supernet.attacks import frozen


def _net() -> nn.Sequential:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Dropout()))
    net[1].eval()
    net[0].bias.requires_grad_(False)
    return net


def _state(net: nn.Module) -> tuple[list[bool], list[bool]]:
    return [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]


def test_inside_everything_is_off_and_afterwards_as_before() -> None:
    net = _net()
    before = _state(net)
    assert set(before[0]) == {True, False} and set(before[1]) == {True, False}
    with frozen(net):
        assert _state(net) == ([False] * len(before[0]), [False] * len(before[1]))
        with frozen(net[2]):
            pass
        assert not any(m.training for m in net.modules())
    assert _state(net) == before


def test_restores_through_an_exception() -> None:
    net = _net()
    before = _state(net)
    with pytest.raises(KeyError), frozen(net):
        raise KeyError("x")
    assert _state(net) == before


def test_a_module_that_overrides_train_is_still_held() -> None:
    class Stubborn(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> "Stubborn":
            return super().train(True)

    net = Stubborn(3)
    with frozen(net):
        net(torch.randn(4, 3))
    assert net.training and net.num_batches_tracked == 0 and net.running_mean.eq(0).all()


def test_any_other_callable_is_left_alone() -> None:
    with frozen(lambda x: x):
        pass
