"""What processes that share batches tell one another."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from supernet.distributed import ALONE, Ranks, digest
from supernet.errors import UserError
from tests.ranks import together

COUNT = 3


def refused() -> None:
    raise UserError("the folder is taken")


def sentence(call: Any) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


@contextmanager
def entered(log: list[str]) -> Iterator[str]:
    log.append("entered")
    yield "the folder"
    log.append("left")


def work(ranks: Ranks) -> dict[str, Any]:
    """Everything that ranks do, and what each got of it."""
    log: list[str] = []
    with ranks.first_holds(entered(log)) as held:
        pass
    tensors = [
        torch.arange(6.0).view(2, 3) * (ranks.rank + 1),
        torch.full((), 0.1 * (ranks.rank + 1), dtype=torch.float64),
        torch.ones(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    ]
    sums = ranks.summed(tensors)
    jobs = [f"job {n}" for n in range(5)]
    done: list[str] = []

    def do(own: list[str]) -> Iterator[tuple[str, str]]:
        for job in own:
            done.append(job)
            yield job, f"{job} by {ranks.rank}"

    return {
        "rank": (ranks.rank, ranks.count, ranks.first, ranks.local_rank, ranks.local_count),
        "launcher": ranks.launcher,
        "part": ranks.part(torch.arange(10)),
        "sums": sums,
        "kept": torch.equal(tensors[0], torch.arange(6.0).view(2, 3) * (ranks.rank + 1)),
        "flags": (ranks.any(ranks.rank == 1), ranks.any(False)),
        "gathered": ranks.gather(("of", ranks.rank)),
        "from first": ranks.from_first(lambda: f"made by {ranks.rank}"),
        "refused": sentence(lambda: ranks.from_first(refused)),
        "held": (held, log),
        "in turn": ranks.in_turn(lambda: ranks.rank),
        "spread": dict(ranks.spread(jobs, do)),
        "again": dict(ranks.spread(jobs[:1], do)),
        "done": done,
        "equal": ranks.refuse_different({"net": {"w": torch.ones(2)}}, "now"),
        "different": sentence(lambda: ranks.refuse_different(
            {"net": 1, "alpha": torch.tensor([1.0, 2.0 if ranks.rank == 2 else 1.0])}, "at step 3"
        )),
    }  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return together(COUNT, work, tmp_path_factory.mktemp("ranks"))


def test_each_process_knows_which_it_is(found: list[dict[str, Any]]) -> None:
    assert [each["rank"] for each in found] == [(n, 3, n == 0, n, 3) for n in range(COUNT)]
    assert found[1]["launcher"] == ["torchrun", "--nproc-per-node", "3"]
    several = Ranks(rank=5, count=8, local_rank=1, local_count=4)
    assert several.launcher == ["torchrun", "--nnodes", "2", "--nproc-per-node", "4"]


def test_a_batch_is_shared_without_overlap(found: list[dict[str, Any]]) -> None:
    assert [len(each["part"]) for each in found] == [4, 3, 3]
    assert torch.equal(torch.cat([each["part"] for each in found]), torch.arange(10))
    with pytest.raises(UserError, match="2 images cannot be shared by 3 processes; start at most"):
        Ranks(rank=0, count=3).part(torch.arange(2))


def test_tensors_of_any_kind_are_added_up_to_the_same_bits(found: list[dict[str, Any]]) -> None:
    whole, number, laid_out = found[0]["sums"]
    torch.testing.assert_close(whole, torch.arange(6.0).view(2, 3) * 6)
    assert number.dtype == torch.float64
    assert number.shape == ()
    assert abs(float(number) - 0.6) < 1e-15
    assert torch.equal(laid_out, torch.full((1, 2, 3, 4), 3.0))
    assert len({digest(each["sums"]) for each in found}) == 1
    assert all(each["kept"] for each in found)


def test_flags_values_and_mistakes_are_shared(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["flags"] == (True, False)
        assert each["gathered"] == [("of", 0), ("of", 1), ("of", 2)]
        assert each["from first"] == "made by 0"
        assert each["refused"] == "the folder is taken"
    assert [each["held"] for each in found] == [
        ("the folder", ["entered", "left"]), ("the folder", []), ("the folder", []),
    ]  # fmt: skip
    assert [each["in turn"] for each in found] == [0, 1, 2]


def test_each_job_is_done_by_one_and_known_to_all(found: list[dict[str, Any]]) -> None:
    expected = {f"job {n}": f"job {n} by {n % COUNT}" for n in range(5)}
    for each in found:
        assert each["spread"] == expected
        assert each["again"] == {"job 0": "job 0 by 0"}
    assert [each["done"] for each in found] == [["job 0", "job 3", "job 0"], ["job 1", "job 4"],
                                                ["job 2"]]  # fmt: skip


def test_the_rank_that_differs_is_named(found: list[dict[str, Any]]) -> None:
    said = "rank 2 of 3 has another alpha than rank 0 at step 3"
    assert all(each["different"].startswith(said) for each in found)


def test_a_process_of_its_own_asks_nobody() -> None:
    index, values = torch.arange(3), [torch.ones(2)]
    assert ALONE.part(index) is index
    assert ALONE.summed(values)[0] is values[0]
    assert ALONE.weigh(values[0], 1, 3) is values[0]
    assert ALONE.gather("x") == ["x"]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.launcher == ["python"]
    assert list(ALONE.spread([1, 2], lambda jobs: ((job, -job) for job in jobs))) == [
        (1, -1), (2, -2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"w": torch.tensor([1.0, 2.0001])},
        {"w": torch.tensor([[1.0, 2.0]])},
        {"w": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"v": torch.tensor([1.0, 2.0])},
        {"w": None},
    ],
)
def test_a_digest_sees_values_shapes_types_and_names(other: dict[str, Any]) -> None:
    one = {"w": torch.tensor([1.0, 2.0])}
    assert digest(one) == digest({"w": torch.tensor([1.0, 2.0])})
    assert digest(one) != digest(other)


def test_a_gpu_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ranks = Ranks(rank=3, count=4, local_rank=1, local_count=2)
    assert ranks.device(torch.device("cuda")) == torch.device("cuda", 1)
    assert chosen == [1]
    assert ranks.device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(UserError, match="cuda:1 names one GPU for 2 processes; give --device cuda"):
        ranks.device(torch.device("cuda:1"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes need as many GPUs, and there are 1; start"):
        ranks.device(torch.device("cuda"))
