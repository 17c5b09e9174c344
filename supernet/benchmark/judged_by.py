"""By which column of the table a run is judged."""

from supernet.benchmark.table import DATASETS


def judged_by(dataset: str, robust: bool) -> tuple[str, str]:
    """(data set, column): the run's own data set where the table has it, else cifar10; PGD at 8/255
    for a robust search, clean accuracy for an ordinary one."""
    return dataset if dataset in DATASETS else "cifar10", "pgd_8" if robust else "clean"
