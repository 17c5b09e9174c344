"""Runs without the rendering of figures, which takes most of a short run's time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest


@contextmanager
def not_rendered() -> Iterator[None]:
    """Figures are made as always, but their files hold a word and TensorBoard's are blank.

    What figures show, and that they are written, is tested where they are drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def savefig(figure: Figure, stream: BinaryIO, **settings: object) -> None:
        stream.write(b"not rendered")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        patch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)
        yield
