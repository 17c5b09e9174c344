"""What runs on one's own pictures take where nobody says it."""

import dataclasses
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from supernet.commands import search, train
from supernet.data.own import OwnImages
from supernet.distributed import Ranks
from supernet.runs import fitted
from supernet.runs.fitted import fit_search, fit_training
from supernet.search import presets
from supernet.train import config as train_config


def _search(preset: str = "cpu", **given: Any) -> Any:
    given = {"dataset": "folder:x", **given}
    return presets.with_preset(preset, given, cuda=False), given


def _training(preset: str = "benchmark", **given: Any) -> Any:
    given = {"dataset": "folder:x", "genotype": "333133", **given}
    return train_config.with_preset(preset, given), given


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the folder hold so many training images of each class."""

    def set_counts(*counts: int, side: int | None = 200) -> None:
        found = OwnImages(counts, sum(counts) // 4, side)
        monkeypatch.setattr(fitted, "look", lambda dataset, val: found)

    return set_counts


@pytest.mark.parametrize(
    ("counts", "batch", "epochs", "warmup"),
    [
        ((25_000, 25_000), 64, 4, 1),  # what the preset is made for
        ((1_000, 1_000), 64, 100, 25),  # 1,000 in the half: 15 steps of 104 epochs' worth
        ((2_500,) * 4, 64, 20, 5),
        ((200, 200), 16, 100, 25),  # 200: 12 of 16
        ((40, 40), 16, 100, 25),  # 40: two batches of 16
        ((10, 10), 8, 100, 25),  # 10 hold no batch of 16
        ((20,) * 30, 32, 100, 25),  # 30 classes: no batch below an image of each
        ((200_000, 200_000), 64, 4, 1),  # the preset's limit is 50,000
    ],
)
def test_a_search_keeps_the_presets_steps_in_whole_epochs(
    holds: Any, counts: tuple[int, ...], batch: int, epochs: int, warmup: int
) -> None:
    holds(*counts)
    config, lines = fit_search(*_search(), on_gpu=False)
    assert (config.batch_size, config.epochs, config.warmup_epochs) == (batch, epochs, warmup)
    assert config.side == 32 and lines[0].startswith("side       32: the median picture is 200")
    assert f"{epochs} " in f"{lines[3].split()[1][:-1]} " and f"of {batch}:" in lines[2]


def test_flags_win(holds: Any) -> None:
    holds(200, 200)
    config, given = _search(side=64, epochs=3, batch_size=32)
    fitted_config, lines = fit_search(config, given, on_gpu=False)
    assert (fitted_config.side, fitted_config.epochs, fitted_config.batch_size) == (64, 3, 32)
    assert fitted_config.warmup_epochs == 1  # the preset's quarter of them
    assert [line.split()[0] for line in lines] == ["pictures"]
    config, given = _search(epochs=0, warmup_epochs=0)
    assert fit_search(config, given, on_gpu=False)[0].epochs == 0
    config, given = _search(limit=100)
    assert fit_search(config, given, on_gpu=False)[0].batch_size == 16  # 50 in the half


@pytest.mark.parametrize(
    ("preset", "counts", "batch", "epochs"),
    [
        ("benchmark", (25_000, 25_000), 256, 50),
        ("benchmark", (1_000, 1_000), 128, 100),  # 9,750 steps would be 650 epochs
        ("benchmark", (5_000, 5_000), 256, 100),
        ("quick", (2_500, 2_500), 64, 10),
        ("quick", (1_000, 1_000), 64, 25),  # 31 steps an epoch of 780
        ("quick", (40, 40), 16, 100),
        ("quick", (9_000, 9_000), 64, 10),  # 5,000 of them
    ],
)
def test_a_training_keeps_the_presets_steps(
    holds: Any, preset: str, counts: tuple[int, ...], batch: int, epochs: int
) -> None:
    holds(*counts)
    config, _ = fit_training(*_training(preset), on_gpu=False)
    assert (config.batch_size, config.epochs) == (batch, epochs)


def test_the_benchmarks_own_images_keep_the_preset() -> None:
    config, given = _training("benchmark", dataset="cifar10")
    assert fit_training(config, given, on_gpu=False) == (config, [])
    search, given = _search(dataset="digits")
    assert fit_search(search, given, on_gpu=True) == (search, [])


def test_uneven_classes_are_spoken_of_once(holds: Any) -> None:
    holds(300, 90)
    _, lines = fit_training(*_training(), on_gpu=False)
    assert "390 to learn from in 2 classes of 90 to 300, 97 held out; --balance" in lines[1]
    _, lines = fit_training(*_training(balance=True), on_gpu=False)
    assert "--balance" not in "".join(lines)


def test_a_gpu_takes_large_pictures_at_64_and_a_cpu_says_so(holds: Any) -> None:
    holds(300, 300, side=480)
    config, lines = fit_training(*_training(), on_gpu=True)
    assert config.side == 64 and "--side" not in lines[0]
    config, lines = fit_training(*_training(), on_gpu=False)
    assert config.side == 32 and "--side 64 shows more, in four times the time" in lines[0]


def test_the_folder_itself_is_looked_at(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(50):
            Image.new("RGB", (17, 50), (number, 0, 0)).save(tmp_path / name / f"{number}.png")
    config, given = _search(dataset=f"folder:{tmp_path}")
    config, lines = fit_search(config, given, on_gpu=False)
    assert (config.side, config.batch_size) == (16, 16)
    assert "80 to learn from in 2 classes of 40 to 40, 20 held out" in lines[1]


class Four(Ranks):
    """The first of four processes, with nobody to talk to."""

    def from_first(self, make: Callable[[], Any]) -> Any:
        return make()


def _four(monkeypatch: pytest.MonkeyPatch, line: list[str], module: Any, starts: str) -> Any:
    """The config that a command starts with as the first of four processes."""
    configs: list[Any] = []

    def start(config: Any, *, quiet: bool) -> None:
        configs.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("supernet.torchrun.joined", lambda: nullcontext(Four(count=4)))
    monkeypatch.setattr(starts, start)
    monkeypatch.setattr("sys.argv", line)
    with pytest.raises(KeyboardInterrupt):
        module.main()
    return configs[0]


def test_of_several_processes_the_batch_of_all_is_fitted(
    holds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(200, 200)
    line = ["search.py", "--dataset", "folder:x", "--preset", "cpu", "--device", "cpu", "--quiet"]
    starts = "supernet.runs.search_run.run_search"
    config = _four(monkeypatch, line, search, starts)
    alone, _ = fit_search(*_search(), on_gpu=False)
    assert config == dataclasses.replace(alone, device="cpu")
    config = _four(monkeypatch, [*line, "--batch-size", "8"], search, starts)
    assert config.batch_size == 32
    line = ["train.py", "--genotype", "333133", "--dataset", "folder:x", "--device", "cpu"]
    config = _four(monkeypatch, line, train, "supernet.runs.train_run.run_training")
    alone, _ = fit_training(*_training(), on_gpu=False)
    assert config == dataclasses.replace(alone, device="cpu", data_root=config.data_root)
    assert config.batch_size == 32, "12 batches of 400 pictures"
    holds(25_000, 25_000)
    config = _four(monkeypatch, line, train, "supernet.runs.train_run.run_training")
    assert (config.batch_size, config.epochs) == (1024, 50)
