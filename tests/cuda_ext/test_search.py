"""A whole robust search with the native operators against the same search without them."""

from typing import Any

import pytest
import torch

from cuda_ext import _native
from supernet.data import load_dataset
from supernet.search.config import SearchConfig
from supernet.search.presets import with_preset
from supernet.search.search import Search

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _native.available(), reason="nothing is built"),
]


def doubled(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.double(), y


def searched(impl: str, double: bool, **fields: Any) -> Search:
    """Three epochs on the embedded images."""
    given = {
        "robust": True, "attack_dtype": "float32", "epochs": 3, "limit": 256, "C": 4, "N": 1,
        "impl": impl, **fields,
    }  # fmt: skip
    config: SearchConfig = with_preset("digits", given, cuda=False)
    data = load_dataset("digits", limit=256, test_limit=0, device=torch.device("cpu"))
    search = Search(config, data, torch.device("cpu"))
    if double:
        # In place: the optimisers keep their parameters.
        search.net.double()
        search.strategy.double()
        for name in ("next_weights", "next_alpha"):
            draw = getattr(search.images, name)
            setattr(search.images, name, lambda draw=draw: doubled(*draw()))
    while search.step < search.total_steps:
        search.train_step()
    return search


@pytest.mark.parametrize("path_share", [0.0, 0.5])
def test_a_search_in_double_precision_is_the_same_search(path_share: float) -> None:
    fields = {"path_share": path_share, "warmup_epochs": 0}
    one, two = (searched(impl, True, **fields) for impl in ("reference", "native"))
    assert one.strategy.alpha.abs().max() > 1e-2
    assert (one.strategy.alpha - two.strategy.alpha).abs().max() < 1e-10
    for p, q in zip(one.net.parameters(), two.net.parameters(), strict=True):
        assert (p - q).abs().max() < 1e-10


def test_a_search_in_single_precision_agrees_in_alpha() -> None:
    """With a small learning rate: at the preset's, sign attacks and momentum make the first epochs
    of training chaotic, and a difference in the last bit grows a thousandfold per step."""
    fields = {"lr": 0.005, "alpha_lr": 3e-4, "batch_size": 64, "path_share": 0.0}
    one, two = (
        searched(impl, False, warmup_epochs=0, **fields) for impl in ("reference", "native")
    )
    assert one.strategy.alpha.abs().max() > 1e-3
    # One step of Adam moves alpha by up to 3e-4; by processor the difference is 4e-5 to 1.1e-4.
    assert (one.strategy.alpha - two.strategy.alpha).abs().max() < 2e-4
