"""The names of the keys of a store on a server.

The keys of a shard share a hash tag, so that a cluster keeps them in one slot and one script may use them all::

    kv:d{users:0}ada    an entry; the key of the entry is what follows the brace
    kv:i{users:0}       the keys in order: a sorted set whose scores are all 0, which sorts by bytes
    kv:x{users:0}       the keys that expire, by the time when they do
    kv:c{users:0}       the clock of the versions, and the layout
    kv:s{users:0}9f2e   what a thread's last write answered
    kv:n                the layouts of all namespaces

Braces in the name of a namespace would end the tag (https://valkey.io/topics/cluster-spec/, "Hash tags"), so they are
escaped. The leases of memoized functions are in the shard of the results that they are for, under capital letters:
a result is written and its lease given back in one step.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

from sqlitedict_kv.engines.valkey.client.redis_py import key_slot
from sqlitedict_kv.engines.valkey.value_format import crc_of
from sqlitedict_kv.errors import CorruptStoreError

LEASES = ".leases"  # what the namespace of the leases has behind the name of that of the results
RESULT_MARKS = b"!~"  # what stands before the key of a result's exception, and of its copy

ENCODED = re.compile(rb"([1-9]\d{0,3})([iu])")
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


class Keyspace(NamedTuple):
    """How a namespace is laid out, for as long as it is there."""

    shards: int
    ordered: bool

    def encoded(self) -> bytes:
        """Return it as the servers keep it."""
        return b"%d%s" % (self.shards, b"i" if self.ordered else b"u")

    @classmethod
    def of(cls, encoded: bytes) -> Keyspace:
        """Return what the servers keep.

        Raises:
            CorruptStoreError: nobody of ours wrote this.
        """
        match = ENCODED.fullmatch(encoded)
        if match is None:
            raise CorruptStoreError(
                f"the layout of a namespace is {encoded[:40]!r}, which this library does not write: another program "
                f"uses our keys for something else, or a later release does"
            )
        return cls(int(match[1]), match[2] == b"i")


class Space(NamedTuple):
    """A namespace on the servers."""

    namespace: str
    layout: Keyspace
    encoded: bytes  # the layout
    crc: int  # where the checksums of its entries begin
    shards: tuple[Shard, ...]

    def shard_of(self, key: bytes) -> Shard:
        """Return the shard of a key; a result, its exception and its copy are in the same one."""
        return self.shards[crc32(key.lstrip(RESULT_MARKS)) % len(self.shards)]


def family_of(namespace: str) -> str:
    """Return the namespace whose shards a namespace shares; but for leases, itself."""
    return namespace.removesuffix(LEASES) or namespace


def space_of(prefix: str, namespace: str, layout: Keyspace) -> Space:
    """Return the names of a namespace's keys."""
    family = family_of(namespace)
    kinds = "dixcs" if family == namespace else "DIXcs"
    escaped = ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", family)

    def shard(number: int) -> Shard:
        names = [f"{prefix}:{kind}{{{escaped}:{number}}}".encode() for kind in kinds]
        return Shard(key_slot(names[0]), *names)

    return Space(
        namespace, layout, layout.encoded(), crc_of(namespace), tuple(shard(number) for number in range(layout.shards))
    )


def watched(prefix: str) -> tuple[bytes, bytes]:
    """Return what the names of all entries begin with; no other key's does."""
    return f"{prefix}:d{{".encode(), f"{prefix}:D{{".encode()


def name_of(watched: tuple[bytes, bytes], key: bytes) -> tuple[str, str] | None:
    """Return the namespace and the key of an entry; None for what is none of ours."""
    results, leases = watched
    tag, _, name = key[len(results) :].partition(b"}")
    family = tag.rpartition(b":")[0].decode(errors="replace")
    if "%" in family:
        family = UNESCAPED.sub(lambda match: chr(int(match[1], 16)), family)
    if not key.startswith(results):
        if not key.startswith(leases):
            return None
        family += LEASES
    try:
        return family, name.decode()
    except UnicodeDecodeError:
        return None


def registry_of(prefix: str) -> bytes:
    """Return the name of the hash that keeps the layouts."""
    return f"{prefix}:n".encode()
