"""Reference to a value that is in a file of its own: what the row of the entry holds in its place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

FILE = "application/vnd.sqlitedict-kv.file"

NAME = re.compile(r"[0-9a-f]{32}")
LEAST_CHUNK_BYTES = 2**16
MOST_CHUNKS = 2**16  # that a reader takes, more than a writer ever makes
MOST_BYTES = 2**62


def new_name() -> str:
    """Return a name that no file ever had."""
    return os.urandom(16).hex()


class FileAccess:
    """How values are read that are in files of their own: shared by the codecs of a store and of its views."""

    __slots__ = ("map", "open", "read")

    def __init__(self) -> None:
        """Begin without; the store says how when it is open."""
        self.read: Callable[[Any, str, str, bytes], Any] | None = None  # of codecs, namespace, key and reference
        self.open: Callable[[str, str, bytes], Any] | None = None  # a raw stream of an entry's value
        self.map = self.read  # as read; what it returns lies in the system's memory of the file

    def __reduce__(self) -> tuple[type[FileAccess], tuple[()]]:
        """Pickle as one that reads nothing: the files are those of a store of this process."""
        return FileAccess, ()


class BadReferenceError(ValueError):
    """Says why a row's text is not a reference."""


class FileReference(NamedTuple):
    """The name of a file, and what it holds."""

    file: str  # 32 hexadecimal digits
    size: int  # bytes
    type: str  # the content type of the value
    chunk: int  # bytes that each CRC-32 is of; the last chunk may be shorter
    crc32: bytes  # four bytes of each chunk, the most significant first

    def pack(self) -> bytes:
        """Return the text for the row."""
        return json.dumps(self._asdict() | {"crc32": self.crc32.hex()}).encode()


def parse_reference(body: bytes) -> FileReference:
    """Return what a row's text says; raise BadReferenceError for what no writer can have written.

    Nothing was opened or allocated before that: whoever can write to the database chooses this text.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadReferenceError("its reference to a file is not JSON") from None
    if type(given) is not dict or set(given) != set(FileReference._fields):
        raise BadReferenceError("its reference to a file has other parts than file, size, type, chunk and crc32")
    name, size, kind, chunk, sums = (given[part] for part in FileReference._fields)
    if type(name) is not str or not NAME.fullmatch(name):
        raise BadReferenceError("it refers to a file by what is not the name of one")
    if type(size) is not int or not 0 < size <= MOST_BYTES:
        raise BadReferenceError("it refers to a file of an impossible size")
    if type(chunk) is not int or not LEAST_CHUNK_BYTES <= chunk <= MOST_BYTES:
        raise BadReferenceError("it refers to a file by chunks of an impossible size")
    if type(kind) is not str or kind == FILE:
        raise BadReferenceError("it refers to a file of an impossible content type")
    chunks = -(-size // chunk)
    if chunks > MOST_CHUNKS or type(sums) is not str or not re.fullmatch(f"[0-9a-f]{{{8 * chunks}}}", sums):
        raise BadReferenceError("it refers to a file with other checksums than one for each chunk")
    return FileReference(name, size, kind, chunk, bytes.fromhex(sums))


def described(body: bytes, content_type: str) -> tuple[str, int]:
    """Return how a value is encoded and how many bytes it has, whether it is in the row or in a file."""
    if content_type != FILE:
        return content_type, len(body)
    try:
        reference = parse_reference(body)
    except BadReferenceError:
        return content_type, len(body)
    return reference.type, reference.size


def content_type_of(body: bytes, content_type: str) -> str:
    """Return how a value is encoded, whether it is in the row or in a file."""
    return described(body, content_type)[0]
