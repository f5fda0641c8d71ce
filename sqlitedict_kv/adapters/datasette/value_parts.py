"""Parts of a value that a page shows: a tree, a text, an image, the rows of a frame, the figures of an array.

All of them are bounded, however large the value is, and are plain text, which the templates escape. An image is handed
to the browser only if it is of a kind that holds nothing but pixels.
"""

from __future__ import annotations

import io
from base64 import b64encode
from itertools import islice
from math import isfinite
from typing import Any, NamedTuple

from sqlitedict_kv.adapters.datasette.charts import Plot, draw_histogram, draw_line
from sqlitedict_kv.display.short import brief_value, shorten
from sqlitedict_kv.tools.value_tree import class_of, tree_of

MOST_ITEMS = 100  # of one list or dict
MOST_NODES = 2000  # of a tree
DEEPEST = 20
MOST_TEXT = 20_000  # characters of a text
MOST_LEAF = 500  # characters of a text in a tree
MOST_ROWS, MOST_COLUMNS = 20, 20
MOST_PLOTTED = 400
MOST_IMAGE = 8 * 2**20  # bytes
LARGEST_SIDE = 1200  # pixels of a picture that is made for the page

RASTER = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Node(NamedTuple):
    """An item of a tree: what it is called, its text, and the items in it, of which *hidden* are left out."""

    label: str
    text: str
    children: tuple[Node, ...] = ()
    hidden: int = 0


class Parts(NamedTuple):
    """What a page shows of a value.

    Attributes:
        kind: the class of the value.
        tree: its items; None where it has none.
        text: the beginning of a text, or None.
        image: a ``data:`` URL of an image, or None.
        columns: the names of a frame's columns.
        rows: its first rows.
        plot: a drawing of an array.
        note: what was left out.
    """

    kind: str
    tree: Node | None = None
    text: str | None = None
    image: str | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plot: Plot | None = None
    note: str = ""


def parts_of(value: Any) -> Parts:
    """Return what a page shows of a value."""
    kind, library = class_of(value), type(value).__module__.partition(".")[0]
    if isinstance(value, str):
        note = f"the first {MOST_TEXT:,} of {len(value):,} characters" if len(value) > MOST_TEXT else ""
        return Parts(kind, text=value[:MOST_TEXT], note=note)
    if isinstance(value, bytes | bytearray | memoryview):
        return _of_bytes(bytes(value), kind)
    if library == "PIL":
        return Parts(kind, tree=make_tree(tree_of(value)), image=_picture(value))
    if library in FRAMES and (table := FRAMES[library](value)) is not None:
        return Parts(kind, tree=make_tree(tree_of(value)), columns=table[0], rows=table[1], note=table[2])
    plot = _plot(value) if library == "numpy" else None
    return Parts(kind, tree=make_tree(tree_of(value)), plot=plot)


def _of_bytes(value: bytes, kind: str) -> Parts:
    media_type = next((name for begin, name in RASTER if value.startswith(begin)), None)
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        media_type = "image/webp"
    if media_type is not None and len(value) <= MOST_IMAGE:
        return Parts(kind, image=_data_url(media_type, value))
    first = value[:MOST_LEAF]
    note = f"the first {MOST_LEAF} of {len(value):,} bytes" if len(value) > MOST_LEAF else ""
    return Parts(kind, text=repr(first), note=note)


def _data_url(media_type: str, value: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(value).decode('ascii')}"


