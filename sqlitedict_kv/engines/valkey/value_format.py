"""Format of an entry on a server: one string of a header and the body.

====== ============ =====================================================================
bytes  what         meaning
====== ============ =====================================================================
1      format       1
8      version      given by the script that writes
4      seal         see below
8      updated_at   Unix time in milliseconds
8      expires_at   likewise; 0 is never
1      content type a number of :data:`TYPES`; 0: two bytes of length and the name follow
====== ============ =====================================================================

Numbers have their high bytes first. The seal is a crc32 over namespace, key, content type and body, to which version
and times are added: so a script can give an entry its version, or another deadline, without a look at the body.
"""

from __future__ import annotations

import struct
from zlib import crc32

from sqlitedict_kv.engines.crc32 import SMALL, crc32_of_large
from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import CorruptStoreError, DamagedEntryError, TooLargeError

FORMAT = 1
HEADER = struct.Struct(">BQIQQB")
TIMES = struct.Struct(">QQ")
LENGTH = struct.Struct(">H")
MASK = 0xFFFF_FFFF
LAST_MOMENT = 2**43  # Unix time in milliseconds; with it the sums for the seal are exact in the numbers of Lua
MAX_BODY_BYTES = 512 * 2**20 - 2**16  # a server takes strings of 512 MiB, and the header is one's part

# Part of the format: a number is never given to another type.
TYPES = (
    "",
    "application/json",
    "application/msgpack",
    "application/octet-stream",
    "text/plain; charset=utf-8",
    "application/x-npy",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.arrow.stream; as=pandas",
)
NUMBERS = {name: number for number, name in enumerate(TYPES) if name}
HEADER_SIZE = HEADER.size
TYPE_AT = HEADER_SIZE - 1
LONGEST_HEAD = HEADER_SIZE + LENGTH.size + 255  # bytes before the body, with the longest name of a content type
unpack_header = HEADER.unpack_from


def crc_of(namespace: str) -> int:
    """Return where the checksums of a namespace's entries begin."""
    return crc32(f"{namespace}\0".encode())


def pack(crc: int, body: bytes, content_type: str, expires_at: int | None, updated_at: int) -> tuple[int, bytes]:
    """Return the checksum of an entry, and all of the string that comes behind the seal.

    Args:
        crc: the checksum over namespace and key, :func:`crc_of` continued.
        body: the encoded value.
        content_type: its type.
        expires_at: Unix time in milliseconds; None is never.
        updated_at: likewise.
    """
    if not 0 <= updated_at <= LAST_MOMENT or (expires_at is not None and expires_at > LAST_MOMENT):
        raise ValueError(f"the clock of the store is out of bounds: {updated_at} ms since 1970")
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"value takes {len(body)} bytes, and a server keeps at most {MAX_BODY_BYTES} under a key")
    number = NUMBERS.get(content_type, 0)
    typed = b"%c" % number
    if not number:
        name = content_type.encode()
        typed += LENGTH.pack(len(name)) + name
    typed += body
    summed = crc32(typed, crc) if len(typed) <= SMALL else crc32_of_large(typed, crc)
    return summed, TIMES.pack(updated_at, expires_at or 0) + typed


def record_of(namespace: str, key: str, raw: bytes, crc: int) -> Record:
    """Return a string as a record; *crc* is the checksum over namespace and key.

    Raises:
        DamagedEntryError: this library did not write it.
    """
    # Flat, for it is part of every read.
    if len(raw) < HEADER_SIZE or raw[0] != FORMAT:
        raise _damaged(namespace, key, raw)
    _, version, seal, updated_at, expires_at, number = unpack_header(raw)
    total = version + updated_at + expires_at
    summed = crc32(raw[TYPE_AT:], crc) if len(raw) <= SMALL else crc32_of_large(memoryview(raw)[TYPE_AT:], crc)
    if seal != summed + total + (total >> 32) & MASK:
        raise DamagedEntryError(namespace, key, "its checksum does not match")
    if 0 < number < len(TYPES):
        return Record(raw[HEADER_SIZE:], TYPES[number], version, expires_at or None, updated_at)
    content_type, body = _named(namespace, key, raw, number)
    return Record(body, content_type, version, expires_at or None, updated_at)


def summary_of(namespace: str, key: str, size: int, head: bytes) -> RecordSummary:
    """Return what is known of an entry by its first bytes and the size of its string; its checksum is not looked at.

    Raises:
        DamagedEntryError: this library did not write it.
    """
    if len(head) < HEADER_SIZE or head[0] != FORMAT:
        raise _damaged(namespace, key, head)
    _, version, _, updated_at, expires_at, number = unpack_header(head)
    start, content_type = HEADER_SIZE, TYPES[number] if 0 < number < len(TYPES) else ""
    if not content_type:
        content_type, _ = _named(namespace, key, head, number)
        start += LENGTH.size + len(content_type.encode())
    return RecordSummary(key, size - start, content_type, version, expires_at or None, updated_at)


def _named(namespace: str, key: str, raw: bytes, number: int) -> tuple[str, bytes]:
    start = HEADER_SIZE + LENGTH.size
    if number or len(raw) < start:
        raise DamagedEntryError(namespace, key, f"its content type has the number {number}")
    end = start + LENGTH.unpack_from(raw, HEADER_SIZE)[0]
    try:
        return raw[start:end].decode(), raw[end:]
    except UnicodeDecodeError as error:
        raise DamagedEntryError(namespace, key, "its content type is not valid UTF-8") from error


def _damaged(namespace: str, key: str, raw: bytes) -> DamagedEntryError:
    if len(raw) >= HEADER_SIZE and raw[0] > FORMAT:
        return DamagedEntryError(namespace, key, f"it is of format {raw[0]}, of a later release or of another program")
    return DamagedEntryError(namespace, key, "it is not an entry of this library")


def text_of(name: bytes) -> str:
    """Return the text of a key or a namespace.

    Raises:
        CorruptStoreError: it is not text.
    """
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise CorruptStoreError(
            f"the servers keep the name {name[:40]!r}, which is not text: another program uses these keys; "
            f"choose another prefix"
        ) from error
