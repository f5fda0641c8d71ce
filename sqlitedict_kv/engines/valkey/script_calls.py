"""Calls of the scripts, one for each request of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from sqlitedict_kv.engines.protocol import Change, Check, Delete, KeyRange, Put, Touch
from sqlitedict_kv.engines.valkey.client.protocol import Call
from sqlitedict_kv.engines.valkey.key_range import bounds_of
from sqlitedict_kv.engines.valkey.keyspace import Shard, Space
from sqlitedict_kv.engines.valkey.resolve import Concrete, Failed, Guarded
from sqlitedict_kv.engines.valkey.scripts import CLEAR, COMMIT, COUNT, HEADS, PAGE, PUT_MANY, REMOVE, SCAN
from sqlitedict_kv.engines.valkey.value_format import LONGEST_HEAD, pack

RequestSession = tuple[bytes, bytes]  # of the thread, and the number of its request

BYTES_PER_PAGE = 4 * 2**20  # of values that are held at once while records are listed
KEYS_PER_SCAN = b"1000"
NO_MATTER = b""
PATTERN_CHARACTERS = b"*?[]\\^-"


class Places(NamedTuple):
    """Entries that one command can read."""

    slot: int
    positions: Sequence[int]  # in the list of the keys that are wanted
    names: list[bytes]


def places_of(space: Space, keys: Sequence[bytes], *, together: bool) -> list[Places]:
    """Return where keys are, those of one slot together; all *together* where slots do not matter."""
    if len(space.shards) == 1:
        (shard,) = space.shards
        prefix = shard.entries
        return [Places(shard.slot, range(len(keys)), [prefix + key for key in keys])]
    places: dict[int, tuple[list[int], list[bytes]]] = {}
    for position, key in enumerate(keys):
        shard = space.shard_of(key)
        positions, names = places.setdefault(0 if together else shard.slot, ([], []))
        positions.append(position)
        names.append(shard.entries + key)
    return [Places(slot, *place) for slot, place in places.items()]


def mget_call(place: Places) -> Call:
    """Return the call that reads entries."""
    return Call(place.slot, None, (b"MGET", *place.names), writes=False)


def heads_call(place: Places) -> Call:
    """Return the call that reads the sizes and the headers of entries."""
    parts = (b"%d" % len(place.names), *place.names, b"%d" % LONGEST_HEAD)
    return Call(place.slot, HEADS, parts, writes=False)


def whole(shard: Shard) -> bytes:
    """Return a name in a shard that never exists: the session of no client; see scripts.py."""
    return shard.sessions


def page_call(space: Space, shard: Shard, span: KeyRange, limit: int, now: int, *, records: bool) -> Call:
    """Return the call that walks along the keys of a shard of a namespace."""
    low, high = bounds_of(span)
    names = (b"3", shard.order, shard.expiry, whole(shard)) if records else (b"2", shard.order, shard.expiry)
    entries = shard.entries if records else b""
    enough = b"%d" % (BYTES_PER_PAGE // len(space.shards))
    numbers = (b"1" if span.reverse else b"0", b"%d" % limit, b"%d" % now, entries, enough)
    return Call(shard.slot, PAGE, (*names, low, high, *numbers), writes=False)


def count_call(shard: Shard, now: int) -> Call:
    """Return the call that counts the keys of a shard."""
    return Call(shard.slot, COUNT, (b"2", shard.order, shard.expiry, b"%d" % now), writes=False)


def put_call(space: Space, shard: Shard, puts: Sequence[Put], session: RequestSession, above: int, now: int) -> Call:
    """Return the call that writes entries of a shard at versions greater than *above*."""
    keys: list[bytes] = [shard.sessions + session[0], shard.order, shard.expiry, shard.clock]
    arguments: list[bytes] = [session[1], space.encoded, b"%d" % now, b"%d" % above]
    tagged: list[bytes] = []
    for _, key, body, content_type, expires_at, _, tags in puts:
        name = key.encode()
        crc, tail = pack(crc32(name, space.crc), body, content_type, expires_at, now)
        keys.append(shard.entries + name)
        arguments += (name, b"%d" % (expires_at or 0), b"%d" % crc, tail)
        if tags:
            tagged += (name, pack_tags(tags))
    keys.append(whole(shard))
    if tagged:
        arguments += (shard.tags, *tagged)
    return Call(shard.slot, PUT_MANY, (b"%d" % len(keys), *keys, *arguments), writes=True)


def pack_tags(tags: Sequence[str]) -> bytes:
    """Return tags as a script takes them, each behind its length in two bytes."""
    names = [tag.encode() for tag in tags]
    return b"".join(len(name).to_bytes(2, "big") + name for name in names)


def clear_call(shard: Shard, session: RequestSession) -> Call:
    """Return the call that removes all entries of a shard."""
    names = (b"5", shard.sessions + session[0], shard.order, shard.expiry, shard.tags, whole(shard))
    parts = (*names, session[1], shard.entries)
    return Call(shard.slot, CLEAR, parts, writes=True)


def remove_call(shard: Shard, session: RequestSession, limit: int, now: int, *, expired: bool) -> Call:
    """Return the call that removes some entries of a shard, only *expired* ones if so."""
    parts = (
        *(b"4", shard.sessions + session[0], shard.order, shard.expiry, whole(shard)),
        *(session[1], shard.entries, b"%d" % limit, b"%d" % now, b"1" if expired else b"0"),
    )
    return Call(shard.slot, REMOVE, parts, writes=True)


def scan_call(shard: Shard, cursor: bytes) -> Call:
    """Return the call that finds some of the names of a shard's entries, in no order."""
    escaped = b"".join(b"\\%c" % byte if byte in PATTERN_CHARACTERS else b"%c" % byte for byte in shard.entries)
    parts = (b"2", shard.clock, whole(shard), cursor, escaped + b"*", KEYS_PER_SCAN)
    return Call(shard.slot, SCAN, parts, writes=False)


