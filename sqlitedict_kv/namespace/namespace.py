"""A namespace of a store, seen as a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar, overload

from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.concurrency.sansio import run
from sqlitedict_kv.engines.protocol import Edit, Put, Value
from sqlitedict_kv.errors import ConflictError
from sqlitedict_kv.memoization.decorator import Decorator, Memoize
from sqlitedict_kv.memoization.result_store import ResultStore, declare_layouts, lease_namespace, note_namespace
from sqlitedict_kv.memoization.result_writer import ResultWriter
from sqlitedict_kv.namespace.reader import NamespaceReader
from sqlitedict_kv.namespace.streams import NamespaceStreams
from sqlitedict_kv.operations.bulk_write import write_watched
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.editing import begin_edit, end_edit
from sqlitedict_kv.operations.optional import change_mark, declare
from sqlitedict_kv.operations.prepare import Edits, collect
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.read_modify_write import Verbs
from sqlitedict_kv.operations.type_variables import K, V
from sqlitedict_kv.validation import (
    DEFAULT,
    MAX_KEY_BYTES,
    NO_TAGS,
    Default,
    Duration,
    check_key,
    check_number,
)

T = TypeVar("T")


class Namespace(NamespaceStreams[K], NamespaceReader[K, V], MutableMapping[K, V]):
    """The entries of one namespace, as a mapping from keys to values; made by :meth:`Store.ns`.

    It behaves as a dict that is sorted by key. Every operation is atomic between threads and processes,
    an entry that has expired is absent, and each value that is read is a new object.

    Keys are str, or of the type that ``ns(keys=)`` names.
    """

    __slots__ = ("_edits",)

    def __init__(
        self,
        context: StoreContext,
        name: str,
        defaults: Defaults,
        read_value: Callable[[str, str], Value | None] | None = None,
    ) -> None:
        """Make a view; the name is checked already, and *read_value* stands for that of the context."""
        super().__init__(context, name, defaults, read_value)
        self._edits = Edits(context, name, defaults)

    # -- writing

    def __setitem__(self, key: K, value: V) -> None:
        """Write a value, with the namespace's own time to live."""
        self.set(key, value)

    def set(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int:
        """Write a value, replacing all that was there, and return its version.

        Args:
            key: a str of at most 1,024 bytes of UTF-8.
            value: anything that a codec of the store keeps exactly.
            ttl: seconds until it expires, a timedelta, or text such as ``"30 min"``; None is never; left out, the
                namespace's own.
            content_type: how to encode it; left out, the namespace's own, or what fits the value.
            tags: what :meth:`Store.forget_tag` removes it by: texts of 1 to 255 bytes of UTF-8. They are of this write:
                the next one of the key, :meth:`incr` and :meth:`modify` too, gives others or none.

        Raises:
            CodecError: the value would not come back as it is.
            TooLargeError: the key or the value is over its limit.
            StoreBusyError: others held the lock for the whole timeout.
        """
        if tags is not NO_TAGS:
            return self._commit([self._edits.put(key, value, ttl, content_type, tags=tags)])[0] or 0
        # Flat, without Defaults.choose and StoreContext.put: the calls cost 10 % of a set.
        context = self._context
        name: Any = key
        if type(name) is not str or len(name) > MAX_KEY_BYTES or not name.isascii():
            name = check_key(name)
        if ttl is DEFAULT and content_type is None:
            seconds, encoding = self._defaults.ttl, self._defaults.content_type
        else:
            seconds, encoding = self._defaults.choose(ttl, content_type, context.codecs)
        body, encoded_as = context.codecs.encode_parts(value, encoding)
        if len(body) > context.max_value_bytes:
            body, encoded_as = context.put_elsewhere(body, encoded_as)
            return self._commit([Put(self._name, name, body, encoded_as, context.deadline(seconds))])[0] or 0
        assert type(body) is bytes  # parts are larger
        expires_at = None if seconds is None else context.deadline(seconds)
        return self._engine.put(self._name, name, body, encoded_as, expires_at, context.now())

    def add(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int | None:
        """Write a value if the key is absent; return its version, or None if something is there."""
        try:
            (version,) = self._commit([self._edits.put_at(key, value, 0, ttl, content_type, tags)])
        except ConflictError:
            return None
        return version

    def cas_set(
        self,
        key: K,
        value: V,
        version: int,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int:
        """Write a value if the entry is still at *version*, and return the new one.

        Args:
            key: the key.
            value: the value.
            version: the version that was read; 0 demands that the key is absent.
            ttl: as for :meth:`set`.
            content_type: as for :meth:`set`.
            tags: as for :meth:`set`.

        Raises:
            ConflictError: the entry is at another version or is gone; nothing was changed.
        """
        (written,) = self._commit([self._edits.put_at(key, value, version, ttl, content_type, tags)])
        assert written is not None
        return written

    def set_many(
        self,
        mapping: Mapping[K, V],
        *,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
        progress: Progress | None = None,
    ) -> dict[K, int]:
        """Write all the values of a mapping, or none, and return their versions by key.

        Args:
            mapping: values by key.
            ttl: as for :meth:`set`.
            tags: as for :meth:`set`, of each of them.
            progress: True shows a bar, by tqdm or rich; a function gets (done, total).
        """
        if progress is not None and progress is not False:
            engine, now = self._engine, self._context.now()
            written: dict[Any, int] = write_watched(
                self._edits, mapping, ttl, progress, lambda puts, advance: engine.put_many(puts, now, advance), tags
            )
            return written
        puts = self._edits.put_many(mapping, ttl, tags=tags)
        versions: dict[Any, int] = self._engine.put_many(puts, self._context.now())
        return versions

    def update(self, other: Any = (), /, **entries: Any) -> None:
        """Write all that dict.update would write, in one step: a mapping, an iterable of pairs, keywords.

        :meth:`set_many` takes a time to live, and shows its progress.
        """
        # A namespace is copied by pages: dict would look each key up, and fail where another process removes one.
        written: dict[Any, Any] = collect(other.copy() if isinstance(other, NamespaceReader) else other, entries)
        self.set_many(written)

    def setdefault(self, key: K, default: Any = None) -> V:
        """Return the value of a key, or write *default* and return it if there is none, in one step."""
        value: V = run(self._verbs().setdefault(key, default))
        return value

    def incr(self, key: K, delta: float = 1, *, default: float | None = 0) -> int | float:
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

    def decr(self, key: K, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Subtract from a number and return the difference; see :meth:`incr`."""
        return self.incr(key, -check_number(delta, "delta"), default=default)

    def modify(
        self,
        key: K,
        function: Callable[[V], V],
        *,
        default: V | Default = DEFAULT,
        ttl: Duration | None | Default = DEFAULT,
    ) -> V:
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
        value: V = run(self._verbs().modify(key, function, default, ttl))
        return value

    @contextmanager
    def edit(self, key: K, default: V | Default = DEFAULT) -> Iterator[V]:
        """Give the value to a ``with`` block, which changes it in place, and write it back at the end of the block.

        ``with ns.edit("k", default=[]) as value: value.append(3)``. What ``ns["k"].append(3)`` changes is a new object
        that nobody keeps. The block runs without any lock. If it raises, nothing is written; if it changes nothing, a
        value in a file of its own alone. The time to live stays. Where others write too, :meth:`modify` tries again.

        Args:
            key: the key.
            default: the value of an absent entry.

        Raises:
            KeyError: there is no value, and no default.
            ConflictError: (at the end) somebody else wrote in between; what the block did is not kept.
        """
        verbs = self._verbs()
        edited = run(begin_edit(verbs, key, default))
        yield edited.value
        run(end_edit(verbs, edited))

    def touch(self, key: K, ttl: Duration | None) -> bool:
        """Let an entry expire *ttl* seconds from now, None is never; return whether it was there.

        Its value, its version and the time of its last update stay.
        """
        (version,) = self._commit([self._edits.touch(key, ttl)])
        return version is not None

    @overload
    def renew(self, key: K, ttl: Duration, default: None = None) -> V | None: ...
    @overload
    def renew(self, key: K, ttl: Duration, default: T) -> V | T: ...
    def renew(self, key: Any, ttl: Duration, default: Any = None) -> Any:
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

    def __delitem__(self, key: K) -> None:
        """Remove an entry; raise KeyError if there is none."""
        if not self.delete(key):
            raise KeyError(key)

    def delete(self, key: K, *, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there.

        Args:
            key: the key.
            version: remove it only at this version.

        Raises:
            ConflictError: a version was given, and the entry is at another one or is gone.
        """
        (removed,) = self._commit([self._edits.delete(key, version)])
        return removed is not None

    def delete_many(self, keys: Iterable[K]) -> int:
        """Remove all these entries in one step and return how many were there."""
        edits = self._edits.delete_many(keys)
        removed = self._commit(edits) if edits else []
        return sum(version is not None for version in removed)

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V) -> V: ...
    @overload
    def pop(self, key: K, default: T) -> V | T: ...
    def pop(self, key: Any, default: Any = DEFAULT) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*, or KeyError."""
        return run(self._verbs().pop(key, default))

    def popitem(self) -> tuple[K, V]:
        """Remove the last entry, by key, and return key and value; raise KeyError if there is none."""
        return run(self._verbs().popitem())

    def clear(self) -> None:
        """Remove every entry in one step; :meth:`Store.drop` does it in bounded batches."""
        self._engine.clear(self._name, self._context.now())

    # -- results of functions

    @property
    def memoize(self) -> Memoize[Decorator]:
        """Keeps the results of functions in this namespace: ``@users.memoize(ttl=60)``; see :class:`Memoize`.

        The leases of computations are in a namespace beside it, of the same name and ``.leases``.
        """
        return Memoize(self._result_store, self._context.modes, self._name)

    def _result_store(self, ns: str | None) -> ResultStore:
        if ns is not None:
            raise ValueError("ns is for Store.memoize; a namespace keeps the results itself")
        declare_layouts(partial(declare, self._engine), self._name, lease_namespace(self._name))
        return self._results_by(self._context.codecs.unchecked())

    def _results_by(self, codecs: Codecs) -> ResultStore:
        """Return where memoize keeps results that *codecs* encode: here, and leases in a namespace beside it."""
        context, defaults = self._context.with_codecs(codecs), Defaults(self._defaults.ttl, self._defaults.content_type)
        results: Namespace = Namespace(context, self._name, defaults)  # whatever this view takes as keys, those are str
        leases: Namespace = Namespace(context, lease_namespace(self._name), Defaults(None, None))
        notes: Namespace = Namespace(context, note_namespace(self._name), Defaults(None, None))
        writer = ResultWriter(context, self._name, lease_namespace(self._name))
        return ResultStore(
            id(self._engine),
            results,
            leases,
            lambda: writer,
            context.clock,
            codecs,
            defaults.ttl,
            defaults.content_type,
            recoded=self._results_by,
            notes=notes,
            change_mark=lambda key: change_mark(context.engine, leases.name, key),  # not the engine: it does not pickle
            successor=lambda: self._results_at(context.newer(), codecs),
            enroll=lambda function: context.modes.enroll(function, results.name),
        )

    def _results_at(self, context: StoreContext | None, codecs: Codecs) -> ResultStore | None:
        """Return where memoize keeps results in the store of *context*, if that is one."""
        return None if context is None else Namespace(context, self._name, self._defaults)._results_by(codecs)  # noqa: SLF001 - its own

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc] # as dict: | gives a dict, |= the mapping itself
        """Write all that :meth:`update` would."""
        self.update(other)
        return self
