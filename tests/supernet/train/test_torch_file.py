"""torch's files are read without its unpickler: the same values, and nothing that is crafted."""

import io
import pickle
import random
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from supernet.train import torch_file
from supernet.train.torch_file import load_torch

STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\4tQ"
"""Four numbers of the record data/k, as torch names them."""
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("
NO_HOOKS = b"\x89}tR"


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def archive(body: bytes, **more: Any) -> bytes:
    """A file of torch.save whose pickle is `body`, with four numbers in data/k."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", more.pop("compression", zipfile.ZIP_STORED)) as written:
        records = {"data.pkl": b"\x80\2" + body + b".", "data/k": bytes(16), **more}
        for name, content in records.items():
            written.writestr(f"archive/{name}", content)
    return stream.getvalue()


def loaded(data: bytes) -> Any:
    return load_torch(io.BytesIO(data))


def tensor(shape: bytes, stride: bytes, offset: bytes = b"K\0", end: bytes = NO_HOOKS) -> bytes:
    return REBUILD + STORAGE + offset + shape + stride + end


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_values_are_those_that_torch_reads() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(5, 7, generator=generator)
    value = {
        "a": base, "a part": base[1:4, ::2], "turned": base.T, "double": base.double(),
        "empty": torch.empty(0, 3), "one": torch.tensor(2.5), "whole": torch.arange(4),
        "bytes": generator.get_state(), "truth": torch.tensor([True, False]),
        "half": base.half(), "brain": base.bfloat16(), "channels last": torch.rand(2, 3, 4, 4).to(
            memory_format=torch.channels_last), "none": None, "flag": True, "n": -(2**70),
        "x": 0.1, "text": "é", "list": [1, (2, 3, [4])], 7: {"in": OrderedDict(b=1)},
    }  # fmt: skip
    read, by_torch = loaded(saved(value)), torch.load(io.BytesIO(saved(value)), weights_only=True)
    assert same(read, by_torch)
    assert read["channels last"].stride() == by_torch["channels last"].stride()
    read["a"][1, 0] = 9  # parts of one storage stay that
    assert read["a part"][0, 0] == 9 == read["turned"][0, 1]


def test_a_network_and_its_optimiser_go_on_from_it() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.rand(2, 3, 8, 8)).square().mean().backward()
    optimiser.step()
    read = loaded(saved({"net": net.state_dict(), "optimiser": optimiser.state_dict()}))
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    other.load_state_dict(read["net"])
    assert all(map(torch.equal, net.state_dict().values(), other.state_dict().values()))
    torch.optim.Adam(other.parameters()).load_state_dict(read["optimiser"])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (archive(b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR"), "names builtins.bytearray"),
        (archive(b"ctorch\nFloatTensor\n(J\xff\xff\xff\x7ftR"), "names torch.FloatTensor"),
        (archive(b"cposix\nsystem\n(X\4\0\0\0truetR"), "names posix.system"),
        (archive(b"ctorch\nFloatStorage\n(J\xff\xff\xff\x7ftR"), "calls FloatStorage"),
        (archive(b"ccollections\nOrderedDict\n(K\1tR"), "calls OrderedDict"),
        (archive(STORAGE.replace(b"K\4", b"J\xff\xff\xff\x7f")), "length that it claims"),
        (archive(STORAGE.replace(b"K\4", b"K\3")), "length that it claims"),
        (archive(STORAGE.replace(b"K\4", b"J\xfc\xff\xff\xff")), "length that it claims"),
        (archive(STORAGE.replace(b"kX", b"jX")), "length that it claims"),
        (archive(STORAGE + STORAGE.replace(b"Float", b"Int") + b"\x86"), "is of two kinds"),
        (archive(STORAGE.replace(b"Float", b"Bool").replace(b"K\4", b"K\20"),
                 **{"data/k": b"\2" * 16}), "truth values that are none"),
        (archive(b"(K\1K\2tQ"), "not a storage"),
        (archive(tensor(b"K\5\x85", b"K\1\x85")), "odd shape"),
        (archive(tensor(b"K\4\x85", b"K\1\x85", b"K\1")), "beyond its storage"),
        (archive(tensor(b"K\2\x85", b"K\4\x85")), "beyond its storage"),
        (archive(tensor(b"K\2\x85", b"J\xff\xff\xff\xff\x85")), "odd shape"),
        (archive(tensor(b"J\0\0\0\x40J\0\0\0\x40J\0\0\0\x40\x87", b"K\0K\0K\0\x87")), "odd shape"),
        (archive(tensor(b"K\0\x85", b"K\1\x85", b"K\5")), "beyond its storage"),
        (archive(tensor(b"K\1\x85", b"K\1K\1\x86")), "odd shape"),
        (archive(tensor(b"K\1\x85", b"K\1\x85", end=b"\x89K\1tR")), "odd parts"),
        (archive(b"}" + b"(" * 20 + b"t" * 20 + b"K\1s"), "neither text nor a number"),
        (archive(b"]" + b"q\0h\0a"), "nested more than 20"),
        (archive(b"]" * 30 + b"a" * 29), "nested more than 20"),
        (archive(b"X\xff\xff\xff\x7fabc"), "claims"),
        (archive(b"\x8f"), "opcode"),
        (archive(b"K\1}b"), "no dict"),
        (archive(b"N", compression=zipfile.ZIP_DEFLATED), "are compressed"),
        (archive(b"N", byteorder=b"big"), "another byte order"),
        (pickle.dumps({"a": 1}, 2), "not a zip file"),
        (b"", "not a zip file"),
    ],
)  # fmt: skip
def test_what_is_crafted_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loaded(data)


def test_an_archive_that_is_odd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        written.writestr("archive/data.pkl", b"\x80\2N.")
        written.writestr("other/data.pkl", b"\x80\2K\1.")
    with pytest.raises(ValueError, match=r"the record 'data\.pkl' twice"):
        loaded(stream.getvalue())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        written.writestr("archive/data", b"\x80\2N.")
    with pytest.raises(ValueError, match=r"not a file of torch\.save"):
        loaded(stream.getvalue())
    monkeypatch.setattr(torch_file, "MOST_RECORDS", 2)
    with pytest.raises(ValueError, match="it has 4 records"):
        loaded(archive(b"N", **{"data/1": b"", "data/2": b""}))


def test_a_changed_byte_is_seen(tmp_path: Path) -> None:
    """Or lies where nothing is read: in the space between records."""
    whole = saved({"w": torch.arange(50.0), "n": 3})
    draw = random.Random(0)
    refused = 0
    for _ in range(300):
        place = draw.randrange(len(whole))
        data = bytearray(whole)
        data[place] ^= draw.randrange(1, 256)
        try:
            read = loaded(bytes(data))
        except ValueError:
            refused += 1
            continue
        assert read["n"] == 3 and torch.equal(read["w"], torch.arange(50.0))
    assert refused > 100
