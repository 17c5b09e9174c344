"""The benchmark tables of `tests.tables` as fixtures."""

from tests.tables import invented, invented_root, real

__all__ = ["invented", "invented_root", "real"]
