"""Randomness: streams of their own, and a state that continues all of them."""

import io
import random

import numpy as np
import torch

from supernet.distributed import Ranks
from supernet.randomness import OWN_STREAMS, STREAMS, Randomness, processes_of

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


def of_rank(rank: int, count: int) -> Randomness:
    return Randomness(5, CPU, Ranks(rank=rank, count=count))


def streams(randomness: Randomness) -> dict[str, float]:
    return {name: torch.rand((), generator=randomness[name]).item() for name in STREAMS}


def test_processes_share_all_streams_but_augmentation_and_attack() -> None:
    alone, first, second, third = (
        streams(of_rank(rank, count)) for rank, count in ((0, 1), (0, 3), (1, 3), (2, 3))
    )
    assert first == alone
    for name in STREAMS:
        different = len({alone[name], second[name], third[name]})
        assert different == (3 if name in OWN_STREAMS else 1)


def test_a_state_for_another_number_of_processes() -> None:
    """Ranks that were there go on with their own streams, and new ones begin their own."""
    made = [of_rank(rank, 2) for rank in range(2)]
    own = [{name: one[name].get_state() for name in OWN_STREAMS} for one in made]
    state = {"streams": own[0], "torch": torch.get_rng_state(), "cuda": None, "others": own[1:]}
    assert processes_of(state) == 2
    alone = of_rank(0, 1).for_this_many(state, step=7)
    assert "others" not in alone
    assert processes_of(alone) == 1
    expected = [[torch.rand((), generator=one[name]).item() for name in OWN_STREAMS]
                for one in made]  # fmt: skip
    found = []
    for rank in range(4):
        randomness = of_rank(rank, 4)
        wider = randomness.for_this_many(state, step=7)
        assert processes_of(wider) == 4
        randomness.load_state_dict(wider)
        found.append([torch.rand((), generator=randomness[n]).item() for n in OWN_STREAMS])
    assert found[:2] == expected
    assert len({tuple(numbers) for numbers in found}) == 4
    later = of_rank(2, 4)
    later.load_state_dict(later.for_this_many(state, step=8))
    assert torch.rand((), generator=later["augment"]).item() != found[2][0]
