"""What a run says before its first step; test_search_run.py and its neighbours have the rest."""

import pytest

from supernet.distributed import ALONE, Ranks
from supernet.runs.loop import warn_of_few_images


@pytest.mark.parametrize(
    ("batch_size", "count", "synchronised", "said"),
    [
        (4, 1, True, ""),
        (4, 1, False, ""),
        (3, 1, True, "from 3 images of a step: "),
        (1, 1, False, "from 1 image of a step: "),
        (8, 4, True, ""),
        (2, 2, True, "from 2 images of a step: "),
        (8, 4, False, "from 2 images of a step in each process, because of --no-sync-batch-norm: "),
        (7, 4, False, "from 1 image of a step in each process, because"),
        (16, 4, False, ""),
    ],
)
def test_few_images_for_batch_norm_are_said(
    batch_size: int, count: int, synchronised: bool, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ranks = ALONE if count == 1 else Ranks(count=count, local_count=count)
    warn_of_few_images(batch_size, ranks, synchronised=synchronised)
    found = capsys.readouterr().err
    assert (said in found) if said else found == ""
    remedy = "raise --batch-size or leave --no-sync-batch-norm out\n"
    assert found.endswith(remedy) == ("each process" in said)
