"""Building blocks of an adapter: what a framework's cache backend needs besides the public API of the store.

An adapter needs nothing else: those of this package use these names and the public ones, and a test checks it.

>>> from sqlitedict_kv.adapters.support import fitting_key, fitting_ttl, shared_store
>>> entries = shared_store(":memory:", {}).ns("framework")
>>> entries.set(fitting_key("any key, however long " * 100), "value", ttl=fitting_ttl(10**12))
1
>>> entries[fitting_key("any key, however long " * 100)]
'value'

Keys and times
    :func:`fitting_key` and :func:`fitting_ttl` accept keys and times that a store refuses. A key that had to be hashed
    begins with ``HASHED``. The limits are ``MAX_KEY_BYTES``, ``MAX_NAMESPACE_BYTES`` (bytes of UTF-8) and ``MAX_TTL``
    (seconds); ``MIN_MAX_BYTES`` is the lowest ``max_bytes`` of a store.
Stores
    :func:`shared_store` opens one store per path and process, and :func:`shared_async_store` gives its asynchronous
    face. :class:`SharedNamespace` is a namespace of one, opened at its first use, and again when somebody has deleted
    the file. ``STORE_OPTIONS`` are the names of the options that a store takes, and :func:`check_store_options` checks
    their values without opening anything. :func:`close_shared_stores` is for tests.
    ``MEMORY`` is the path of a store in memory. :func:`is_address` tells an address from a path, and
    :func:`names_servers` tells an address of servers.
Values
    :func:`pack` and :func:`unpack` make bytes of built-in types and read them back exactly. :class:`Codecs` does what
    a store does with a value, without a store. ``JSON``, ``MSGPACK``, ``BYTES`` and ``TEXT`` are the content types that
    are built in. ``MARKUP_CODEC`` keeps markupsafe's Markup, also inside dicts, lists and tuples.

Arguments:
    :func:`check_bool`, :func:`check_int`, :func:`check_number` and :func:`check_namespace` return the argument, or
    raise the TypeError or ValueError that a store raises. Each takes the value and the argument's name.
Listing
    :func:`cursor_after` makes a cursor that begins behind a given key.
"""

from sqlitedict_kv.adapters.support.arguments import (
    MAX_KEY_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_TTL,
    MEMORY,
    MIN_MAX_BYTES,
    check_bool,
    check_int,
    check_namespace,
    check_number,
    check_store_options,
    is_address,
    names_servers,
)
from sqlitedict_kv.adapters.support.fitting import HASHED, fitting_key, fitting_ttl
from sqlitedict_kv.adapters.support.markup import MARKUP_CODEC
from sqlitedict_kv.adapters.support.packing import BYTES, JSON, MSGPACK, TEXT, Codecs, pack, unpack
from sqlitedict_kv.adapters.support.shared_namespace import SharedNamespace
from sqlitedict_kv.adapters.support.shared_stores import (
    STORE_OPTIONS,
    close_shared_stores,
    shared_async_store,
    shared_store,
)
from sqlitedict_kv.operations.pagination import cursor_after

__all__ = [
    "BYTES",
    "HASHED",
    "JSON",
    "MARKUP_CODEC",
    "MAX_KEY_BYTES",
    "MAX_NAMESPACE_BYTES",
    "MAX_TTL",
    "MEMORY",
    "MIN_MAX_BYTES",
    "MSGPACK",
    "STORE_OPTIONS",
    "TEXT",
    "Codecs",
    "SharedNamespace",
    "check_bool",
    "check_int",
    "check_namespace",
    "check_number",
    "check_store_options",
    "close_shared_stores",
    "cursor_after",
    "fitting_key",
    "fitting_ttl",
    "is_address",
    "names_servers",
    "pack",
    "shared_async_store",
    "shared_store",
    "unpack",
]
