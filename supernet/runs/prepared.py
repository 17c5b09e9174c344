"""A search made ready for its run: config, images, device, and the form of the mixed cell."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ops.mixed import kernels_of, resolve_impl
from supernet.distributed import Ranks
from supernet.errors import UserError
from supernet.on_ray import PROCESSES, require_ray
from supernet.precision import training_arithmetic
from supernet.runs.checkpoint import load_last
from supernet.runs.folder import CONFIG, read_description
from supernet.runs.machine import device_of_run, refuse_other_surroundings, resolve_device
from supernet.runs.state import load_state
from supernet.search.config import (
    ATTACK_DTYPES,
    IMPL_NAMES,
    MACHINE_FIELDS,
    WHERE_FIELDS,
    SearchConfig,
)
from supernet.search.search import Search, load_images
from supernet.settings import another_version, from_saved, resumed
from supernet.torchrun import current

KIND = "search"
"""As config.json and the checkpoint name it."""


def config_of(folder: Path, given: dict[str, Any]) -> SearchConfig:
    """The config of the search in `folder`, with the places that `given` names.

    Raises: UserError when there is none, or when another field of `given` disagrees with it;
            MACHINE_FIELDS may.
    """
    values = read_description(folder, KIND)["config"]
    saved = from_saved(SearchConfig, values, folder / CONFIG)
    places = {name: value for name, value in given.items() if name not in MACHINE_FIELDS}
    return resumed(saved, places, folder, free=WHERE_FIELDS)


def prepare(config: SearchConfig) -> Search:
    """A search from the start.

    Raises: UserError when device, form of the mixed cell or images are not there.
    """
    return _search_on(resolve_device(config.device), config, config.impl, config.attack_dtype)


def prepare_again(
    config: SearchConfig, description: dict[str, Any], given: dict[str, Any]
) -> Search:
    """A search that goes on, on the kind of device, with the arithmetic of attacks and the form of
    the mixed cell that its run has had, also where "auto" would be another by now; unless the user
    names another device or form, or the form's kernels are gone.

    description: config.json of the run; given: config fields that the user named.
    Raises: UserError as `prepare` does, and when the run does not say what it attacked in.
    """
    device = device_of_run(given.get("device", config.device), description.get("device_type"))
    impl, had = given.get("impl", config.impl), description.get("impl")
    if impl == "auto" and had in IMPL_NAMES and _runs(had, device):
        impl = had
    return _search_on(device, config, impl, attack_dtype_of(config, description))


def attack_dtype_of(config: SearchConfig, description: dict[str, Any]) -> str:
    """The arithmetic that the attacks of a run have had, also on a machine that it is slow on.

    Raises: UserError where the run chose by itself and its config.json does not say what.
    """
    had = description.get("attack_dtype")
    if config.attack_dtype != "auto" or not config.robust:
        return config.attack_dtype
    if had == "auto" or had not in ATTACK_DTYPES:
        raise another_version(CONFIG, "it does not say what its attacks ran in")
    return str(had)


def _search_on(device: torch.device, config: SearchConfig, impl: str, attack_dtype: str) -> Search:
    ranks = current()
    device = ranks.device(device)
    _check_workers(config.workers, ranks, device)
    try:
        resolve_impl(impl, device.type)
    except RuntimeError as error:
        raise UserError(f"{error}; build it with 'make native' or use --impl auto") from error
    data = ranks.in_turn(lambda: load_images(config, device))
    ranks.refuse_different({"config": config.what(), "set of images": data.digest}, "at the start")
    return Search(config, data, device, impl, attack_dtype, ranks)


def _check_workers(workers: str, ranks: Ranks, device: torch.device) -> None:
    """Raises: UserError at the start about what would else come up at the refinement."""
    require_ray(workers)
    if workers == PROCESSES:
        return
    if ranks.count > 1:
        raise UserError(
            f"--workers {workers} spreads the short trainings by itself, and torchrun's processes "
            "do it without; leave one of them out"
        )
    if device.index:
        raise UserError(
            f"--workers {workers} gives each training a GPU by itself; give --device cuda, and "
            "choose GPUs with CUDA_VISIBLE_DEVICES"
        )


def _runs(impl: str, device: torch.device) -> bool:
    try:
        resolve_impl(impl, device.type)
    except RuntimeError:
        return False
    return True


def trained(source: Path, config: SearchConfig, given: dict[str, Any]) -> tuple[Search, float]:
    """A search of this config with the supernet of the finished one in `source`, and the seconds
    that its training took."""
    ranks = current()
    description = ranks.from_first(lambda: read_description(source, KIND))
    search = prepare_again(config, description, given)
    here = surroundings(search)
    ranks.from_first(lambda: refuse_other_surroundings(source, here))
    saved = ranks.from_first(lambda: load_last(source, KIND, config_of(source, {}).hash()))
    load_state(search, saved["state"], source)
    if search.step < search.total_steps:
        raise UserError(
            f"{source} has done {search.step:,} of {search.total_steps:,} steps; finish it with "
            f"--resume {shlex.quote(str(source))} first"
        )
    return search, saved["seconds"]


def impl_of(search: Search) -> str:
    """The form of the mixed cell that runs."""
    return resolve_impl(search.net.impl, search.device.type)


def surroundings(search: Search) -> dict[str, Any]:
    """What `refuse_other_surroundings` compares."""
    kernels = kernels_of(search.net.impl, search.device.type)
    return {
        "data": {
            **search.data.facts(),
            "full_size": search.data.full_size,
            "weight_images": len(search.images.weight_half),
            "alpha_images": len(search.images.alpha_half),
        },
        "impl": impl_of(search),
        **({"kernels": kernels} if kernels else {}),
        "attack_dtype": search.attack_dtype,
        "arithmetic": training_arithmetic(search.device, search.config.train_dtype),
        "device_type": search.device.type,
    }


def processes_in_words(search: Search) -> Iterator[str]:
    """What a search by several processes says of itself; nothing of one alone."""
    ranks, config = search.ranks, search.config
    if ranks.count == 1:
        return
    yield f"{ranks.count} processes, {config.batch_size} images a step together"
    if config.sync_batch_norm and impl_of(search) == "native":
        yield (
            "batch norm sees the images of all processes: training steps take the batched form, "
            "attacks and measurements the native one"
        )
