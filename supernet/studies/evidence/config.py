"""The settings of scripts/evidence.py. No torch."""

from dataclasses import dataclass

from supernet.benchmark.table import DATASETS
from supernet.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Each field is a command-line flag."""

    out: str = "docs/results/search/evidence"
    """Folder of evidence.json, and of notes.md, which the page ends with."""
    page: str = "docs/results/search.md"
    """The page that is written."""
    runs: str = "runs/evidence"
    """Folder of the run directories, DATASET/ROW-seedN each."""
    datasets: tuple[str, ...] = setting((), choices=DATASETS)
    """Data sets to run on. Automatic is all."""
    rows: tuple[str, ...] = ()
    """Rows to run. Automatic is all."""
    seeds: tuple[int, ...] = setting((), least=0, hint="5,6,7,8,9")
    """Seeds to run, in this order. Automatic is all of each row."""
    minutes: float | None = setting(None, least=0, hint="120")
    """Start no further run after so many minutes; those that run are finished. Automatic is to
    run all; 0 runs nothing, and records what finished elsewhere."""
    jobs: int = setting(1, least=1, most=1024)
    """Searches side by side, each with its share of the CPU cores. Searches of one data set and
    seed wait for each other, because they share short trainings."""
    search_flags: str | None = None
    """Further flags of scripts/search.py for every row, quoted as one: "--limit 20000". A row's
    own flags win. Automatic is none."""
    page_only: bool = False
    """Write the page from evidence.json as it is, and do nothing else."""
    data_root: str | None = None
    """Folder with data sets and benchmark tables; else ROBUST_SUPERNET_DATA, else ./data."""

    def __post_init__(self) -> None:
        check_settings(self)
