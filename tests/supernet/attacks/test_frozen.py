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


def test_the_last_of_overlapping_blocks_puts_back_what_the_first_found() -> None:
    """As two threads hold one network, and a third one a part of it."""
    net = _net()
    before = _state(net)
    blocks = [frozen(net), frozen(net[2]), frozen(net)]
    for block in blocks:
        block.__enter__()
    for block in blocks:
        assert _state(net) == ([False] * len(before[0]), [False] * len(before[1]))
        block.__exit__(None, None, None)
    assert _state(net) == before
    net.train()
    net[0].bias.requires_grad_(True)
    after = _state(net)
    with frozen(net):
        pass
    assert _state(net) == after, "what an earlier block found must be forgotten"


def test_a_flag_that_cannot_be_set_leaves_nothing_behind() -> None:
    class Refusing(nn.Linear):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "training" and value is False:
                raise RuntimeError("no")
            super().__setattr__(name, value)

    net = nn.Sequential(nn.Linear(3, 3), Refusing(3, 3))
    with pytest.raises(RuntimeError, match="no"), frozen(net):
        pass
    assert net.training and all(module.training for module in net)
