"""How a run goes on: the same end after any stop, and what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from supernet.attacks import arithmetic
from supernet.errors import UserError
from supernet.runs.interrupts import Interrupted
from supernet.runs.search_run import (
    SearchRun,
    resume_search,
)
from supernet.runs.seeds import run_seeds
from supernet.runs.train_run import resume_training
from supernet.search.config import SearchConfig
from supernet.search.search import Search
from tests.supernet.runs.quick_search import (
    QUICK,
    comparable,
    edited,
    interrupt_at,
    killed_in,
    search_in,
    state_of,
    whole,
)

__all__ = ["whole"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_pictures")]


@pytest.mark.parametrize("step", [1, 3, 4])
def test_ctrl_c_writes_a_checkpoint_and_the_rest_is_bit_identical(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder = tmp_path / "part"
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(Interrupted, match=f"--resume {folder}"):
            search_in(folder)
    assert state_of(folder)["step"] == step
    assert not (folder / "genotype.json").exists()
    resume_search(folder, {}, quiet=True)
    expected = state_of(whole)
    found = state_of(folder)
    assert torch.equal(expected["strategy"]["alpha"], found["strategy"]["alpha"])
    for name, value in expected["net"].items():
        assert torch.equal(value, found["net"][name]), name
    assert comparable(folder) == comparable(whole)
    one, two = (json.loads((f / "genotype.json").read_text()) for f in (whole, folder))
    assert one["derivation"] == two["derivation"]


def test_a_finished_run_is_resumed_to_the_same_result(whole: Path) -> None:
    before = json.loads((whole / "genotype.json").read_text())
    resume_search(whole, {}, quiet=True)
    after = json.loads((whole / "genotype.json").read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert len(comparable(whole)) == 3


def test_a_resume_with_another_config_is_refused(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with pytest.raises(UserError, match=r"another config \(epochs: 3 -> 9; seed: 0 -> 4\)"):
        resume_search(whole, {"epochs": 9, "seed": 4})
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data", {"train_images": 99}, "another data .train_images: 99 -> 100"),
        ("device_type", "cuda", "another device_type .cuda -> cpu"),
    ],
)
def test_a_resume_in_other_surroundings_is_refused(
    whole: Path, tmp_path: Path, name: str, value: object, message: str
) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    config = json.loads(path.read_text())
    config[name] = {**config[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        resume_search(tmp_path / "copy", {})


def test_a_run_goes_on_with_the_implementation_that_it_started_with(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where kernels were built since, and "auto" would choose them now."""
    monkeypatch.setattr("supernet.runs.search_run.write_report", lambda *_, **__: None)
    shutil.copytree(whole, tmp_path / "copy")
    edited(tmp_path / "copy", impl="reference")
    used = []
    conclude = SearchRun.conclude
    monkeypatch.setattr(
        SearchRun, "conclude", lambda run: (used.append(run.job.net.impl), conclude(run))
    )
    resume_search(tmp_path / "copy", {}, quiet=True)
    assert used == ["reference"]


