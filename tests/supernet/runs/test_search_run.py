"""A run directory: what it holds, and what is refused before it is written."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from supernet.cells.argument import read_cell
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.finite import Watch
from supernet.runs import finalists
from supernet.runs.checkpoint import load_checkpoint
from supernet.runs.interrupts import Interrupted
from supernet.runs.lock import locked
from supernet.runs.search_run import (
    SearchRun,
    answer_again,
    resume_search,
    run_search,
)
from supernet.runs.seeds import run_seeds
from supernet.search.search import Search
from tests.supernet.runs.quick_search import (
    QUICK,
    comparable,
    interrupt_at,
    search_in,
    state_of,
    whole,
)

__all__ = ["whole"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_pictures")]


def test_a_run_leaves_everything(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert {"config.json", "checkpoint.pt", "metrics.jsonl", "genotype.json", "report.md",
            "figures"} <= names  # fmt: skip
    assert (whole / "figures" / "cell.png").read_bytes().startswith(b"\x89PNG")
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert not any(name.endswith(".tmp") for name in names)
    config = json.loads((whole / "config.json").read_text())
    assert config["config"] == dataclasses.replace(QUICK, out=str(whole)).to_dict()
    assert "1,438 training" in config["data"]["source"]
    assert config["data"]["weight_images"] == config["data"]["alpha_images"] == 50
    assert config["eps"] == 32 / 255


def test_the_genotype_is_complete_and_consistent(whole: Path) -> None:
    record = json.loads((whole / "genotype.json").read_text())
    cell = Genotype.parse(record["arch"])
    assert record["code"] == cell.code
    assert record["params"] == cell.params()
    assert record["flops"] == cell.flops(image_size=16)
    assert {"index", "unique_index", "objective", "dataset", "seed", "alpha", "config_hash",
            "versions", "benchmark"} <= set(record)  # fmt: skip
    derivation = record["derivation"]
    assert set(derivation["cells"]) == {"alpha", "gains", "inner_gains"}
    assert derivation["cells"][derivation["chosen_by"]]["code"] == record["code"]
    gains = torch.tensor(derivation["gains"])
    assert gains.shape == (6, 5) and gains.abs().max() > 0
    assert record["code"] == "".join(str(op + 1) for op in gains[:, 1:].argmax(1).tolist())
    assert record["alpha_follows"] == ["clean", "robust"]
    assert len(record["alpha"]) == 6 and len(record["alpha"][0]) == 5


def test_the_front_is_a_menu_from_small_to_large(whole: Path) -> None:
    record = json.loads((whole / "front.json").read_text())
    order = [(cell["params"], cell["place"]) for cell in record["cells"]]
    assert len(order) == 80 and order == sorted(set(order))
    assert len({size for size, _ in order}) == 28
    for number in (0, 9, 79):
        found, described = read_cell(f"{whole / 'front.json'}:{number}")
        assert found.params() == order[number][0] and described["dataset"] == "digits"
    # Digits are not in the benchmark: its tables advise, and the judge is one of them.
    assert record["picked_by"] == "prior" and record["judge_is_in_prior"]
    assert record["found_vs_true"]["hypervolume_ratio"] > 0.99
    assert any("0" in cell["code"] for cell in record["cells"])


def test_a_search_says_what_each_part_proposes(whole: Path) -> None:
    record = json.loads((whole / "genotype.json").read_text())
    proposals = record["proposals"]
    assert proposals["prior_used"]
    assert proposals["prior_datasets"] == ["cifar10", "cifar100", "imagenet16-120"]
    cells = proposals["cells"]
    assert list(cells) == ["gains", "free", "prior", "both"]
    assert cells["gains"]["code"] == record["code"]
    assert cells["free"]["code"] == "333123"
    assert not any("0" in cell["code"] for cell in cells.values())


def test_a_search_without_a_prior_shows_one_that_does_not_judge(tmp_path: Path) -> None:
    folder = search_in(tmp_path / "run", epochs=1, warmup_epochs=0, prior=("none",))
    proposals = json.loads((folder / "genotype.json").read_text())["proposals"]
    assert not proposals["prior_used"]
    assert proposals["prior_datasets"] == ["cifar100", "imagenet16-120"]
    front = json.loads((folder / "front.json").read_text())
    assert front["picked_by"] == "menu" and front["prior_datasets"] == []
    menus = {(m["name"], m["per_size"]): m["hypervolume_ratio"] for m in front["compared"]}
    assert front["found_vs_true"]["hypervolume_ratio"] == pytest.approx(menus["menu", 3])
    assert front["first_choices_vs_true"]["hypervolume_ratio"] == pytest.approx(menus["menu", 1])
    assert menus["random", 3] < menus["synflow", 3] < menus["menu", 3] < menus["prior", 3]
    report = (folder / "report.md").read_text()
    assert "this search does not follow it" in report


def test_what_a_run_ends_with_is_in_the_events(whole: Path) -> None:
    events = EventAccumulator(str(whole), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    record = json.loads((whole / "genotype.json").read_text())
    assert events.Scalars("result/params")[-1].value == record["params"]
    assert "cell/chosen" in events.Tags()["images"]
    hparams = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = HParamsPluginData.FromString(hparams).session_start_info
    assert start.hparams["attack"].string_value == "n_fgsm"
    assert start.hparams["epochs"].number_value == 3


def test_a_budget_holds_for_the_answer(tmp_path: Path) -> None:
    folder = search_in(tmp_path / "run", epochs=1, warmup_epochs=0, max_flops=12e6)
    record = json.loads((folder / "genotype.json").read_text())
    cells = [record, *record["derivation"]["cells"].values()]
    cells += json.loads((folder / "front.json").read_text())["cells"]
    assert all(cell["flops"] <= 12e6 for cell in cells)


def test_a_search_on_shrunk_images_is_for_networks_at_full_size(tmp_path: Path) -> None:
    folder = search_in(tmp_path / "run", shrink=2)
    description = json.loads((folder / "config.json").read_text())
    record = json.loads((folder / "genotype.json").read_text())
    assert description["data"]["image_size"] == 8 and description["data"]["full_size"] == 16
    assert description["data"]["source"].endswith("; shrunk to 8x8")
    assert record["flops"] == Genotype.parse(record["arch"]).flops(image_size=16)
    assert "for 10 classes at 16x16." in (folder / "report.md").read_text()
    assert resume_search(folder, {}, quiet=True) == folder


def test_metrics_have_one_line_per_epoch(whole: Path) -> None:
    records = comparable(whole)
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert [record["step"] for record in records] == [2, 4, 6]
    last = records[-1]
    assert {"train_loss", "alpha_clean_loss", "alpha_robust_loss", "conflict_angle_deg",
            "val_clean_acc", "val_robust_acc", "val_train_attack_acc", "edge_weights", "entropy",
            "skip_share", "cell", "lr"} <= set(last)  # fmt: skip
    assert "alpha_clean_loss" not in records[0], "the warm-up moves no alpha"


def test_a_finished_run_trains_its_finalists(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalists, "NETWORK", {"C": 4, "N": 1})
    monkeypatch.setattr(finalists, "HELD_OUT", 10)
    folder, before = tmp_path / "run", json.loads((whole / "config.json").read_text())
    shutil.copytree(whole, folder)
    given = {"finalists": 2, "finalist_steps": 2, "processes": 1}

    def pressed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("supernet.train.side_by_side.train_briefly", pressed)
        with pytest.raises(Interrupted, match=f"--resume {folder}"):
            resume_search(folder, given, quiet=True)
    assert not (folder / "finalists.json").exists()
    resume_search(folder, {}, quiet=True)  # it goes on as it was asked
    after = json.loads((folder / "config.json").read_text())
    assert after["config_hash"] == before["config_hash"]
    assert after["config"] == {**before["config"], **given}
    record = json.loads((folder / "finalists.json").read_text())
    answer = json.loads((folder / "genotype.json").read_text())["code"]
    assert record["cells"][0]["code"] == answer
    assert record["cells"][1]["names"][0] == "answer 2"
    names = [name for cell in record["cells"] for name in cell["names"]]
    assert {"answer", "answer 2", "all 3x3", "prior"} <= set(names)
    assert "## Finalists" in (folder / "report.md").read_text()
    assert read_cell(f"{folder / 'finalists.json'}:1")[1]["dataset"] == "digits"
    ledger = (folder / "finalists.jsonl").read_text()
    assert len(ledger.splitlines()) == 3 * len(record["cells"])
    resume_search(folder, {"finalists": 0}, quiet=True)
    assert (folder / "finalists.jsonl").read_text() == ledger


def test_the_weights_of_chosen_epochs_are_kept(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_at(patch, 4)  # three steps are an epoch
        search_in(tmp_path / "run", keep_epochs=(1, 3))
    names = [path.name for path in (tmp_path / "run").glob("epoch-*")]
    assert names == ["epoch-0001.pt"]
    resume_search(tmp_path / "run", {}, quiet=True)
    config_hash = json.loads((tmp_path / "run" / "config.json").read_text())["config_hash"]
    kept = {
        path.name: load_checkpoint(path, "kept epoch", config_hash)
        for path in (tmp_path / "run").glob("epoch-*")
    }
    assert sorted(kept) == ["epoch-0001.pt", "epoch-0003.pt"]
    end, last = state_of(whole), kept["epoch-0003.pt"]
    assert set(last) == {"format", "kind", "config_hash", "step", "net", "alpha"}
    assert last["step"] == end["step"] == 3 * kept["epoch-0001.pt"]["step"]
    # Keeping and resuming changed nothing.
    assert torch.equal(last["alpha"], end["strategy"]["alpha"])
    assert all(torch.equal(value, end["net"][name]) for name, value in last["net"].items())
    first = kept["epoch-0001.pt"]["net"]
    assert not torch.equal(first["classifier.weight"], last["net"]["classifier.weight"])
    sizes = [(tmp_path / "run" / n).stat().st_size for n in ("epoch-0003.pt", "checkpoint.pt")]
    assert sizes[0] < 0.7 * sizes[1]
    resume_search(tmp_path / "run", {"keep_epochs": (2,)}, quiet=True)  # it is no other config


def test_a_broken_benchmark_table_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "robbench201"
    folder.mkdir(parents=True)
    (folder / "NAS-RobBench-201_html.json").write_text("<!DOCTYPE html><html></html>")
    (folder / "ops.json").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(UserError, match="HTML"):
        search_in(tmp_path / "run", data_root=str(tmp_path / "data"))
    assert not (tmp_path / "run").exists()


def test_a_second_process_is_refused_whatever_it_wants(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    before = (folder / "config.json").read_bytes()
    with locked(folder):
        for second in (
            lambda: resume_search(folder, {}, quiet=True),
            lambda: run_seeds(dataclasses.replace(QUICK, out=str(folder)), (0,), quiet=True),
        ):
            with pytest.raises(UserError, match=f"{folder} is in use by process {os.getpid()}"):
                second()
    assert (folder / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 1e9}, r"step \d+ diverged: .* is (nan|inf); .* lower --lr \(it is 1e\+09\)"),
        ({"lr": 1e5, "path_share": 0.0}, r"lower --lr \(it is 100000\)"),
        ({"alpha_lr": 1e6, "path_share": 0.5}, r"lower --alpha-lr \(it is 1e\+06\)"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_search_that_diverges_stops_with_its_last_good_checkpoint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    message: str,
    waits: bool,
) -> None:
    """Also where it looks at its numbers as on a GPU: later, and with steps in between."""
    always = property(lambda watch: waits, lambda watch, found: None)
    monkeypatch.setattr(Watch, "waits", always, raising=False)
    monkeypatch.setattr(Watch, "READS", 1)
    with pytest.raises(UserError, match=message + ".*checkpoint.pt is of step [0-9]+, before it"):
        search_in(tmp_path / "run", warmup_epochs=0, **fields)
    state = state_of(tmp_path / "run")
    assert all(value.isfinite().all() for value in state["net"].values())
    assert state["strategy"]["alpha"].isfinite().all()
    assert not (tmp_path / "run" / "genotype.json").exists()


def test_a_state_that_is_not_finite_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the loss of the step is: statistics are of the images before."""
    train_step = Search.train_step

    def spoilt(search: Search) -> None:
        train_step(search)
        if search.step == 4:
            next(b for b in search.net.buffers() if b.is_floating_point())[0] = float("inf")

    monkeypatch.setattr(Search, "train_step", spoilt)
    with pytest.raises(UserError, match=r"step 4 diverged: net\..* is inf; .* is of step 2, b"):
        search_in(tmp_path / "run")
    assert state_of(tmp_path / "run")["step"] == 2


