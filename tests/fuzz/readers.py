"""The readers of files from outside, each with good files to start from and what it may raise."""

import functools
import io
import json
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from supernet.benchmark.load import load_table
from supernet.cells.argument import read_cell
from supernet.cells.genotype import Genotype
from supernet.cells.order import resolve
from supernet.data.packs import read_packs, write_pack
from supernet.data.pickles import load_arrays, whole_numbers
from supernet.errors import UserError
from supernet.files import read_json
from supernet.report.run_files import EPOCH, SEARCHED, read_metrics
from supernet.runs.folder import FORMAT, read_description
from supernet.search.config import SearchConfig
from supernet.settings import from_saved
from supernet.train.config import TrainConfig
from tests.supernet.data.crafted_pickles import CRAFTED
from tests.tables import small_form

MOST_SECONDS = 5.0
"""Of processor time for one file."""


@dataclass(frozen=True)
class Reader:
    """A reader, and files that it takes."""

    read: Callable[[Path], Any]
    file: str
    """The name that the file must have."""
    good: Callable[[], list[bytes]]
    beside: Callable[[Path], Any] = lambda folder: None
    """Writes what must lie beside the file."""


def survives(reader: Reader, folder: Path, data: bytes) -> None:
    """Read a damaged file. A UserError is an answer; anything else is a fault."""
    path = folder / reader.file
    path.write_bytes(data)
    start = time.process_time()
    try:
        reader.read(path)
    except UserError as error:
        assert len(str(error)) < 2_000, "a message shows a whole file"
    assert time.process_time() - start < MOST_SECONDS


def _pickles() -> list[bytes]:
    content = {
        b"data": np.arange(12, dtype=np.uint8).reshape(2, 6), b"labels": [1, 2], b"raw": b"\xff\0",
        b"filenames": ["a.png", "b.png"], b"mean": np.float64(0.5),
        b"fine": np.arange(3, dtype=">i4"),
    }  # fmt: skip
    dumped = [pickle.dumps(content, protocol) for protocol in (0, 2, 3, 4)]
    return [*dumped, *(data for data, _ in CRAFTED.values())]


def _read_pickle(path: Path) -> None:
    for value in load_arrays(path).values():
        whole_numbers(value)


def _packs() -> list[bytes]:
    folder = _scratch()
    x = np.random.RandomState(0).randint(0, 256, (9, 8, 8, 3)).astype(np.uint8)
    y = np.arange(9) % 2
    write_pack(folder / "a.npz", {"train": (x, y), "test": (x[:2], y[:2])}, ("ant", "bee"), "")
    with np.load(folder / "a.npz") as archive:
        entries = dict(archive)
    stream = io.BytesIO()
    np.savez_compressed(stream, train_lossless=np.ones(9, bool), **entries)
    return [(folder / "a.npz").read_bytes(), stream.getvalue()]


def _read_pack(path: Path) -> None:
    source = read_packs([path])
    source.train.pixels()
    source.test.pixels()
    source.train.num_lossy()


@functools.cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp())


@functools.cache
def _table() -> tuple[bytes, bytes]:
    table, codes = small_form()
    return f"acc={json.dumps(table)};".encode(), f"arch={json.dumps(codes)};".encode()


def _description(kind: str) -> dict[str, Any]:
    config = SearchConfig() if kind == "search" else TrainConfig(genotype="333333")
    data = {"name": "cifar10", "source": "x", "stand_in": False, "num_classes": 10}
    return {
        "format": FORMAT, "kind": kind, "config": config.to_dict(), "config_hash": "0" * 12,
        "command": "python scripts/search.py", "data": data, "impl": "reference", "device": "cpu",
        "device_type": "cpu", "threads": 1, "versions": {"robust-supernet": "0.1.0"},
        "code": "333333",
    }  # fmt: skip


def _read_config(kind: str, config: type) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        description = read_description(path.parent, kind)
        from_saved(config, description["config"], path)

    return read


def _log(**more: Any) -> list[bytes]:
    lines = [
        json.dumps({"epoch": n, "step": 10 * n, "train_loss": 1.5, "cell": "333333", **more})
        for n in (1, 2)
    ]
    return ["".join(f"{line}\n" for line in lines).encode()]


def _read_text(path: Path) -> None:
    text = path.read_bytes().decode("latin1")
    resolve(text)
    Genotype.parse(text)


def _cell_file() -> list[bytes]:
    record = {"arch": Genotype.parse("333333").arch, "code": "333333", "derivation": {}}
    return [json.dumps(record).encode()]


READERS = {
    "pickle": Reader(_read_pickle, "batch", _pickles),
    "pack": Reader(_read_pack, "a.npz", _packs),
    "table": Reader(
        lambda path: load_table(path, verify=False),
        "NAS-RobBench-201_html.json",
        lambda: [_table()[0]],
        lambda folder: (folder / "ops.json").write_bytes(_table()[1]),
    ),
    "order": Reader(
        lambda path: load_table(path.with_name("NAS-RobBench-201_html.json"), verify=False),
        "ops.json",
        lambda: [_table()[1]],
        lambda folder: (folder / "NAS-RobBench-201_html.json").write_bytes(_table()[0]),
    ),
    "search config": Reader(
        _read_config("search", SearchConfig), "config.json",
        lambda: [json.dumps(_description("search")).encode()],
    ),
    "training config": Reader(
        _read_config("training", TrainConfig), "config.json",
        lambda: [json.dumps(_description("training")).encode()],
    ),
    "search log": Reader(
        lambda path: read_metrics(path, SEARCHED), "metrics.jsonl",
        lambda: _log(edge_weights=[[0.2] * 5] * 6),
    ),
    "training log": Reader(lambda path: read_metrics(path, EPOCH), "metrics.jsonl", _log),
    "genotype": Reader(
        _read_text, "cell.txt", lambda: [b"333333", b"17", Genotype.parse("013242").arch.encode()]
    ),
    "genotype.json": Reader(lambda path: read_cell(str(path), None), "genotype.json", _cell_file),
    "JSON": Reader(read_json, "a.json", lambda: [b'{"a": [1, 2.5e3, "x", null, true], "b": {}}']),
}  # fmt: skip
JSON_READERS = ("table", "search config", "training config", "genotype.json", "JSON")