@pytest.mark.parametrize("there", [False, True])
def test_a_run_goes_on_with_the_arithmetic_that_it_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Bit for bit, also on a machine where "auto" would be another."""
    monkeypatch.setattr(arithmetic, "_has_instructions", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: there)
    search_in(tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4)
        with pytest.raises(Interrupted):
            search_in(tmp_path / "run")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: not there)
    resume_search(tmp_path / "run", {}, quiet=True)
    used = "bfloat16" if there else "float32"
    for folder in ("whole", "run"):
        assert json.loads((tmp_path / folder / "config.json").read_text())["attack_dtype"] == used
        assert f"| attacks in | {used} |" in (tmp_path / folder / "report.md").read_text()
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")
    message = r"another config \(attack_dtype: auto -> float32\); resume it without these flags"
    with pytest.raises(UserError, match=message):
        resume_search(tmp_path / "run", {"attack_dtype": "float32"})
    edited(tmp_path / "run", attack_dtype=None)
    with pytest.raises(UserError, match=r"it does not say what its attacks ran in\); use the ver"):
        resume_search(tmp_path / "run", {})


@pytest.mark.parametrize("again", ["resume", "out", "seeds"])
def test_a_run_killed_before_its_first_checkpoint_starts_anew(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    again: str,
) -> None:
    monkeypatch.setattr("supernet.runs.search_run.write_report", lambda *_, **__: None)

    with killed_in(monkeypatch, SearchRun, "checkpoint"):
        search_in(tmp_path / "run")
    assert (tmp_path / "run" / "config.json").exists()
    if again == "resume":
        resume_search(tmp_path / "run", {}, quiet=True)
        assert "no checkpoint yet: the search starts anew" in capsys.readouterr().err
    elif again == "seeds":
        (tmp_path / "run").rename(tmp_path / "seed-0")
        run_seeds(dataclasses.replace(QUICK, out=str(tmp_path)), (0,), quiet=True)
        (tmp_path / "seed-0").rename(tmp_path / "run")
    else:
        search_in(tmp_path / "run")
    assert comparable(tmp_path / "run") == comparable(whole)
    assert len(list((tmp_path / "run").glob("events.*"))) == 1, "the first log is gone"


def test_a_run_can_be_resumed_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_in(monkeypatch, Search, "train_step"):
        search_in(tmp_path / "run")
    resume_search(tmp_path / "run", {}, quiet=True)
    assert len(comparable(tmp_path / "run")) == 3


def test_ctrl_c_in_the_last_step_and_while_deriving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6)
        with pytest.raises(Interrupted, match="stopped after 6 of 6 steps"):
            search_in(tmp_path / "run")
    assert len(comparable(tmp_path / "run")) == 3

    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("supernet.runs.search_run.derivation_of", pressed)
    with pytest.raises(Interrupted, match=r"epochs\), in what follows them; .*\n.*--resume"):
        resume_search(tmp_path / "run", {}, quiet=True)


def test_what_is_no_run_cannot_be_resumed(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(UserError, match=r"is not a run directory \(it has no config\.json\)"):
        resume_search(tmp_path, {})
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    data = (whole / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"checkpoint\.pt cannot be read .*cut short.*; delete "):
        resume_search(tmp_path, {})


@pytest.mark.parametrize("name", ["config.json", "checkpoint.pt"])
def test_files_of_another_format_are_refused_by_name_and_version(
    tmp_path: Path, whole: Path, name: str
) -> None:
    shutil.copytree(whole, tmp_path / "old")
    path = tmp_path / "old" / name
    if name == "config.json":
        description = json.loads(path.read_text())
        del description["format"]  # as the first versions wrote it
        path.write_text(json.dumps(description))
        expected = r"old has format 1 \(robust-supernet 0\.1\.0\); this version reads format 3: use"
    else:
        torch.save({"format": 1, "search": {}}, path)
        expected = r"checkpoint .*checkpoint\.pt has format 1, this version reads format 3; use"
    with pytest.raises(UserError, match=expected):
        resume_search(tmp_path / "old", {})


def test_another_kind_of_run_is_refused(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(UserError, match=r"holds a search, not a training; scripts/search\.py made"):
        resume_training(whole, {})
    shutil.copytree(whole, tmp_path / "run")
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    torch.save({**state, "kind": "training"}, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(UserError, match="is of a training, not of a search"):
        resume_search(tmp_path / "run", {})


def test_where_the_last_checkpoint_is_damaged_the_end_is_the_same(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    data = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(data[:-100])
    resume_search(folder, {}, quiet=True)
    assert "going on from the one before it" in capsys.readouterr().err
    assert torch.equal(state_of(folder)["strategy"]["alpha"], state_of(whole)["strategy"]["alpha"])
    assert comparable(folder) == comparable(whole)


@pytest.mark.parametrize("change", [{"seed": 1}, {"C": 4}, {"alpha_lr": 0.02}])
def test_a_checkpoint_of_another_config_is_refused(
    whole: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    config = json.loads((whole / "config.json").read_text())["config"]
    edited(tmp_path / "run", config={**config, **change})
    with pytest.raises(UserError, match=r"t\.pt is of another config \(hash .*put the run's"):
        resume_search(tmp_path / "run", {}, quiet=True)


def test_a_run_goes_on_where_its_kernels_are_gone(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("supernet.runs.search_run.write_report", lambda *_, **__: None)
    monkeypatch.setattr("cuda_ext._native._DEVICES", ())
    shutil.copytree(whole, tmp_path / "run")
    config = json.loads((whole / "config.json").read_text())["config"]
    edited(tmp_path / "run", impl="native")
    resume_search(tmp_path / "run", {}, quiet=True)
    assert "was started with impl native and goes on with batched" in capsys.readouterr().err
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["impl"] == "batched" and saved["config"]["impl"] == "auto"
    # The form that is asked for now goes before the one that the run has had.
    resume_search(tmp_path / "run", {"impl": "reference"}, quiet=True)
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["impl"] == "reference" and saved["config"] == config | {"impl": "auto"}


def test_a_run_that_was_asked_for_native_kernels_says_what_helps_and_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supernet.runs.search_run.write_report", lambda *_, **__: None)
    folder = search_in(tmp_path / "run", epochs=1, warmup_epochs=0)
    config = json.loads((folder / "config.json").read_text())["config"]
    asked = SearchConfig(**{**dataclasses.asdict(QUICK), "epochs": 1, "warmup_epochs": 0,
                            "impl": "native"})  # fmt: skip
    edited(folder, config=config | {"impl": "native"}, impl="native")
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    torch.save(content | {"config_hash": asked.hash()}, folder / "checkpoint.pt")
    monkeypatch.setattr("cuda_ext._native._DEVICES", ())
    with pytest.raises(UserError, match="build it with 'make native' or use --impl auto"):
        resume_search(folder, {}, quiet=True)
    resume_search(folder, {"impl": "auto"}, quiet=True)


def test_a_renamed_folder_goes_on(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_at(patch, 4)
        search_in(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "renamed")
    resume_search(tmp_path / "renamed", {}, quiet=True)
    assert not (tmp_path / "run").exists()
    assert comparable(tmp_path / "renamed") == comparable(whole)
