"""Forms of keys and values: what the store keeps of them, as the disk of a cache decides it."""

from __future__ import annotations

import io
import pickle
from typing import Any, Protocol

from sqlitedict_kv import CodecError
from sqlitedict_kv.adapters._compat.key_encoding import Name, key_of, name_of
from sqlitedict_kv.adapters.diskcache.disk import MODE_PICKLE, Disk, is_own, read_content
from sqlitedict_kv.adapters.diskcache.values import MODE_RAW, Item, check_tag, item_of

NOT_RAW = "diskcache: not raw"  # marks the name of a key of which a disk keeps something else


class Form(Protocol):
    """What a cache does with its keys and values."""

    def name(self, key: Any) -> Name:
        """Return the name of a key."""

    def key(self, text: str) -> Any:
        """Return the key of a text of a name."""

    def stored(self, key: Any, value: Any, *, read: bool, tag: Any, name: Name) -> Any:
        """Return what the store keeps of a value, or of a file if *read* is true."""

    def value(self, item: Item, *, read: bool) -> Any:
        """Return the value of an item; with *read*, bytes as a file that is open for reading."""

    def pickled(self, stored: Any, error: CodecError) -> Any:
        """Return another form of what no codec keeps; raise *error* if there is none."""


class PlainForm:
    """The form of ``Disk`` and ``JSONDisk``: a value is kept by a codec."""

    def __init__(self, disk: Disk) -> None:
        """Take the keys of *disk*."""
        self._disk = disk

    def name(self, key: Any) -> Name:
        """Return the name of a key."""
        return name_of(self._disk.put(key)[0])

    def key(self, text: str) -> Any:
        """Return the key of a text of a name."""
        return key_of(text)

    def stored(self, key: Any, value: Any, *, read: bool, tag: Any, name: Name) -> Any:
        """Return the value itself, or an item if it has a tag or a long key."""
        del key
        return _in_item(read_content(value) if read else value, tag, name, MODE_RAW)

    def value(self, item: Item, *, read: bool) -> Any:
        """Return the value of an item; with *read*, bytes as a file that is open for reading."""
        return io.BytesIO(item.value) if read and type(item.value) is bytes else item.value

    def pickled(self, stored: Any, error: CodecError) -> Any:
        """Raise *error*: nothing is pickled."""
        del stored
        raise error


class OwnForm:
    """The form of a disk of the program's own, of whose methods each key and value is the result."""

    def __init__(self, disk: Disk) -> None:
        """Call the methods of *disk*."""
        self._disk = disk

    def name(self, key: Any) -> Name:
        """Return the name of what the disk keeps of a key."""
        kept, raw = self._disk.put(key)
        return name_of(_as_bytes(kept) if raw else (NOT_RAW, _as_bytes(kept)))

    def key(self, text: str) -> Any:
        """Return the key that the disk makes of a text of a name."""
        kept = key_of(text)
        raw = not (type(kept) is tuple and len(kept) == 2 and kept[0] == NOT_RAW)  # noqa: PLR2004 - see name()
        return self._disk.get(kept if raw else kept[1], raw)

    def stored(self, key: Any, value: Any, *, read: bool, tag: Any, name: Name) -> Any:
        """Return what the disk keeps of a value.

        Raises:
            ValueError: the disk put it into a file of its own.
        """
        _, mode, filename, kept = self._disk.store(value, read, key=key)
        if filename is not None:
            raise ValueError(
                f"{type(self._disk).__name__}.store() put a value into the file {filename!r}; there are no files of "
                f"values here, so return the value and None for the name"
            )
        return _in_item(_as_bytes(kept), tag, name, mode)

    def value(self, item: Item, *, read: bool) -> Any:
        """Return the value that the disk makes of an item."""
        return self._disk.fetch(item.mode, None, item.value, read)

    def pickled(self, stored: Any, error: CodecError) -> Any:
        """Return an item with a pickle if the disk reads it in its own ``fetch``; raise *error* if it does not.

        A pickle that is only written does no harm; a subclass with its own ``fetch`` decides what is read.
        """
        if type(self._disk).fetch is Disk.fetch:
            raise error
        item = item_of(stored)
        try:
            body = pickle.dumps(item.value, self._disk.pickle_protocol)
            self._disk.fetch(MODE_PICKLE, None, body, False)
        except Exception as failure:  # whatever the disk raises for what it does not read
            raise error from failure
        return item._replace(value=body, mode=MODE_PICKLE)


def form_of(disk: Disk) -> Form:
    """Return the form that a disk gives keys and values."""
    return OwnForm(disk) if is_own(type(disk)) else PlainForm(disk)


def _in_item(value: Any, tag: Any, name: Name, mode: int) -> Any:
    """Return the value itself, or an item if there is something beside it."""
    plain = tag is None and name.whole is None and mode == MODE_RAW
    return value if plain else Item(value, check_tag(tag), name.whole, mode)


def _as_bytes(kept: Any) -> Any:
    """Return bytes for the memoryview that sqlite3.Binary makes."""
    return bytes(kept) if isinstance(kept, memoryview) else kept
