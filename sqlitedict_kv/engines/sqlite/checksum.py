"""The checksum of a row, and a row as a record.

SQLite does not notice a flipped bit in a value. So the low half of the `checksum` column is a seal over all
that the row means but its version, and the high half holds the low bits of the version that it was made
for. A program that knows no checksums bumps the version when it writes, so its rows are recognized and
taken as they are.

The seal is a crc32, plus the time of the update: so a statement can take that time off again, and a reader
of the value alone need not fetch it. Each column that is fetched adds 4 % to the time of a point read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar
from zlib import crc32

from sqlitedict_kv.engines.crc32 import SMALL, crc32_of_large
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import DamagedEntryError

T = TypeVar("T")

VERSION_MASK = 0x7FFF_FFFF  # of the version's bits, those above the seal: SQLite's integers have a sign
SEAL_MASK = 0xFFFF_FFFF
HALF_WAY = 0x4000_0000

READ = "SELECT value, content_type, version, expires_at, updated_at, checksum FROM kv WHERE ns = ? AND key = ?"
# What `crc` returns, if the checksum is that of the row's own version, else NULL.
EXPECTED_CRC = """
    iif(checksum >> 32 = version & 0x7FFFFFFF, checksum - updated_at - (updated_at >> 32) & 0xFFFFFFFF, NULL)
"""

# body, content type, version, expires_at, updated_at, checksum: as the statements select them
Row = tuple[Any, Any, Any, Any, Any, Any]


def crc(namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None) -> int:
    """Return the crc32 over all that a row means but its version and the time of its update."""
    head = f"{namespace}\0{key}\0{content_type}\0{expires_at}".encode()
    return crc32(head + body) if len(body) <= SMALL else crc32_of_large(body, crc32(head))


def seal(crc: int, updated_at: int) -> int:
    """Return the low half of the column."""
    return crc + updated_at + (updated_at >> 32) & SEAL_MASK


def checksum(version: int, seal: int) -> int:
    """Return what the column holds; the statements that write compute the same."""
    return (version & VERSION_MASK) << 32 | seal


def record_of(namespace: str, key: str, row: Row) -> Record:
    """Return the row as a record.

    Raises:
        DamagedEntryError: its checksum does not match, or a column cannot be what anybody wrote.
    """
    body, content_type, version, expires_at, updated_at, stored = row
    if type(body) is bytes and type(version) is int and type(stored) is int:
        computed = crc(namespace, key, body, content_type, expires_at)
        if type(updated_at) is int and version > 0 and stored == checksum(version, seal(computed, updated_at)):
            return Record(body, content_type, version, expires_at, updated_at)
    return _accept_unchecked(namespace, key, row)


def is_checked(row: Row) -> bool:
    """Return whether the row carries a checksum of its own version."""
    _, _, version, _, _, stored = row
    return type(stored) is int and type(version) is int and stored >> 32 == version & VERSION_MASK


def _accept_unchecked(namespace: str, key: str, row: Row) -> Record:
    """Return a row that another program wrote; raise for one that nobody can have written."""
    body, content_type, version, expires_at, updated_at, stored = row
    if type(body) is str and not is_checked(row):  # a person, with the sqlite3 shell
        body = body.encode()
    for value, kinds, column in (
        (body, (bytes,), "value"),
        (content_type, (str,), "content_type"),
        (version, (int,), "version"),
        (expires_at, (int, type(None)), "expires_at"),
        (updated_at, (int,), "updated_at"),
        (stored, (int, type(None)), "checksum"),
    ):
        if type(value) not in kinds:
            raise DamagedEntryError(namespace, key, f"its column {column} holds {type(value).__name__}")
    if version < 1:
        raise DamagedEntryError(namespace, key, f"its version is {version}")
    if stored is not None:
        _refuse_broken_checksum(namespace, key, version, stored)
    return Record(body, content_type, version, expires_at, updated_at)


def _refuse_broken_checksum(namespace: str, key: str, version: int, stored: int) -> None:
    """Raise unless the checksum is that of an earlier version of the entry, left behind by another program."""
    made_for = stored >> 32
    if made_for == version & VERSION_MASK:
        raise DamagedEntryError(namespace, key, "its checksum does not match")
    wrapped = version > VERSION_MASK and (version - made_for) & VERSION_MASK < HALF_WAY
    if made_for <= 0 or (made_for > version and not wrapped):
        raise DamagedEntryError(namespace, key, "its version is below the one that its checksum was made for")


def batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most *size*."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
