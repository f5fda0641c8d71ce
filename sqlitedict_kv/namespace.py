"""A namespace of a store, seen as a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

from sqlitedict_kv.concurrency.sansio import run
from sqlitedict_kv.engines.protocol import AgeRange, Edit, KeyRange, Value
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.memoization.decorator import Decorator, Memoize
from sqlitedict_kv.memoization.result_store import ResultStore, declare_layouts, lease_namespace
from sqlitedict_kv.operations.context import Defaults, Entry, StoreContext
from sqlitedict_kv.operations.optional import declare, require_aging
from sqlitedict_kv.operations.pagination import Page, age_cursor, ages_of, cursor_after, key_of
from sqlitedict_kv.operations.prepare import Edits, collected
from sqlitedict_kv.operations.read_modify_write import Verbs
from sqlitedict_kv.operations.views import NamespaceItems, NamespaceKeys, NamespaceValues
from sqlitedict_kv.transaction import Transaction
from sqlitedict_kv.validation import (
    DEFAULT,
    MAX_KEY_BYTES,
    Default,
    Duration,
    checked_bool,
    checked_content_type,
    checked_int,
    checked_key,
    checked_keys,
    checked_number,
    checked_optional_int,
    checked_prefix,
)


class NamespaceStats(NamedTuple):
    """The size of a namespace.

    Attributes:
        entries: how many entries can be read.
        expired: how many have expired and were not removed yet.
    """

    entries: int
    expired: int


class Namespace(MutableMapping[str, Any]):
    """The entries of one namespace, as a mapping from str to values; made by :meth:`Store.ns`.

    It behaves as a dict that is sorted by key. Every operation is atomic between threads and processes,
    an entry that has expired is absent, and each value that is read is a new object.
    """

    __slots__ = ("_context", "_counters", "_decode", "_decoders", "_defaults", "_edits", "_engine", "_fetch", "_name")

    def __init__(
        self,
        context: StoreContext,
        name: str,
        defaults: Defaults,
        read_value: Callable[[str, str], Value | None] | None = None,
    ) -> None:
        """Make a view; the name is checked already, and *read_value* stands for that of the context."""
        self._context = context
        self._engine = context.engine
        self._counters = context.counters
        self._fetch = context.read_value if read_value is None else read_value
        self._decode = context.codecs.decode
        self._decoders = context.codecs.decoders
        self._name = name
        self._defaults = defaults
        self._edits = Edits(context, name, defaults)

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return self._name

    # -- reading

    def __getitem__(self, key: str) -> Any:
        """Return the value; raise KeyError if there is none."""
        value = self.get(key, DEFAULT)
        if value is DEFAULT:
            raise KeyError(key)
        return value

    def get(self, key: str, default: Any = None, *, content_type: str | None = None) -> Any:
        """Return the value, or *default* if there is none.

        Args:
            key: the key.
            default: what to return where there is no value.
            content_type: return the value only if it is stored as this type.

        Raises:
            DecodeError: the value is of a content type that the store has no codec for, or does not decode.
            DamagedEntryError: the entry does not match its checksum.
        """
        if content_type is not None:
            return self._get_as(key, default, content_type)
        # Flat, without checked_key and Codecs.decode: the calls cost 10 % of a get. Of an ASCII key, as nearly
        # all are, the length is the size.
        if type(key) is not str or len(key) > MAX_KEY_BYTES or not key.isascii():
            key = checked_key(key)
        found = self._fetch(self._name, key)
        if found is None or (found[2] is not None and found[2] <= self._context.now()):  # as Record.is_live
            self._counters.misses += 1
            return default
        self._counters.hits += 1
        try:
            return self._decoders[found[1]](found[0])
        except Exception:
            return self._decode(self._name, key, found[0], found[1])  # raises the error that names the entry

    def _get_as(self, key: str, default: Any, content_type: str) -> Any:
        wanted = checked_content_type(content_type, self._context.codecs)
        record = self._context.read(self._name, key)
        if record is None or record.content_type != wanted:
            return default
        return self._value(key, record)

    def get_with_meta(self, key: str, default: Any = None) -> Any:
        """Return an :class:`Entry`, the value with its version and times, or *default* if there is none."""
        record = self._context.read(self._name, key)
        return default if record is None else self._context.entry(self._name, key, record)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that have one, as of one moment."""
        return {key: self._value(key, record) for key, record in self._read_many(keys).items()}

    def get_many_with_meta(self, keys: Iterable[str]) -> dict[str, Entry[Any]]:
        """Return the entries of those keys that have one, values with versions and times, as of one moment."""
        return {key: self._context.entry(self._name, key, record) for key, record in self._read_many(keys).items()}

    def __contains__(self, key: object) -> bool:
        """Return whether there is an entry; it counts as no read."""
        found = self._fetch(self._name, checked_key(key))
        return found is not None and (found[2] is None or found[2] > self._context.now())

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._engine.count(self._name, self._context.now())[0]

    def __bool__(self) -> bool:
        """Return whether there is any entry."""
        return bool(self._engine.keys(KeyRange(self._name), 1, self._context.now()))

    def _read_many(self, keys: Iterable[str]) -> dict[str, Record]:
        """Return the live records of those keys that have one and count the reads."""
        wanted = checked_keys(keys)
        records = self._engine.read_many(self._name, wanted)
        now = self._context.now()
        live = {key: records[key] for key in wanted if key in records and records[key].is_live(now)}
        self._counters.hits += len(live)
        self._counters.misses += len(wanted) - len(live)
        return live

    def _value(self, key: str, record: Record) -> Any:
        return self._decode(self._name, key, record.body, record.content_type)

    # -- writing

    def __setitem__(self, key: str, value: Any) -> None:
        """Write a value, with the namespace's own time to live."""
        self.set(key, value)

    def set(
        self, key: str, value: Any, *, ttl: Duration | None | Default = DEFAULT, content_type: str | None = None
    ) -> int:
        """Write a value, replacing all that was there, and return its version.

        Args:
            key: a str of at most 1,024 bytes of UTF-8.
            value: anything that a codec of the store keeps exactly.
            ttl: seconds until it expires, a timedelta, or text such as ``"30 min"``; None is never; left out, the
                namespace's own.
            content_type: how to encode it; left out, the namespace's own, or what fits the value.

        Raises:
            CodecError: the value would not come back as it is.
            TooLargeError: the key or the value is over its limit.
            StoreBusyError: others held the lock for the whole timeout.
        """
        # Flat, without Defaults.choose and StoreContext.put: the calls cost 10 % of a set.
        context = self._context
        if type(key) is not str or len(key) > MAX_KEY_BYTES or not key.isascii():
            key = checked_key(key)
        if ttl is DEFAULT and content_type is None:
            seconds, encoding = self._defaults.ttl, self._defaults.content_type
        else:
            seconds, encoding = self._defaults.choose(ttl, content_type, context.codecs)
        body, encoded_as = context.codecs.encode(value, encoding)
        if len(body) > context.max_value_bytes:
            context.refuse(body, encoded_as)
        expires_at = None if seconds is None else context.deadline(seconds)
        return self._engine.put(self._name, key, body, encoded_as, expires_at, context.now())

    def add(
        self, key: str, value: Any, *, ttl: Duration | None | Default = DEFAULT, content_type: str | None = None
    ) -> int | None:
        """Write a value if the key is absent; return its version, or None if something is there."""
        return run(self._verbs().add(key, value, ttl, content_type))

    def cas_set(
        self,
        key: str,
        value: Any,
        version: int,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
    ) -> int:
        """Write a value if the entry is still at *version*, and return the new one.

        Args:
            key: the key.
            value: the value.
            version: the version that was read; 0 demands that the key is absent.
            ttl: as for :meth:`set`.
            content_type: as for :meth:`set`.

        Raises:
            ConflictError: the entry is at another version or is gone; nothing was changed.
        """
        (written,) = self._commit([self._edits.put_at(key, value, version, ttl, content_type)])
        assert written is not None
        return written

    def set_many(self, mapping: Mapping[str, Any], *, ttl: Duration | None | Default = DEFAULT) -> dict[str, int]:
        """Write all the values of a mapping, or none, and return their versions by key."""
        return self._engine.put_many(self._edits.put_many(mapping, ttl), self._context.now())

    def update(self, other: Any = (), /, **entries: Any) -> None:
        """Write all that dict.update would write, in one step: a mapping, an iterable of pairs, keywords."""
        # A namespace is copied by pages: dict would look each key up, and fail where another process removes one.
        self.set_many(collected(other.copy() if isinstance(other, Namespace) else other, entries))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or write *default* and return it if there is none, in one step."""
        return run(self._verbs().setdefault(key, default))

    def incr(self, key: str, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Add to a number and return the sum; the time to live of an entry that is there stays.

        Args:
            key: the key.
            delta: what to add, an int or a float.
            default: the number that an absent entry counts as; None: there must be an entry.

        Raises:
            TypeError: what is there is no number; it stays as it is.
            KeyError: nothing is there, and *default* is None.
        """
        edit, results = self._edits.incr(key, delta, default)
        self._commit([edit])
        return results[-1]

    def decr(self, key: str, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Subtract from a number and return the difference; see :meth:`incr`."""
        return self.incr(key, -checked_number(delta, "delta"), default=default)

    def modify(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        default: Any = DEFAULT,
        ttl: Duration | None | Default = DEFAULT,
    ) -> Any:
        """Write what *function* makes of the value, and return it; nothing that others write is lost.

        The function runs without any lock, and once more each time somebody else wrote in between.

        Args:
            key: the key.
            function: takes the value and returns the new one.
            default: what it takes if there is no value; left out, that raises KeyError.
            ttl: seconds until the new value expires; left out, the old deadline stays, and a new
                entry gets the namespace's time to live.

        Raises:
            KeyError: there is no value, and no default.
        """
        return run(self._verbs().modify(key, function, default, ttl))

    def touch(self, key: str, ttl: Duration | None) -> bool:
        """Let an entry expire *ttl* seconds from now, None is never; return whether it was there.

        Its value, its version and the time of its last update stay.
        """
        (version,) = self._commit([self._edits.touch(key, ttl)])
        return version is not None

    def renew(self, key: str, ttl: Duration, default: Any = None) -> Any:
        """Return the value and, if it is to expire at all, let it expire *ttl* seconds from now, in one step.

        An entry that never expires stays so. Value and version are not changed.

        Args:
            key: the key.
            ttl: seconds.
            default: what to return where there is no value.
        """
        return run(self._verbs().renew(key, ttl, default))

    def _commit(self, edits: Sequence[Edit]) -> list[int | None]:
        return self._engine.commit(edits, self._context.now())

    def _verbs(self) -> Verbs:
        context, name = self._context, self._name
        return Verbs(
            context, name, self._edits, lambda key: context.read(name, key), lambda: context.last(name), self._commit
        )

    # -- removing

    def __delitem__(self, key: str) -> None:
        """Remove an entry; raise KeyError if there is none."""
        if not self.delete(key):
            raise KeyError(key)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there.

        Args:
            key: the key.
            version: remove it only at this version.

        Raises:
            ConflictError: a version was given, and the entry is at another one or is gone.
        """
        (removed,) = self._commit([self._edits.delete(key, version)])
        return removed is not None

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove all these entries in one step and return how many were there."""
        edits = self._edits.delete_many(keys)
        removed = self._commit(edits) if edits else []
        return sum(version is not None for version in removed)

    def pop(self, key: str, default: Any = DEFAULT) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*, or KeyError."""
        return run(self._verbs().pop(key, default))

    def popitem(self) -> tuple[str, Any]:
        """Remove the last entry, by key, and return key and value; raise KeyError if there is none."""
        return run(self._verbs().popitem())

    def clear(self) -> None:
        """Remove every entry in one step; :meth:`Store.drop` does it in bounded batches."""
        self._engine.clear(self._name, self._context.now())

    def purge_expired(self, limit: int | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many."""
        most = checked_optional_int(limit, "limit", lowest=1)
        return self._engine.purge_expired(self._name, most, self._context.now())

    # -- walking

    def __iter__(self) -> Iterator[str]:
        """Yield the keys in order, by pages: others may write meanwhile."""
        return self._walk_keys(reverse=False)

    def __reversed__(self) -> Iterator[str]:
        """Yield the keys from the last to the first."""
        return self._walk_keys(reverse=True)

    def _walk_keys(self, *, reverse: bool) -> Iterator[str]:
        for page in self._context.key_pages(KeyRange(self._name, reverse=reverse)):
            yield from page

    def walk(self, *, reverse: bool = False) -> Iterator[tuple[str, Any]]:
        """Yield keys and values in the order of the keys, as ``items()`` does."""
        for page in self._context.pages(KeyRange(self._name, reverse=checked_bool(reverse, "reverse"))):
            for key, record in page:
                yield key, self._value(key, record)

    def keys(self) -> NamespaceKeys:
        """Return a view of the keys, a set that follows the namespace."""
        return NamespaceKeys(self)

    def values(self) -> NamespaceValues:
        """Return a view of the values, in the order of their keys."""
        return NamespaceValues(self)

    def items(self) -> NamespaceItems:
        """Return a view of keys and values, a set that follows the namespace."""
        return NamespaceItems(self)

    def list(self, prefix: str = "", *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page:
        """Return a page of the keys that begin with *prefix*, in order.

        Args:
            prefix: taken literally.
            limit: how many keys at most.
            cursor: that of the page before, for the next one.
            reverse: from the last to the first.

        A key that is there during the whole walk is returned exactly once.
        """
        start, backwards = checked_prefix(prefix), checked_bool(reverse, "reverse")
        most = checked_int(limit, "limit", lowest=1, highest=1_000_000)
        after = key_of(cursor, start, reverse=backwards)
        keys = self._engine.keys(KeyRange(self._name, start, after, backwards), most + 1, self._context.now())
        page = tuple(keys[:most])
        return Page(page, cursor_after(page[-1], reverse=backwards) if len(keys) > most else None)

    def by_age(self, *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page:
        """Return a page of the keys in the order in which their entries were created.

        Args:
            limit: how many keys at most.
            cursor: that of the page before, for the next one.
            reverse: from the newest to the oldest.

        An entry that is written again keeps its place, one that is removed and created again goes to the end. A walk
        by pages leaves out what is created after its first page. Each page passes over the entries that other
        namespaces of the file have between its own.
        """
        backwards = checked_bool(reverse, "reverse")
        most = checked_int(limit, "limit", lowest=1, highest=1_000_000)
        engine, now = require_aging(self._engine), self._context.now()
        age = AgeRange(self._name, reverse=backwards)
        if cursor is not None:
            after, until = ages_of(cursor, reverse=backwards)
            age = age._replace(after=after, until=until)
        elif not backwards:
            newest = engine.keys_by_age(age._replace(reverse=True), 1, now)
            age = age._replace(until=newest[0][0] if newest else 0)
        found = engine.keys_by_age(age, most + 1, now)
        keys = tuple(key for _, key in found[:most])
        if len(found) <= most:
            return Page(keys, None)
        return Page(keys, age_cursor(found[most - 1][0], age.until or 0, reverse=backwards))

    def scan(self, prefix: str = "", *, reverse: bool = False) -> Iterator[tuple[str, Entry[Any]]]:
        """Yield keys that begin with *prefix* and their entries, in order, by pages."""
        span = KeyRange(self._name, checked_prefix(prefix), None, checked_bool(reverse, "reverse"))
        pages = self._context.pages(span)
        return ((key, self._context.entry(self._name, key, record)) for page in pages for key, record in page)

    # -- results of functions

    @property
    def memoize(self) -> Memoize[Decorator]:
        """Keeps the results of functions in this namespace: ``@users.memoize(ttl=60)``; see :class:`Memoize`.

        The leases of computations are in a namespace beside it, of the same name and ``.leases``.
        """
        return Memoize(self._result_store)

    def _result_store(self, ns: str | None) -> ResultStore:
        if ns is not None:
            raise ValueError("ns is for Store.memoize; a namespace keeps the results itself")
        context, defaults = self._context, self._defaults
        leases = Namespace(context, lease_namespace(self._name), Defaults(None, None))
        declare_layouts(partial(declare, self._engine), self._name, leases.name)
        return ResultStore(
            context,
            self,
            leases,
            lambda: Transaction(context),
            context.clock,
            context.codecs,
            defaults.ttl,
            defaults.content_type,
        )

    # -- as dict does

    def copy(self) -> dict[str, Any]:
        """Return a plain dict of what is there."""
        return dict(self.walk())

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        """Return a plain dict of both, the other's values winning."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**self.copy(), **(other.copy() if isinstance(other, Namespace) else other)}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        """Return a plain dict of both, this one's values winning."""
        return {**other, **self.copy()} if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc] # as dict: | gives a dict, |= the mapping itself
        """Write all that :meth:`update` would."""
        self.update(other)
        return self

    def __repr__(self) -> str:
        """Return the name, the file and the size, never a value."""
        try:
            entries = len(self)
            size = "1 entry" if entries == 1 else f"{entries} entries"
        except KVError as error:
            size = type(error).__name__
        return f"<Namespace {self._name!r} of {self._engine.label!r}: {size}>"

    def stats(self) -> NamespaceStats:
        """Return how many entries there are."""
        return NamespaceStats(*self._engine.count(self._name, self._context.now()))
