"""What is not finite is found, wherever it stands, and named with its step and remedy."""

import pytest
import torch

from supernet.finite import Diverged, norm, refuse_not_finite


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
