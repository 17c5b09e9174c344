"""What scripts/report.py writes, and what it refuses in one sentence."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from supernet.benchmark.table import Table
from tests.scripts.inprocess import ROOT, run_script
from tests.supernet.report.runs import write_run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Figure, "savefig", lambda self, stream, **options: None)


def test_the_report_of_a_finished_search(tmp_path: Path, real: Table) -> None:
    write_run(tmp_path / "run", real)
    done = run_script("report.py", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "run/report.md\nrun/report.html\n"), done.stderr
    assert "--genotype run/genotype.json" in (tmp_path / "run" / "report.html").read_text()
    done = run_script("report.py", "run", "--html", "there.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "run/report.md\nthere.html\n")
    there = (tmp_path / "there.html").read_text()
    assert there == (tmp_path / "run" / "report.html").read_text()


def test_several_runs_and_the_seeds_of_a_search(tmp_path: Path, real: Table) -> None:
    for seed in (3, 4):
        write_run(tmp_path / "seeds" / f"seed-{seed}", real, seed=seed)
    runs = {"runs": [{"seed": 3}, {"seed": 4}]}
    (tmp_path / "seeds" / "seeds.json").write_text(json.dumps(runs))
    done = run_script("report.py", "seeds/seed-3", "seeds/seed-4", "--html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "comparison.html\n"), done.stderr
    done = run_script("report.py", "seeds", "--html", "seeds.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "seeds.html\n"), done.stderr
    pages = [(tmp_path / name).read_text() for name in ("comparison.html", "seeds.html")]
    assert pages[0] == pages[1] and "<td" in pages[0] and "seed-4" in pages[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: RUN"),
        (["absent"], "absent is not a run directory (it has no config.json)"),
        (["training"], f"training holds a training, not a search; {ROOT}/scripts/train.py made it"),
        (["old"], "old has format 1"),
        (["stopped"], f"finish it with python {ROOT}/scripts/search.py --resume stopped"),
        (["run", "stopped"], "stopped holds no finished search (genotype.json is missing)"),
        (["run", "./run"], "run is given twice"),
    ],
)
def test_what_is_refused(tmp_path: Path, real: Table, arguments: list[str], message: str) -> None:
    for name, facts in (("run", {}), ("stopped", {}), ("training", {"kind": "training"}),
                        ("old", {"format": 1})):  # fmt: skip
        folder = write_run(tmp_path / name, real)
        content = json.loads((folder / "config.json").read_text()) | facts
        (folder / "config.json").write_text(json.dumps(content))
    (tmp_path / "stopped" / "genotype.json").unlink()
    done = run_script("report.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1 and message in done.stderr
    assert not list(tmp_path.rglob("*.html"))