def commit_call(edits: Sequence[Concrete], space_of: Callable[[str], Space], session: RequestSession, now: int) -> Call:
    """Return the call that applies edits, all or none."""
    shards: dict[tuple[str, bytes], tuple[int, Shard, bytes]] = {}
    names: list[bytes] = []
    parts: list[bytes] = []
    tagged: list[bytes] = []
    for position, edit in enumerate(edits, 1):
        put = edit.put if isinstance(edit, Guarded) else edit
        key, space = put.key.encode(), space_of(put.namespace)
        shard = space.shard_of(key)
        number, _, _ = shards.setdefault((put.namespace, shard.clock), (len(shards) + 1, shard, space.encoded))
        names.append(shard.entries + key)
        parts += _parts_of(edit, space, b"%d" % number, key, now)
        if type(put) is Put and put.tags:
            tagged += (b"%d" % position, shard.tags, pack_tags(put.tags))
    first = next(iter(shards.values()))[1]
    keys = [first.sessions + session[0]]
    for _, shard, _ in shards.values():
        keys += (shard.order, shard.expiry, shard.clock)
    layouts = [layout for _, _, layout in shards.values()]
    head = [session[1], b"%d" % now, b"%d" % len(shards)]
    keys += (*names, whole(first))
    return Call(first.slot, COMMIT, (b"%d" % len(keys), *keys, *head, *layouts, *parts, *tagged), writes=True)


def _parts_of(edit: Concrete, space: Space, shard: bytes, key: bytes, now: int) -> list[bytes]:
    """Return the nine arguments of an edit."""
    match edit:
        case Put():
            return _put(edit, space, shard, key, now, _number(edit.expected), NO_MATTER, b"")
        case Guarded(put, version, expires_at):
            return _put(put, space, shard, key, now, _number(version), _deadline(version, expires_at), b"1")
        case Failed(version=version, expires_at=expires_at):
            return [b"F", shard, key, _number(version), _deadline(version, expires_at), b"", b"", b"", b"1"]
        case Delete(expected=expected, required=required):
            return [b"R" if required else b"D", shard, key, _number(expected), b"", b"", b"", b"", b""]
        case Touch(expires_at=expires_at, expiring=expiring):
            kind = b"E" if expiring else b"T"
            return [kind, shard, key, NO_MATTER, b"", b"%d" % (expires_at or 0), b"", b"", b""]
        case Check(expected=expected):
            return [b"C", shard, key, _number(expected), b"", b"", b"", b"", b""]
        case Change():
            raise AssertionError("a Change is resolved before it is sent")


def _put(
    put: Put, space: Space, shard: bytes, key: bytes, now: int, expected: bytes, deadline: bytes, guess: bytes
) -> list[bytes]:
    crc, tail = pack(crc32(key, space.crc), put.body, put.content_type, put.expires_at, now)
    return [b"P", shard, key, expected, deadline, b"%d" % (put.expires_at or 0), b"%d" % crc, tail, guess]


def _deadline(version: int | None, expires_at: int | None) -> bytes:
    return NO_MATTER if version is None else b"%d" % (expires_at or 0)


def _number(version: int | None) -> bytes:
    return NO_MATTER if version is None else b"%d" % version
