"""Cache of several shards, so that several processes can write at the same time: diskcache's ``FanoutCache``."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Any, Self, TypeVar
from warnings import WarningMessage

from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.deque import Deque
from sqlitedict_kv.adapters.diskcache.directory import directory_of
from sqlitedict_kv.adapters.diskcache.directory_cache import make_closed
from sqlitedict_kv.adapters.diskcache.disk import Disk
from sqlitedict_kv.adapters.diskcache.errors import Timeout
from sqlitedict_kv.adapters.diskcache.index import Index
from sqlitedict_kv.adapters.diskcache.memoize import memoizer
from sqlitedict_kv.adapters.diskcache.named_caches import NamedCaches
from sqlitedict_kv.adapters.diskcache.settings import DEFAULT_SETTINGS, share_of
from sqlitedict_kv.adapters.diskcache.values import ENOVAL
from sqlitedict_kv.adapters.support import check_int

T = TypeVar("T")
D = TypeVar("D")


class FanoutCache:
    """A cache of several shards.

    As with diskcache, a call that waits longer than *timeout* for others is given up silently: it returns False,
    None or its default, unless it is told to *retry*.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        shards: int = 8,
        timeout: float = 0.010,
        disk: type[Disk] = Disk,
        *,
        codecs: Collection[Any] = (),
        types: Collection[Any] = (),
        dangerously_allow_pickle: bool = False,
        lru_bytes: int | None = None,
        **settings: Any,
    ) -> None:
        """Open the shards of a directory.

        Args:
            directory: made if there is none; None is a new temporary one, which stays.
            shards: how many; always the same for a directory.
            timeout: seconds to wait while others write to a shard.
            disk: as for :class:`Cache`; its ``hash`` chooses the shard of a key.
            codecs: as for :class:`Cache`.
            types: as for :class:`Cache`.
            dangerously_allow_pickle: as for :class:`Cache`.
            lru_bytes: as for :class:`Cache`, for each shard.
            settings: as for :class:`Cache`; ``size_limit`` is that of all shards together.
        """
        self._count = check_int(shards, "shards", lowest=1)
        self._directory = directory_of(directory)
        self._disk = disk
        self._options: dict[str, Any] = {
            "codecs": tuple(codecs),
            "types": tuple(types),
            "dangerously_allow_pickle": dangerously_allow_pickle,
            "lru_bytes": lru_bytes,
        }
        limit = share_of(settings.pop("size_limit", DEFAULT_SETTINGS["size_limit"]), self._count)
        self._shards = tuple(
            Cache(
                os.path.join(self._directory, f"{number:03d}"),
                timeout,
                disk,
                size_limit=limit,
                **self._options,
                **settings,
            )
            for number in range(self._count)
        )
        self._hash = self._shards[0].disk.hash
        self._below = NamedCaches(self._directory, disk, self._options)

    @property
    def directory(self) -> str:
        """The directory."""
        return self._directory

    @property
    def shards(self) -> tuple[Cache, ...]:
        """The shards."""
        return self._shards

    def __getattr__(self, name: str) -> Any:
        """Return a setting of the shards."""
        if name in DEFAULT_SETTINGS or name in ("timeout", "disk", "disk_compress_level"):
            return getattr(self.__dict__["_shards"][0], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _shard(self, key: Any) -> Cache:
        return self._shards[self._hash(key) % self._count]

    # -- one entry

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Write a value; see :meth:`Cache.set`. False where others held the shard."""
        return _or(False, lambda: self._shard(key).set(key, value, expire, read, tag, retry))

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a value."""
        self._shard(key)[key] = value

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Write a value unless there is one; see :meth:`Cache.add`. False also where others held the shard."""
        return _or(False, lambda: self._shard(key).add(key, value, expire, read, tag, retry))

    def set_many(
        self, items: Mapping[Any, Any], expire: float | None = None, tag: Any = None, retry: bool = False
    ) -> int:
        """Write all the values of a mapping, those of each shard in one step; return how many were written."""
        parts: dict[int, dict[Any, Any]] = {}
        for key, value in items.items():
            parts.setdefault(self._hash(key) % self._count, {})[key] = value
        return sum(_or(0, partial(self._shards[i].set_many, part, expire, tag, retry)) for i, part in parts.items())

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Change when an entry expires; see :meth:`Cache.touch`. False also where others held the shard."""
        return _or(False, lambda: self._shard(key).touch(key, expire, retry))

    def incr(self, key: Any, delta: float = 1, default: float | None = 0, retry: bool = False) -> Any:
        """Add to a number; see :meth:`Cache.incr`. None where others held the shard."""
        return _or(None, lambda: self._shard(key).incr(key, delta, default, retry))

    def modify(
        self, key: Any, function: Callable[[Any], Any], default: Any, expire: float | None = None, tag: Any = None
    ) -> bool:
        """Write what *function* makes of the value; see :meth:`Cache.modify`."""
        return self._shard(key).modify(key, function, default, expire, tag)

    def decr(self, key: Any, delta: float = 1, default: float | None = 0, retry: bool = False) -> Any:
        """Subtract from a number; see :meth:`Cache.decr`. None where others held the shard."""
        return _or(None, lambda: self._shard(key).decr(key, delta, default, retry))

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Return the value, or *default*; see :meth:`Cache.get`."""
        # The default has its extras too, which diskcache forgets.
        missed = (default, *([None] * (bool(expire_time) + bool(tag)))) if expire_time or tag else default
        return _or(missed, lambda: self._shard(key).get(key, default, read, expire_time, tag, retry))

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """Return the values of those keys that have one, those of each shard as of one moment."""
        wanted = list(keys)
        parts: dict[int, list[Any]] = {}
        for key in wanted:
            parts.setdefault(self._hash(key) % self._count, []).append(key)
        found: dict[Any, Any] = {}
        for index, part in parts.items():
            found |= _or({}, partial(self._shards[index].get_many, part, retry))
        return {key: found[key] for key in wanted if key in found}

    def __getitem__(self, key: Any) -> Any:
        """Return the value; raise KeyError if there is none."""
        return self._shard(key)[key]

    def read(self, key: Any) -> Any:
        """Return the value as a file that is open for reading; raise KeyError if there is none."""
        handle = self.get(key, ENOVAL, read=True, retry=True)
        if handle is ENOVAL:
            raise KeyError(key)
        return handle

    def __contains__(self, key: Any) -> bool:
        """Return whether there is a value."""
        return key in self._shard(key)

    def pop(
        self, key: Any, default: Any = None, expire_time: bool = False, tag: bool = False, retry: bool = False
    ) -> Any:
        """Remove an entry and return its value; see :meth:`Cache.pop`. *default* also where others held the shard."""
        missed = (default, *([None] * (bool(expire_time) + bool(tag)))) if expire_time or tag else default
        return _or(missed, lambda: self._shard(key).pop(key, default, expire_time, tag, retry))

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove an entry and return whether it was there; False also where others held the shard."""
        return _or(False, lambda: self._shard(key).delete(key, retry))

    def __delitem__(self, key: Any) -> None:
        """Remove an entry; raise KeyError if there is none."""
        del self._shard(key)[key]

    # -- all shards

    @contextmanager
    def transact(self, retry: bool = True) -> Iterator[None]:
        """Hold the write locks of all shards until the block ends; each shard is committed by itself."""
        if not retry:
            raise ValueError("retry must be True: some shards would wait while others are held")
        with ExitStack() as stack:
            for shard in self._shards:
                stack.enter_context(shard.transact(retry=True))
            yield

    @contextmanager
    def without_limit(self) -> Iterator[None]:
        """Evict nothing in the block; see :meth:`Cache.without_limit`."""
        with ExitStack() as stack:
            for shard in self._shards:
                stack.enter_context(shard.without_limit())
            yield

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Remove all entries with a tag and return how many."""
        return self._total(lambda shard: shard.evict(tag, retry=retry))

    def expire(self, retry: bool = False) -> int:
        """Remove the entries that have expired and return how many."""
        return self._total(lambda shard: shard.expire(retry=retry))

    def cull(self, retry: bool = False) -> int:
        """Remove entries until each shard is under its limit and return how many."""
        return self._total(lambda shard: shard.cull(retry=retry))

    def clear(self, retry: bool = False) -> int:
        """Remove every entry and return how many there were."""
        return self._total(lambda shard: shard.clear(retry=retry))

    def _total(self, call: Callable[[Cache], int]) -> int:
        total = 0
        for shard in self._shards:
            while True:
                try:
                    total += call(shard)
                except Timeout as timeout:
                    total += timeout.args[0] if isinstance(timeout.args[0], int) else 0
                    continue
                break
        return total

    def check(self, fix: bool = False, retry: bool = False) -> list[WarningMessage]:
        """Read all files and return warnings for what is damaged."""
        return [warning for shard in self._shards for warning in shard.check(fix, retry)]

    def create_tag_index(self) -> None:
        """Note that an index of tags is wanted; there is no index."""
        for shard in self._shards:
            shard.create_tag_index()

    def drop_tag_index(self) -> None:
        """Note that no index of tags is wanted."""
        for shard in self._shards:
            shard.drop_tag_index()

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """Return hits and misses, and go on counting or not."""
        counts = [shard.stats(enable, reset) for shard in self._shards]
        return sum(hits for hits, _ in counts), sum(misses for _, misses in counts)

    def volume(self) -> int:
        """Return the size on disk in bytes."""
        return sum(shard.volume() for shard in self._shards)

    def reset(self, key: str, value: Any = ENOVAL) -> Any:
        """Return or write a setting of all shards; ``size_limit`` is that of each."""
        result = None
        for shard in self._shards:
            while True:
                try:
                    result = shard.reset(key, value)
                except Timeout:
                    continue
                break
        return result

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Collection[int | str] = (),
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Return a decorator that keeps the results of a function; see :meth:`Cache.memoize`."""
        return memoizer(self, name, typed=typed, expire=expire, tag=tag, ignore=ignore)

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator of the keys, shard by shard in the order of their creation."""
        return chain.from_iterable(map(iter, self._shards))

    def __reversed__(self) -> Iterator[Any]:
        """Return an iterator of the keys in the opposite order."""
        return chain.from_iterable(map(reversed, reversed(self._shards)))

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self._shards))

    # -- below it

    def cache(self, name: str, timeout: float = 60, disk: type[Disk] | None = None, **settings: Any) -> Cache:
        """Return the cache in a directory below this one."""
        return self._below.cache(name, timeout, disk or self._disk, settings)

    def deque(self, name: str, maxlen: int | None = None) -> Deque:
        """Return the deque in a directory below this one."""
        return self._below.deque(name, maxlen)

    def index(self, name: str) -> Index:
        """Return the index in a directory below this one."""
        return self._below.index(name)

    # -- as a whole

    def close(self) -> None:
        """Close all files; the next call opens them again."""
        for shard in self._shards:
            shard.close()
        self._below.close()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all files."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what opens the same cache elsewhere."""
        return make_closed, (type(self), self._options), self.__getstate__()

    def __getstate__(self) -> tuple[Any, ...]:
        """Return the arguments that open the same cache; a subclass may add those of its own ``__init__``."""
        return self._directory, self._count, self._shards[0].timeout, self._disk

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Open the same cache."""
        options = self.__dict__.pop("_closed_options", {})
        directory, shards, timeout, disk, *_ = state
        # The limit is that of each shard, and stored.
        limit = Cache(os.path.join(directory, "000"), timeout, disk, **options).size_limit * shards
        self.__init__(*state, size_limit=limit, **options)  # type: ignore[misc] # as diskcache does

    def __repr__(self) -> str:
        """Return the directory."""
        return f"{type(self).__name__}(directory={self._directory!r})"


def _or(default: D, call: Callable[[], T]) -> D | T:
    """Return the result of *call*, or *default* if it waited for others too long."""
    try:
        return call()
    except Timeout:
        return default
