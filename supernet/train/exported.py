"""The folder of an exported network: everything is made and checked first, and written then.

model.pt2  model.onnx  model.safetensors  README.md  genotype.json  cell.svg  cell.png
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from supernet.cells.order import published_order
from supernet.errors import UserError
from supernet.files import at_home, atomic_write, read_json, write_json
from supernet.invocation import named
from supernet.nets.derived import DerivedNetwork
from supernet.progress import with_progress
from supernet.report.figures import draw_cell
from supernet.report.record_shapes import AMOUNT, COUNT, SEED, SHARE
from supernet.shapes import Items, Maybe, require
from supernet.train import formats
from supernet.train.card import model_card, published, require_facts
from supernet.train.export import SAFETENSORS, load_model, safetensors_bytes
from supernet.train.export_config import FORMATS, ExportConfig
from supernet.train.inference import InferenceNetwork, count

TOLERANCE = 1e-4
"""How far logits may be from the network's, as a share of the largest where that is above 1."""
CHECKED_IMAGES = 5
FILES = {
    "program": (formats.PROGRAM, "a `torch.export` program, batch norm folded, dead edges removed"),
    "onnx": (formats.ONNX, "the same graph as ONNX, checked with onnxruntime"),
    "safetensors": (SAFETENSORS, "the weights as trained, to load, train on and attack"),
}
"""format -> its file, and what that holds."""
PARTS = {
    "genotype.json": "the cell's string, code and index",
    "cell.svg": "the cell as a picture",
    "cell.png": "the same",
}


_ROW = {
    "attack": str, "accuracy": SHARE, "eps": SHARE, "seed": SEED, "images": COUNT, "split": str,
    "steps": (COUNT, None), "step_size": Maybe((AMOUNT, None)), "version": Maybe(str),
    "random_start": Maybe(bool), "restarts": Maybe(COUNT), "balanced_accuracy": Maybe(SHARE),
}  # fmt: skip
"""What a card takes from a row of evaluation.json, with its shape."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Parameters and multiply-adds per image, of the network as trained and as exported."""

    params: tuple[int, int]
    operations: tuple[int, int]
    edges: int
    """Edges of the cell that are left."""

    def __str__(self) -> str:
        (params, fewer), (operations, less) = self.params, self.operations
        return (
            f"{fewer:,} parameters instead of {params:,}, and {less:,} multiply-adds per image "
            f"instead of {operations:,}; {self.edges} of 6 edges are left"
        )


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export did."""

    folder: Path
    files: list[str]
    facts: dict[str, Any]
    index: int
    sizes: Sizes
    differences: dict[str, float]
    """File -> the largest difference of its logits from the network's."""
    evaluated: str
    """Where the accuracies of the card are from, or why it has none."""
    left_out: str = ""
    """Why there is no ONNX file though nobody left it out."""


def export(config: ExportConfig) -> Exported:
    """Write a trained network in the formats that the config names, with the cell and a card.

    Raises: UserError for a model that cannot be read, a package that is missing, a folder that
            holds something else, or logits that differ; nothing is written then.
    """
    chosen, left_out = _formats(config)
    network, metadata = load_model(str(config.model))
    model = at_home(str(config.model))
    source = model if model.is_dir() else model.parent
    folder = source / "export" if config.out is None else at_home(config.out)
    _check_folder(folder, chosen)
    side = _side(metadata, source)
    require_facts(metadata, model if model.is_file() else source)
    facts = published(metadata)
    small = InferenceNetwork(network)
    sizes = _sizes(network, small, side)
    contents = _contents(chosen, network, small, facts, side)
    differences = _differences(network, contents, side)
    results, evaluated = _evaluation(source, metadata)
    index = published_order().index(network.genotype)
    files = {FILES[name][0]: FILES[name][1] for name in chosen} | PARTS
    card = model_card(
        facts, results, index=index, files=files, license=config.license,
        size=f"The folded form gives the same logits with {sizes}.",
    )  # fmt: skip
    _write(folder, contents, card, _cell(network, facts, index))
    draw_cell(network.genotype, folder / "cell")
    return Exported(
        folder=folder, files=["README.md", *files], facts=facts, index=index, sizes=sizes,
        differences=differences, evaluated=evaluated, left_out=left_out,
    )  # fmt: skip


