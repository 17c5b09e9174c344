"""What is not finite is found, wherever it stands, and named with its step and remedy."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from supernet.finite import Diverged, Watch, norm, refuse_not_finite

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_number_is_named(bad: float) -> None:
    values = {"net": {"a": torch.zeros(3), "b": torch.tensor([[1.0], [bad]])}, "step": 7}
    with pytest.raises(Diverged, match=r"step 1,234 diverged: net\.b is (nan|inf); lower --lr"):
        refuse_not_finite(values, 1234, "lower --lr")


def test_what_is_finite_or_no_number_passes() -> None:
    values = {
        "huge": torch.tensor(3e38), "none": None, "empty": torch.zeros(0), "lr": float("inf"),
        "order": torch.tensor([2**62]), "bytes": torch.zeros(4, dtype=torch.uint8),
    }  # fmt: skip
    refuse_not_finite(values, 0, "")
    refuse_not_finite({}, 0, "")


def test_the_norm_is_of_all_tensors_together() -> None:
    assert norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]).item() == 5
    assert norm([torch.tensor([3e38, 3e38])]).isinf()
    assert norm([torch.ones(2), torch.tensor(float("nan"))]).isnan()


def value(number: float) -> dict[str, Tensor]:
    return {"loss": torch.tensor(number)}


def test_on_a_cpu_the_step_itself_is_refused() -> None:
    watch = Watch(CPU)
    watch.note(value(1.0), 1, "lower --lr")
    with pytest.raises(Diverged, match="step 2 diverged: loss is nan; lower --lr"):
        watch.note(value(float("nan")), 2, "lower --lr")


def deferring() -> Watch:
    """On a CPU what is done on a GPU."""
    watch = Watch(CUDA)
    assert watch.waits
    return watch


def test_the_first_bad_step_is_named_whenever_it_is_read() -> None:
    watch = deferring()
    for step in range(100, 110):
        # From step 103 on, and worse later.
        bad = {103: float("inf"), 105: float("nan")}.get(step, 1.0)
        watch.note({"a": torch.ones(3), "b": torch.tensor([0.5, bad])}, step, "lower --lr")
        if step == 102:
            watch.refuse()
    for _ in range(2):  # reading changes nothing
        with pytest.raises(Diverged, match=r"step 103 diverged: b is inf; lower --lr"):
            watch.refuse()


def test_of_several_checks_the_earliest_is_named() -> None:
    watch = deferring()
    for step in range(1, 9):
        if step > 2:  # after a warm-up
            watch.note({"alpha": torch.tensor(float("nan") if step > 6 else 0.0)}, step, "A")
        watch.note({"loss": torch.tensor(float("nan") if step > 4 else 0.0)}, step, "B")
    with pytest.raises(Diverged, match="step 5 diverged: loss is nan; B"):
        watch.refuse()
    watch = deferring()
    watch.note({"loss": torch.tensor(0.0)}, 1, "B")
    for name in ("alpha", "loss"):
        watch.note({name: torch.tensor(float("nan"))}, 2, name)
    with pytest.raises(Diverged, match="step 2 diverged: alpha is nan; alpha"):
        watch.refuse()


@pytest.mark.parametrize(("steps", "reads"), [(3, [1, 2, 3]), (100, [13, 26, 39, 52, 65, 78, 91,
                                                                     100])])  # fmt: skip
def test_it_is_read_a_few_times_an_epoch(
    monkeypatch: pytest.MonkeyPatch, steps: int, reads: list[int]
) -> None:
    watch, seen = deferring(), []
    monkeypatch.setattr(watch, "refuse", lambda: seen.append(step))
    for step in range(1, 2 * steps + 1):
        watch.refuse_if_due(step, steps)
    assert seen == reads + [steps + read for read in reads]


def test_an_error_that_follows_from_such_numbers_is_not_the_one_that_is_told() -> None:
    watch = deferring()
    with pytest.raises(KeyError), watch.blamed():
        raise KeyError
    watch.note(value(float("nan")), 7, "lower --lr")
    with pytest.raises(Diverged, match="step 7 diverged") as told, watch.blamed():
        raise RuntimeError("probability tensor contains nan")
    assert isinstance(told.value.__cause__, RuntimeError)


def test_a_device_that_cannot_be_read_any_more_does_not_hide_the_first_error() -> None:
    watch = deferring()
    with FakeTensorMode():
        watch.note({"loss": torch.ones((), device="cuda")}, 7, "lower --lr")
        with pytest.raises(RuntimeError, match="illegal memory access"), watch.blamed():
            raise RuntimeError("illegal memory access")


def test_looking_at_a_step_never_waits_for_the_device() -> None:
    """A fake tensor of a GPU has no number to read."""
    watch = deferring()
    with FakeTensorMode():
        good, more = torch.ones((), device="cuda"), torch.ones(6, 5, device="cuda")
        for step in (1, 2):
            watch.note({"loss": good, "alpha": more, "norm": norm([more, good])}, step, "")
        with pytest.raises(Exception, match=r"item|data|aten\._local_scalar_dense|tolist"):
            watch.refuse()
