"""Entries of a cache: key, value, tag and time to live as the store keeps them, and as diskcache gives them back."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlitedict_kv import CodecError, ConflictError, Entry, Namespace
from sqlitedict_kv.adapters._compat.key_encoding import Name
from sqlitedict_kv.adapters.diskcache.forms import Form
from sqlitedict_kv.adapters.diskcache.values import PICKLE, Item
from sqlitedict_kv.adapters.support import check_number, fitting_ttl

T = TypeVar("T")


class Prepared(NamedTuple):
    """An entry that is checked and ready to be written.

    Attributes:
        name: the name of its key.
        stored: what the store keeps: the value, or an item.
        ttl: seconds; None is never, and 0 or less means that it has expired already.
    """

    name: Name
    stored: Any
    ttl: float | None

    @property
    def expired(self) -> bool:
        """Whether it has expired already."""
        return self.ttl is not None and self.ttl <= 0


class EntryWriter:
    """Writes entries as a disk keeps values, pickled where that is allowed and no codec keeps them."""

    def __init__(self, content_type: str | None, form: Form, *, pickles: bool) -> None:
        """Write values of *content_type*, None for the one that keeps the value; *pickles* allows pickle."""
        self._content_type = content_type
        self._form = form
        self._pickles = pickles

    def write(self, entries: Namespace, prepared: Prepared) -> None:
        """Write an entry, or remove the one that is there if the new one has expired already."""
        text, ttl = prepared.name.text, prepared.ttl
        if prepared.expired:
            entries.delete(text)
            return
        self._encode(
            prepared.stored, lambda stored, content_type: entries.set(text, stored, ttl=ttl, content_type=content_type)
        )

    def add(self, entries: Namespace, prepared: Prepared) -> bool:
        """Write an entry unless there is one; return whether it was written."""
        text, ttl = prepared.name.text, prepared.ttl
        if prepared.expired:
            return text not in entries
        written = self._encode(
            prepared.stored, lambda stored, content_type: entries.add(text, stored, ttl=ttl, content_type=content_type)
        )
        return written is not None

    def _encode(self, stored: Any, write: Callable[[Any, str | None], T]) -> T:
        """Call *write* with a value and a content type, those of another form if no codec keeps the value."""
        chosen = None if type(stored) is Item else self._content_type
        try:
            return write(stored, chosen)
        except CodecError as error:
            if not self._pickles:
                return write(self._form.pickled(stored, error), None)
            if type(stored) is Item:
                raise
            return write(stored, PICKLE)


# -- before a write


def check_expire(expire: object) -> float | None:
    """Return a number of seconds, 0 or less for what has expired already; None for more than a century."""
    if expire is None or expire == math.inf:
        return None
    seconds = fitting_ttl(check_number(expire, "expire"))
    return None if seconds is None else float(seconds)


# -- in one step


def take(entries: Namespace, text: str) -> Entry[Any] | None:
    """Remove an entry and return it; None if it is absent."""
    while True:
        entry: Entry[Any] | None = entries.get_with_meta(text)
        if entry is None or remove_version(entries, text, entry.meta.version):
            return entry


def remove_version(entries: Namespace, text: str, version: int) -> bool:
    """Remove an entry unless it was written meanwhile; return whether it was removed."""
    try:
        return entries.delete(text, version=version)
    except ConflictError:
        return False


# -- after a read


def seconds_of(moment: datetime | None) -> float | None:
    """Return a moment as Unix time in seconds; None stays None."""
    return None if moment is None else moment.timestamp()


def with_extras(value: Any, expires: float | None, tag_of: Any, *, expire_time: bool, tag: bool) -> Any:
    """Return a value, in a tuple with its time of expiry and its tag where they are asked for."""
    if expire_time and tag:
        return value, expires, tag_of
    if expire_time:
        return value, expires
    return (value, tag_of) if tag else value