def _formats(config: ExportConfig) -> tuple[tuple[str, ...], str]:
    """The formats to write, and why one is left out that the user did not name.

    Raises: UserError where ONNX is named and its packages are not there.
    """
    if config.formats is None:
        lacks = formats.onnx_lacks()
        return tuple(name for name in FORMATS if not (lacks and name == "onnx")), lacks
    if "onnx" in config.formats:
        formats.require_onnx()
    return config.formats, ""


def _check_folder(folder: Path, chosen: Sequence[str]) -> None:
    """Refuse a run directory, whose genotype.json is another, and files of an earlier export."""
    if (folder / "config.json").exists():
        raise UserError(f"{folder} is a run directory; name another folder with --out")
    for name, (file, _) in FILES.items():
        if name not in chosen and (folder / file).exists():
            raise UserError(
                f"{folder / file} is of an earlier export and would stay; remove it, or name "
                "another folder with --out"
            )


def _side(metadata: dict[str, Any], source: Path) -> int:
    side = metadata.get("image_size")
    if not isinstance(side, int):
        raise UserError(
            f"{source / 'model.json'} does not say the side of the images; add for instance "
            '"image_size": 32 to it'
        )
    return side


def _sizes(network: DerivedNetwork, small: InferenceNetwork, side: int) -> Sizes:
    (params, operations), (fewer, less) = count(network, side), count(small, side)
    edges = max(cell.edges for cell in small.cells)
    return Sizes(params=(params, fewer), operations=(operations, less), edges=edges)


def _contents(
    chosen: Sequence[str],
    network: DerivedNetwork,
    small: InferenceNetwork,
    facts: dict[str, Any],
    side: int,
) -> dict[str, bytes]:
    """File -> its bytes."""
    program = None
    contents = {}
    for name in with_progress(chosen, "export", "format"):
        if name == "safetensors":
            contents[SAFETENSORS] = safetensors_bytes(network, facts)
            continue
        program = program or formats.to_program(small, side)
        write = formats.program_bytes if name == "program" else formats.onnx_bytes
        contents[FILES[name][0]] = write(program)
    return contents


def _differences(
    network: DerivedNetwork, contents: dict[str, bytes], side: int
) -> dict[str, float]:
    """Read every file back and compare logits, of one image and of several.

    Raises: UserError where they differ by more than the tolerance.
    """
    runs = {
        formats.PROGRAM: formats.run_program,
        formats.ONNX: formats.run_onnx,
        SAFETENSORS: _run_safetensors,
    }
    images = torch.rand(CHECKED_IMAGES, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pairs = [(x, network(x)) for x in (images[:1], images)]
        found = {
            name: max(_largest(runs[name](content, x) - expected) for x, expected in pairs)
            for name, content in with_progress([*contents.items()], "compare", "format")
        }
        most = TOLERANCE * max(1.0, *(_largest(expected) for _, expected in pairs))
    for name, difference in found.items():
        if not difference <= most:
            raise UserError(
                f"the logits of {name} differ by {difference:.1g} from the network's; nothing was "
                "written: name other formats with --formats"
            )
    return found


def _run_safetensors(content: bytes, x: Tensor) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SAFETENSORS
        path.write_bytes(content)
        network, _ = load_model(path)
    logits: Tensor = network(x)
    return logits


def _largest(x: Tensor) -> float:
    return float(x.abs().max())


def _evaluation(source: Path, metadata: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The rows of evaluation.json, if it is of this network, and a word about them."""
    path = source / "evaluation.json"
    if not path.is_file():
        return [], f"none yet; {named('evaluate')} makes one, then export again"
    content = read_json(path)
    require(content, {"results": Items(_ROW, 1)}, path)
    of_this = ("arch", "C", "N", "weights", "training")
    if any(content.get(name) != metadata.get(name) for name in of_this):
        return [], f"none: {path} is of another network; evaluate this one, then export again"
    return content["results"], str(path)


def _cell(network: DerivedNetwork, facts: dict[str, Any], index: int) -> dict[str, Any]:
    cell = network.genotype
    return {
        "arch": cell.arch, "code": cell.code, "index": index,
        "dataset": facts.get("dataset"), "side": facts.get("side"), "val": facts.get("val"),
    }  # fmt: skip


def _write(folder: Path, contents: dict[str, bytes], card: str, cell: dict[str, Any]) -> None:
    for name, content in contents.items():
        with atomic_write(folder / name, "wb") as stream:
            stream.write(content)
    with atomic_write(folder / "README.md") as stream:
        stream.write(card)
    write_json(folder / "genotype.json", cell)
