"""The names of the keys of a store on a server.

The keys of a shard share a hash tag, so that a cluster keeps them in one slot and one script may use them all::

    kv:d{users:0}ada    an entry; the key of the entry is what follows the brace
    kv:i{users:0}       the keys in order: a sorted set whose scores are all 0, which sorts by bytes
    kv:x{users:0}       the keys that expire, by the time when they do
    kv:t{users:0}       the tags, made by the first one: a sorted set whose scores are all 0, see scripts.py
    kv:c{users:0}       the clock of the versions, and the layout
    kv:s{users:0}9f2e   what a thread's last write answered
    kv:n                the layouts of all namespaces

A namespace that is kept beside another one, as leases are beside the results that they are for, shares its shards, its
clock and its sessions, so that one script may write both::

    kv:D{users:0}users.leases}ada    an entry of the namespace users.leases, in the slot of users' entry ada
    kv:I{users:0}users.leases        its keys in order
    kv:X{users:0}users.leases        those that expire
    kv:T{users:0}users.leases        its tags

Braces in the name of a namespace would end the tag (https://valkey.io/topics/cluster-spec/, "Hash tags"), so they are
escaped.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

from sqlitedict_kv.engines.valkey.client.redis_py import key_slot
from sqlitedict_kv.engines.valkey.value_format import crc_of, text_of
from sqlitedict_kv.errors import CorruptStoreError

# The number of shards, "i" for an index of the keys or "u" for none, the marks of keys, the namespace it is beside.
ENCODED = re.compile(rb"([1-9]\d{0,3})([iu])([!-?A-~]*)(?:@(.+))?", re.DOTALL)
ESCAPED = re.compile(r"[{}%]")
UNESCAPED = re.compile(r"%(7B|7D|25)")


class Shard(NamedTuple):
    """Where a part of a namespace is."""

    slot: int
    entries: bytes  # what the names of entries begin with
    order: bytes  # its sorted set of keys
    expiry: bytes
    clock: bytes
    sessions: bytes  # what the names of sessions begin with
    tags: bytes


class Keyspace(NamedTuple):
    """How a namespace is laid out, for as long as it is there."""

    shards: int
    ordered: bool
    key_marks: bytes = b""  # characters that do not count for the shard of a key that begins with them
    beside: str | None = None  # the namespace whose shards it shares

    def encoded(self) -> bytes:
        """Return it as the registry keeps it."""
        core = self.encoded_core()
        return core if self.beside is None else b"%s@%s" % (core, self.beside.encode())

    def encoded_core(self) -> bytes:
        """Return what the shards keep of it: it is the same for the namespaces that share them."""
        return b"%d%s%s" % (self.shards, b"i" if self.ordered else b"u", self.key_marks)

    @classmethod
    def of(cls, encoded: bytes) -> Keyspace:
        """Return what the servers keep.

        Raises:
            CorruptStoreError: this library did not write it.
        """
        match = ENCODED.fullmatch(encoded)
        if match is None:
            raise CorruptStoreError(
                f"the layout of a namespace is {encoded[:40]!r}, which this library does not write: another program "
                f"uses our keys for something else, or a later release does"
            )
        beside = None if match[4] is None else text_of(match[4])
        return cls(int(match[1]), match[2] == b"i", match[3], beside)


class Space(NamedTuple):
    """A namespace on the servers."""

    namespace: str
    layout: Keyspace
    encoded: bytes  # the core of the layout
    crc: int  # where the checksums of its entries begin
    shards: tuple[Shard, ...]

    def shard_of(self, key: bytes) -> Shard:
        """Return the shard of a key; marks before it do not count."""
        return self.shards[crc32(key.lstrip(self.layout.key_marks)) % len(self.shards)]


def space_of(prefix: str, namespace: str, layout: Keyspace) -> Space:
    """Return the names of a namespace's keys."""
    tag = _escape(namespace if layout.beside is None else layout.beside)
    kinds, own = ("dixt", "") if layout.beside is None else ("DIXT", _escape(namespace))

    def shard(number: int) -> Shard:
        entries, order, expiry, tags = (f"{prefix}:{kind}{{{tag}:{number}}}{own}".encode() for kind in kinds)
        clock, sessions = (f"{prefix}:{kind}{{{tag}:{number}}}".encode() for kind in "cs")
        return Shard(key_slot(clock), entries + (b"}" if own else b""), order, expiry, clock, sessions, tags)

    shards = tuple(shard(number) for number in range(layout.shards))
    return Space(namespace, layout, layout.encoded_core(), crc_of(namespace), shards)


def _escape(namespace: str) -> str:
    return ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", namespace)


def _unescape(name: str) -> str:
    return UNESCAPED.sub(lambda match: chr(int(match[1], 16)), name) if "%" in name else name


def tracked_prefixes(prefix: str) -> tuple[bytes, bytes]:
    """Return what the names of all entries begin with; no other key's does."""
    return f"{prefix}:d{{".encode(), f"{prefix}:D{{".encode()


def name_of(watched: tuple[bytes, bytes], key: bytes) -> tuple[str, str] | None:
    """Return the namespace and the key of an entry; None if it is not one of this store."""
    plain, beside = watched
    if not key.startswith(watched):
        return None
    tag, _, name = key[len(plain) :].partition(b"}")
    namespace = tag.rpartition(b":")[0]
    if key.startswith(beside):
        namespace, _, name = name.partition(b"}")
    try:
        return _unescape(namespace.decode()), name.decode()
    except UnicodeDecodeError:
        return None


def registry_of(prefix: str) -> bytes:
    """Return the name of the hash that keeps the layouts."""
    return f"{prefix}:n".encode()
