"""What a bit-identical continuation depends on beside the config: images, form, device, threads."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from supernet.errors import UserError
from supernet.files import read_json

REMEDIES = {
    "data": "name the same images with --data-root",
    "impl": "resume with --impl {saved}, or make it available",
    "device_type": "resume on the same kind of device",
}


def refuse_other_surroundings(folder: Path, here: Mapping[str, Any]) -> None:
    """Compare what the run's config.json says with `here`: a value for some of REMEDIES.

    A config.json without the entry says nothing and is let through. Another number of threads is a
    warning: sums are then rounded in another order.
    Raises: UserError naming the first difference and its remedy.
    """
    saved = read_json(folder / "config.json")
    for name, value in here.items():
        before = saved.get(name, value)
        if before != value:
            raise UserError(
                f"{folder} was started with another {name} ({_difference(before, value)})"
                f"; {REMEDIES[name].format(saved=before)}"
            )
    if saved["threads"] != torch.get_num_threads():
        print(
            f"warning: {folder} was started with {saved['threads']} threads, these are "
            f"{torch.get_num_threads()}: sums are rounded in another order",
            file=sys.stderr,
        )


def _difference(saved: Any, here: Any) -> str:
    if not isinstance(saved, dict):
        return f"{saved} -> {here}"
    names = [name for name in {**saved, **here} if saved.get(name) != here.get(name)]
    return "; ".join(f"{name}: {saved.get(name)} -> {here.get(name)}" for name in names)