def test_a_run_is_never_overwritten(whole: Path) -> None:
    with pytest.raises(UserError, match="already holds a run; use --resume"):
        search_in(whole)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "mnist"}, "unknown data set 'mnist'"),
        ({"batch_size": 90}, "fewer than one batch of 90"),
        ({"device": "tpu"}, "device 'tpu' is"),
        ({"data_root": "/nowhere"}, "the data root /nowhere"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search_in(tmp_path / "run", **fields)
    assert list(tmp_path.iterdir()) == []


def test_automatic_names_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(QUICK, epochs=1, warmup_epochs=0)
    folders = [run_search(config, quiet=True) for _ in range(2)]
    assert [folder.name for folder in folders] == [
        "search-digits-darts-seed0",
        "search-digits-darts-seed0-2",
    ]
    one, two = (json.loads((f / "genotype.json").read_text()) for f in folders)
    assert one["arch"] == two["arch"] and one["alpha"] == two["alpha"]


def test_another_answer_from_a_trained_supernet(whole: Path, tmp_path: Path) -> None:
    """The same alpha and gains, a cell within the budget, and a folder of its own."""
    most = json.loads((whole / "genotype.json").read_text())["params"] - 1
    given = {"max_params": most, "derive_by": "inner_gains", "out": str(tmp_path / "small")}
    folder = answer_again(whole, given, quiet=True)
    assert folder == tmp_path / "small"
    one, two = (json.loads((f / "genotype.json").read_text()) for f in (whole, folder))
    assert two["alpha"] == one["alpha"]
    assert two["derivation"]["gains"] == one["derivation"]["gains"]
    assert two["params"] <= most
    assert two["derivation"]["chosen_by"] == "inner_gains"
    assert comparable(folder) == comparable(whole)
    assert json.loads((folder / "config.json").read_text())["from"] == str(whole)
    resume_search(folder, {}, quiet=True)
    assert json.loads((folder / "genotype.json").read_text())["code"] == two["code"]


def test_an_answer_killed_before_its_checkpoint_is_read_again_from_its_supernet(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supernet.runs.search_run.write_report", lambda *_, **__: None)
    folder = tmp_path / "small"

    def killed(run: SearchRun) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(SearchRun, "checkpoint", killed)
        answer_again(whole, {"max_params": 2e5, "out": str(folder)}, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(Search, "train_step", killed)
        resume_search(folder, {}, quiet=True)
    assert comparable(folder) == comparable(whole)
    assert json.loads((folder / "genotype.json").read_text())["params"] <= 2e5


def test_only_the_answer_can_be_read_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"another config \(epochs: 3 -> 5\); --from changes the"):
        answer_again(whole, {"epochs": 5}, quiet=True)
    folder = tmp_path / "part"
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_at(patch, 3)
        search_in(folder)
    with pytest.raises(UserError, match=f"done 3 of 6 steps; finish it with --resume {folder}"):
        answer_again(folder, {"max_params": 2e5}, quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part"]
