"""Edits as the arguments of the script that applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sqlitedict_kv.engine import Change, Check, Delete, Edit, Put, Touch
from sqlitedict_kv.engines.valkey.entry import packed
from sqlitedict_kv.engines.valkey.layout import Shard, Space
from sqlitedict_kv.record import Record

Read = Callable[[str, str], Record | None]  # takes namespace and key; the newest record, expired or not

NO_MATTER = b""


class Guarded(NamedTuple):
    """A write that a Change asked for, and the record that it was made from."""

    put: Put
    version: int | None  # that must still be there; 0 is absent, None is any: an edit before it decides
    expires_at: int | None  # likewise


def resolved(edits: Iterable[Edit], read: Read, now: int) -> list[Edit | Guarded]:
    """Return edits in which what a Change would write stands for the Change.

    What *read* returned for it is guarded by the version and the deadline that it had; edits of the same entry that come
    before it count as applied.
    """
    ahead: dict[tuple[str, str], Record | None] = {}  # what the edits so far leave behind
    done: list[Edit | Guarded] = []
    for edit in edits:
        name = edit.namespace, edit.key
        if isinstance(edit, Change):
            known = name in ahead
            record = ahead[name] if known else read(*name)
            live = record if record is not None and record.is_live(now) else None
            put = edit.function(live)
            version = None if known else live.version if live else 0
            done.append(Guarded(put, version, live.expires_at if live else None))
            ahead[name] = _record_of(put, now)
            continue
        done.append(edit)
        if isinstance(edit, Put):
            ahead[name] = _record_of(edit, now)
        elif isinstance(edit, Delete):
            ahead[name] = None
        elif isinstance(edit, Touch) and ahead.get(name) is not None:
            ahead[name] = _touched(ahead[name], edit)
    return done


def _record_of(put: Put, now: int) -> Record:
    """Return the record that a write will make; its version is not known yet."""
    return Record(put.body, put.content_type, 0, put.expires_at, now)


def _touched(record: Record | None, edit: Touch) -> Record | None:
    if record is None or (edit.expiring and record.expires_at is None):
        return record
    return record._replace(expires_at=edit.expires_at)


class Arguments(NamedTuple):
    """What a script is called with."""

    slot: int
    keys: list[bytes]
    arguments: list[bytes]


def arguments_of(
    edits: Sequence[Edit | Guarded], space_of: Callable[[str], Space], session: tuple[bytes, bytes], now: int
) -> Arguments:
    """Return what COMMIT is called with; *session* is the name of the session, without the shard's part, and the number."""
    shards: dict[tuple[str, bytes], tuple[int, Shard, bytes]] = {}
    names: list[bytes] = []
    parts: list[bytes] = []
    for edit in edits:
        put = edit.put if isinstance(edit, Guarded) else edit
        key, space = put.key.encode(), space_of(put.namespace)
        shard = space.shard_of(key)
        number, _, _ = shards.setdefault((put.namespace, shard.clock), (len(shards) + 1, shard, space.encoded))
        names.append(shard.entries + key)
        parts += _parts_of(edit, b"%d" % number, key, now)
    first = next(iter(shards.values()))[1]
    keys = [first.sessions + session[0]]
    for _, shard, _ in shards.values():
        keys += (shard.index, shard.expiry, shard.clock)
    layouts = [layout for _, _, layout in shards.values()]
    head = [session[1], b"%d" % now, b"%d" % len(shards)]
    return Arguments(first.slot, keys + names, head + layouts + parts)


def _parts_of(edit: Edit | Guarded, shard: bytes, key: bytes, now: int) -> list[bytes]:
    """Return the nine arguments of an edit."""
    match edit:
        case Put():
            return _put(edit, shard, key, now, _number(edit.expected), NO_MATTER, b"")
        case Guarded(put, version, expires_at):
            deadline = NO_MATTER if version is None else b"%d" % (expires_at or 0)
            return _put(put, shard, key, now, _number(version), deadline, b"1")
        case Delete(expected=expected, required=required):
            return [b"R" if required else b"D", shard, key, _number(expected), b"", b"", b"", b"", b""]
        case Touch(expires_at=expires_at, expiring=expiring):
            kind = b"E" if expiring else b"T"
            return [kind, shard, key, NO_MATTER, b"", b"%d" % (expires_at or 0), b"", b"", b""]
        case Check(expected=expected):
            return [b"C", shard, key, _number(expected), b"", b"", b"", b"", b""]
        case Change():
            raise AssertionError("a Change is resolved before it is sent")


def _put(put: Put, shard: bytes, key: bytes, now: int, expected: bytes, deadline: bytes, guess: bytes) -> list[bytes]:
    seal, tail = packed(put.namespace, put.key, put.body, put.content_type, put.expires_at, now)
    return [b"P", shard, key, expected, deadline, b"%d" % (put.expires_at or 0), b"%d" % seal, tail, guess]


def _number(version: int | None) -> bytes:
    return NO_MATTER if version is None else b"%d" % version
