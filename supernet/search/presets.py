"""What a search takes where the user gives nothing: a preset by name."""

import dataclasses
from collections.abc import Callable
from typing import Any

from supernet.search.config import SearchConfig
from supernet.settings import choose


def _digits() -> dict[str, Any]:
    """The embedded images: a few minutes on two CPU cores."""
    return dict(
        C=8, N=1, epochs=20, warmup_epochs=2, batch_size=32, lr=0.05, alpha_lr=3e-3,
        attack="n_fgsm", beta_decay=10.0, path_share=0.5, refine_moves=1,
        refine_steps=(25, 50, 100),
    )  # fmt: skip


def _cpu() -> dict[str, Any]:
    """CIFAR-sized images on two CPU cores: one cell per stage, half the side, half the radius."""
    # The supernet changes no answer on the data sets that can tell (docs/results/search.md); it
    # stays for what can be asked of it, gains on every edge and weights to score cells with.
    # In 1,500 steps at 8/255 the network is underfitted and pooling wins; under attack alpha
    # prefers what amplifies least (skip, pool) long before the weights can defend a 3x3.
    return dict(
        C=16, N=1, shrink=2, epochs=4, warmup_epochs=1, batch_size=64, lr=0.05, alpha_lr=3e-3,
        limit=50_000, attack="n_fgsm", eps=4 / 255, robust_weight=0.0, beta_decay=100.0,
        path_share=0.5,
    )  # fmt: skip


def _gpu() -> dict[str, Any]:
    """One GPU: the benchmark's own skeleton and attack."""
    # Beta-decay and the way the cell is read are the `cpu` preset's, where both objectives end
    # with cells as good; at this size they are still to be measured.
    return dict(
        C=16, N=5, epochs=50, warmup_epochs=2, batch_size=256, lr=0.1, alpha_lr=3e-3,
        attack="pgd", beta_decay=100.0, path_share=0.5, probe_images=2048,
    )  # fmt: skip


def _darts() -> dict[str, Any]:
    """A baseline: the published DARTS settings on this space, nothing of ours."""
    return dict(derive_by="alpha", derive_none=True, proposals=("supernet",), refine_moves=0)


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {
    "digits": _digits, "cpu": _cpu, "gpu": _gpu, "darts": _darts,
}  # fmt: skip
"""name -> the fields it sets. Flags on the command line win."""


def with_preset(name: str | None, given: dict[str, Any], *, cuda: bool) -> SearchConfig:
    """The config of a command line: preset fields, then what the user gave.

    name None chooses: digits for the embedded images, else gpu where CUDA is, else cpu. Within a
    budget no supernet is trained unless the user gives epochs or proposals: scores choose there,
    and it would change nothing. Where the user gives epochs and no warm-up, the preset's is
    shortened so that it leaves one of them.

    Raises: UserError for an unknown preset or a bad value.
    """
    if name is None:
        digits = given.get("dataset", "digits") == "digits"
        name = "digits" if digits else "gpu" if cuda else "cpu"
    choose("--preset", name, PRESETS)
    values = PRESETS[name]() | given
    epochs, warmup = (values.get(f, getattr(SearchConfig, f)) for f in ("epochs", "warmup_epochs"))
    if "warmup_epochs" not in given and epochs > 0:
        values["warmup_epochs"] = min(warmup, epochs - 1)
    config = SearchConfig(**values)
    if not config.refines and not {"epochs", "keep_epochs"} & given.keys():
        config = dataclasses.replace(config, epochs=0)
    return config
