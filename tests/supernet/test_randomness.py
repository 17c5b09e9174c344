"""Randomness: streams of their own, and a state that continues all of them."""

import io
import random

import numpy as np
import torch

from supernet.randomness import STREAMS, Randomness

CPU = torch.device("cpu")


def draw(randomness: Randomness) -> list[float]:
    numbers = [torch.rand((), generator=randomness[name]).item() for name in STREAMS]
    return [*numbers, torch.rand(()).item()]


def test_the_same_seed_gives_the_same_numbers_and_streams_differ() -> None:
    first, second, other = (draw(Randomness(seed, CPU)) for seed in (5, 5, 6))
    assert first == second
    assert len(set(first)) == len(first)
    assert not set(first) & set(other)


def test_the_state_continues_every_stream_through_a_safe_file() -> None:
    randomness = Randomness(1, CPU)
    draw(randomness)
    stream = io.BytesIO()
    torch.save(randomness.state_dict(), stream)
    expected = [draw(randomness) for _ in range(3)]
    stream.seek(0)
    restored = Randomness(99, CPU)
    restored.load_state_dict(torch.load(stream, weights_only=True))
    assert [draw(restored) for _ in range(3)] == expected


def test_a_stream_is_not_shifted_by_another() -> None:
    one, two = Randomness(3, CPU), Randomness(3, CPU)
    torch.rand(10, generator=two["attack"])
    assert torch.rand((), generator=one["augment"]) == torch.rand((), generator=two["augment"])


def test_pythons_and_numpys_generators_are_left_alone() -> None:
    random.seed(4)
    np.random.seed(4)
    before = random.getstate(), np.random.get_state()[1].tolist()
    randomness = Randomness(1, CPU)
    randomness.load_state_dict(randomness.state_dict())
    assert before == (random.getstate(), np.random.get_state()[1].tolist())
