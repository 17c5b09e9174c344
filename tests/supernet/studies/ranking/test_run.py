"""A ranking from start to end: what it leaves, and that cuts and processes change nothing."""

import dataclasses
import errno
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.benchmark.correlation import kendall
from supernet.benchmark.table import Table
from supernet.cells.genotype import Genotype
from supernet.errors import UserError
from supernet.on_ray import Lost
from supernet.proxies.ensemble import SUMS
from supernet.proxies.free_scores import free_scores
from supernet.studies.ranking import run
from supernet.studies.ranking.config import RankConfig
from supernet.studies.ranking.run import estimate_seconds, run_ranking, summary
from supernet.studies.ranking.sample import draw_cells
from tests.disk import SHARES, is_on, largest_file, small_disk
from tests.workers import one_killed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(quick: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RankConfig:
    """The config of a ranking that was never interrupted, and is done."""
    out = tmp_path_factory.mktemp("ranking") / "whole"
    config = RankConfig(**quick | {"columns": ("clean", "pgd_8")}, out=str(out))
    threads = torch.get_num_threads()
    run_ranking(config, quiet=True)
    assert torch.get_num_threads() == threads
    return config


def test_leaves_scores_tables_and_figures(whole: RankConfig) -> None:
    folder = Path(whole.folder)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    figures = {
        f"figures/{kind}-{column}.{form}"
        for kind in ("scatter", "kendall")
        for column in ("clean", "pgd_8")
        for form in ("svg", "png")
    }
    assert names == {".lock", "config.json", "scores.jsonl", "ranking.json", "ranking.md"} | figures
    assert (folder / "figures/scatter-pgd_8.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "scores.jsonl").read_text().splitlines()) == 12
    ranking = json.loads((folder / "ranking.json").read_text())
    assert set(ranking["rows"]["pgd_8"]) == {"gradnorm", "naswot", "parameters"}
    assert "digits" in ranking["images"]
    assert "| parameters |" in summary(folder, ranking)


@pytest.mark.usefixtures("no_pictures")
def test_again_it_only_judges_again(
    whole: RankConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(whole.folder, tmp_path / "copy"))
    before = (folder / "scores.jsonl").read_bytes()
    run_ranking(dataclasses.replace(whole, out=str(folder), columns=("autoattack",)))
    assert "12 of 12 cells are scored already" in capsys.readouterr().err
    assert (folder / "scores.jsonl").read_bytes() == before
    assert list(json.loads((folder / "ranking.json").read_text())["rows"]) == ["autoattack"]


@pytest.mark.usefixtures("no_pictures")
def test_interrupted_and_resumed_it_ends_with_the_same_file(
    whole: RankConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = dataclasses.replace(whole, out=str(tmp_path / "cut"))
    make = run.make_scorer

    def interrupting(config: RankConfig) -> tuple[Callable[[Genotype], Any], str]:
        scorer, source = make(config)
        left = [8]  # Three calls estimate the time.

        def score(genotype: Genotype) -> dict[str, float]:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return scorer(genotype)

        return score, source

    message = r"interrupted with 5 of 12 cells in .*scores\.jsonl; the same command goes on"
    with monkeypatch.context() as patch, pytest.raises(UserError, match=message):
        patch.setattr(run, "make_scorer", interrupting)
        run_ranking(cut, quiet=True)
    assert not (tmp_path / "cut" / "ranking.json").exists()
    resumed = run_ranking(cut, quiet=True)
    for name in ("scores.jsonl", "ranking.json", "ranking.md"):
        assert (resumed / name).read_bytes() == (Path(whole.folder) / name).read_bytes(), name


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_on_a_full_disk_it_stops_and_goes_on_when_there_is_room(
    whole: RankConfig, tmp_path: Path, share: float
) -> None:
    """The limit is on the size of each file: a line is cut where the disk ends."""
    size = int(share * (Path(whole.folder) / "scores.jsonl").stat().st_size)
    full = dataclasses.replace(whole, out=str(tmp_path / "full"))
    with largest_file(size), pytest.raises(OSError) as refused:
        run_ranking(full, quiet=True)
    assert refused.value.errno == errno.EFBIG
    assert Path(refused.value.filename).parent == tmp_path / "full"
    assert not list(tmp_path.rglob(".*.tmp"))
    resumed = run_ranking(full, quiet=True)
    for name in ("scores.jsonl", "ranking.json", "ranking.md"):
        assert (resumed / name).read_bytes() == (Path(whole.folder) / name).read_bytes(), name


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("share", SHARES)
def test_on_a_small_disk_it_stops_and_goes_on_when_there_is_room(
    whole: RankConfig, tmp_path: Path, share: float
) -> None:
    judged = Path(whole.folder)
    names = ("config.json", "scores.jsonl", "ranking.json", "ranking.md")
    size = sum(-(-(judged / name).stat().st_size // 4096) * 4096 for name in names)
    with small_disk(tmp_path / "disk", int(share * size)) as disk:
        full = dataclasses.replace(whole, out=str(disk.folder / "full"))
        with pytest.raises(OSError) as refused:
            run_ranking(full, quiet=True)
        assert refused.value.errno == errno.ENOSPC and is_on(refused.value, disk.folder)
        assert not list(disk.folder.rglob(".*.tmp"))
        disk.resize(10 * size)
        resumed = run_ranking(full, quiet=True)
        for name in names[1:]:
            assert (resumed / name).read_bytes() == (judged / name).read_bytes(), name


@pytest.mark.usefixtures("no_pictures")
def test_several_processes_write_the_same_file(whole: RankConfig, tmp_path: Path) -> None:
    two = run_ranking(dataclasses.replace(whole, processes=2, out=str(tmp_path / "two")))
    expected = (Path(whole.folder) / "scores.jsonl").read_bytes()
    assert (two / "scores.jsonl").read_bytes() == expected


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for workers in /proc")
def test_ray_writes_the_same_file_and_repeats_what_a_kill_has_ended(
    whole: RankConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[sweep]'")
    config = dataclasses.replace(whole, workers="ray", processes=2, out="ray")
    monkeypatch.chdir(tmp_path)
    with one_killed("_score_on_ray"):
        folder = run_ranking(config, quiet=True)
    for name in ("scores.jsonl", "ranking.json"):
        assert (folder / name).read_bytes() == (Path(whole.folder) / name).read_bytes(), name


def test_scores_come_in_the_order_of_the_cells() -> None:
    cells = [Genotype.parse(code) for code in ("333333", "111111", "222222")]
    found = {cells[2]: {"a": 2.0}, cells[0]: {"a": 0.0}, cells[1]: {"a": 1.0}}
    assert [s["a"] for s in run._in_order(iter(found.items()), cells)] == [0.0, 1.0, 2.0]
    lost = [(cells[0], {"a": 0.0}), (cells[1], Lost("OutOfMemoryError: full"))]
    scores = run._in_order(iter(lost), cells)
    assert next(scores) == {"a": 0.0}
    with pytest.raises(UserError, match=r"cell 111111 was not scored \(OutOfMemoryError: full\)"):
        next(scores)


def test_without_ray_nothing_is_written(
    config: RankConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--workers ray needs Ray\. Ray is not installed; install"):
        run_ranking(dataclasses.replace(config, workers="ray"))
    assert not Path(config.folder).exists()


@pytest.mark.usefixtures("no_pictures")
def test_says_how_long_it_will_take(config: RankConfig, capsys: pytest.CaptureFixture[str]) -> None:
    run_ranking(config)
    assert "12 cells to score, about " in capsys.readouterr().err


def test_the_estimate_follows_the_cells_cost(
    config: RankConfig, monkeypatch: pytest.MonkeyPatch, invented: Any
) -> None:
    """Cells that cost 1 s plus 1 s per share of the dearest cell's multiply-adds."""
    clock = [0.0]
    low, high = Genotype.parse("111111").flops(), Genotype.parse("333333").flops()

    def seconds(genotype: Genotype) -> float:
        return 1 + (genotype.flops() - low) / (high - low)

    def scorer(genotype: Genotype) -> dict[str, float]:
        clock[0] += seconds(genotype)
        return {}

    monkeypatch.setattr(run.time, "perf_counter", lambda: clock[0])
    cells = draw_cells(invented, dataclasses.replace(config, cells=50))
    expected = sum(seconds(cell.genotype) for cell in cells)
    assert estimate_seconds(config, scorer, cells) == pytest.approx(expected)
    two = dataclasses.replace(config, processes=2)
    assert estimate_seconds(two, scorer, cells) == pytest.approx(expected / 2)


@pytest.mark.usefixtures("no_pictures")
def test_shipped_scores_are_judged_without_images(tmp_path: Path, real: Table) -> None:
    config = RankConfig(
        shipped=True, cells=200, bootstrap=0, columns=("pgd_8", "cifar100:pgd_8"),
        combine=("naswot+parameters",), out=str(tmp_path / "shipped"),
    )  # fmt: skip
    folder = run_ranking(config, quiet=True)
    assert not (folder / "scores.jsonl").exists()
    ranking = json.loads((folder / "ranking.json").read_text())
    scores = free_scores()
    names = {*scores.names, *SUMS, "naswot+parameters", "parameters", "one-hot ridge"}
    assert set(ranking["rows"]["cifar100:pgd_8"]) == names
    assert ranking["images"].startswith("shipped: training-free scores on 32 training images")
    rows = [cell.row for cell in draw_cells(real, config)]
    truth = real.values("cifar100", "pgd_8")[rows]
    found = ranking["rows"]["cifar100:pgd_8"]["jacob_cov"]["all"]["kendall"]["value"]
    assert found == pytest.approx(kendall(scores.of("jacob_cov")[rows], truth))
    (folder / "scores.jsonl").touch()
    with pytest.raises(UserError, match=r"holds a ranking of other scores; give another --out"):
        run_ranking(config, quiet=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shipped": True, "proxies": None, "combine": ("snip+zen",)}, "'snip' is none of"),
        ({"proxies": ("zen",)}, "unknown score 'zen'"),
        ({"columns": ("pgd",)}, "unknown column 'pgd'"),
        ({"combine": ("snip+zen",)}, "'zen' is none of|'snip' is none of"),
        ({"dataset": "svhn"}, "unknown data set 'svhn'"),
        ({"data_root": "/nowhere"}, "is not a folder"),
        ({"supernet": "/nowhere"}, "is not a run directory"),
    ],
)
def test_bad_input_leaves_nothing(config: RankConfig, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_ranking(dataclasses.replace(config, **fields), quiet=True)
    assert not Path(config.folder).exists()
