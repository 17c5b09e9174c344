"""A search by several processes against one process with all their images, in double precision."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from supernet.distributed import ALONE, Ranks, digest
from supernet.search import halves
from supernet.search.config import SearchConfig
from supernet.search.gains import operator_gains
from supernet.search.halves import Batch
from supernet.search.search import Search, load_images
from tests.ranks import together

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CONFIG = SearchConfig(
    robust=True, C=2, N=1, epochs=1, batch_size=24, limit=240, alpha_lr=0.01, lr=0.05,
    attack="fgsm", attack_dtype="float32", beta_decay=1.0, path_share=0.5,
    proposals=("supernet",), impl="batched",
)  # fmt: skip
"""FGSM has no random start: ranks draw different ones."""


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in double precision, without augmentation."""
    monkeypatch.setattr(halves, "to_float", _double)
    monkeypatch.setattr(halves, "augment", lambda x, *rest: _double(x))


def _double(x: Tensor) -> Tensor:
    return x.double() / 255


def searched(config: SearchConfig, ranks: Ranks) -> dict[str, Any]:
    """One epoch."""
    search = Search(config, load_images(config, CPU), CPU, ranks=ranks)
    search.net.double()
    search.strategy.double()
    start = search.strategy.alpha.detach().clone()
    used: list[Tensor] = []
    _spy(search, used)
    while search.step < search.total_steps:
        search.train_step()
    gains = operator_gains(search.net, search.images.for_gains(0), ranks)
    return {
        "alpha": search.strategy.alpha.detach().clone(),
        "moved": search.strategy.alpha.detach() - start,
        "net": {name: value.clone() for name, value in search.net.state_dict().items()},
        "gains": gains.whole,
        "all": digest(search.state_dict()),
        "used": torch.cat(used),
        "means": search.epoch_means(),
    }


def _spy(search: Search, used: list[Tensor]) -> None:
    """Note the numbers of the images that this process takes."""
    augmented = search.images._augmented

    def noting(index: Tensor) -> Batch:
        used.append(search.ranks.part(index))
        return augmented(index)

    search.images._augmented = noting  # type: ignore[method-assign]


def check(config: SearchConfig, count: int, folder: Path) -> None:
    alone = searched(config, ALONE)
    found = together(count, lambda ranks: searched(config, ranks), folder)
    assert len({each["all"] for each in found}) == 1
    assert float(alone["moved"].abs().max()) > 1e-3
    assert float(alone["gains"].abs().max()) > 1e-4
    for each in found:
        assert torch.equal(each["alpha"], found[0]["alpha"])
        torch.testing.assert_close(each["alpha"], alone["alpha"], rtol=0, atol=1e-10)
        torch.testing.assert_close(each["gains"], alone["gains"], rtol=0, atol=1e-10)
        for name, value in alone["net"].items():
            torch.testing.assert_close(each["net"][name], value, rtol=0, atol=1e-10)
        assert each["means"] == pytest.approx(alone["means"], abs=1e-5)
    parts = torch.cat([each["used"] for each in found])
    assert len(parts.unique()) == len(parts) == len(alone["used"])
    assert set(parts.tolist()) == set(alone["used"].tolist())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 25, "objective": "mgda", "impl": "reference"},
        {"strategy": "darts2", "path_share": 0.0},
        {"strategy": "gdas", "path_kind": "sandwich"},
    ],
    ids=["cells drawn from alpha", "an odd image", "second order", "one operator and three passes"],
)
def test_two_processes_agree_with_one_that_has_all_images(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    check(dataclasses.replace(CONFIG, **changes), 2, tmp_path)


def test_four_processes_agree_with_one(tmp_path: Path) -> None:
    check(dataclasses.replace(CONFIG, strategy="drnas"), 4, tmp_path)


def test_without_synchronised_statistics_they_agree_with_each_other(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, sync_batch_norm=False)
    alone = searched(config, ALONE)
    first, second = together(2, lambda ranks: searched(config, ranks), tmp_path)
    assert first["all"] == second["all"]
    assert float((first["alpha"] - alone["alpha"]).abs().max()) > 1e-6


def test_each_rank_augments_and_attacks_on_its_own(tmp_path: Path) -> None:
    def draws(ranks: Ranks) -> dict[str, Tensor]:
        random = Search(CONFIG, load_images(CONFIG, CPU), CPU, ranks=ranks).random
        names = ("weight_order", "alpha_order", "augment", "paths", "attack")
        return {name: torch.rand(4, generator=random[name]) for name in names}

    alone, (first, second) = draws(ALONE), together(2, draws, tmp_path)
    for name in alone:
        assert torch.equal(first[name], alone[name])
        own = name in ("augment", "attack")
        assert torch.equal(second[name], alone[name]) != own
