"""Scans of one namespace or of the whole store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from zlib import crc32

from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import Advance, CheckReport, Decode, KeyRange
from sqlitedict_kv.engines.valkey.client.protocol import Link
from sqlitedict_kv.engines.valkey.key_range import merge_pages, share_of
from sqlitedict_kv.engines.valkey.keyspace import Shard, Space
from sqlitedict_kv.engines.valkey.namespaces import Registry
from sqlitedict_kv.engines.valkey.script_calls import (
    count_call,
    heads_call,
    mget_call,
    page_call,
    places_of,
    scan_call,
)
from sqlitedict_kv.engines.valkey.value_format import record_of, summary_of, text_of
from sqlitedict_kv.errors import KVError, NotKeptHereError, UnsupportedError

ROWS_PER_PAGE = 1000
FOREVER = 0  # a time at which nothing has expired


class Scanner:
    """Walks, counts and checks."""

    def __init__(self, link: Link, registry: Registry) -> None:
        """Look through the namespaces of a registry."""
        self._link = link
        self._registry = registry

    def walk(self, span: KeyRange, limit: int, now: int, *, records: bool) -> list[tuple[str, bytes]]:
        """Return the first keys of a span and, if *records*, their entries."""
        space = self._registry.known(span.namespace)
        if space is None:
            return []
        require_order(space)
        found: list[tuple[str, bytes]] = []
        while True:
            share = share_of(limit - len(found), len(space.shards))
            calls = [page_call(space, shard, span, share, now, records=records) for shard in space.shards]
            page = merge_pages(self._link.many(calls), reverse=span.reverse, records=records)
            found += page.items
            if page.boundary is None or len(found) >= limit or (records and found):
                return found[:limit]
            span = span._replace(after=page.boundary)

    def summaries(self, span: KeyRange, limit: int) -> list[RecordSummary]:
        """Return the first entries of a span without their values, expired ones too."""
        space = self._registry.known(span.namespace)
        while space is not None:
            keys = [key for key, _ in self.walk(span, limit, FOREVER, records=False)]
            found = self._heads(space, keys)
            if found or not keys:
                return found
            span = span._replace(after=keys[-1])  # all of them were removed meanwhile
        return []

    def _heads(self, space: Space, keys: list[str]) -> list[RecordSummary]:
        places = places_of(space, [key.encode() for key in keys], together=not self._link.clustered) if keys else []
        replies = self._link.many([heads_call(place) for place in places])
        heads = [
            (position, size, head)
            for place, reply in zip(places, replies, strict=True)
            for position, (size, head) in zip(place.positions, reply, strict=True)
            if size
        ]
        return [summary_of(space.namespace, keys[at], size, head) for at, size, head in sorted(heads)]

    def scan_shard(self, shard: Shard) -> Iterator[list[bytes]]:
        """Yield the names of the entries of a shard as the server comes upon them, in no order and perhaps twice."""
        cursor = b""
        while cursor != b"0":
            cursor, names = self._link.one(scan_call(shard, cursor or b"0"))
            if names:
                yield names

    def count(self, namespace: str, now: int) -> tuple[int, int]:
        """Return how many entries of a namespace are live, and how many have expired."""
        space = self._registry.known(namespace)
        if space is None:
            return 0, 0
        require_order(space)
        replies = self._link.many([count_call(shard, now) for shard in space.shards])
        rows, expired = sum(row for row, _ in replies), sum(gone for _, gone in replies)
        return rows - expired, expired

    def counts(self, now: int) -> dict[str, tuple[int, int] | None]:
        """Return of each namespace how many entries are live and have expired; None of one without order."""
        spaces = self._registry.spaces()
        shards = [(space.namespace, shard) for space in spaces if space.layout.ordered for shard in space.shards]
        counts = {space.namespace: (0, 0) for space in spaces if space.layout.ordered}
        replies = self._link.many([count_call(shard, now) for _, shard in shards])
        for (name, _), (rows, gone) in zip(shards, replies, strict=True):
            live, expired = counts[name]
            counts[name] = live + rows - gone, expired + gone
        return {space.namespace: counts.get(space.namespace) for space in spaces}

    def check(self, decode: Decode, advance: Advance | None = None) -> CheckReport:
        """Read everything; *decode* raises a KVError for a record that cannot be read."""
        problems: list[str] = []
        entries = 0
        for space in self._registry.spaces():
            name = space.namespace
            for page in self._in_order(name) if space.layout.ordered else self._as_found(space):
                for key, raw in page:
                    try:
                        record = record_of(name, key, raw, crc32(key.encode(), space.crc))
                        with contextlib.suppress(NotKeptHereError):  # intact, and another program allows its class
                            decode(name, key, record.body, record.content_type)
                    except KVError as error:
                        problems.append(str(error))
                entries += len(page)
                if advance is not None:
                    advance(entries)
        return CheckReport(not problems, entries, 0, tuple(problems))

    def _in_order(self, namespace: str) -> Iterator[list[tuple[str, bytes]]]:
        span = KeyRange(namespace)
        while page := self.walk(span, ROWS_PER_PAGE, FOREVER, records=True):
            yield page
            span = span._replace(after=page[-1][0])

    def _as_found(self, space: Space) -> Iterator[list[tuple[str, bytes]]]:
        for shard in space.shards:
            for names in self.scan_shard(shard):
                keys = [name.removeprefix(shard.entries) for name in names]
                (place,) = places_of(space._replace(shards=(shard,)), keys, together=False)
                found = self._link.one(mget_call(place))
                yield [(text_of(key), raw) for key, raw in zip(keys, found, strict=True) if raw is not None]


def require_order(space: Space) -> None:
    """Raise UnsupportedError for a namespace without an order of keys."""
    if not space.layout.ordered:
        raise UnsupportedError(
            f"namespace {space.namespace!r} was made with ordered=False: its keys cannot be listed or counted"
        )
