"""A trained network as files: model.pt (tensors only), and model.json, which says what they are.

Or as one file in the form of the hub, model.safetensors, whose header has what model.json says.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset
from supernet.errors import UserError
from supernet.files import at_home, atomic_write, read_json, write_json
from supernet.invocation import named
from supernet.nets.derived import DerivedNetwork
from supernet.report.record_shapes import AMOUNT, COUNT
from supernet.settings import another_version
from supernet.shapes import Items, Maybe, Within, require
from supernet.train.torch_file import load_torch

FORMAT = 1
WEIGHTS, METADATA = "model.pt", "model.json"
_SHAPE = {
    "arch": str, "C": int, "N": int, "num_classes": int,
    "mean": Items(Within(float, -1e6, 1e6), 3, 3), "std": Items(Within(float, 1e-6, 1e6), 3, 3),
    "dataset": Maybe((str, None)), "image_size": Maybe((Within(int, 1, 4096), None)),
    "class_names": Maybe(([str], None)), "eps": Maybe((Within(float, 0, 1), None)),
    "epochs": Maybe(COUNT), "weights": Maybe((str, None)), "training": Maybe(({
        "attack": Maybe(str), "attack_steps": Maybe(COUNT), "batch_size": Maybe(COUNT),
        "epochs": Maybe(COUNT), "lr": Maybe(AMOUNT), "weight_decay": Maybe(AMOUNT),
        "ema_decay": Maybe(AMOUNT), "seed": Maybe(int), "data": Maybe({
            "name": str, "source": str, "stand_in": bool, "train_images": Maybe(COUNT),
        }),
    }, None)),
}  # fmt: skip
_MOST = {"C": 4096, "N": 1000, "num_classes": 1_000_000}
SAFETENSORS = "model.safetensors"
HEADER = "robust_supernet"
"""The key of the metadata, as JSON, in the header of model.safetensors."""


def save_model(folder: str | Path, network: DerivedNetwork, facts: dict[str, Any]) -> Path:
    """Write model.pt and model.json; returns the path of model.pt.

    The metadata hold all that `load_model` needs, and `facts`: JSON-able, how the network was
    trained and on which images. The weights come last: where model.pt is, model.json fits it.
    """
    folder = Path(folder)
    metadata = {
        "format": FORMAT,
        "arch": network.genotype.arch,
        "code": network.genotype.code,
        "C": network.C,
        "N": network.N,
        "num_classes": network.num_classes,
        "mean": network.normalize.get_buffer("mean").flatten().tolist(),
        "std": network.normalize.get_buffer("std").flatten().tolist(),
        **facts,
    }
    write_json(folder / METADATA, metadata)
    with atomic_write(folder / WEIGHTS, "wb") as stream:
        torch.save(_state(network), stream)
    return folder / WEIGHTS


def safetensors_bytes(network: DerivedNetwork, metadata: dict[str, Any]) -> bytes:
    """model.safetensors: the tensors of model.pt, and the metadata in the file's header."""
    header = {"format": "pt", HEADER: json.dumps(metadata, allow_nan=False)}
    return save(_state(network), metadata=header)


def _state(network: DerivedNetwork) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}


