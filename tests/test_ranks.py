"""The processes that tests fork do nothing of their parent's."""

import gc
import os
from pathlib import Path

from supernet.distributed import Ranks
from tests.ranks import together


class Joins:
    """Stands for what joins a thread when it goes: a forked process, without that thread, hangs."""

    def __init__(self, left: Path) -> None:
        self.left, self.owner, self.itself = left, os.getpid(), self

    def __del__(self) -> None:
        if os.getpid() != self.owner:
            self.left.touch()


def test_a_child_does_not_collect_what_its_parent_dropped(tmp_path: Path) -> None:
    def collect(ranks: Ranks) -> int:
        gc.collect()
        return ranks.rank

    gc.disable()
    try:
        Joins(tmp_path / "joined")  # refers to itself: only the collector frees it
        assert together(2, collect, tmp_path / "ranks") == [0, 1]
    finally:
        gc.enable()
    assert not (tmp_path / "joined").exists()
