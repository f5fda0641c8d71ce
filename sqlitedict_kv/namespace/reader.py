"""A namespace of a store, seen as a mapping that is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, overload

from sqlitedict_kv.codecs.file_reference import content_type_of
from sqlitedict_kv.codecs.scientific import is_same_type
from sqlitedict_kv.engines.protocol import KeyRange, Value
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import EntryGoneError
from sqlitedict_kv.namespace.overview import NamespaceOverview
from sqlitedict_kv.operations.context import Defaults, Entry, StoreContext, still_there
from sqlitedict_kv.operations.creation_order import page_by_age
from sqlitedict_kv.operations.pagination import (
    KeyBounds,
    Page,
    check_bounds,
    cursor_after,
    key_of,
)
from sqlitedict_kv.operations.type_variables import K, V
from sqlitedict_kv.operations.views import NamespaceItems, NamespaceKeys, NamespaceValues
from sqlitedict_kv.validation import (
    DEFAULT,
    MAX_KEY_BYTES,
    check_bool,
    check_content_type,
    check_int,
    check_key,
    check_keys,
)

T = TypeVar("T")


class NamespaceReader(NamespaceOverview[K], Mapping[K, V]):
    """What reads and walks through the entries of one namespace; :class:`Namespace` writes them too."""

    __slots__ = ("_context", "_counters", "_decode", "_decoders", "_defaults", "_engine", "_fetch", "_name")

    def __init__(
        self,
        context: StoreContext,
        name: str,
        defaults: Defaults,
        read_value: Callable[[str, str], Value | None] | None = None,
    ) -> None:
        """Make a view; the name is checked already, and *read_value* stands for that of the context."""
        self._context = context = defaults.apply(context)
        self._engine = context.engine
        self._counters = context.counters
        self._fetch = context.read_value if read_value is None else read_value
        self._decode = context.codecs.decode
        self._decoders = context.codecs.decoders
        self._name = name
        self._defaults = defaults

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the store's address and options, with the name and the defaults."""
        return unpickle_view, (type(self), self._context, self._name, self._defaults.as_arguments())

    # -- reading

    def __getitem__(self, key: K) -> V:
        """Return the value; raise KeyError if there is none."""
        value: Any = self.get(key, DEFAULT)
        if value is DEFAULT:
            raise KeyError(key)
        found: V = value
        return found

    @overload
    def get(
        self, key: K, default: None = None, *, content_type: str | None = None, mapped: bool = False
    ) -> V | None: ...
    @overload
    def get(self, key: K, default: V, *, content_type: str | None = None, mapped: bool = False) -> V: ...
    @overload
    def get(self, key: K, default: T, *, content_type: str | None = None, mapped: bool = False) -> V | T: ...
    def get(self, key: Any, default: Any = None, *, content_type: str | None = None, mapped: bool = False) -> Any:
        """Return the value, or *default* if there is none.

        Args:
            key: the key.
            default: what to return where there is no value.
            content_type: return the value only if it is stored as this type.
            mapped: of a value in a file of its own, do not read it, but map it: the arrays and the frame in it lie in
                the system's memory of the file, at any size within a millisecond. Changes are the caller's alone, and
                never go to the file. The whole file is read and verified when this process maps it for the first
                time, and not after that: an error of the disk ends the process then (SIGBUS), and so does a program
                that shortens the file. A value in its row is a new one, as ever.

        Raises:
            DecodeError: the value is of a content type that the store has no codec for, or does not decode.
            DamagedEntryError: the entry does not match its checksum.
        """
        if content_type is not None or mapped:
            return self._get_as(key, default, content_type, mapped)
        # Flat, without check_key and Codecs.decode: the calls cost 10 % of a get. Of an ASCII key, as nearly
        # all are, the length is the size.
        if type(key) is not str or len(key) > MAX_KEY_BYTES or not key.isascii():
            key = check_key(key)
        found = self._fetch(self._name, key)
        if found is None or (found[2] is not None and found[2] <= self._context.now()):  # as Record.is_live
            self._counters.misses += 1
            return default
        self._counters.hits += 1
        try:
            return self._decoders[found[1]](found[0])
        except Exception:
            return self._or_default(self._value, key, found, default)

    def _or_default(self, read: Callable[[str, Any], Any], key: str, record: Record | Value, default: Any) -> Any:
        """Return what *read* makes of a record; *default* if it was removed meanwhile, with the file of its value."""
        try:
            return read(key, record)
        except EntryGoneError:
            return default

    def _get_as(self, key: Any, default: Any, content_type: str | None, mapped: object) -> Any:
        codecs = self._context.codecs
        wanted = check_content_type(content_type, codecs)
        if check_bool(mapped, "mapped"):
            codecs = codecs.mapping_files()
        record = self._context.read(self._name, key)
        if record is None or not (
            wanted is None or is_same_type(content_type_of(record.body, record.content_type), wanted)
        ):
            return default
        return self._or_default(
            lambda key, record: codecs.decode(self._name, key, record[0], record[1]), key, record, default
        )

    @overload
    def get_with_meta(self, key: K, default: None = None) -> Entry[V] | None: ...
    @overload
    def get_with_meta(self, key: K, default: T) -> Entry[V] | T: ...
    def get_with_meta(self, key: Any, default: Any = None) -> Any:
        """Return an :class:`Entry`, the value with its version and times, or *default* if there is none."""
        record = self._context.read(self._name, key)
        entry = partial(self._context.entry, self._name)
        return default if record is None else self._or_default(entry, key, record, default)

    def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """Return the values of those keys that have one, as of one moment."""
        return dict(still_there(self._read_many(keys).items(), self._value))

    def get_many_with_meta(self, keys: Iterable[K]) -> dict[K, Entry[V]]:
        """Return the entries of those keys that have one, values with versions and times, as of one moment."""
        return dict(still_there(self._read_many(keys).items(), partial(self._context.entry, self._name)))

    def __contains__(self, key: object) -> bool:
        """Return whether there is an entry; it counts as no read. As in a dict, a key of another type is not there."""
        if not isinstance(key, str):
            return False
        found = self._fetch(self._name, check_key(key))
        return found is not None and (found[2] is None or found[2] > self._context.now())

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._engine.count(self._name, self._context.now())[0]

    def __bool__(self) -> bool:
        """Return whether there is any entry."""
        return bool(self._engine.keys(KeyRange(self._name), 1, self._context.now()))

    def _read_many(self, keys: Iterable[Any]) -> dict[str, Record]:
        """Return the live records of those keys that have one and count the reads."""
        wanted = check_keys(keys)
        records = self._engine.read_many(self._name, wanted)
        now = self._context.now()
        live = {key: records[key] for key in wanted if key in records and records[key].is_live(now)}
        self._counters.hits += len(live)
        self._counters.misses += len(wanted) - len(live)
        return live

    def _value(self, key: Any, record: Record | Value) -> Any:
        return self._decode(self._name, key, record[0], record[1])

    # -- walking

    def __iter__(self) -> Iterator[K]:
        """Yield the keys in order, by pages: others may write meanwhile."""
        return self._walk_keys(reverse=False)

    def __reversed__(self) -> Iterator[K]:
        """Yield the keys from the last to the first."""
        return self._walk_keys(reverse=True)

    def _walk_keys(self, *, reverse: bool) -> Iterator[Any]:
        for page in self._context.key_pages(KeyRange(self._name, reverse=reverse)):
            yield from page

    def walk(self, *, reverse: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield keys and values in the order of the keys, as ``items()`` does."""
        for page in self._context.pages(KeyRange(self._name, reverse=check_bool(reverse, "reverse"))):
            yield from still_there(page, self._value)

    def keys(self) -> NamespaceKeys[K]:
        """Return a view of the keys, a set that follows the namespace."""
        return NamespaceKeys(self)

    def values(self) -> NamespaceValues[V]:
        """Return a view of the values, in the order of their keys."""
        return NamespaceValues(self)

    def items(self) -> NamespaceItems[K, V]:
        """Return a view of keys and values, a set that follows the namespace."""
        return NamespaceItems(self)

    def list(
        self,
        prefix: K | str = "",
        *,
        start: K | None = None,
        stop: K | None = None,
        limit: int = 100,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page[K]:
        """Return a page of the keys that begin with *prefix*, in order.

        Args:
            prefix: taken literally; in a namespace of tuples the first items of them.
            start: the first key of the listing, itself included; None is the very first.
            stop: the key at which the listing ends, itself left out; None is behind the last.
            limit: how many keys at most.
            cursor: that of the page before, for the next one.
            reverse: from the last to the first.

        A key that is there during the whole walk is returned exactly once.
        """
        bounds, backwards = check_bounds(prefix, start, stop), check_bool(reverse, "reverse")
        most = check_int(limit, "limit", lowest=1, highest=1_000_000)
        after = key_of(cursor, bounds.prefix, reverse=backwards)
        keys: Any = self._context.keys(self._name, bounds, after, most + 1, reverse=backwards)
        more = len(keys) > most
        return Page(tuple(keys[:most]), cursor_after(keys[most - 1], reverse=backwards) if more else None)

    def by_age(self, *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page[K]:
        """Return a page of the keys in the order in which their entries were created.

        Args:
            limit: how many keys at most.
            cursor: that of the page before, for the next one.
            reverse: from the newest to the oldest.

        An entry that is written again keeps its place, one that is removed and created again goes to the end. A walk
        by pages leaves out what is created after its first page. Each page passes over the entries that other
        namespaces of the file have between its own.
        """
        page: Page[Any] = page_by_age(self._context, self._name, limit, cursor, reverse=reverse)
        return page

    def scan(
        self, prefix: K | str = "", *, start: K | None = None, stop: K | None = None, reverse: bool = False
    ) -> Iterator[tuple[K, Entry[V]]]:
        """Yield keys and their entries, in order, by pages; the arguments are those of :meth:`list`."""
        bounds, backwards = check_bounds(prefix, start, stop), check_bool(reverse, "reverse")
        return self._scan(bounds, reverse=backwards)

    def _scan(self, bounds: KeyBounds, *, reverse: bool) -> Iterator[tuple[Any, Entry[Any]]]:
        for page in self._context.pages_within(self._name, bounds, reverse=reverse):
            yield from still_there(page, partial(self._context.entry, self._name))

    # -- as dict does

    def copy(self) -> dict[K, V]:
        """Return a plain dict of what is there."""
        return dict(self.walk())

    def __or__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return a plain dict of both, the other's values winning."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**self.copy(), **(other.copy() if isinstance(other, NamespaceReader) else other)}

    def __ror__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return a plain dict of both, this one's values winning."""
        return {**other, **self.copy()} if isinstance(other, Mapping) else NotImplemented


def unpickle_view(cls: Any, context: StoreContext, name: str, defaults: tuple[Any, Any, Any], *more: Any) -> Any:
    """Return a view that was pickled; *more* are further arguments of its class."""
    return cls(context, name, Defaults.of(context.codecs, *defaults), *more)