def load_model(
    path: str | Path, device: torch.device | str = "cpu"
) -> tuple[DerivedNetwork, dict[str, Any]]:
    """The network in evaluation mode, and its metadata.

    `path` is model.pt with model.json next to it, model.safetensors, or the folder that has one of
    them. Images in [0, 1] go in; the normalisation is the network's first layer.

    Raises: UserError when a file is missing, damaged, or does not fit the other.
    """
    path = _model_file(at_home(path))
    metadata, state = _read(path)
    genotype = Genotype.parse(metadata["arch"])
    params = genotype.params(metadata["num_classes"], metadata["C"], metadata["N"])
    if 4 * params > path.stat().st_size:
        raise _misfit(path, f"the file is too short for {params:,} parameters")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise _misfit(path, "the weights are not tensors by name")
    try:
        network = _build(metadata, state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _misfit(path, str(error).strip().splitlines()[0]) from error
    _refuse_not_finite(path, network.state_dict())
    return network.to(device), metadata


def _build(metadata: dict[str, Any], state: dict[str, torch.Tensor]) -> DerivedNetwork:
    network = DerivedNetwork(
        Genotype.parse(metadata["arch"]),
        C=metadata["C"],
        N=metadata["N"],
        num_classes=metadata["num_classes"],
        mean=metadata["mean"],
        std=metadata["std"],
    )
    network.load_state_dict(state)
    return network.eval()


def _refuse_not_finite(path: Path, state: dict[str, torch.Tensor]) -> None:
    """A network whose training diverged answers every image alike, and would count as measured."""
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(
                f"{path} holds numbers that are not finite ({name}): its training diverged; train "
                "the network again, with a lower --lr"
            )


def _model_file(path: Path) -> Path:
    if path.is_dir():
        names = (WEIGHTS, SAFETENSORS)
        path = next((path / name for name in names if (path / name).is_file()), path / WEIGHTS)
    if path.suffix == ".json":
        raise UserError(
            f"{path} holds no weights; name the {WEIGHTS} that {named('train')} left, or train the "
            f"cell first with {named('train')} --genotype"
        )
    if not path.is_file():
        raise UserError(f"there is no model {path}; name the {WEIGHTS} that {named('train')} left")
    return path


def _misfit(path: Path, reason: str) -> UserError:
    if path.suffix == ".safetensors":
        return UserError(
            f"the weights in {path} and the metadata in its header do not fit together ({reason});"
            " export the network again"
        )
    return UserError(
        f"{path} and {path.with_suffix('.json').name} do not fit together ({reason});"
        " keep the two files of one training together"
    )


def _read(path: Path) -> tuple[dict[str, Any], Any]:
    """The metadata and the tensors of a file."""
    if path.suffix != ".safetensors":
        return _read_metadata(path.with_suffix(".json")), _read_tensors(path)
    try:
        with safe_open(path, framework="pt") as stream:
            header = (stream.metadata() or {}).get(HEADER)
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _unreadable(path, error) from error
    if header is None:
        raise UserError(f"{path} does not say which cell it is of; {named('export')} writes it so")
    try:
        metadata = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    return _checked(metadata, path), state


def load_images_of(
    facts: dict[str, Any], dataset: str | None, *, side: int | None = None, **options: Any
) -> ImageData:
    """The images that a network is to be measured on, as it was trained: pictures of a folder get
    the side that it was trained with, wherever they lie, unless another is given.

    facts: the metadata of `load_model`. dataset: None is the one it was trained on. options: those
    of `load_dataset`.
    Raises: UserError when no data set is named, when its classes are not the network's or stand in
            another order, and as `load_dataset` does.
    """
    dataset = dataset or facts.get("dataset")
    if not isinstance(dataset, str):
        raise UserError(f"{METADATA} names no data set; give --dataset")
    if side is None and dataset.startswith("folder:"):
        trained = facts.get("image_size")
        side = trained if isinstance(trained, int) else None
    val = options.pop("val", None)
    if val is None and dataset == facts.get("dataset"):
        val = facts.get("val")
    data = load_dataset(dataset, side=side, val=val, **options)
    if data.num_classes != facts["num_classes"]:
        raise UserError(
            f"the network has {facts['num_classes']} classes and {dataset} has {data.num_classes};"
            " give the --dataset it was trained on"
        )
    names = facts.get("class_names")
    others = zip(data.class_names, names, strict=False) if isinstance(names, list) else ()
    for here, there in others:
        if here != there:
            raise UserError(
                f"a class of {dataset} is called {here} where the network's is {there}, and labels"
                f" would mean other classes; name them as class_names in {METADATA} does"
            )
    return data


def _read_tensors(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            return load_torch(stream)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return UserError(
        f"the weights {path} cannot be read ({reason}); the file is cut short or not a model:"
        " copy it again or train it anew"
    )


def _read_metadata(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"{path} is missing; it belongs next to the weights and says which cell they are of"
        )
    return _checked(read_json(path), path)


def _checked(metadata: Any, path: Path) -> dict[str, Any]:
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else type(metadata).__name__
        raise another_version(path, f"format {str(found)[:40]}; this version reads format {FORMAT}")
    require(metadata, _SHAPE, path)
    for name, most in _MOST.items():
        if not 1 <= metadata[name] <= most:
            raise UserError(
                f"{path} has {name} = {metadata[name]}, which is not from 1 to {most:,}; keep the"
                " two files of one training together"
            )
    return metadata
