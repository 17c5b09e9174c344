"""The section on proposals says what genotype.json says, and when its ranks prove nothing."""

import json
from pathlib import Path

import pytest

from supernet.benchmark.rows import query_cell
from supernet.benchmark.table import Table
from supernet.report.proposals import section
from supernet.report.run_files import RunFiles
from tests.supernet.report.runs import ARGMAX, FOUND, OTHER, write_run


def test_a_line_for_each_part(tmp_path: Path, invented: Table) -> None:
    run = RunFiles.read(write_run(tmp_path, invented), invented)
    lines = "\n\n".join(section(run)).splitlines()
    for words, cell in (
        ("supernet alone", FOUND),
        ("free scores alone", ARGMAX),
        ("prior alone", OTHER),
        ("prior and free scores", OTHER),
    ):
        entry = query_cell(invented, cell)
        value, rank, regret = (
            entry[name]["cifar10"]["pgd_8"] for name in ("results", "ranks", "regret")
        )
        shown = f"{100 * value:.2f} % | {rank:,} | {100 * regret:.2f} |"
        assert f"| {words} | `{cell.code}` | {cell.params() / 1e6:.2f} M | {shown}" in lines


def test_without_a_trained_supernet_none_is_named(tmp_path: Path, invented: Table) -> None:
    folder = write_run(tmp_path, invented)
    record = json.loads((folder / "genotype.json").read_text())
    del record["proposals"]["cells"]["gains"]
    (folder / "genotype.json").write_text(json.dumps(record))
    text = "\n".join(section(RunFiles.read(folder, invented)))
    assert "| prior and free scores |" in text
    assert "supernet" not in text


@pytest.mark.parametrize(
    ("used", "datasets", "words"),
    [
        (False, ["cifar100"], "says of CIFAR-100; this search does not follow it"),
        (True, ["cifar100", "imagenet16-120"],
         "says of CIFAR-100 and ImageNet16-120, and this search follows it."),
        (True, ["cifar10", "cifar100", "imagenet16-120"],
         "CIFAR-10, CIFAR-100 and ImageNet16-120. It holds the column that judges here"),
    ],
)  # fmt: skip
def test_what_the_prior_is(
    tmp_path: Path, invented: Table, used: bool, datasets: list[str], words: str
) -> None:
    folder = write_run(tmp_path, invented)
    record = json.loads((folder / "genotype.json").read_text())
    record["proposals"] |= {"prior_used": used, "prior_datasets": datasets}
    (folder / "genotype.json").write_text(json.dumps(record))
    text = "\n".join(section(RunFiles.read(folder, invented)))
    assert words in text
    assert ("prove nothing" in text) == ("cifar10" in datasets)
