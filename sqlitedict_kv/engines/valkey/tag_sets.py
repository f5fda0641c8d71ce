"""The tags of entries, a sorted set of each shard."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress

from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.engines.valkey.client.protocol import Call, Link
from sqlitedict_kv.engines.valkey.idempotency import RequestSessions
from sqlitedict_kv.engines.valkey.keyspace import Shard, Space
from sqlitedict_kv.engines.valkey.removal import WriteMany
from sqlitedict_kv.engines.valkey.script_calls import RequestSession, whole
from sqlitedict_kv.engines.valkey.tag_scripts import FORGET_TAG, SWEEP_TAGS, TAGS_OF
from sqlitedict_kv.errors import StoreError

ENTRIES_PER_STEP = 500  # that one script removes
TAGS_PER_STEP = 1000  # that one script looks at
WRITES_PER_SWEEP = 64  # of tagged entries; then twice as many tags are looked at
VERSION = struct.Struct(">Q")


class TagSets:
    """Reads tags, removes entries by them, and sweeps those that are not valid any more."""

    def __init__(self, link: Link, write_many: WriteMany, sessions: RequestSessions) -> None:
        """Make calls by *link*, and those that write by *write_many*."""
        self._link = link
        self._write_many = write_many
        self._sessions = sessions
        self._written: dict[str, int] = {}  # tagged entries of each namespace since it was swept last
        self._after: dict[bytes, bytes] = {}  # how far each set has been swept, by its name

    def forget(self, tag: bytes, spaces: Iterable[Space], now: int) -> int:
        """Remove every entry with a tag, a step in each shard at a time; return how many were live."""
        total = 0
        for space in spaces:
            shards = space.shards
            while shards:
                with self._sessions.take() as session:
                    asks = session.next()
                    calls = [forget_call(shard, asks, tag, now) for shard in shards]
                    replies = self._write_many(calls, None)
                total += sum(live for _, live in replies)
                found = [count for count, _ in replies]
                shards = tuple(shard for shard, count in zip(shards, found, strict=True) if count >= ENTRIES_PER_STEP)
        return total

    def tags_of(self, space: Space | None, keys: Sequence[str]) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return the tags of those keys that have some, with the version for which they are valid."""
        if space is None:
            return {}
        groups: dict[Shard, list[str]] = {}
        for key in keys:
            groups.setdefault(space.shard_of(key.encode()), []).append(key)
        calls = [tags_call(shard, group) for shard, group in groups.items()]
        found: dict[str, tuple[int, tuple[str, ...]]] = {}
        for group, reply in zip(groups.values(), self._link.many(calls), strict=True):
            for key, members in zip(group, reply, strict=True):
                if members:
                    (version,) = VERSION.unpack_from(members[0])
                    found[key] = version, tuple(member[VERSION.size :].decode() for member in members)
        return found

    def count(self, spaces: Iterable[Space]) -> int:
        """Return how many tags entries have, those included that are yet to be swept."""
        shards = [shard for space in spaces for shard in space.shards]
        calls = [Call(shard.slot, None, (b"ZCARD", shard.tags), writes=False) for shard in shards]
        return sum(self._link.many(calls)) // 2 if calls else 0

    def note_write(self, edits: Sequence[Edit], space: Space) -> None:
        """Count a write, and sweep a few tags of its namespace from time to time."""
        tagged = sum(type(edit) is Put and bool(edit.tags) for edit in edits)
        if not tagged:
            return
        written = self._written.get(space.namespace, 0) + tagged
        self._written[space.namespace] = written % WRITES_PER_SWEEP
        if written >= WRITES_PER_SWEEP:
            with suppress(StoreError):  # the write is done; the next call meets what fails
                self._sweep(random.choice(space.shards), min(2 * written, TAGS_PER_STEP))  # noqa: S311 # no secret

    def _sweep(self, shard: Shard, limit: int) -> bool:
        """Look at some tags of a shard; return whether there are more."""
        (last,) = self._write_many([sweep_call(shard, self._after.get(shard.tags, b""), limit)], [])
        self._after[shard.tags] = last
        return bool(last)

    def sweep_all(self, spaces: Iterable[Space | None]) -> None:
        """Remove all tags of namespaces that are not valid any more, in bounded steps; None is none."""
        for shard in [shard for space in spaces if space is not None for shard in space.shards]:
            self._after.pop(shard.tags, None)
            while self._sweep(shard, TAGS_PER_STEP):
                pass


def forget_call(shard: Shard, session: RequestSession, tag: bytes, now: int) -> Call:
    """Return the call that removes some entries of a shard with a tag."""
    names = (shard.sessions + session[0], shard.order, shard.expiry, shard.tags, whole(shard))
    values = (session[1], shard.entries, tag, b"%d" % ENTRIES_PER_STEP, b"%d" % now)
    return Call(shard.slot, FORGET_TAG, (b"5", *names, *values), writes=True)


def tags_call(shard: Shard, keys: Sequence[str]) -> Call:
    """Return the call that reads the tags of keys of a shard."""
    return Call(shard.slot, TAGS_OF, (b"1", shard.tags, *(key.encode() for key in keys)), writes=False)


def sweep_call(shard: Shard, after: bytes, limit: int) -> Call:
    """Return the call that removes tags of a shard that are not valid any more."""
    parts = (b"2", shard.tags, whole(shard), shard.entries, after, b"%d" % limit)
    return Call(shard.slot, SWEEP_TAGS, parts, writes=True)
