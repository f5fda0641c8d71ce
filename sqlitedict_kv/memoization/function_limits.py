"""Limits of one function: the eviction of its entries that were written longest ago."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from heapq import nsmallest

from sqlitedict_kv.codecs.file_reference import described
from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.errors import UnsupportedError
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.result_store import EXCEPTION_MARK, STALE_MARK
from sqlitedict_kv.memoization.result_writer import ResultWriter

LOOKS = 16  # while as much is written as the limit allows: so far may it be exceeded
MOST_EVICTED = 10_000  # entries of one look

Found = tuple[int, str, int, int]  # when it was written (Unix time in milliseconds), key, bytes, version


class FunctionLimits:
    """Keeps the entries of one function within limits.

    All of them are counted, without their values, each time that this process has written 1/16 of a limit. It begins
    somewhere in the middle, so that processes that write little look too, one in so many.
    """

    def __init__(self, keys: CallKeys, max_entries: int | None, max_bytes: int | None) -> None:
        """Keep what has *keys*; None is no limit."""
        self._keys = keys
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries_per_look = _share(max_entries)
        self._bytes_per_look = _share(max_bytes)
        self._entries = _somewhere_below(self._entries_per_look)  # that were written since the last look
        self._bytes = _somewhere_below(self._bytes_per_look)

    def keep(self, writer: ResultWriter, edits: Sequence[Edit]) -> None:
        """Evict what is over the limits, after *edits* were committed."""
        if self._max_entries is None and self._max_bytes is None:
            return
        puts = [edit for edit in edits if isinstance(edit, Put)]
        self._entries += len(puts)
        self._bytes += sum(described(put.body, put.content_type)[1] for put in puts)
        looks_for_entries = self._max_entries is not None and self._entries >= self._entries_per_look
        looks_for_bytes = self._max_bytes is not None and self._bytes >= self._bytes_per_look
        if looks_for_entries or looks_for_bytes:
            self._entries = self._bytes = 0
            try:
                complete = self._evict(writer, puts[-1].key)
            except UnsupportedError as error:
                self._max_entries = self._max_bytes = None
                warnings.warn(f"the limits of {self._keys.name} cannot be kept: {error}", stacklevel=2)
                return
            if not complete:
                self._entries, self._bytes = self._entries_per_look, self._bytes_per_look  # go on with the next write

    def _evict(self, writer: ResultWriter, newest: str) -> bool:
        """Evict, but not the *newest*; return False if more has to go."""
        entries = size = 0

        def count() -> Iterator[Found]:
            nonlocal entries, size
            for found in self._walk(writer):
                entries += 1
                size += found[2]
                if found[1] != newest:
                    yield found

        oldest = nsmallest(MOST_EVICTED, count())
        surplus = 0 if self._max_entries is None else entries - self._max_entries
        excess = 0 if self._max_bytes is None else size - self._max_bytes
        chosen: list[tuple[str, int]] = []
        for _, key, taken, version in oldest:
            if surplus <= 0 and excess <= 0:
                break
            chosen.append((key, version))
            surplus, excess = surplus - 1, excess - taken
        writer.remove(chosen)
        return len(chosen) < MOST_EVICTED

    def _walk(self, writer: ResultWriter) -> Iterator[Found]:
        for prefix in self._keys.clear_prefixes():
            for mark in ("", EXCEPTION_MARK, STALE_MARK):
                for found in writer.summaries(mark + prefix):
                    yield found.updated_at, found.key, found.size, found.version


def _share(limit: int | None) -> int:
    return 1 if limit is None else max(1, limit // LOOKS)


def _somewhere_below(number: int) -> int:
    return int.from_bytes(os.urandom(8), "big") % number
