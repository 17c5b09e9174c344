"""scripts/evidence.py as users call it; what it runs is in the tests of studies/evidence."""

import shutil
from pathlib import Path

import pytest

from tests.scripts.inprocess import ROOT, run_script

RESULTS = ROOT / "docs" / "results"


@pytest.mark.usefixtures("no_pictures")
def test_the_page_of_the_committed_evidence(tmp_path: Path) -> None:
    out, page = tmp_path / "search" / "evidence", tmp_path / "search.md"
    out.mkdir(parents=True)
    for path in (RESULTS / "search" / "evidence").iterdir():
        if path.suffix in (".json", ".md"):
            shutil.copy(path, out)
    done = run_script(
        "evidence.py", "--page-only", "--out", str(out), "--page", str(page), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"written to {page}\n"
    assert page.read_text() == (RESULTS / "search.md").read_text()


def test_there_is_no_page_without_evidence(tmp_path: Path) -> None:
    done = run_script("evidence.py", "--page-only", "--out", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: there is no none/evidence.json; call without --page-only first\n"
    )
    assert list(tmp_path.iterdir()) == []
