"""View of a memoized function for a notebook."""

from __future__ import annotations

from typing import Any


def show_function(function: Any) -> str:
    """Return what happened to the calls of a memoized function, and what is in its key, as HTML."""
    from sqlitedict_kv.display.html import fact_table  # noqa: PLC0415 - for notebooks alone
    from sqlitedict_kv.display.short import shorten  # noqa: PLC0415 - likewise

    info = function.cache_info()._asdict()
    shown = ("hits", "misses", "computed")
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in info.items() if name in shown or count]
    parts = function.cache_identity()
    for name, part in parts.items():
        if name == "closure":
            rows += [(f"in the key: {variable} (closed over)", shorten(str(text))) for variable, text in part.items()]
        else:
            rows.append((f"in the key: {name}", shorten(str(part))))
    return fact_table(f"Memoized {function.__module__}.{function.__qualname__}", rows)
