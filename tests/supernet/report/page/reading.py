"""Reads a page as a browser does: its tables, texts, scripts, and the data in them."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Reading(HTMLParser):
    """What a page holds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self._script: str | None = None
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._script = dict(attrs).get("id") or tag
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = None
        elif tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
            return
        self.words.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        """All text that is shown, without line breaks."""
        return re.sub(r"\s+", " ", "".join(self.words))

    @property
    def data(self) -> dict[str, Any]:
        """The charts and the scatter."""
        content: dict[str, Any] = json.loads(self.scripts["data"])
        return content

    def unpacked(self, name: str) -> bytes:
        """What a script element holds as base64 of gzip."""
        return gzip.decompress(base64.b64decode(self.scripts[name]))

    def values(self) -> NDArray[np.float64]:
        """(20, R) the benchmark's values."""
        return np.frombuffer(self.unpacked("values"), dtype="<f8").reshape(20, -1)

    def panels(self, title: str) -> Iterator[dict[str, Any]]:
        """The panels of this title, of all charts."""
        for chart in self.data["charts"].values():
            yield from (panel for panel in chart["panels"] if panel["title"] == title)

    def trace(self, title: str, name: str) -> dict[str, Any]:
        """The one trace of this name in the first panel of this title."""
        panel = next(self.panels(title))
        (found,) = [trace for trace in panel["traces"] if trace["name"] == name]
        return dict(found)
