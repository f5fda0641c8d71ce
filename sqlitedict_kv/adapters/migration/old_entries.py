"""Entries of another library, and their move to a namespace."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlitedict_kv import Namespace, StoreError
from sqlitedict_kv.adapters._compat.migration import UNKEPT, Moved, Progress, UnreadableError
from sqlitedict_kv.adapters.support import fitting_ttl

AT_ONCE = 200  # entries of a transaction

UNKEPT_FILES = (*UNKEPT, OSError)  # what can be wrong with one entry; the others are moved all the same


class OldEntry(NamedTuple):
    """An entry that is to be moved.

    Attributes:
        shown: its key, or the name of its file, for the report.
        load: returns key, value and the Unix time in seconds at which it expires, None is never; what it raises is
            the reason to skip it.
    """

    shown: str
    load: Callable[[], tuple[str, Any, float | None]]


class Moving:
    """One migration of a file or a directory."""

    def __init__(self, namespace: Namespace[str, Any], place: str, now: Callable[[], float]) -> None:
        """Move to *namespace*; *place* is what the report calls the source."""
        self.report = Moved()
        self._namespace = namespace
        self._place = place
        self._now = now

    def run(self, entries: Iterable[OldEntry], total: int | None, progress: Progress | None) -> Moved:
        """Move all entries that are not there yet, and return the report."""
        remaining, done = iter(entries), 0
        while batch := list(islice(remaining, AT_ONCE)):
            self._move(batch)
            done += len(batch)
            if progress is not None:
                progress(done, total)
        return self.report

    def _move(self, batch: list[OldEntry]) -> None:
        """Write a batch in one transaction, or one by one if one of them cannot be kept."""
        loaded = [(entry, found) for entry in batch if (found := self._load(entry)) is not None]
        lasting = {key: value for _, (key, value, ttl) in loaded if ttl is None}
        try:
            self._namespace.set_many(lasting, ttl=None)
        except StoreError:
            raise
        except UNKEPT_FILES:
            lasting = {}
        self.report.moved += len(lasting)
        for entry, (key, value, ttl) in loaded:
            if key not in lasting:
                self._write(entry, key, value, ttl)

    def _load(self, entry: OldEntry) -> tuple[str, Any, float | None] | None:
        """Return key, value and time to live in seconds; None if the entry is not to be written."""
        try:
            key, value, expires_at = entry.load()
            left = None if expires_at is None else expires_at - self._now()
            if left is not None and left <= 0:
                self.report.expired += 1
            elif key in self._namespace:
                self.report.present += 1
            else:
                return key, value, fitting_ttl(left)
        except StoreError:
            raise
        except UNKEPT_FILES as error:
            self.report.skip(self._place, entry.shown, error)
        return None

    def _write(self, entry: OldEntry, key: str, value: Any, ttl: float | None) -> None:
        try:
            self._namespace.set(key, value, ttl=ttl)
            self.report.moved += 1
        except StoreError:
            raise
        except UNKEPT_FILES as error:
            self.report.skip(self._place, entry.shown, error)


def read_file(path: Path) -> bytes:
    """Return what is in a regular file; raise UnreadableError for anything else, a FIFO would not end."""
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnreadableError("its file is not a regular file")
        return file.read()
