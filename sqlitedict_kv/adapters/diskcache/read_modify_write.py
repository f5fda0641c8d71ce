"""Read-modify-write of an entry in one step: numbers, and functions of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlitedict_kv.adapters._compat.key_encoding import Name
from sqlitedict_kv.adapters.diskcache.directory import CacheDirectory
from sqlitedict_kv.adapters.diskcache.entries import make_stored
from sqlitedict_kv.adapters.diskcache.values import Item, item_of
from sqlitedict_kv.adapters.support import check_number


class _UnchangedError(Exception):
    """Says that nothing is to be written."""


def increment(
    directory: CacheDirectory, key: Any, name: Name, delta: float, default: float | None, *, retry: bool
) -> Any:
    """Add to the number of an entry, which keeps its tag and time to live, and return the sum.

    Raises:
        KeyError: there is no entry, and *default* is None.
        TypeError: its value is not a number.
    """
    if default is not None and name.whole is None:
        start = check_number(default, "default")
        try:
            return directory.on_entries(lambda entries: entries.incr(name.text, delta, default=start), retry=retry)
        except TypeError:  # not a number, but it may be one with a tag
            pass
    start_at: dict[str, Any] = {} if default is None else {"default": make_stored(default, None, name)}
    try:
        total = directory.on_entries(
            lambda entries: entries.modify(name.text, lambda found: _add_up(key, found, delta), **start_at),
            retry=retry,
        )
    except KeyError:
        raise KeyError(key) from None
    return item_of(total).value


def _add_up(key: Any, found: Any, delta: float) -> Any:
    item = item_of(found)
    if type(item.value) is not int and type(item.value) is not float:
        raise TypeError(f"the value of {key!r} is a {type(item.value).__name__}, not a number")
    total = item.value + check_number(delta, "delta")
    return item._replace(value=total) if type(found) is Item else total


def modify(
    directory: CacheDirectory, name: Name, function: Callable[[Any], Any], default: Any, ttl: float | None, tag: Any
) -> bool:
    """Write what *function* makes of a value, or of *default*; return False if it returned None and wrote nothing."""

    def change(found: Any) -> Any:
        changed = function(item_of(found).value)
        if changed is None:
            raise _UnchangedError
        return make_stored(changed, tag, name)

    try:
        directory.on_entries(
            lambda entries: entries.modify(name.text, change, default=make_stored(default, None, name), ttl=ttl)
        )
    except _UnchangedError:
        return False
    return True
