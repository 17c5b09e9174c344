"""By which column of the table a run is judged, and which data sets of it may advise the run."""

from supernet.benchmark.table import DATASETS


def judged_by(dataset: str, robust: bool) -> tuple[str, str]:
    """(data set, column): the run's own data set where the table has it, else cifar10; PGD at 8/255
    for a robust search, clean accuracy for an ordinary one."""
    return dataset if dataset in DATASETS else "cifar10", "pgd_8" if robust else "clean"


def other_datasets(dataset: str) -> tuple[str, ...]:
    """The benchmark's data sets without this one: all three for images that it does not know."""
    return tuple(name for name in DATASETS if name != dataset)
