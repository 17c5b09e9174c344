"""The switches of a GPU's arithmetic, as they are inside what is trained and what is measured."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from supernet.attacks.accuracy import evaluate, surviving_share
from supernet.precision import exact, repeatable, training_arithmetic
from supernet.search.gains import operator_gains
from tests.supernet.search.test_search import make_search

SWITCHES = (
    (torch.backends.cudnn, "deterministic"), (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn, "allow_tf32"), (torch.backends.cuda.matmul, "allow_tf32"),
)  # fmt: skip
Found = tuple[bool, ...]


def switches() -> Found:
    return tuple(getattr(where, name) for where, name in SWITCHES)


@pytest.fixture(params=[(False, True, True, True), (False, False, True, False)])
def before(request: pytest.FixtureRequest) -> Iterator[Found]:
    """Switches as a user may have set them."""
    own = switches()
    for (where, name), value in zip(SWITCHES, request.param, strict=True):
        setattr(where, name, value)
    yield request.param
    for (where, name), value in zip(SWITCHES, own, strict=True):
        setattr(where, name, value)


@pytest.mark.parametrize("raises", [False, True])
def test_a_block_puts_back_what_it_found(before: Found, raises: bool) -> None:
    with pytest.raises(KeyError if raises else LookupError), repeatable():
        assert switches() == (True, False, *before[2:])
        with exact():
            assert switches() == (True, False, False, False)
            raise KeyError if raises else LookupError
    assert switches() == before


def watched(body: Callable[..., Any], seen: list[Found]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        seen.append(switches())
        return body(*arguments, **named)

    return run


def test_steps_repeat_and_measurements_are_float32(
    monkeypatch: pytest.MonkeyPatch, before: Found
) -> None:
    search = make_search()
    seen: list[Found] = []
    monkeypatch.setattr(search.net, "forward_features", watched(search.net.forward_features, seen))
    search.train_step()
    assert set(seen) == {(True, False, *before[2:])}, "TF32 is as the user has it"
    seen.clear()
    x, y = search.images.held_out(16)
    operator_gains(search.net, [(x, y)])

    def attack(model: object, x: Tensor, y: Tensor, generator: object) -> Tensor:
        seen.append(switches())
        return x

    model = search.net.fold_mixture(search.strategy.expected_weights())
    evaluate(model, x, y, attack, 0)
    surviving_share(lambda x: torch.eye(2)[y[: len(x)]], x, y, attack, 0)
    assert len(seen) == 3 and set(seen) == {(True, False, False, False)}
    assert switches() == before


def test_the_arithmetic_of_training_in_words(before: Found) -> None:
    cuda = training_arithmetic(torch.device("cuda"))
    assert cuda.startswith("float32, convolutions in TF32")
    assert ("matrix products in TF32" in cuda) == before[3]
    assert training_arithmetic(torch.device("cpu")) == "float32"
