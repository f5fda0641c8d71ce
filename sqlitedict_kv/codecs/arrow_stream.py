"""Arrow IPC streams from anybody: a look at their messages before a library reads them.

A compressed body of a few kilobytes becomes a gigabyte as soon as it is read, so it is refused. Nothing that a store
writes is compressed. https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct

from sqlitedict_kv.codecs.parts import require

CONTINUATION = 0xFFFFFFFF
DICTIONARY_BATCH, RECORD_BATCH = 2, 3
# the places of fields in the tables of the format's Message.fbs
HEADER_TYPE, HEADER, BODY_LENGTH = 1, 2, 3
BATCH_COMPRESSION = 3
DICTIONARY_DATA = 1


def require_plain(body: bytes | memoryview) -> None:
    """Raise unless a body is a stream of messages none of which is compressed."""
    place = 0
    while place + 4 <= len(body):
        size, place = _read_unsigned(body, place), place + 4
        if size == CONTINUATION:
            size, place = _read_unsigned(body, place), place + 4
        if size == 0:  # the end of the stream
            return
        require(place + size <= len(body))
        place += size + _require_plain_message(body[place : place + size])


def _require_plain_message(metadata: bytes | memoryview) -> int:
    """Return the length of the body that follows a message."""
    message = _read_unsigned(metadata, 0)
    kind = _field(metadata, message, HEADER_TYPE)
    kind_of_header = metadata[kind] if kind else 0
    if kind_of_header in (DICTIONARY_BATCH, RECORD_BATCH):
        batch = _table(metadata, message, HEADER)
        if kind_of_header == DICTIONARY_BATCH:
            batch = _table(metadata, batch, DICTIONARY_DATA)
        require(not _field(metadata, batch, BATCH_COMPRESSION))
    length = _field(metadata, message, BODY_LENGTH)
    (size,) = struct.unpack_from("<q", metadata, length) if length else (0,)
    require(size >= 0)
    return int(size)


def _table(metadata: bytes | memoryview, table: int, number: int) -> int:
    """Return where the table begins to which a field of another table points."""
    place = _field(metadata, table, number)
    require(place)
    return place + _read_unsigned(metadata, place)


def _field(metadata: bytes | memoryview, table: int, number: int) -> int:
    """Return where a field of a table lies, 0 if it is absent; as FlatBuffers have it."""
    (distance,) = struct.unpack_from("<i", metadata, table)
    directory = table - distance
    require(directory >= 0)
    size, slot = _short(metadata, directory), 4 + 2 * number
    offset = _short(metadata, directory + slot) if slot < size else 0
    return table + offset if offset else 0


def _read_unsigned(metadata: bytes | memoryview, place: int) -> int:
    return int(struct.unpack_from("<I", metadata, place)[0])


def _short(metadata: bytes | memoryview, place: int) -> int:
    return int(struct.unpack_from("<H", metadata, place)[0])
