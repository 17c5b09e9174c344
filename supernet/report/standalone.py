"""The section on the found cell's own network: trained alone, attacked, beside the table."""

from typing import Any

from supernet.report.markdown import pixels, table
from supernet.report.run_files import RunFiles


def section(run: RunFiles) -> list[str]:
    """A table per evaluation.json; nothing where there is none."""
    blocks: list[str] = []
    for path, evaluation in run.evaluations:
        where = path.parent.relative_to(run.folder)
        blocks += [_intro(str(where), evaluation), _results(evaluation)]
    return ["## Stand-alone network", *blocks] if blocks else []


def _intro(where: str, evaluation: dict[str, Any]) -> str:
    return f"`{where}`"


def _results(evaluation: dict[str, Any]) -> str:
    rows = [[r["attack"], pixels(r["eps"]), f"{r['accuracy']:.2%}"] for r in evaluation["results"]]
    return table(["attack", "eps", "accuracy"], rows, align="llr")
