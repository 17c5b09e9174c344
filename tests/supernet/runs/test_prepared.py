"""What a search refuses before it begins, because it would else come up hours later."""

import sys

import pytest
import torch

from supernet.distributed import ALONE, Ranks
from supernet.errors import UserError
from supernet.runs.prepared import _check_workers, prepare
from supernet.search.config import SearchConfig

CPU = torch.device("cpu")


def test_ray_is_looked_for_before_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    config = SearchConfig(workers="ray", dataset="folder:absent")
    with pytest.raises(UserError, match=r"--workers ray needs Ray\. .* pip install '\.\[sweep\]'"):
        prepare(config)
    with pytest.raises(UserError, match="absent"):
        prepare(SearchConfig(dataset="folder:absent"))


def test_ray_and_torchrun_do_not_both_spread_trainings() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[sweep]'")
    two = Ranks(count=2, local_count=2)
    _check_workers("processes", two, CPU)
    _check_workers("ray", ALONE, CPU)
    with pytest.raises(UserError, match="torchrun's processes do it without; leave one of them"):
        _check_workers("ray:auto", two, CPU)
    with pytest.raises(UserError, match="give --device cuda, and choose GPUs with CUDA_VISIBLE"):
        _check_workers("ray", ALONE, torch.device("cuda", 1))
    _check_workers("processes", ALONE, torch.device("cuda", 1))
