"""A page in a real browser, where one is installed: every chart is drawn, without network."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.supernet.report.page.reading import Reading

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="neither chromium nor google-chrome is installed"),
]


def _opened(path: Path, home: Path) -> str:
    """The document after the page's script has run."""
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}",
         "--virtual-time-budget=20000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def test_every_chart_is_drawn(full: Path, page: Reading, tmp_path: Path) -> None:
    opened = _opened(full / "report.html", tmp_path)
    charts = [a for tag, a in page.elements if tag == "div" and a.get("class") == "plot"]
    assert len(charts) > 12
    assert opened.count('class="plot js-plotly-plot"') == len(charts)
    assert 'class="problem"' not in opened
    assert opened.count('<option value="pgd_8">') == 2


def test_a_page_that_cannot_draw_says_so(full: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    html = (full / "report.html").read_text()
    broken.write_text(html.replace('id="plotly">H4sI', 'id="plotly">AAAA'))
    opened = _opened(broken, tmp_path / "home")
    assert "The charts cannot be drawn here" in opened and "js-plotly-plot" not in opened
