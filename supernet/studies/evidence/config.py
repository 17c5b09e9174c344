"""The settings of scripts/evidence.py. No torch."""

from dataclasses import dataclass

from supernet.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Each field is a command-line flag."""

    out: str = "docs/results/search/evidence"
    """Folder of evidence.json, and of notes.md, which the page ends with."""
    page: str = "docs/results/search.md"
    """The page that is written."""
    runs: str = "runs/evidence"
    """Folder of the run directories, ROW-seedN each."""
    rows: tuple[str, ...] = ()
    """Rows to run. Automatic is all."""
    seeds: tuple[int, ...] = setting((), least=0, hint="0,1,2")
    """Seeds to run. Automatic is all of each row."""
    minutes: float | None = setting(None, least=0, hint="120")
    """Start no further run after so many minutes; the one that runs is finished. Automatic is to
    run all; 0 runs nothing, and records what finished elsewhere."""
    search_flags: str | None = None
    """Further flags of scripts/search.py for every row, quoted as one: "--epochs 20 --limit 20000".
    Automatic is none."""
    rankings: tuple[str, ...] = ()
    """Files ranking.json of scripts/rank.py: the cells that their scores choose become rows."""
    page_only: bool = False
    """Write the page from evidence.json as it is, and do nothing else."""
    data_root: str | None = None
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""

    def __post_init__(self) -> None:
        check_settings(self)
