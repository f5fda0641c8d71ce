"""Images of Pillow as mode, size and pixels."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageFile

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

PIXEL_BYTES = {
    "L": 1, "P": 1, "LA": 2, "La": 2, "PA": 2, "I;16": 2, "I;16L": 2, "I;16B": 2, "RGB": 3, "YCbCr": 3, "LAB": 3,
    "HSV": 3, "RGBA": 4, "RGBa": 4, "RGBX": 4, "CMYK": 4, "I": 4, "F": 4,
}  # fmt: skip


def take_image(value: Image.Image) -> list[Any]:
    """Return mode, size, pixels, palette and info."""
    if _bytes_of(value.mode, value.size) is None:
        raise CodecError(f"an image of the mode {value.mode} cannot be kept; convert() it")
    palette = None
    if value.palette is not None:
        palette = [value.palette.mode, bytes(value.palette.tobytes())]
    return [value.mode, list(value.size), memoryview(value.tobytes()), palette, value.info]


def build_image(parts: list[Any]) -> Image.Image:
    """Return an image; the pixels are counted before there is one."""
    mode, size, pixels, palette, info = parts
    require(type(size) is list and len(size) == 2 and all(type(length) is int and length >= 0 for length in size))  # noqa: PLR2004 - width and height
    require(type(pixels) in (bytes, memoryview) and type(info) is dict)
    require(_bytes_of(mode, size) == len(pixels))
    made = Image.frombytes(mode, tuple(size), bytes(pixels)) if len(pixels) else Image.new(mode, tuple(size))
    if palette is not None:
        mode_of_palette, colours = palette
        require(type(colours) is bytes)
        made.putpalette(colours, mode_of_palette)
    made.info = info
    return made


def _bytes_of(mode: str, size: Any) -> int | None:
    """Return how many bytes the pixels take, None for a mode that is not kept."""
    width, height = map(int, size)
    if mode == "1":  # eight pixels a byte, and rows that begin with a byte
        return (width + 7) // 8 * height
    each = PIXEL_BYTES.get(mode)
    return None if each is None else each * width * height


def refuse_file(value: Any) -> list[Any]:
    """Raise CodecError: the image of a file holds that file."""
    raise CodecError(f"a {type(value).__name__} is tied to the file that it comes from; keep .copy() of it")


IMAGE = LibraryKind("PIL.Image", take_image, build_image)
FILE = LibraryKind("PIL.ImageFile", refuse_file, refuse_file)


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of Pillow."""
    if cls is Image.Image:
        return IMAGE
    return FILE if issubclass(cls, ImageFile.ImageFile) else None


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return IMAGE if name == IMAGE.name else None
