"""report.md of a run directory: what was found, how good it is, and how it came about."""

from supernet.report.write import write_report

__all__ = ["write_report"]
