"""Items that keep a tag or a long key beside a value, and pickles where they are allowed."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlitedict_kv import Codec, CodecError, Kind
from sqlitedict_kv.adapters.support import MEMORY, check_store_options, pack, unpack

ITEM = "application/vnd.sqlitedict-kv.diskcache"
PICKLE = "application/x-python-pickle"

MODE_RAW = 1  # of an item that is kept as it is, in diskcache's words


class Constant:
    """A constant that prints as its name."""

    def __init__(self, name: str) -> None:
        """Name it."""
        self._name = name

    def __repr__(self) -> str:
        """Return the name."""
        return self._name

    def __reduce__(self) -> str:
        """Come through pickle as the same object."""
        return self._name


ENOVAL = Constant("ENOVAL")  # there is no value
UNKNOWN = Constant("UNKNOWN")  # there is no key, or value, yet


class Item(NamedTuple):
    """A value with a tag, a key that is too long to be one, or a mode; other values are stored as they are."""

    value: Any
    tag: Any = None
    key: str | None = None  # the text of a key that is too long
    mode: int = MODE_RAW  # what a disk of the program's own says about the value


def codecs_for(custom: Sequence[Codec], types: Sequence[type | Kind], *, pickles: bool) -> tuple[Codec, ...]:
    """Return the codecs of a store of the adapter: the user's, that of items and perhaps that of pickles.

    Args:
        custom: the user's.
        types: the classes whose objects items may hold.
        pickles: whether what nothing else keeps is pickled.
    """
    # S301: nobody gets this codec without dangerously_allow_pickle=True.
    loose = (Codec(PICKLE, pickle.dumps, pickle.loads),) if pickles else ()
    inner = check_store_options(MEMORY, {"codecs": (*custom, *loose), "types": types})

    def encode(item: Item) -> bytes:
        try:
            body, content_type = inner.encode(item.value, None)
        except CodecError:
            if not pickles:
                raise
            body, content_type = inner.encode(item.value, PICKLE)
        mode = [] if item.mode == MODE_RAW else [item.mode]
        return pack([item.tag, item.key, content_type, body, *mode])

    def decode(body: bytes) -> Item:
        tag, key, content_type, inside, *mode = unpack(body)
        return Item(inner.decoders[content_type](inside), tag, key, *mode)

    return (*custom, *loose, Codec(ITEM, encode, decode, types=(Item,)))


def check_tag(tag: object) -> Any:
    """Return a tag, which diskcache would have kept in a column."""
    if tag is None or type(tag) in (str, int, float, bytes):
        return tag
    raise TypeError(f"tag must be a str, int, float or bytes, not {type(tag).__name__}")


def item_of(stored: Any) -> Item:
    """Return what was stored as an item."""
    return stored if type(stored) is Item else Item(stored)
