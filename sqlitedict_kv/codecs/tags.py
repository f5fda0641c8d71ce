"""Tagged MessagePack: values of any kind as flat arrays that begin with the index of their kind.

A value that MessagePack cannot hold is an array of extension 32, with the index of its kind, and its parts. The kinds
are in a table before the value, by name and, where their parts have names, by those too::

    [extension 33: [[name, field, ...], ...], value]

Extension 34 is the index of a raw buffer that lies elsewhere in a bundle. Leaves have codes of their own, those of
:mod:`sqlitedict_kv.codecs.msgpack`. A body that does not begin with a table is one of that module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from msgpack import ExtType, Packer, unpackb

from sqlitedict_kv.codecs import msgpack
from sqlitedict_kv.codecs.builtin_kinds import MAP
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.limits import not_packed, too_large
from sqlitedict_kv.codecs.objects import ObjectKind
from sqlitedict_kv.codecs.parts import check_part
from sqlitedict_kv.codecs.refusal import RefusalError
from sqlitedict_kv.errors import CodecError, TooLargeError

OBJECT, TABLE, BUFFER = 32, 33, 34
SHORT_TABLE, LONG_TABLE = struct.Struct(">HBb"), struct.Struct(">HIb")
SHORT, LONG = 0x92C7, 0x92C9  # an array of two, the first an extension whose length takes one byte, or four
INDEX = struct.Struct(">I")
LARGE = 1024  # bytes from which on a buffer lies outside of the head
PACKER_BYTES = 1024  # to begin with; the default takes a quarter of a megabyte
ONE_BYTE = 256  # numbers below it take one
MAX_TABLES = 256  # that are remembered

are_leaves = msgpack.LEAVES.issuperset


class Mark(NamedTuple):
    """What an extension 32 stands for while a body is read: how the parts behind it become a value."""

    build: Callable[[list[Any]], Any]
    raw_parts: bool
    lasting: bool = True  # whether it may be remembered: a class of a notebook may be defined again


class Kinds(Protocol):
    """The kinds that a view of a store keeps."""

    tables: dict[bytes, dict[bytes, Mark]]  # what was read before, by the bytes of the table

    def kind_of(self, cls: type) -> LibraryKind | ObjectKind:
        """Return the kind of a class; raise RefusalError if it is not kept."""

    def mark_of(self, name: str, fields: tuple[str, ...]) -> Mark:
        """Return how a stored kind is built; raise DecodeError if it is not known or not allowed."""


class Packed(NamedTuple):
    """A value in tagged MessagePack, and the buffers that lie outside of it."""

    head: bytes
    buffers: list[memoryview]


def pack(value: Any, kinds: Kinds, *, limit: int | None = None, inline: bool = False) -> Packed:
    """Return tagged MessagePack of a value that is exact by construction.

    Args:
        value: any value.
        kinds: what may be kept.
        limit: the most bytes that buffers may take together; None is no limit.
        inline: whether large buffers stay in the head too.

    Raises:
        CodecError: it holds something that is not kept, or is nested too deeply.
        TooLargeError: its buffers are over the limit.
    """
    packing = _Packing(kinds, limit, inline=inline)
    try:
        tree = packing.tree(value)
        packed: bytes = Packer(strict_types=True, default=msgpack.to_extension, buf_size=PACKER_BYTES).pack(tree)
        head = _with_table(packing.rows, packed)
    except (CodecError, TooLargeError):
        raise
    except RecursionError:
        raise CodecError(f"this {type(value).__name__} is nested too deeply, or holds itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise CodecError(not_packed(value, error)) from None
    return Packed(head, packing.buffers)


def _with_table(rows: list[list[str]], packed: bytes) -> bytes:
    if not rows:
        return packed
    table: bytes = Packer().pack(rows)
    length = len(table)
    head = SHORT_TABLE.pack(SHORT, length, TABLE) if length < ONE_BYTE else LONG_TABLE.pack(LONG, length, TABLE)
    return b"".join((head, table, packed))


class _Packing:
    """One walk over a value, which leaves it as it is and shares with it what is plain."""

    def __init__(self, kinds: Kinds, limit: int | None, *, inline: bool) -> None:
        self._kinds = kinds
        self._limit = limit
        self._inline = inline
        self._known: dict[type, tuple[ExtType, Callable[[Any], Sequence[Any]], bool]] = {}
        self._bytes = 0
        self.rows: list[list[str]] = []
        self.buffers: list[memoryview] = []

    def tree(self, value: Any) -> Any:
        """Return what msgpack packs in place of a value."""
        cls = type(value)
        if cls in msgpack.LEAVES:
            return value
        plain_keys = cls is dict and are_leaves(map(type, value))
        if cls is list or plain_keys:
            items = value if cls is list else value.values()
            if are_leaves(map(type, items)):
                return value
            mark, parts, raw_parts = None, value, False
        else:
            mark, take_apart, raw_parts = self._known.get(cls) or self._learn(cls)
            parts = _taken_apart(take_apart, value)
            if are_leaves(map(type, parts)):
                return [mark, *parts]
        try:
            if mark is None and plain_keys:
                return {key: self.tree(item) for key, item in value.items()}
            if raw_parts:
                return [mark, *[self._buffer(p) if type(p) is memoryview else self.tree(p) for p in parts]]
            inner = [self.tree(part) for part in parts]
        except RefusalError as refusal:
            refusal.within.append(cls.__name__)
            raise
        return inner if mark is None else [mark, *inner]

    def _learn(self, cls: type) -> tuple[ExtType, Callable[[Any], Sequence[Any]], bool]:
        """Return the mark of a class that is met for the first time, how to take it apart and what its parts may be."""
        kind = MAP if cls is dict else self._kinds.kind_of(cls)
        known = ExtType(OBJECT, _index(len(self.rows))), kind.take_apart, kind.raw_parts
        self.rows.append([kind.name, *kind.fields])
        self._known[cls] = known
        return known

    def _buffer(self, raw: memoryview) -> bytes | ExtType:
        """Return what stands for a raw part in the head: its bytes, or where it lies."""
        if self._inline or raw.nbytes < LARGE:
            return raw.tobytes()
        self._bytes += raw.nbytes
        if self._limit is not None and self._bytes > self._limit:
            raise TooLargeError(too_large(self._bytes, self._limit, least=True))
        self.buffers.append(raw)
        return ExtType(BUFFER, INDEX.pack(len(self.buffers) - 1))


def _taken_apart(take_apart: Callable[[Any], Sequence[Any]], value: Any) -> Sequence[Any]:
    try:
        return take_apart(value)
    except RefusalError:
        raise
    except CodecError as error:
        raise RefusalError(str(error)) from None


def _index(number: int) -> bytes:
    return bytes((number,)) if number < ONE_BYTE else INDEX.pack(number)


def unpack(body: bytes, kinds: Kinds, buffers: Sequence[memoryview] = ()) -> Any:
    """Return the value of a body that :func:`pack` made, or release 0.1.0.

    The arrays are turned into values from the innermost outwards, by the C code of msgpack, so nothing here recurses.

    Raises:
        DecodeError: it holds what is not known or not allowed here.
        ValueError: it is malformed; so are other ordinary errors of what builds the parts.
    """
    table, start = _table_of(body)
    if table is None:
        if buffers:
            raise ValueError("buffers that belong to nothing")
        return msgpack.unpack(body)
    marks = kinds.tables.get(table) or _read_table(table, kinds)
    return _Unpacking(marks, buffers).value(memoryview(body)[start:])


def _table_of(body: bytes) -> tuple[bytes | None, int]:
    """Return the table before a value and where that begins; None if there is no table."""
    for layout, form in ((SHORT_TABLE, SHORT), (LONG_TABLE, LONG)):
        if len(body) >= layout.size:
            head, length, code = layout.unpack_from(body)
            if head == form and code == TABLE:
                end = layout.size + length
                return body[layout.size : end], end
    return None, 0


def _read_table(table: bytes, kinds: Kinds) -> dict[bytes, Mark]:
    rows = unpackb(table, raw=False, use_list=True)
    marks = {}
    for number, row in enumerate(rows):
        name, *fields = (check_part(part, str) for part in check_part(row, list))
        marks[_index(number)] = kinds.mark_of(name, tuple(fields))
    if all(mark.lasting for mark in marks.values()):
        if len(kinds.tables) >= MAX_TABLES:
            kinds.tables.clear()
        kinds.tables[table] = marks
    return marks


class _Unpacking:
    """The hooks of one call of msgpack; a mark or a buffer that is not where it belongs is malformed."""

    def __init__(self, marks: dict[bytes, Mark], buffers: Sequence[memoryview]) -> None:
        self._marks = marks
        self._buffers = buffers
        self._unused = 0
        self._next = 0  # each buffer stands once, in their order: one that stood twice would be copied twice

    def value(self, packed: memoryview) -> Any:
        """Return the value of packed bytes."""
        value = unpackb(
            packed, raw=False, use_list=True, strict_map_key=False, ext_hook=self._leaf, list_hook=self._build
        )
        if self._unused:
            raise ValueError("a kind or a buffer where there can be none")
        if self._next != len(self._buffers):
            raise ValueError("a buffer that belongs to nothing")
        return value

    def _leaf(self, code: int, data: bytes) -> Any:
        if code == OBJECT:
            self._unused += 1
            return self._marks[data]
        if code == BUFFER:
            self._unused += 1
            (number,) = INDEX.unpack(data)
            if number != self._next:
                raise ValueError("a buffer that is not the next one")
            self._next += 1
            return self._buffers[number]
        return msgpack.from_leaf(code, data)

    def _build(self, parts: list[Any]) -> Any:
        if not parts or type(parts[0]) is not Mark:
            return parts
        build, raw_parts, _ = parts.pop(0)
        self._unused -= 1
        if raw_parts and self._buffers:
            self._unused -= sum(type(part) is memoryview for part in parts)
        return build(parts)
