"""Mapping in a directory with tags, expiry and queues: diskcache's ``Cache``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from sqlitedict_kv import Entry, Namespace
from sqlitedict_kv.adapters._compat.key_encoding import Name, key_of
from sqlitedict_kv.adapters.diskcache.directory_cache import DirectoryCache
from sqlitedict_kv.adapters.diskcache.disk import read_content
from sqlitedict_kv.adapters.diskcache.entries import (
    Prepared,
    check_expire,
    seconds_of,
    take,
    with_extras,
)
from sqlitedict_kv.adapters.diskcache.memoize import memoizer
from sqlitedict_kv.adapters.diskcache.queues import Queue, check_side, newest_or_oldest, outermost, pull, push
from sqlitedict_kv.adapters.diskcache.read_modify_write import increment, modify
from sqlitedict_kv.adapters.diskcache.removal import remove_where
from sqlitedict_kv.adapters.diskcache.values import ENOVAL, UNKNOWN, check_tag, item_of
from sqlitedict_kv.adapters.diskcache.walking import walk_keys

T = TypeVar("T")


class Cache(DirectoryCache):
    """A mapping in a directory with diskcache's API; docs/migrate/diskcache.md lists the differences."""

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
            retry: wait for others that write as long as it takes.

        Raises:
            Timeout: others wrote for the whole timeout.
            CodecError: no codec keeps the value.
        """
        prepared = self._prepare(key, value, expire, read=read, tag=tag)
        self._directory.on_entries(lambda entries: self._writer.write(entries, prepared), retry=retry)
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
        prepared = self._prepare(key, value, expire, read=read, tag=tag)
        return self._directory.on_entries(lambda entries: self._writer.add(entries, prepared), retry=retry)

    def set_many(
        self, items: Mapping[Any, Any], expire: float | None = None, tag: Any = None, retry: bool = False
    ) -> int:
        """Write all the values of a mapping or, if one cannot be kept, none, in one step; return how many.

        diskcache has no such method.
        """
        prepared = [self._prepare(key, value, expire, read=False, tag=tag) for key, value in items.items()]
        with self.transact(retry):
            for entry in prepared:
                self._directory.on_entries(partial(self._write, entry), retry=retry)
        return len(prepared)

    def _write(self, prepared: Prepared, entries: Namespace) -> None:
        self._writer.write(entries, prepared)

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Let an entry expire *expire* seconds from now, None is never; return whether it was there."""
        name, ttl = self._name_of(key), check_expire(expire)
        if ttl is not None and ttl <= 0:
            return self.delete(key, retry=retry)
        return self._directory.on_entries(lambda entries: entries.touch(name.text, ttl), retry=retry)

    def incr(self, key: Any, delta: float = 1, default: float | None = 0, retry: bool = False) -> Any:
        """Add to a number, which keeps its tag and its time to live, and return the sum.

        An absent entry counts as *default*; if that is None, KeyError is raised.
        """
        return increment(self._directory, self._form, key, delta, default, retry=retry)

    def modify(
        self, key: Any, function: Callable[[Any], Any], default: Any, expire: float | None = None, tag: Any = None
    ) -> bool:
        """Write what *function* makes of the value, or of *default*; diskcache has no such method.

        Nothing that others write is lost, and no lock is held: the function is called again if it changes meanwhile.
        If it returns None nothing is written, and the result is False.
        """
        return modify(self._directory, self._form, key, function, default, check_expire(expire), tag)

    def decr(self, key: Any, delta: float = 1, default: float | None = 0, retry: bool = False) -> Any:
        """Subtract from a number; see :meth:`incr`."""
        return self.incr(key, -delta, default, retry)

    def _prepare(self, key: Any, value: Any, expire: float | None, *, read: bool, tag: Any) -> Prepared:
        name, ttl = self._name_of(key), check_expire(expire)
        return Prepared(name, self._form.stored(key, value, read=read, tag=tag, name=name), ttl)

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
            default: what to return if there is no value.
            read: return bytes as a file that is open for reading.
            expire_time: return the Unix time of its expiry too, or None.
            tag: return its tag too.
            retry: has no effect: reading does not wait.
        """
        name = self._name_of(key).text
        if expire_time or tag:
            entry = self._directory.on_entries(lambda entries: entries.get_with_meta(name), retry=retry)
            item = None if entry is None else item_of(entry.value)
        else:
            entry, found = None, self._directory.value(name)
            item = None if found is ENOVAL else item_of(found)
        if self._directory.settings["statistics"]:
            self._statistics.count(hit=item is not None)
        if item is None:
            return with_extras(default, None, None, expire_time=expire_time, tag=tag)
        value = self._form.value(item, read=read)
        expires = None if entry is None else seconds_of(entry.meta.expires_at)
        return with_extras(value, expires, item.tag, expire_time=expire_time, tag=tag)

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """Return the values of those keys that have one, as of one moment; diskcache has no such method."""
        names = {key: self._name_of(key).text for key in keys}
        found = self._directory.on_entries(lambda entries: entries.get_many(names.values()), retry=retry)
        return {key: self._form.value(item_of(found[name]), read=False) for key, name in names.items() if name in found}

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
        name = self._name_of(key).text
        return self._directory.on_entries(lambda entries: name in entries)

    # -- removing

    def pop(
        self, key: Any, default: Any = None, expire_time: bool = False, tag: bool = False, retry: bool = False
    ) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*."""
        name = self._name_of(key).text
        entry = self._directory.on_entries(lambda entries: take(entries, name), retry=retry)
        if entry is None:
            return with_extras(default, None, None, expire_time=expire_time, tag=tag)
        item = item_of(entry.value)
        value = self._form.value(item, read=False)
        return with_extras(value, seconds_of(entry.meta.expires_at), item.tag, expire_time=expire_time, tag=tag)

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove an entry and return whether it was there."""
        name = self._name_of(key).text
        return self._directory.on_entries(lambda entries: entries.delete(name), retry=retry)

    def __delitem__(self, key: Any) -> None:
        """Remove an entry; raise KeyError if there is none."""
        if not self.delete(key, retry=True):
            raise KeyError(key)

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Remove all entries with a tag, one by one, and return how many.

        Raises:
            Timeout: others wrote for the whole timeout; its first argument is how many were removed.
        """
        wanted = check_tag(tag)
        if wanted is None:
            return 0
        return remove_where(self._directory, lambda entry: item_of(entry.value).tag == wanted, retry=retry)

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
        queue, end, ttl = Queue(prefix), check_side(side), check_expire(expire)
        content = read_content(value) if read else value

        def add(entries: Namespace, name: Name) -> bool:
            stored = self._form.stored(UNKNOWN, content, read=False, tag=tag, name=name)
            return self._writer.add(entries, Prepared(name, stored, ttl))

        return self._directory.on_entries(lambda entries: push(entries, queue, end, add), retry=retry)

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
        queue, end = Queue(prefix), check_side(side)
        found = self._directory.on_entries(lambda entries: pull(entries, queue, end), retry=retry)
        return self._pair(found, default, expire_time=expire_time, tag=tag)

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
        queue, end = Queue(prefix), check_side(side)
        found = self._directory.on_entries(lambda entries: outermost(entries, queue, end), retry=retry)
        return self._pair(found, default, expire_time=expire_time, tag=tag)

    def peekitem(self, last: bool = True, expire_time: bool = False, tag: bool = False, retry: bool = False) -> Any:
        """Return key and value of the entry that was created last, or first; raise KeyError if there is none."""
        found = self._directory.on_entries(lambda entries: newest_or_oldest(entries, newest=bool(last)), retry=retry)
        return self._pair(found, None, self._form.key, expire_time=expire_time, tag=tag)

    def _pair(
        self,
        found: tuple[str, Entry[Any]] | None,
        default: Any,
        read_key: Callable[[str], Any] = key_of,  # the keys of queues are not the disk's
        *,
        expire_time: bool,
        tag: bool,
    ) -> Any:
        if found is None:
            return with_extras(default, None, None, expire_time=expire_time, tag=tag)
        text, entry = found
        item = item_of(entry.value)
        pair = (read_key(item.key or text), self._form.value(item, read=False))
        return with_extras(pair, seconds_of(entry.meta.expires_at), item.tag, expire_time=expire_time, tag=tag)

    # -- walking

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator of the keys in the order of their creation, of those that are there now."""
        return walk_keys(self._directory, self._form.key, by_age=True, reverse=False)

    def __reversed__(self) -> Iterator[Any]:
        """Return an iterator of the keys from the newest to the oldest."""
        return walk_keys(self._directory, self._form.key, by_age=True, reverse=True)

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """Return an iterator of the keys in the order of :mod:`sqlitedict_kv.adapters._compat.key_encoding`."""
        return walk_keys(self._directory, self._form.key, by_age=False, reverse=bool(reverse))

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
