"""The verbs of a store, on a server or a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.engines.optional import InvalidatedMemory, RecordSummary
from sqlitedict_kv.engines.protocol import (
    Advance,
    Capabilities,
    CheckReport,
    Decode,
    Edit,
    Figures,
    KeyRange,
    Keys,
    Layout,
    Outcome,
    Put,
    Value,
)
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.valkey.client.protocol import Call, Link
from sqlitedict_kv.engines.valkey.idempotency import RequestSessions
from sqlitedict_kv.engines.valkey.keyspace import Shard, Space
from sqlitedict_kv.engines.valkey.namespaces import Registry
from sqlitedict_kv.engines.valkey.removal import Remover
from sqlitedict_kv.engines.valkey.resolve import (
    batches_of,
    groups_by_slot,
    raise_refusal,
    refuse_too_many,
    resolve_edits,
)
from sqlitedict_kv.engines.valkey.scan import Scanner, require_order
from sqlitedict_kv.engines.valkey.script_calls import (
    clear_call,
    commit_call,
    mget_call,
    places_of,
    put_call,
)
from sqlitedict_kv.engines.valkey.scripts import PUT
from sqlitedict_kv.engines.valkey.server_info import dangers, server_of, used_memory
from sqlitedict_kv.engines.valkey.tag_sets import TagSets
from sqlitedict_kv.engines.valkey.tracking.change_marks import ChangeMarks
from sqlitedict_kv.engines.valkey.tracking.feed import Tracking
from sqlitedict_kv.engines.valkey.value_format import crc_of, pack, record_of
from sqlitedict_kv.errors import LayoutError, ReadOnlyError, UnsupportedError

PREFIX = "kv"
MAX_VERSION = 2**53 - 2**45  # the numbers of Lua are exact up to 2**53, and the seal is a sum with two times
CONFLICT_BACKOFF = Backoff(0.0005, 0.02)


class ValkeyEngine:
    """Keeps records on a server that speaks Redis's protocol; see :class:`sqlitedict_kv.engines.protocol.Engine`."""

    def __init__(self, link: Link, *, prefix: str = PREFIX, readonly: bool = False) -> None:
        """Keep them under keys that begin with *prefix*."""
        self._link = link
        self._prefix = prefix
        self._readonly = readonly
        self._registry = Registry(link, prefix)
        self._scanner = Scanner(link, self._registry)
        self._sessions = RequestSessions()
        self._memory: InvalidatedMemory | None = None  # in front of it
        self._tracking: Tracking | None = None  # what tells that of the writes of others
        self._marks = ChangeMarks(link, prefix)
        self._remover = Remover(self._write, self._sessions, self._scanner)
        self._tags = TagSets(link, self._write_many, self._sessions)
        self.label = link.label if prefix == PREFIX else f"{link.label} (prefix {prefix})"  # what tells stores apart

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do that not every one can."""
        return Capabilities(
            atomic_across_namespaces=not self._link.clustered,
            exact_len=True,
            ordered=True,
            durable=self._link.confirm > 0,
            by_age=False,
            exclusive=False,
            limits=False,
            backup=False,
            tags=True,
        )

    def declare(self, namespace: str, layout: Layout) -> None:
        """Note how a namespace is to be laid out."""
        self._registry.declare(namespace, layout)

    # -- reading

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not."""
        record = self.read(namespace, key)
        return None if record is None else (record[0], record[1], record[3], None)

    def read(self, namespace: str, key: str) -> Record | None:
        """Return the newest record, expired or not."""
        space = self._registry.known(namespace)
        if space is None:
            return None
        name = key.encode()
        shard = space.shard_of(name)
        raw = self._link.one(Call(shard.slot, None, (b"GET", shard.entries + name), writes=False))
        return None if raw is None else record_of(namespace, key, raw, crc32(name, space.crc))

    def read_many(self, namespace: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those keys that have one, expired or not, as of one moment in each shard."""
        space = self._registry.known(namespace) if keys else None
        if space is None:
            return {}
        names = [key.encode() for key in keys]
        places = places_of(space, names, together=not self._link.clustered)
        replies = self._link.many([mget_call(place) for place in places])
        crc = space.crc
        return {
            keys[at]: record_of(namespace, keys[at], raw, crc32(names[at], crc))
            for place, found in zip(places, replies, strict=True)
            for at, raw in zip(place.positions, found, strict=True)
            if raw is not None
        }

    def keys(self, span: KeyRange, limit: int, now: int) -> list[str]:
        """Return the first live keys of a span."""
        return [key for key, _ in self._scanner.walk(span, limit, now, records=False)]

    def records(self, span: KeyRange, limit: int, now: int) -> list[tuple[str, Record]]:
        """Return the first live records of a span: at least one if there is any, at most *limit*."""
        start = crc_of(span.namespace)
        return [
            (key, record_of(span.namespace, key, raw, crc32(key.encode(), start)))
            for key, raw in self._scanner.walk(span, limit, now, records=True)
        ]

    def summaries(self, span: KeyRange, limit: int) -> list[RecordSummary]:
        """Return the first entries of a range without their values; see :class:`SummarizingEngine`."""
        return self._scanner.summaries(span, limit)

    def count(self, namespace: str, now: int) -> tuple[int, int]:
        """Return how many entries of a namespace are live, and how many have expired."""
        return self._scanner.count(namespace, now)

    def highest(self, namespace: str) -> int:
        """Return the highest version that the namespace has given so far."""
        space = self._registry.known(namespace)
        if space is None:
            return 0
        calls = [Call(shard.slot, None, (b"HGET", shard.clock, b"v"), writes=False) for shard in space.shards]
        return max(int(version or 0) for version in self._link.many(calls))

    def namespaces(self, now: int) -> list[str]:
        """Return the names that have live entries, in order; an unordered one is always among them."""
        return sorted(name for name, counts in self._scanner.counts(now).items() if counts is None or counts[0])

    # -- writing

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry whatever is there and return its version."""
        self._require_writable()
        name = key.encode()
        with self._sessions.take() as taken:
            session, number = taken.next()
            while True:
                space = self._registry.space(namespace)
                slot, entries, order, expiry, clock, sessions, _ = space.shard_of(name)
                crc, tail = pack(crc32(name, space.crc), body, content_type, expires_at, now)
                parts = (
                    *(b"5", sessions + session, order, expiry, clock, entries + name),
                    *(number, space.encoded, b"%d" % now, name, b"%d" % (expires_at or 0), b"%d" % crc, tail),
                )
                reply = self._write(Call(slot, PUT, parts, writes=True), [(namespace, key)])
                if type(reply) is int:
                    break
                self._refuse_layout(reply, space)
        self._remover.note_write(1, space, now)
        return reply

    def put_at_once(self, edit: Put, now: int) -> int | None:
        """Write one entry whatever is there and return its version: servers have no lock to wait for."""
        return self.put(edit.namespace, edit.key, edit.body, edit.content_type, edit.expires_at, now)

    def put_many(self, edits: Sequence[Put], now: int, _advance: Advance | None = None) -> dict[str, int]:
        """Write entries with distinct keys of one namespace, of each shard all or none; return their versions."""
        return self._put_many(edits[0].namespace, edits, 0, now) if edits else {}

    def restore(self, namespace: str, edits: Sequence[Put], above: int, now: int) -> None:
        """Write entries with distinct keys of a namespace at versions greater than *above*.

        So are all versions that the namespace gives from then on: the clock of each shard is ahead of them.
        """
        if above >= MAX_VERSION:
            raise UnsupportedError(f"versions of a server end at {MAX_VERSION}, and the source has one of {above}")
        self._put_many(namespace, edits, above, now)

    def _put_many(self, namespace: str, edits: Sequence[Put], above: int, now: int) -> dict[str, int]:
        self._require_writable()
        refuse_too_many(edits)
        with self._sessions.take() as session:
            while True:
                space = self._registry.space(namespace)
                groups: dict[Shard, list[Put]] = {shard: [] for shard in space.shards} if above else {}
                for edit in edits:
                    groups.setdefault(space.shard_of(edit.key.encode()), []).append(edit)
                asks = session.next()
                calls = [put_call(space, shard, puts, asks, above, now) for shard, puts in groups.items()]
                replies = self._write_many(calls, [(namespace, edit.key) for edit in edits])
                refused = next((reply for reply in replies if type(reply) is not int), None)
                if refused is None:
                    break
                self._refuse_layout(refused, space)
        self._remover.note_write(len(edits), space, now)
        self._tags.note_write(edits, space)
        versions = {put.key: version for puts, version in zip(groups.values(), replies, strict=True) for put in puts}
        return {edit.key: versions[edit.key] for edit in edits}

    def commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        """Apply edits in order, all or none; deletions without a condition in several shards, of each shard."""
        self._require_writable()
        if not edits:
            return []
        refuse_too_many(edits)
        groups = groups_by_slot(edits, self._registry.slot_of) if self._link.clustered else [()]
        if len(groups) == 1:
            return self._commit(edits, now)
        versions: dict[int, int | None] = {}
        for positions in groups:
            versions.update(zip(positions, self._commit([edits[at] for at in positions], now), strict=True))
        return [versions[at] for at in range(len(edits))]

    def _commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        names = [(edit.namespace, edit.key) for edit in edits]
        pauses = CONFLICT_BACKOFF.pauses()
        while True:
            spaces = [self._registry.space(namespace) for namespace in dict(names)]
            concrete = resolve_edits(edits, self.read, now)
            with self._sessions.take() as session:
                reply = self._write(commit_call(concrete, self._registry.space, session.next(), now), names)
            if type(reply[0]) is int:
                break
            if reply[0] == b"LAYOUT":
                self._refuse_layout(reply, *spaces)
            elif reply[0] != b"CHANGED":
                raise_refusal(concrete, reply)
            else:
                time.sleep(next(pauses))  # another client was faster
        self._remover.note_write(len(edits), spaces[0], now)
        self._tags.note_write(edits, spaces[0])
        return [None if version < 0 else version for version in reply]

    def commit_groups(self, claim: Callable[[], Sequence[Sequence[Edit]]], clock: Callable[[], int]) -> list[Outcome]:
        """Apply groups of edits in order, each group all or none; plain writes that follow each other together."""
        groups, now = claim(), clock()
        outcomes: list[Outcome] = [[] for _ in groups]
        for batch in batches_of(groups):
            try:
                if len(batch) > 1:
                    puts = [edit for number in batch for edit in groups[number] if isinstance(edit, Put)]
                    versions = self.put_many(puts, now)
                    results: list[Outcome] = [[versions[put.key]] for put in puts]
                else:
                    results = [self.commit(groups[batch[0]], now)]
            except Exception as error:
                results = [error] * len(batch)
            for number, result in zip(batch, results, strict=True):
                outcomes[number] = result
        return outcomes

    def clear(self, namespace: str, now: int) -> None:
        """Remove every entry of a namespace, each shard in one step."""
        del now
        self._require_writable()
        space = self._registry.known(namespace)
        if space is None:
            return
        require_order(space)
        with self._sessions.take() as session:
            asks = session.next()
            self._write_many([clear_call(shard, asks) for shard in space.shards], None)

    def drop(self, namespace: str, now: int, advance: Advance | None = None) -> int:
        """Remove every entry of a namespace in bounded batches; return how many were live."""
        self._require_writable()
        space = self._registry.known(namespace)
        total = 0 if space is None else self._remover.drop(space, now, advance)
        self._tags.sweep_all([space])
        return total

    def forget_tag(self, tag: str, now: int) -> int:
        """Remove every entry with a tag, in bounded batches; return how many were live."""
        self._require_writable()
        return self._tags.forget(tag.encode(), self._registry.spaces(), now)

    def tags_of(self, namespace: str, keys: Sequence[str]) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return the tags of those keys that have some, with the version for which they are valid."""
        return self._tags.tags_of(self._registry.known(namespace), keys)

    # -- what every write has in common

    def _write(self, call: Call, names: Keys) -> Any:
        """Make a call that writes, and forget what it may have changed, whatever comes of it."""
        try:
            return self._link.one(call)
        finally:
            self._tell(names)

    def _write_many(self, calls: Sequence[Call], names: Keys) -> list[Any]:
        try:
            return self._link.many(calls)
        finally:
            self._tell(names)

    def _tell(self, names: Keys) -> None:
        if self._memory is not None:
            self._memory.forget(names)

    def _require_writable(self) -> None:
        if self._readonly:
            raise ReadOnlyError(f"the store at {self.label} was opened with readonly=True")

    def _refuse_layout(self, reply: Any, *spaces: Space) -> None:
        """Read the layouts again; raise *error* if they were right."""
        self._registry.forget()
        if all(self._registry.space(space.namespace).encoded == space.encoded for space in spaces):
            told = ", ".join(f"{space.namespace!r}: {space.encoded.decode()!r}" for space in spaces)
            raise LayoutError(
                f"a shard says that its layout is {reply[1].decode()!r}, and the registry says {told}; "
                f"was only a part of the servers' data removed?"
            )

    # -- coherence

    def subscribe(self, memory: InvalidatedMemory, staleness: float) -> Tracking:
        """Tell *memory* of what changes; see :class:`InvalidatingEngine`."""
        self._memory = memory
        self._tracking = Tracking(self._link, self._prefix, memory, staleness)
        self._tracking.start()
        return self._tracking

    def change_mark(self, namespace: str, key: str) -> Callable[[], object]:
        """Return a function that returns another object soon after each change of a lease; see ChangeMarks."""
        return self._marks.mark(self._registry.known(namespace), key)

    # -- upkeep

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove entries that expired, in bounded batches; return how many."""
        self._require_writable()
        spaces = self._registry.spaces() if namespace is None else [self._registry.known(namespace)]
        total = 0
        for space in spaces:
            if space is not None:
                total += self._remover.purge(space, None if limit is None else limit - total, now)
        self._tags.sweep_all(spaces if limit is None else [])
        return total

    def figures(self, now: int) -> Figures:
        """Count what there is, but entries of unordered namespaces; the bytes are those that all of the servers use."""
        found = self._scanner.counts(now).values()
        counts = [counts for counts in found if counts is not None]
        answers = self._link.on_every_server((b"INFO",))
        return Figures(
            entries=sum(live for live, _ in counts),
            expired=sum(expired for _, expired in counts),
            namespaces=sum(live > 0 for live, _ in counts) + len(found) - len(counts),
            bytes_on_disk=sum(used_memory(answer) for answer in answers),
            free_bytes=0,
            evicted=0,
            purged=self._remover.purged,
            library_version=server_of(answers[0]),
            durability="servers",
            tags=self._tags.count(self._registry.spaces()),
        )

    def check(self, decode: Decode, advance: Advance | None = None) -> CheckReport:
        """Read everything; *decode* raises a KVError for a record that cannot be read."""
        return self._scanner.check(decode, advance)

    def probe(self) -> list[str]:
        """Read and, if writes are allowed, write where the registry is; raise what fails, return warnings."""
        self._registry.spaces()
        if not self._readonly:
            self._registry.try_to_write()
        problem = self._tracking and self._tracking.problem
        return [*dangers(self._link), *([f"the LRU serves little or nothing: {problem}"] if problem else [])]

    def close(self) -> None:
        """Release everything; later calls raise StoreClosedError."""
        self._marks.close()
        if self._tracking is not None:
            self._tracking.close()
        self._link.close()
