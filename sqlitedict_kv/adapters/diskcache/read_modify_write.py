"""Read-modify-write of an entry in one step: numbers, and functions of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlitedict_kv.adapters.diskcache.directory import CacheDirectory
from sqlitedict_kv.adapters.diskcache.forms import Form, PlainForm
from sqlitedict_kv.adapters.diskcache.values import item_of
from sqlitedict_kv.adapters.support import check_number


class _UnchangedError(Exception):
    """Says that nothing is to be written."""


def increment(
    directory: CacheDirectory, form: Form, key: Any, delta: float, default: float | None, *, retry: bool
) -> Any:
    """Add to the number of an entry, which keeps its tag and time to live, and return the sum.

    Raises:
        KeyError: there is no entry, and *default* is None.
        TypeError: its value is not a number.
    """
    name = form.name(key)
    if default is not None and name.whole is None and type(form) is PlainForm:
        start = check_number(default, "default")
        try:
            return directory.on_entries(lambda entries: entries.incr(name.text, delta, default=start), retry=retry)
        except TypeError:  # not a number, but it may be one with a tag
            pass
    start_at: dict[str, Any] = {}
    if default is not None:
        start_at["default"] = form.stored(key, check_number(default, "default"), read=False, tag=None, name=name)
    try:
        total = directory.on_entries(
            lambda entries: entries.modify(name.text, lambda found: _add_up(form, key, found, delta), **start_at),
            retry=retry,
        )
    except KeyError:
        raise KeyError(key) from None
    return form.value(item_of(total), read=False)


def _add_up(form: Form, key: Any, found: Any, delta: float) -> Any:
    item = item_of(found)
    number = form.value(item, read=False)
    if type(number) is not int and type(number) is not float:
        raise TypeError(f"the value of {key!r} is a {type(number).__name__}, not a number")
    total = number + check_number(delta, "delta")
    return form.stored(key, total, read=False, tag=item.tag, name=form.name(key))


def modify(
    directory: CacheDirectory,
    form: Form,
    key: Any,
    function: Callable[[Any], Any],
    default: Any,
    ttl: float | None,
    tag: Any,
) -> bool:
    """Write what *function* makes of a value, or of *default*; return False if it returned None and wrote nothing."""
    name = form.name(key)

    def change(found: Any) -> Any:
        changed = function(form.value(item_of(found), read=False))
        if changed is None:
            raise _UnchangedError
        return form.stored(key, changed, read=False, tag=tag, name=name)

    start = form.stored(key, default, read=False, tag=None, name=name)
    try:
        directory.on_entries(lambda entries: entries.modify(name.text, change, default=start, ttl=ttl))
    except _UnchangedError:
        return False
    return True
