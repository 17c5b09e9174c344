"""Decodes one picture file to a square of 8-bit RGB, within bounds on pixels and bytes."""

import contextlib
import functools
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from supernet.data.splits import PixelArray
from supernet.errors import UserError

FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k"),
    "AVIF": (".avif",),
    "TGA": (".tga",),
}
"""Pillow's decoder -> the names that promise it. No other decoder is tried, whatever a file holds:
some of Pillow's start other programs."""
UNMARKED = ("DIB", "TGA")
"""Files of these have no mark to know them by, so only their own names start their decoders."""
OPTIONAL = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}
"""Decoder -> the part of Pillow that not every build of it has."""

MOST_PIXELS = 80_000_000
"""Of a picture, and of all that are decoded at a time: 320 MB in Pillow, and as much again to turn
them upright. Pillow itself warns from 89 million on."""
MOST_BYTES = 8 * MOST_PIXELS
"""Of a file: 16-bit RGBA that is not compressed. Some decoders read the whole file first."""
DARK = 1 / 16
"""Share of its range below which a 16-bit picture is dark: it would keep 16 of 256 grey levels."""

DEEP, DIM, TRANSPARENT, FRAMES = "16-bit", "dark", "transparent", "several frames"
"""What is remarkable of a picture."""


class _Unfit(Exception):
    """What is wrong with a picture that could be decoded: the rest of a sentence after its name."""


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """The keys of FORMATS that the Pillow here can decode."""
    return tuple(name for name in FORMATS if name not in OPTIONAL or _is_built(OPTIONAL[name]))


def _is_built(feature: str) -> bool:
    return feature in (*features.modules, *features.codecs) and bool(features.check(feature))


def read_picture(path: Path, side: int) -> tuple[PixelArray, frozenset[str]]:
    """The picture upright, covering a square and cropped at its centre, and what is remarkable.

    Grey values of more than 8 bits are scaled to 8 by their full range, v * 255 / (2^bits - 1);
    transparent parts show white; of several frames the first is read.

    Shapes:  (side, side, 3) uint8.
    Raises:  UserError naming the file when it is damaged, holds no format of FORMATS, is too
             large, or has values whose range is not known (32 bits, floating point).
    """
    try:
        with _opened(path) as stream:
            return _read(stream, path, side)
    except _Unfit as error:
        raise UserError(f"{path} {error}") from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path} has over {2 * MOST_PIXELS:,} pixels, and at most {MOST_PIXELS:,} are read;"
            " make it smaller or remove it"
        ) from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path} is not a readable picture (it holds none of {', '.join(_formats(path))});"
            " replace or remove it"
        ) from error
    # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and more for bad files.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path} is not a readable picture ({reason}); replace or remove it"
        ) from error


def shorter_side(path: Path) -> int | None:
    """The shorter side in pixels, from the beginning of the file; None where it cannot be read,
    which `read_picture` tells of."""
    try:
        with _opened(path) as stream, Image.open(stream, formats=_formats(path)) as picture:
            return min(picture.size)
    except Exception:  # Pillow's plugins raise many kinds
        return None


class _Sized(io.BufferedReader):
    """A file of which no more is read than it has: a plugin asks for what a header claims, and
    Python makes room for that first."""

    size: int

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.size:
            size = max(self.size - self.tell(), 0)
        return super().read(size)


def _opened(path: Path) -> _Sized:
    stream = _Sized(io.FileIO(path))
    stream.size = os.fstat(stream.fileno()).st_size
    return stream


def _formats(path: Path) -> list[str]:
    suffix = path.suffix.lower()
    return [n for n in readable_formats() if n not in UNMARKED or suffix in FORMATS[n]]


def _read(stream: _Sized, path: Path, side: int) -> tuple[PixelArray, frozenset[str]]:
    if stream.size > MOST_BYTES:
        raise _Unfit(f"is larger than {MOST_BYTES:,} bytes; make it smaller or remove it")
    with Image.open(stream, formats=_formats(path)) as picture:
        pixels = picture.width * picture.height
        if pixels > MOST_PIXELS:
            raise _Unfit(
                f"has {picture.width:,} x {picture.height:,} pixels, and at most {MOST_PIXELS:,}"
                " are read; make it smaller or remove it"
            )
        with _DECODED.taken(pixels):
            try:
                return _decode(picture, side)
            finally:
                picture.close()  # its pixels are gone before another thread takes their room


def _decode(picture: Image.Image, side: int) -> tuple[PixelArray, frozenset[str]]:
    # In place: a copy would double the memory of every picture.
    ImageOps.exif_transpose(picture, in_place=True)
    upright, found = _to_8_bits(picture)
    square = ImageOps.fit(upright, (side, side), Image.Resampling.BICUBIC)
    return np.asarray(square.convert("RGB")), found | _frames(picture)


def _to_8_bits(picture: Image.Image) -> tuple[Image.Image, frozenset[str]]:
    """The picture as RGB or grey of 8 bits, without transparency."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _scaled(picture)
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBa", "La"):
        return _on_white(picture.convert("RGBA"))
    if picture.mode == "RGBA":
        return _on_white(picture)
    return (picture if picture.mode == "RGB" else picture.convert("RGB")), frozenset()


def _scaled(picture: Image.Image) -> tuple[Image.Image, frozenset[str]]:
    full = _full_range(picture)
    raw = np.asarray(picture)
    values = raw.astype(np.uint32)
    if getattr(picture, "tag_v2", {}).get(262) == 0:  # white is zero; Pillow turns 8 bits only
        values = full - values
    found = {DEEP, DIM} if values.max() < DARK * full else {DEEP}
    values *= 255
    values += full // 2
    values //= full
    if "transparency" in picture.info:
        hidden = raw == picture.info["transparency"]
        values[hidden] = 255
        found |= {TRANSPARENT} if hidden.any() else set()
    return Image.fromarray(values.astype(np.uint8)), frozenset(found)


def _full_range(picture: Image.Image) -> int:
    """The largest value that the picture's format allows."""
    if picture.mode.startswith("I;16"):
        (bits,) = getattr(picture, "tag_v2", {}).get(258, (16,))
        return int(2**bits - 1)
    if picture.mode == "I" and picture.format in ("PNG", "PPM"):  # Pillow scales both to 16 bits
        return 2**16 - 1
    kind = "floating-point" if picture.mode == "F" else "32-bit or signed"
    raise _Unfit(
        f"has {kind} values, whose range is not known; save it with 8 or 16 bits or remove it"
    )


def _on_white(picture: Image.Image) -> tuple[Image.Image, frozenset[str]]:
    alpha = picture.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return picture.convert("RGB"), frozenset()
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=alpha)
    return white, frozenset({TRANSPARENT})


def _frames(picture: Image.Image) -> frozenset[str]:
    # Phones hide a depth map in a second frame of a JPEG (MPO): it is no other picture.
    if picture.format == "MPO":
        return frozenset()
    # Looking for a second frame may fail where the first one is sound.
    with contextlib.suppress(Exception):
        return frozenset({FRAMES} if getattr(picture, "is_animated", False) else ())
    return frozenset()


class _Bound:
    """Lets threads decode side by side as long as their pictures together stay below a bound."""

    def __init__(self, pixels: int) -> None:
        self._free, self._changed = pixels, threading.Condition()

    @contextlib.contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


_DECODED = _Bound(MOST_PIXELS)
