"""The readers of files from outside, each with good files to start from and what it may raise."""

import functools
import io
import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from supernet.cells.argument import read_cell
from supernet.cells.genotype import Genotype
from supernet.cells.order import resolve
from supernet.data.packs import read_packs, write_pack
from supernet.data.pickles import load_arrays, whole_numbers
from supernet.data.picture import read_picture
from supernet.files import read_json, read_jsonl
from supernet.report.record_shapes import EPOCH, SEARCHED, STEP
from supernet.report.records import read_metrics
from supernet.runs.folder import FORMAT, read_description
from supernet.search.config import SearchConfig
from supernet.settings import from_saved
from supernet.train.config import TrainConfig
from tests.fuzz.reader import Reader
from tests.fuzz.run_readers import RUN_READERS
from tests.fuzz.study_readers import STUDY_READERS
from tests.fuzz.table_readers import TABLE_READERS
from tests.supernet.data.crafted_pickles import CRAFTED


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


def _pictures(name: str, **options: Any) -> Callable[[], list[bytes]]:
    """Files of this kind: a ramp in colour, in grey, and with a transparent part where it can."""

    def good() -> list[bytes]:
        ramp = np.arange(12 * 12 * 4, dtype=np.uint8).reshape(12, 12, 4)
        modes = ["RGB", "L"] + (["RGBA"] if name in ("PNG", "WEBP", "TIFF", "TGA") else [])
        found = []
        for mode in modes:
            stream = io.BytesIO()
            Image.fromarray(ramp).convert(mode).save(stream, name, **options)
            found.append(stream.getvalue())
        return found

    return good


def _read_text(path: Path) -> None:
    text = path.read_bytes().decode("latin1")
    resolve(text)
    Genotype.parse(text)


def _cell_file() -> list[bytes]:
    record = {"arch": Genotype.parse("333333").arch, "code": "333333", "derivation": {}}
    return [json.dumps(record).encode()]


PICTURES = {
    "PNG": (".png", {}), "JPEG": (".jpg", {}), "GIF": (".gif", {}), "BMP": (".bmp", {}),
    "TIFF": (".tif", {"compression": "tiff_lzw"}), "PPM": (".ppm", {}), "TGA": (".tga", {}),
    "WEBP": (".webp", {}), "JPEG2000": (".jp2", {}),
}  # fmt: skip
_BUILT = [
    name for name in PICTURES
    if name not in ("WEBP", "JPEG2000")
    or features.check({"WEBP": "webp", "JPEG2000": "jpg_2000"}[name])
]  # fmt: skip
READERS: dict[str, Reader] = {
    **{
        f"picture {name}": Reader(
            lambda path: read_picture(path, 16), "a" + PICTURES[name][0],
            _pictures(name, **PICTURES[name][1]),
        )
        for name in _BUILT
    },
    "pickle": Reader(_read_pickle, "batch", _pickles),
    "pack": Reader(_read_pack, "a.npz", _packs, zipped=True),
    "search config": Reader(
        _read_config("search", SearchConfig), "config.json",
        lambda: [json.dumps(_description("search")).encode()], json=True,
    ),
    "training config": Reader(
        _read_config("training", TrainConfig), "config.json",
        lambda: [json.dumps(_description("training")).encode()], json=True,
    ),
    "search log": Reader(
        lambda path: read_metrics(path, SEARCHED), "metrics.jsonl",
        lambda: _log(edge_weights=[[0.2] * 5] * 6, entropy=1.0, skip_share=0.5),
    ),
    "training log": Reader(
        lambda path: read_metrics(path, {**EPOCH, **STEP}), "metrics.jsonl", _log
    ),
    "genotype": Reader(
        _read_text, "cell.txt", lambda: [b"333333", b"17", Genotype.parse("013242").arch.encode()]
    ),
    "genotype.json": Reader(lambda path: read_cell(str(path), None), "genotype.json", _cell_file,
                            json=True),
    "JSON": Reader(
        read_json, "a.json", lambda: [b'{"a": [1, 2.5e3, "x", null, true], "b": {}}'], json=True
    ),
    "JSON lines": Reader(read_jsonl, "a.jsonl", lambda: [b'{"a": [1, 2.5]}\n{"b": {"c": "x"}}\n']),
    **TABLE_READERS,
    **RUN_READERS,
    **STUDY_READERS,
}  # fmt: skip
JSON_READERS = [name for name, reader in READERS.items() if reader.json]
