"""diskcache's ``Cache`` on top of a store."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlitedict_kv.adapters._compat.key_encoding import Name, is_hash, key_of, named
from sqlitedict_kv.adapters.diskcache.directory import Open, Shelf, Timeout
from sqlitedict_kv.adapters.diskcache.disk import Disk, checked_disk
from sqlitedict_kv.adapters.diskcache.memoize import memoizer
from sqlitedict_kv.adapters.diskcache.queues import Queue, checked_side, outermost, push
from sqlitedict_kv.adapters.diskcache.settings import checked_settings
from sqlitedict_kv.adapters.diskcache.statistics import Reads
from sqlitedict_kv.adapters.diskcache.values import ENOVAL, PICKLE, Item, checked_tag, item_of
from sqlitedict_kv.adapters.support.fitting import fitting_ttl
from sqlitedict_kv.codecs.registry import Codec
from sqlitedict_kv.errors import CodecError, ConflictError
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations.context import EPOCH, Entry
from sqlitedict_kv.validation import checked_bool, checked_number

T = TypeVar("T")

CHUNK = 4 * 2**20  # bytes of a file that is read as a value
KEYS_PER_PAGE = 100
CULLED_AT_ONCE = 64
METADATA = ("count", "size", "hits", "misses")


class Cache:
    """A mapping in a directory, with diskcache's names, arguments and behaviour; docs/leaving-diskcache.md differs."""

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        timeout: float = 60,
        disk: type[Disk] = Disk,
        *,
        codecs: Sequence[Codec] = (),
        dangerously_allow_pickle: bool = False,
        lru_bytes: int | str | None = None,
        **settings: Any,
    ) -> None:
        """Open the cache of a directory.

        Args:
            directory: made if there is none; None is a new temporary one, which stays.
            timeout: seconds to wait while others write.
            disk: ``Disk``, or ``JSONDisk`` for values that JSON keeps exactly and no others.
            codecs: for values of your own types; see :class:`sqlitedict_kv.Store`.
            dangerously_allow_pickle: pickle the values that no codec keeps, and unpickle them: whoever can write to
                the directory can then run code in every process that reads it.
            lru_bytes: memory for values that were read before; see :class:`sqlitedict_kv.Store`.
            settings: those of ``DEFAULT_SETTINGS``.

        Raises:
            ValueError: the directory is one of diskcache itself, or a setting cannot be kept.
            TypeError: there is no such setting.
        """
        self._disk = checked_disk(disk, settings)
        given = checked_settings(settings, compresses=self._disk.compresses)
        self._pickles = checked_bool(dangerously_allow_pickle, "dangerously_allow_pickle")
        self._options: dict[str, Any] = {
            "codecs": tuple(codecs),
            "dangerously_allow_pickle": self._pickles,
            "lru_bytes": lru_bytes,
        }
        self._shelf = Shelf(
            directory,
            timeout,
            given,
            codecs=codecs,
            pickles=self._pickles,
            lru_bytes=lru_bytes,
            compresses=self._disk.compresses,
        )
        self._reads = Reads(self._shelf)
        # Direct where the disk has no say, for each read takes this way.
        self._named: Callable[[Any], Name] = named if type(self._disk) is Disk else self._named_by_disk

    @property
    def directory(self) -> str:
        """The directory."""
        return self._shelf.directory

    @property
    def timeout(self) -> float:
        """Seconds to wait while others write."""
        return self._shelf.timeout

    @property
    def disk(self) -> Disk:
        """How values are kept."""
        return self._disk

    def __getattr__(self, name: str) -> Any:
        """Return a setting."""
        shelf = self.__dict__.get("_shelf")
        if shelf is not None and name in shelf.settings:
            return shelf.settings[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _named_by_disk(self, key: Any) -> Name:
        return named(self._disk.key(key))

    # -- writing

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Write a value and return True.

        Args:
            key: anything that :mod:`sqlitedict_kv.adapters._compat.key_encoding` can name.
            value: what a codec keeps exactly; with *read*, a file that is open for reading bytes.
            expire: seconds until it expires; None is never.
            read: whether to read the value from a file.
            tag: a str, int, float or bytes by which :meth:`evict` finds it.
            retry: wait as long as it takes for others that write.

        Raises:
            Timeout: others wrote for the whole timeout.
            CodecError: no codec keeps the value.
        """
        name, stored, ttl = self._prepared(key, value, expire, read=read, tag=tag)
        self._shelf.on_entries(lambda entries: self._write(entries, name, stored, ttl), retry=retry)
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a value."""
        self.set(key, value, retry=True)

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Write a value unless there is one, and return whether it was written; the arguments are those of set."""
        name, stored, ttl = self._prepared(key, value, expire, read=read, tag=tag)
        return self._shelf.on_entries(lambda entries: self._add(entries, name, stored, ttl), retry=retry)

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Let an entry expire *expire* seconds from now, None is never; return whether it was there."""
        name, ttl = self._named(key), checked_expire(expire)
        if ttl is not None and ttl <= 0:
            return self.delete(key, retry=retry)
        return self._shelf.on_entries(lambda entries: entries.touch(name.text, ttl), retry=retry)

    def incr(self, key: Any, delta: float = 1, default: float | None = 0, retry: bool = False) -> Any:
        """Add to a number, which keeps its tag and its time to live, and return the sum.

        An absent entry counts as *default*; if that is None, KeyError is raised.
        """
        name = self._named(key)
        if default is not None and name.whole is None:
            start = checked_number(default, "default")
            try:
                return self._shelf.on_entries(
                    lambda entries: entries.incr(name.text, delta, default=start), retry=retry
                )
            except TypeError:  # no number: it may be one with a tag
                pass
        start_at: dict[str, Any] = {} if default is None else {"default": self._stored(default, None, name)}
        try:
            total = self._shelf.on_entries(
                lambda entries: entries.modify(name.text, lambda found: _sum(key, found, delta), **start_at),
                retry=retry,
            )
        except KeyError:
            raise KeyError(key) from None
        return item_of(total).value

    def modify(
        self, key: Any, function: Callable[[Any], Any], default: Any, expire: float | None = None, tag: Any = None
    ) -> bool:
        """Write what *function* makes of the value, of *default* if there is none; diskcache has no such verb.

        Nothing that others write is lost, and no lock is held: the function is called again where somebody was faster.
        If it returns None nothing is written, and the result is False.
        """
        name, ttl = self._named(key), checked_expire(expire)

        def change(found: Any) -> Any:
            changed = function(item_of(found).value)
            if changed is None:
                raise _UnchangedError
            return self._stored(changed, tag, name)

        try:
            self._shelf.on_entries(
                lambda entries: entries.modify(name.text, change, default=self._stored(default, None, name), ttl=ttl)
            )
        except _UnchangedError:
            return False
        return True

    def decr(self, key: Any, delta: float = 1, default: float | None = 0, retry: bool = False) -> Any:
        """Subtract from a number; see :meth:`incr`."""
        return self.incr(key, -delta, default, retry)

    def _prepared(
        self, key: Any, value: Any, expire: float | None, *, read: bool, tag: Any
    ) -> tuple[Name, Any, float | None]:
        """Return the name, what to store and the time to live, 0 or less for what has expired already."""
        name, ttl = self._named(key), checked_expire(expire)
        return name, self._stored(_content_of(value) if read else value, tag, name), ttl

    def _stored(self, value: Any, tag: Any, name: Name) -> Any:
        plain = tag is None and name.whole is None
        return value if plain else Item(value, checked_tag(tag), name.whole)

    def _write(self, entries: Namespace, name: Name, stored: Any, ttl: float | None) -> None:
        if ttl is not None and ttl <= 0:
            entries.delete(name.text)
            return
        self._encoded(stored, lambda content_type: entries.set(name.text, stored, ttl=ttl, content_type=content_type))

    def _add(self, entries: Namespace, name: Name, stored: Any, ttl: float | None) -> bool:
        if ttl is not None and ttl <= 0:
            return name.text not in entries
        written = self._encoded(
            stored, lambda content_type: entries.add(name.text, stored, ttl=ttl, content_type=content_type)
        )
        return written is not None

    def _encoded(self, stored: Any, write: Callable[[str | None], T]) -> T:
        """Call *write* with the content type for a value, that of pickle where it is allowed and nothing else fits."""
        chosen = None if type(stored) is Item else self._disk.content_type
        try:
            return write(chosen)
        except CodecError:
            if not self._pickles or type(stored) is Item:
                raise
            return write(PICKLE)

    # -- reading

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Return the value, or *default*.

        Args:
            key: the key.
            default: what to return where there is no value.
            read: return bytes as a file that is open for reading.
            expire_time: return the Unix time of its expiry too, or None.
            tag: return its tag too.
            retry: of no effect: reading waits for nobody.
        """
        name = self._named(key).text
        if expire_time or tag:
            entry = self._shelf.on_entries(lambda entries: entries.get_with_meta(name), retry=retry)
            item = None if entry is None else item_of(entry.value)
        else:
            entry, found = None, self._shelf.value(name)
            item = None if found is ENOVAL else item_of(found)
        if self._shelf.settings["statistics"]:
            self._reads.count(hit=item is not None)
        if item is None:
            return _with_extras(default, None, None, expire_time=expire_time, tag=tag)
        value = io.BytesIO(item.value) if read and type(item.value) is bytes else item.value
        expires = None if entry is None else _seconds(entry.meta.expires_at)
        return _with_extras(value, expires, item.tag, expire_time=expire_time, tag=tag)

    def __getitem__(self, key: Any) -> Any:
        """Return the value; raise KeyError if there is none."""
        value = self.get(key, ENOVAL, retry=True)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def read(self, key: Any, retry: bool = False) -> Any:
        """Return the value as a file that is open for reading; raise KeyError if there is none."""
        handle = self.get(key, ENOVAL, read=True, retry=retry)
        if handle is ENOVAL:
            raise KeyError(key)
        return handle

    def __contains__(self, key: Any) -> bool:
        """Return whether there is a value."""
        name = self._named(key).text
        return self._shelf.on_entries(lambda entries: name in entries)

    # -- removing

    def pop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*."""
        name = self._named(key).text
        entry = self._shelf.on_entries(lambda entries: _taken(entries, name), retry=retry)
        if entry is None:
            return _with_extras(default, None, None, expire_time=expire_time, tag=tag)
        item = item_of(entry.value)
        return _with_extras(item.value, _seconds(entry.meta.expires_at), item.tag, expire_time=expire_time, tag=tag)

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove an entry and return whether it was there."""
        name = self._named(key).text
        return self._shelf.on_entries(lambda entries: entries.delete(name), retry=retry)

    def __delitem__(self, key: Any) -> None:
        """Remove an entry; raise KeyError if there is none."""
        if not self.delete(key, retry=True):
            raise KeyError(key)

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Remove all entries with a tag, one by one, and return how many.

        Raises:
            Timeout: others wrote for the whole timeout; its first argument is how many were removed.
        """
        wanted = checked_tag(tag)
        if wanted is None:
            return 0
        return self._remove(lambda entry: item_of(entry.value).tag == wanted, retry=retry)

    def expire(self, now: float | None = None, retry: bool = False) -> int:
        """Remove the entries that have expired, by *now* if it is given, and return how many."""
        removed = self._shelf.on_entries(lambda entries: entries.purge_expired(), retry=retry)
        if now is None:
            return removed
        return removed + self._remove(lambda entry: (_seconds(entry.meta.expires_at) or math.inf) < now, retry=retry)

    def _remove(self, condition: Callable[[Entry[Any]], bool], *, retry: bool) -> int:
        """Remove the entries of which a condition holds, unless somebody writes them meanwhile."""
        removed = 0
        try:
            for text in self._texts(by_age=False, reverse=False):
                removed += self._shelf.on_entries(partial(_removed_if, condition, text), retry=retry)
        except Timeout:
            raise Timeout(removed) from None
        return removed

    def cull(self, retry: bool = False) -> int:
        """Remove what has expired, then the oldest entries until the cache is under its size limit."""
        removed = self.expire(retry=retry)
        if self._shelf.settings["eviction_policy"] == "none":
            return removed
        try:
            while self.volume() > self._shelf.settings["size_limit"]:
                page = self._shelf.on_entries(lambda entries: entries.by_age(limit=CULLED_AT_ONCE), retry=retry)
                if not page.keys:
                    break
                removed += self._shelf.on_entries(partial(_removed_all, page.keys), retry=retry)
        except Timeout:
            raise Timeout(removed) from None
        return removed

    def clear(self, retry: bool = False) -> int:
        """Remove every entry and return how many there were."""

        def emptied(entries: Namespace) -> int:
            count = len(entries)
            entries.clear()
            return count

        return self._shelf.on_entries(emptied, retry=retry)

    # -- queues

    def push(
        self,
        value: Any,
        prefix: str | None = None,
        side: str = "back",
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> Any:
        """Add a value to a queue and return its key, an int, or with a *prefix* a str."""
        queue, end, ttl = Queue(prefix), checked_side(side), checked_expire(expire)
        content = _content_of(value) if read else value

        def add(entries: Namespace, name: Name) -> bool:
            return self._add(entries, name, self._stored(content, tag, name), ttl)

        return self._shelf.on_entries(lambda entries: push(entries, queue, end, add), retry=retry)

    def pull(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove the entry at one end of a queue and return its key and value, in one step; or *default*."""
        queue, end = Queue(prefix), checked_side(side)

        def take(entries: Namespace) -> tuple[str, Entry[Any]] | None:
            while True:
                found = outermost(entries, queue, end)
                if found is None or _removed(entries, found[0], found[1].meta.version):
                    return found

        return self._pair(self._shelf.on_entries(take, retry=retry), default, expire_time=expire_time, tag=tag)

    def peek(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Return key and value at one end of a queue, or *default*."""
        queue, end = Queue(prefix), checked_side(side)
        found = self._shelf.on_entries(lambda entries: outermost(entries, queue, end), retry=retry)
        return self._pair(found, default, expire_time=expire_time, tag=tag)

    def peekitem(self, last: bool = True, expire_time: bool = False, tag: bool = False, retry: bool = False) -> Any:
        """Return key and value of the entry that was created last, or first; raise KeyError if there is none."""

        def look(entries: Namespace) -> tuple[str, Entry[Any]]:
            while True:
                keys = entries.by_age(limit=1, reverse=bool(last)).keys
                if not keys:
                    raise KeyError("dictionary is empty")
                entry = entries.get_with_meta(keys[0])
                if entry is not None:
                    return keys[0], entry

        return self._pair(self._shelf.on_entries(look, retry=retry), None, expire_time=expire_time, tag=tag)

    def _pair(self, found: tuple[str, Entry[Any]] | None, default: Any, *, expire_time: bool, tag: bool) -> Any:
        if found is None:
            return _with_extras(default, None, None, expire_time=expire_time, tag=tag)
        text, entry = found
        item = item_of(entry.value)
        pair = (key_of(item.key or text), item.value)
        return _with_extras(pair, _seconds(entry.meta.expires_at), item.tag, expire_time=expire_time, tag=tag)

    # -- walking

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator of the keys in the order of their creation, of those that are there now."""
        return self._keys(self._texts(by_age=True, reverse=False))

    def __reversed__(self) -> Iterator[Any]:
        """Return an iterator of the keys from the newest to the oldest."""
        return self._keys(self._texts(by_age=True, reverse=True))

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """Return an iterator of the keys in the order of :mod:`sqlitedict_kv.adapters._compat.key_encoding`."""
        return self._keys(self._texts(by_age=False, reverse=bool(reverse)))

    def _texts(self, *, by_age: bool, reverse: bool) -> Iterator[str]:
        """Return what names the keys, by pages; the first page is read at once."""

        def page(cursor: str | None) -> Any:
            def listed(entries: Namespace) -> Any:
                turn = entries.by_age if by_age else entries.list
                return turn(limit=KEYS_PER_PAGE, cursor=cursor, reverse=reverse)

            return self._shelf.on_entries(listed)

        first = page(None)

        def walk() -> Iterator[str]:
            current = first
            yield from current.keys
            while current.cursor is not None:
                current = page(current.cursor)
                yield from current.keys

        return walk()

    def _keys(self, texts: Iterator[str]) -> Iterator[Any]:
        for text in texts:
            if not is_hash(text):
                yield key_of(text)
                continue
            item = item_of(self._shelf.on_entries(partial(_found, text)))
            if item.key is not None:
                yield key_of(item.key)

    def __len__(self) -> int:
        """Return the number of entries; those that have expired do not count."""
        return self._shelf.on_entries(len)

    # -- results of functions

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Collection[int | str] = (),
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Return a decorator that keeps the results of a function; :meth:`sqlitedict_kv.Store.memoize` does more.

        Args:
            name: of the function, in the keys; None is its module and qualified name.
            typed: tell arguments of different types apart that are equal.
            expire: seconds until a result expires; None is never, 0 keeps none.
            tag: of the results.
            ignore: positions and names of arguments that do not matter.
        """
        return memoizer(self, name, typed=typed, expire=expire, tag=tag, ignore=ignore)

    # -- the cache as a whole

    def transact(self, retry: bool = False) -> AbstractContextManager[None]:
        """Return a context manager in whose block this thread alone writes, all or nothing.

        Others read meanwhile. A block within another is part of it.

        Raises:
            Timeout: others wrote for the whole timeout.
        """
        return self._shelf.transact(retry=retry)

    def check(self, fix: bool = False, retry: bool = False) -> list[warnings.WarningMessage]:
        """Read the whole file and return warnings for what is damaged; *fix* gives free space back first."""

        def checked(opened: Open) -> tuple[str, ...]:
            if fix:
                opened.store.vacuum()
            return opened.store.check().problems

        problems = self._shelf.run(checked, retry=retry)
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            for problem in problems:
                warnings.warn(problem, stacklevel=2)
        return list(noted)

    def create_tag_index(self) -> None:
        """Note that an index of tags is wanted; there is none, and :meth:`evict` looks at every entry."""
        self.reset("tag_index", 1)

    def drop_tag_index(self) -> None:
        """Note that no index of tags is wanted."""
        self.reset("tag_index", 0)

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """Return hits and misses, and go on counting or not; *reset* begins at zero."""
        counted = self._reads.total(reset=bool(reset))
        if bool(self._shelf.settings["statistics"]) != bool(enable):
            self.reset("statistics", enable)
        return counted

    def volume(self) -> int:
        """Return the size of the cache on disk in bytes, without its free space."""

        def used(opened: Open) -> int:
            figures = opened.store.stats()
            return figures.bytes_on_disk - figures.free_bytes

        return self._shelf.run(used, retry=True)

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Return a setting as it is stored, or write it; ``count``, ``size``, ``hits`` and ``misses`` can be read.

        Raises:
            TypeError: there is no such setting.
            ValueError: it cannot be kept.
        """
        if key in METADATA:
            if value is not ENOVAL:
                raise ValueError(f"{key} is what the store counts, and cannot be set")
            hits, misses = self._reads.total(reset=False)
            return {"count": len(self), "size": 0, "hits": hits, "misses": misses}[key]
        if value is ENOVAL:
            if key not in self._shelf.settings:
                raise TypeError(f"there is no setting {key!r}")
            return self._shelf.reload(key)
        if not update:
            raise ValueError("update=False is of no use here: a setting is for everybody who opens the directory")
        return self._shelf.reset(key, value)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._reads.write_down()
        self._shelf.close()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what opens the same cache elsewhere."""
        return self.directory, self.timeout, type(self._disk), self._options

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Open the same cache."""
        directory, timeout, disk, options = state
        self.__init__(directory, timeout, disk, **options)  # type: ignore[misc] # as diskcache does

    def __repr__(self) -> str:
        """Return the directory."""
        return f"{type(self).__name__}(directory={self.directory!r})"


class _UnchangedError(Exception):
    """Says that nothing is to be written."""


def checked_expire(expire: object) -> float | None:
    """Return a number of seconds, 0 or less for what has expired already, None for more than a century."""
    if expire is None or expire == math.inf:
        return None
    seconds = fitting_ttl(checked_number(expire, "expire"))
    return None if seconds is None else float(seconds)


def _content_of(file: Any) -> bytes:
    """Return all that a file holds; raise TypeError if it gives no bytes."""
    chunks: list[bytes] = []
    while chunk := file.read(CHUNK):
        if not isinstance(chunk, bytes):
            raise TypeError(f"value must be a file that gives bytes, not {type(chunk).__name__}; open it with 'rb'")
        chunks.append(chunk)
    return b"".join(chunks)


def _sum(key: Any, found: Any, delta: float) -> Any:
    item = item_of(found)
    if type(item.value) is not int and type(item.value) is not float:
        raise TypeError(f"the value of {key!r} is a {type(item.value).__name__}, not a number")
    total = item.value + checked_number(delta, "delta")
    return item._replace(value=total) if type(found) is Item else total


def _taken(entries: Namespace, text: str) -> Entry[Any] | None:
    while True:
        entry: Entry[Any] | None = entries.get_with_meta(text)
        if entry is None or _removed(entries, text, entry.meta.version):
            return entry


def _removed(entries: Namespace, text: str, version: int) -> bool:
    try:
        return entries.delete(text, version=version)
    except ConflictError:
        return False


def _removed_if(condition: Callable[[Entry[Any]], bool], text: str, entries: Namespace) -> bool:
    entry: Entry[Any] | None = entries.get_with_meta(text)
    return entry is not None and condition(entry) and _removed(entries, text, entry.meta.version)


def _removed_all(texts: Iterable[str], entries: Namespace) -> int:
    return entries.delete_many(texts)


def _found(text: str, entries: Namespace) -> Any:
    return entries.get(text)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - EPOCH).total_seconds()


def _with_extras(value: Any, expires: float | None, tag_of: Any, *, expire_time: bool, tag: bool) -> Any:
    if expire_time and tag:
        return value, expires, tag_of
    if expire_time:
        return value, expires
    return (value, tag_of) if tag else value