def _picture(image: Any) -> str | None:
    """Return an image of Pillow as PNG, made smaller if it is large; None where there is nothing to see."""
    if not all(image.size) or not hasattr(image, "save"):
        return None
    step = max(1, -(-max(image.size) // LARGEST_SIDE))
    small = image.reduce(step) if step > 1 and image.mode not in {"P", "1", "PA"} else image
    written = io.BytesIO()
    mode = "RGBA" if "A" in small.mode.upper() or small.mode == "P" else "RGB"
    (small if small.mode in {"1", "L", "RGB", "RGBA"} else small.convert(mode)).save(written, "PNG")
    return _data_url("image/png", written.getvalue())


# -- trees


def make_tree(value: Any, label: str = "") -> Node:
    """Return a bounded tree of what JSON can say."""
    return _Budget().node(label, value, 0)


class _Budget:
    """The nodes that a tree may still have."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def node(self, label: str, value: Any, depth: int) -> Node:
        """Return a value and what it holds, as long as nodes are left."""
        self._left -= 1
        if not isinstance(value, dict | list):
            return Node(shorten(label), _leaf(value))
        count = len(value)
        noun = "item" if count == 1 else "items"
        text = f"{{{count:,} {noun}}}" if isinstance(value, dict) else f"[{count:,} {noun}]"
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        items = []
        for name, item in islice(pairs, MOST_ITEMS if depth < DEEPEST else 0):
            if self._left <= 0:
                break
            items.append(self.node(str(name), item, depth + 1))
        return Node(shorten(label), text, tuple(items), count - len(items))


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        shown = value if len(value) <= MOST_LEAF else f"{value[:MOST_LEAF]}…"
        return f'"{shown}"'
    return {None: "null", True: "true", False: "false"}[value] if value in (None, True, False) else brief_value(value)


# -- arrays and frames


def _plot(value: Any) -> Plot | None:
    """Return a line through a vector, or how often the numbers of any other array lie where."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.kind not in "biuf" or not getattr(value, "size", 0) or not hasattr(value, "reshape"):
        return None
    if value.ndim == 1:
        step = max(1, -(-value.size // MOST_PLOTTED))
        return draw_line(_finite(value[::step]))
    step = max(1, value.size // 10_000)
    return draw_histogram(_finite(value.reshape(-1)[::step]))


def _finite(numbers: Any) -> list[float]:
    found = [float(each) for each in numbers.tolist()]
    return [each for each in found if isfinite(each)]


Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...], str]


def _table(names: list[Any], rows: Any, count: int, width: int) -> Table:
    columns = tuple(shorten(str(name), 80) for name in names)
    cells = tuple(tuple(_cell(cell) for cell in row) for row in rows)
    cut = count > MOST_ROWS or width > MOST_COLUMNS
    note = f"the first rows and columns of {count:,} rows and {width:,} columns" if cut else ""
    return columns, cells, note


def _cell(value: Any) -> str:
    return shorten(value) if isinstance(value, str) else brief_value(value)


def _pandas(value: Any) -> Table | None:
    frame = value.to_frame() if hasattr(value, "to_frame") and not hasattr(value, "columns") else value
    if not hasattr(frame, "iloc"):
        return None
    count, width = frame.shape
    shown = frame.iloc[:MOST_ROWS, :MOST_COLUMNS]
    rows = [(index, *row) for index, row in zip(shown.index.tolist(), _pandas_rows(shown), strict=True)]
    return _table(["", *shown.columns.tolist()], rows, count, width)


def _pandas_rows(frame: Any) -> Any:
    columns = [frame.iloc[:, place].tolist() for place in range(frame.shape[1])]
    return zip(*columns, strict=True) if columns else [()] * len(frame)


def _polars(value: Any) -> Table | None:
    frame = value.to_frame() if hasattr(value, "to_frame") else value
    if not hasattr(frame, "rows"):
        return None
    count, width = frame.shape
    shown = frame[:MOST_ROWS, :MOST_COLUMNS]
    return _table(shown.columns, shown.rows(), count, width)


def _arrow(value: Any) -> Table | None:
    if not hasattr(value, "column_names") or not hasattr(value, "slice"):
        return None
    count, width = value.shape
    shown = value.slice(0, MOST_ROWS)
    columns = [shown.column(place).to_pylist() for place in range(min(width, MOST_COLUMNS))]
    return _table(value.column_names[:MOST_COLUMNS], list(zip(*columns, strict=True)), count, width)


FRAMES = {"pandas": _pandas, "polars": _polars, "pyarrow": _arrow}
