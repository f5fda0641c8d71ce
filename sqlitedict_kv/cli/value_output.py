"""Value of an entry as a command prints it."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from typing import Any

from sqlitedict_kv.cli.printable import LINES, printable
from sqlitedict_kv.tools.value_tree import tree_of

FIRST_BYTES = 4096  # of bytes that are shown on a terminal


def write_value(value: Any) -> None:
    """Write a value: text and bytes as they are, anything else as JSON; on a terminal nothing that it would obey."""
    on_terminal = sys.stdout.isatty()
    if type(value) is bytes:
        if not on_terminal:
            write_bytes(value)
        else:
            _show_bytes(value)
    elif type(value) is str:
        sys.stdout.write(f"{printable(value, kept=LINES) if on_terminal else value}\n")
    else:
        text = json.dumps(tree_of(value), ensure_ascii=False, indent=2 if on_terminal else None)
        sys.stdout.write(f"{printable(text, kept=LINES)}\n")


def write_bytes(value: bytes | memoryview) -> None:
    """Write bytes as they are, and nothing after them."""
    sys.stdout.flush()
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


def _show_bytes(value: bytes) -> None:
    shown = repr(value[:FIRST_BYTES])
    more = f" … {len(value):,} bytes, --raw writes them all" if len(value) > FIRST_BYTES else ""
    sys.stdout.write(f"{shown}{more}\n")


def value_for_json(value: Any) -> dict[str, Any]:
    """Return what JSON says of a value: bytes as base64, anything else as a tree."""
    if type(value) is bytes:
        return {"base64": b64encode(value).decode("ascii")}
    return {"value": tree_of(value)}
