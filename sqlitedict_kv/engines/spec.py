"""The description that an engine gives of itself: what opens it, and with which options.

Each engine exports one :class:`EngineSpec`. That of another distribution is found by an entry point of the group
``sqlitedict_kv.engines``, named as its scheme::

    [project.entry-points."sqlitedict_kv.engines"]
    toy = "toy_engine:SPEC"          # for Store("toy://...")

Entry points are read only for a scheme that is not built in, for that takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlitedict_kv.engines.protocol import Engine

Options = Mapping[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def _accept(target: Any, options: Options) -> None:
    """Find nothing wrong."""


class EngineSpec(NamedTuple):
    """An engine, as a store opens it.

    Attributes:
        name: what messages call it.
        schemes: the beginnings of its addresses, ``"toy"`` of ``"toy://..."``, in small letters.
        options: the options that it takes beside those that a store handles itself (*clock*, *codecs*, *lru_bytes*,
            *lru_policy*, *max_value_bytes* and what else concerns values), each with a function that returns the
            value as it is passed to *open*, or raises TypeError or ValueError. A name that is not one of
            :class:`sqlitedict_kv.StoreOptions` is given in the address only.
        open: returns the engine of an address, or whatever *recognizes* accepts, and all its options; left out, they
            are as in ``DEFAULTS``. It raises an OpenError if it cannot.
        address_options: the options that an address may carry behind its question mark, and how to read each.
        refusals: why it does not take an option, and what to do instead, by the option's name.
        label: returns what may be shown of an address, without its password; raises ValueError for one that is not
            well-formed.
        check: raises TypeError or ValueError for options that do not go together, or with the address; it touches
            nothing.
        recognizes: whether an object that is not text, such as a client, names storage of this engine.
    """

    name: str
    schemes: tuple[str, ...]
    options: Mapping[str, Callable[[Any], Any]]
    open: Callable[[Any, Options], Engine]
    address_options: Mapping[str, Callable[[str], Any]] = NOTHING
    refusals: Mapping[str, str] = NOTHING
    label: Callable[[Any], str] = str
    check: Callable[[Any, Options], None] = _accept
    recognizes: Callable[[object], bool] = lambda _: False
