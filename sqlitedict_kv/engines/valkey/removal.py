"""Removal of whole namespaces and of expired entries, in bounded batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlitedict_kv.engines.protocol import Advance, Keys
from sqlitedict_kv.engines.valkey.client.protocol import Call
from sqlitedict_kv.engines.valkey.idempotency import RequestSessions
from sqlitedict_kv.engines.valkey.keyspace import Shard, Space
from sqlitedict_kv.engines.valkey.scan import Scanner
from sqlitedict_kv.engines.valkey.script_calls import remove_call
from sqlitedict_kv.errors import StoreError

ROWS_PER_BATCH = 1000  # that are removed in one step
WRITES_PER_PURGE = 64  # of a namespace; then twice as many that have expired are removed


WriteMany = Callable[[Sequence[Call], Keys], list[Any]]


class Remover:
    """Removes entries, by calls that *write* makes; it is told which entries they may change."""

    def __init__(self, write: Callable[[Call, Keys], Any], sessions: RequestSessions, scanner: Scanner) -> None:
        """Begin with nothing removed."""
        self._write = write
        self._sessions = sessions
        self._scanner = scanner
        self._written: dict[str, int] = {}  # entries of each namespace since it was purged last
        self.purged = 0  # expired entries, by this process

    def drop(self, space: Space, now: int, advance: Advance | None = None) -> int:
        """Remove every entry of a namespace; return how many were live."""
        if not space.layout.ordered:
            return sum(self._drop_unordered(shard) for shard in space.shards)
        total = rows = 0
        for shard in space.shards:
            removed = ROWS_PER_BATCH
            while removed:
                removed, live = self._remove(shard, ROWS_PER_BATCH, now, expired=False)
                total += live
                rows += removed
                if advance is not None:
                    advance(rows)
        return total

    def _drop_unordered(self, shard: Shard) -> int:
        total = 0
        # A pass during which the slot moves to another server misses some: so until one finds nothing.
        while found := [self._unlink(shard, names) for names in self._scanner.scan_shard(shard)]:
            total += sum(found)
        return total

    def _unlink(self, shard: Shard, names: Sequence[bytes]) -> int:
        removed: int = self._write(Call(shard.slot, None, (b"UNLINK", *names), writes=True), None)
        return removed

    def _remove(self, shard: Shard, limit: int, now: int, *, expired: bool) -> tuple[int, int]:
        """Remove some keys of a shard; return how many, and how many of them were live."""
        with self._sessions.take() as session:
            call = remove_call(shard, session.next(), limit, now, expired=expired)
            removed, live = self._write(call, [] if expired else None)
        return removed, live

    def purge(self, space: Space, limit: int | None, now: int) -> int:
        """Remove expired entries of a namespace, *limit* at most; return how many."""
        total = 0
        for shard in space.shards if space.layout.ordered else ():
            total += self._purge_shard(shard, None if limit is None else limit - total, now)
        return total

    def _purge_shard(self, shard: Shard, limit: int | None, now: int) -> int:
        total = 0
        while limit is None or total < limit:
            batch = ROWS_PER_BATCH if limit is None else min(limit - total, ROWS_PER_BATCH)
            removed, _ = self._remove(shard, batch, now, expired=True)
            total += removed
            self.purged += removed
            if removed < batch:
                break
        return total

    def note_write(self, count: int, space: Space, now: int) -> None:
        """Count a write, and remove a few expired entries from time to time: a program may only write."""
        if not space.layout.ordered:
            return
        written = self._written.get(space.namespace, 0) + count
        self._written[space.namespace] = written
        if written < WRITES_PER_PURGE:
            return
        self._written[space.namespace] = 0
        shard = random.choice(space.shards)  # noqa: S311 # no secret
        with suppress(StoreError):  # the write is done; the next call meets what fails
            self._purge_shard(shard, 2 * written, now)  # a backlog must shrink, however many come at once
