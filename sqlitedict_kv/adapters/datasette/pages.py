"""Pages on a store: what each shows, read from the store and handed to its template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlitedict_kv import KVError, Store
from sqlitedict_kv.adapters.datasette.listing import (
    AGES,
    MOST_NAMESPACES,
    Wanted,
    list_calls,
    list_entries,
    list_memoized,
    survey_store,
)
from sqlitedict_kv.adapters.datasette.value_parts import Parts, parts_of
from sqlitedict_kv.display.figures import size
from sqlitedict_kv.display.short import brief_value, shorten
from sqlitedict_kv.memoization.inventory import is_call
from sqlitedict_kv.tools.stored_values import decode_record, read_record, size_of
from sqlitedict_kv.tools.summaries import summary_of_record

BRIEFLY = 0.2  # seconds for the sizes above a list
LARGEST_SHOWN = 16 * 2**20  # bytes of a value that is decoded
LARGEST_PREVIEW = 16 * 2**10  # likewise, in a list
PREVIEW_CHARACTERS = 120
Arguments = Mapping[str, str]


class Shown(NamedTuple):
    """A template and what it is filled with."""

    template: str
    values: dict[str, Any]
    status: int = 200


def show_namespaces(store: Store, arguments: Arguments) -> Shown:
    """Return the page of a store: its namespaces with their sizes."""
    del arguments
    names = store.namespaces()
    found = survey_store(store, names[:MOST_NAMESPACES], most=0)
    ordered = sorted(found.namespaces.items(), key=lambda item: (-item[1].bytes, item[0]))
    most = max((usage.bytes for _, usage in ordered), default=0) or 1
    shares = [(name, usage, usage.bytes / most) for name, usage in ordered]
    hidden = len(names) - len(shares)
    return Shown("namespaces.html", {"shares": shares, "total": found.total, "hidden": hidden, "now": _now(store)})


def show_largest(store: Store, arguments: Arguments) -> Shown:
    """Return the page of the largest entries, of the store or of one namespace."""
    name = arguments.get("ns")
    found = survey_store(store, None if name is None else [name])
    complete = found.total.complete
    values = {"ns": name, "entries": found.largest, "complete": complete, "total": found.total, "now": _now(store)}
    return Shown("largest.html", values)


def show_entries(store: Store, arguments: Arguments) -> Shown:
    """Return a page of the entries of a namespace."""
    name = arguments.get("ns", "")
    if not name:
        return missing("no namespace was named")
    prefix, kind, newer, older = (arguments.get(each, "") for each in ("prefix", "type", "newer", "older"))
    wanted = Wanted(prefix, kind, newer, older, arguments.get("after"))
    listing = list_entries(store, name, wanted)
    found = survey_store(store, [name], BRIEFLY, most=0).total
    rows = [(each, _preview(store, each)) for each in listing.entries]
    memoized = any(is_call(each.key) for each in listing.entries)
    values = {"ns": name, "wanted": wanted, "listing": listing, "rows": rows, "usage": found, "ages": list(AGES)}
    return Shown("entries.html", {**values, "memoized": memoized, "now": _now(store)})


def show_entry(store: Store, arguments: Arguments) -> Shown:
    """Return the page of an entry with its value."""
    name, key = arguments.get("ns", ""), arguments.get("key")
    if not name or key is None:
        return missing("no entry was named")
    taken = size_of(store, name, key)
    if taken is None:
        return missing("there is no such entry; it may have expired or been removed")
    values: dict[str, Any] = {
        "ns": name,
        "key": key,
        "now": _now(store),
        "size_of_value": taken,
        "entry": None,
        "parts": None,
    }
    if taken > LARGEST_SHOWN:
        problem = f"the value has {size(taken)}; values of more than {size(LARGEST_SHOWN)} are not shown"
        return Shown("entry.html", {**values, "problem": problem})
    try:
        record = read_record(store, name, key)
    except KVError as error:  # it is damaged
        return Shown("entry.html", {**values, "problem": f"{type(error).__name__}: {error}"})
    if record is None:
        return missing("the entry was removed just now")
    parts, problem = _parts(lambda: decode_record(store, name, key, record))
    entry = summary_of_record(name, key, record)
    return Shown("entry.html", {**values, "entry": entry, "parts": parts, "problem": problem})


def show_functions(store: Store, arguments: Arguments) -> Shown:
    """Return the page of memoized functions."""
    name = arguments.get("ns", "memoize")
    found = list_memoized(store, name)
    return Shown(
        "functions.html", {"ns": name, "functions": found.functions, "complete": found.complete, "now": _now(store)}
    )


def show_calls(store: Store, arguments: Arguments) -> Shown:
    """Return the page of the calls of a memoized function, with what is in their keys."""
    name, function, version = (arguments.get(each, "") for each in ("ns", "function", "version"))
    found = list_calls(store, name or "memoize", function, version)
    values = {"ns": name or "memoize", "function": function, "version": version, "calls": found.calls}
    return Shown("calls.html", {**values, "complete": found.complete, "now": _now(store)})


def missing(problem: str, status: int = 404) -> Shown:
    """Return the page that says what is not there."""
    return Shown("problem.html", {"problem": problem}, status)


PAGES: dict[str, Callable[[Store, Arguments], Shown]] = {
    "": show_namespaces,
    "largest": show_largest,
    "entries": show_entries,
    "entry": show_entry,
    "functions": show_functions,
    "calls": show_calls,
}


def _preview(store: Store, each: Any) -> str:
    """Return the beginning of a value, empty where it is large."""
    if each.size > LARGEST_PREVIEW:
        return ""
    try:
        record = read_record(store, each.namespace, each.key)
        value = None if record is None else decode_record(store, each.namespace, each.key, record)
    except (KVError, MemoryError) as error:
        return f"{type(error).__name__}"
    return shorten(value if isinstance(value, str) else brief_value(value), PREVIEW_CHARACTERS)


def _parts(decode: Callable[[], object]) -> tuple[Parts | None, str]:
    """Return what is shown of a value, or why nothing is."""
    try:
        return parts_of(decode()), ""
    except (KVError, ImportError, MemoryError) as error:
        return None, f"{type(error).__name__}: {error}"
    except Exception as error:  # of a library that cannot show what it has read
        return None, f"the value was read, but it cannot be shown: {type(error).__name__}"


def _now(store: Store) -> datetime:
    return datetime.fromtimestamp(store.clock(), UTC)
