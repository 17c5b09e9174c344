"""The command line as users and scripts call it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from supernet.benchmark.standard import STANDARD_COLUMNS
from tests.scripts.inprocess import ROOT, Done, run_script
from tests.tables import small_form, write_small


def call(*arguments: str | Path, root: Path | None = None) -> Done:
    flags = [] if root is None else ["--data-root", root, "--no-verify"]
    return run_script("benchmark.py", *map(str, [*arguments, *flags]), cwd=root or Path.cwd())


def answer(*arguments: str | Path, root: Path) -> object:
    done = call(*arguments, "--json", root=root)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_query_gives_the_promised_fields(invented_root: Path, tmp_path: Path) -> None:
    cells = tmp_path / "cells.txt"
    cells.write_text("# two forms\n333333\n17  # an index\n")
    result = answer("query", "333133", "--from-file", cells, root=invented_root)
    assert isinstance(result, list) and [cell["code"] for cell in result][:2] == [
        "333133",
        "333333",
    ]
    assert result[2]["index"] == 17
    for cell in result:
        assert {"arch", "code", "index", "unique_index", "params", "flops"} <= set(cell)
        for dataset in ("cifar10", "cifar100", "imagenet16-120"):
            columns = {"clean", "fgsm_3", "pgd_3", "fgsm_8", "pgd_8", "autoattack"}
            assert set(cell["results"][dataset]) == set(cell["ranks"][dataset]) == columns
            assert 0 <= cell["results"][dataset]["clean"] <= 1


def test_query_reads_genotype_json_and_prints_baselines(
    invented_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps({"code": "111111", "arch": None}))
    done = call("query", "--from-file", path, root=invented_root)
    assert done.returncode == 0, done.stderr
    assert "code 111111" in done.stdout and "best of 150 random" in done.stdout


def test_it_answers_without_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)
    done = run_script("benchmark.py", "query", "9930", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)
    assert (cell["code"], cell["ranks"]["cifar10"]["pgd_8"]) == ("333133", 2)
    assert round(cell["results"]["cifar10"]["pgd_8"], 4) == 0.4779
    text = run_script("benchmark.py", "query", "111111", "--metric", "clean", cwd=tmp_path).stdout
    assert "No search, CIFAR-10, judged by clean:" in text and "better than       0 %" in text
    done = run_script("benchmark.py", "compare", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "put acc.json (standard-trained networks, attacked) from https://" in done.stderr


@pytest.mark.slow
def test_out_writes_json_and_figures(invented_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("front", "--objectives", "params,pgd_8", "--out", out, root=invented_root)
    assert done.returncode == 0, done.stderr
    stem = "front_cifar10_params_pgd_8"
    assert sorted(path.name for path in out.iterdir()) == [
        f"{stem}.json",
        f"{stem}.png",
        f"{stem}.svg",
    ]
    written = json.loads((out / f"{stem}.json").read_text())
    assert written["command"].startswith(f"python {ROOT}/scripts/benchmark.py front")
    assert written["table"][0]["verified"] is False
    assert written["result"]["cells"] and f"wrote {out / stem}.png" in done.stdout


def test_front_and_top_as_json(invented_root: Path) -> None:
    front = answer("front", "--objectives", "clean,pgd_8", root=invented_root)
    assert isinstance(front, dict)
    assert front["hypervolume"] > 0 and front["reference_point"]["clean"] == 0.1
    top = answer("top", "-k", "3", "--max-params", "0.8M", "--metric", "clean", root=invented_root)
    assert isinstance(top, list) and len(top) == 3
    values = [cell["results"]["cifar10"]["clean"] for cell in top]
    assert values == sorted(values, reverse=True)
    assert all(cell["params"] <= 800_000 for cell in top)


@pytest.mark.usefixtures("no_pictures")
def test_a_query_marks_its_cells_in_a_figure(invented_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("query", "333133", "111111", "--out", out, root=invented_root)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == {"query.json", "query.svg", "query.png"}
    many = call("query", *map(str, range(7)), "--out", tmp_path / "many", root=invented_root)
    assert many.returncode == 0, many.stderr
    assert [path.name for path in (tmp_path / "many").iterdir()] == ["query.json"]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.slow
def test_two_ways_of_training_are_compared(tmp_path: Path) -> None:
    write_small(tmp_path)
    columns = [f"cifar10#{name}" for name in STANDARD_COLUMNS]
    standard = f"acc={json.dumps(small_form(columns)[0])}"
    (tmp_path / "robbench201" / "acc.json").write_text(standard)
    done = call("compare", "--out", tmp_path / "out", root=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out" / "compare_cifar10.json").read_text())["result"]
    assert written["standard_columns"] == list(STANDARD_COLUMNS)
    (first, *_) = re.findall(r"^clean +(.*)$", done.stdout, re.M)
    assert first.split()[0] == "1.00", "the first columns of both are the same numbers"
    assert (tmp_path / "out" / "compare_cifar10.svg").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_baselines_stats_and_their_figures(invented_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("baselines", "--seeds", "2", "--queries", "45", "--out", out, root=invented_root)
    assert done.returncode == 0, done.stderr
    assert "nsga2" in done.stdout and "all skip" in done.stdout
    done = call("stats", "--out", out, root=invented_root)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in out.iterdir()}
    assert {"stats.json", "boxes.png", "baselines_cifar10_pgd_8_hypervolume.svg"} <= names
    assert not [name for name in names if name.endswith(".tmp")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query"], "name at least one cell"),
        (["query", "33333x"], "it needs 3, as in"),
        (["query", "15625"], "index 15625 is outside 0..15624"),
        (["query", "1", "--dataset", "svhn"], "unknown data set 'svhn'; choose from cifar10"),
        (["query", "--from-file", "/nowhere"], "cannot read cells from /nowhere"),
        (["top", "--metric", "pgd"], "unknown metric 'pgd'; choose from clean"),
        (["top", "--max-params", "10"], "no cell has params <= 10"),
        (["top", "--max-flops", "little"], "'little' is not an amount above zero"),
        (["stats", "--metric", "params"], "unknown metric 'params'"),
        (["front", "--objectives", "clean,size"], "unknown objective 'size'"),
        (["baselines", "--methods", "random,bayes"], "unknown method 'bayes'"),
        (["compare"], "acc.json is missing"),
        (["topp"], "invalid choice: 'topp'"),
    ],
)
def test_bad_input_is_one_sentence(invented_root: Path, arguments: list[str], message: str) -> None:
    done = call(*arguments, root=invented_root)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_html_instead_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "NAS-RobBench-201_html.json").write_text("<html><title>Sign in</title></html>")
    (tmp_path / "ops.json").write_text("arch=[];")
    done = run_script("benchmark.py", "query", "1", "--data-root", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "is an HTML page titled 'Sign in', not the table" in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_of_every_command_is_quick_to_import() -> None:
    code = (
        f"import runpy, sys; sys.argv = ['benchmark.py', 'top', '--help']\n"
        f"try: runpy.run_path({str(ROOT / 'scripts' / 'benchmark.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'scipy', 'matplotlib', 'pymoo', 'moocore'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--max-params" in done.stdout and "default: pgd_8" in done.stdout
