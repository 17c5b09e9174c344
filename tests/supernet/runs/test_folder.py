"""config.json is checked before anything of it is used."""

import json
from pathlib import Path
from typing import Any

import pytest

from supernet.errors import UserError
from supernet.runs.folder import FORMAT, read_description
from supernet.runs.tracking import _keep_until

GOOD: dict[str, Any] = {
    "format": FORMAT, "kind": "search", "config": {}, "config_hash": "0", "command": "x",
    "data": {"name": "digits", "source": "x"}, "device": "cpu", "device_type": "cpu", "threads": 1,
    "versions": {"robust-supernet": "0.1.0"}, "impl": "batched",
}  # fmt: skip


def read(folder: Path, content: Any) -> dict[str, Any]:
    (folder / "config.json").write_text(json.dumps(content))
    return read_description(folder, "search")


def test_what_a_run_writes_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == GOOD


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": [1]}, r"has format unknown \(robust-supernet 0.1.0\)"),
        ({"format": 2, "versions": [3]}, r"has format 2 \(robust-supernet of an unknown version\)"),
        ({"format": 2, "versions": {"robust-supernet": {}}}, "of an unknown version"),
        ({"kind": ["search"]}, "holds another run, not a search"),
        ({"kind": "training"}, "holds a training, not a search; scripts/train.py made it"),
        ({"config": []}, "is not the config.json of a run"),
        ({"data": "digits"}, "data is 'digits', not an object"),
        ({"data": {"name": 3, "source": ""}}, "data.name is 3, not text"),
        ({"threads": "2"}, "threads is '2', not a whole number"),
        ({"impl": "cuda"}, "impl is 'cuda', not reference"),
        ({"impl": None}, "impl is None, not reference"),
    ],
)
def test_an_odd_description_is_named(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        read(tmp_path, {**GOOD, **change})


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    for name in set(GOOD) - {"format", "kind", "config"}:
        with pytest.raises(UserError, match=rf"config\.json is not as .*it has no {name}\)"):
            read(tmp_path, {key: value for key, value in GOOD.items() if key != name})


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.symlink_to(tmp_path / "elsewhere")
    _keep_until(log, None)
    log.write_text("{}\n")
    assert not (tmp_path / "elsewhere").exists() and not log.is_symlink()
    (tmp_path / "elsewhere").write_text("mine\n")
    log.unlink()
    log.symlink_to(tmp_path / "elsewhere")
    _keep_until(log, None)
    assert (tmp_path / "elsewhere").read_text() == "mine\n" and not log.is_symlink()
