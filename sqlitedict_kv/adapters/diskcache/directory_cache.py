"""Cache of one directory as a whole: opening, settings, transactions, expiry, statistics, closing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlitedict_kv import Codec, Kind
from sqlitedict_kv.adapters._compat.key_encoding import Name, name_of
from sqlitedict_kv.adapters.diskcache.directory import CacheDirectory, OpenStore
from sqlitedict_kv.adapters.diskcache.disk import PREFIX, Disk, check_disk, takes_setting
from sqlitedict_kv.adapters.diskcache.entries import EntryWriter
from sqlitedict_kv.adapters.diskcache.forms import form_of
from sqlitedict_kv.adapters.diskcache.removal import cull, remove_all, remove_expired, used_bytes
from sqlitedict_kv.adapters.diskcache.settings import check_settings
from sqlitedict_kv.adapters.diskcache.statistics import Statistics
from sqlitedict_kv.adapters.diskcache.values import ENOVAL
from sqlitedict_kv.adapters.support import check_bool

T = TypeVar("T")

METADATA = ("count", "size", "hits", "misses")


class DirectoryCache:
    """The part of a cache that concerns the directory, not single entries; :class:`Cache` adds those."""

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        timeout: float = 60,
        disk: type[Disk] = Disk,
        *,
        codecs: Sequence[Codec] = (),
        types: Sequence[type | Kind] = (),
        dangerously_allow_pickle: bool = False,
        lru_bytes: int | str | None = None,
        **settings: Any,
    ) -> None:
        """Open the cache of a directory.

        Args:
            directory: made if there is none; None is a new temporary one, which stays.
            timeout: seconds to wait while others write.
            disk: ``Disk``, ``JSONDisk`` for values that JSON keeps exactly and no others, or a subclass of your own.
            codecs: for values of your own types; see :class:`sqlitedict_kv.Store`.
            types: the classes whose objects may be kept; see :class:`sqlitedict_kv.Store`.
            dangerously_allow_pickle: pickle the values that no codec keeps, and unpickle them: anyone who can write to
                the directory can then run code in every process that reads it.
            lru_bytes: memory for values that were read before; see :class:`sqlitedict_kv.Store`.
            settings: those of ``DEFAULT_SETTINGS``.

        Raises:
            ValueError: the directory is one of diskcache itself, or a setting cannot be kept.
            TypeError: the setting is unknown.
        """
        kind = check_disk(disk)
        takes = partial(takes_setting, kind)
        given = check_settings(settings, takes=takes)
        self._pickles = check_bool(dangerously_allow_pickle, "dangerously_allow_pickle")
        self._directory = CacheDirectory(
            directory,
            timeout,
            given,
            codecs=codecs,
            types=types,
            pickles=self._pickles,
            lru_bytes=lru_bytes,
            takes=takes,
        )
        self._options: dict[str, Any] = {
            "codecs": tuple(codecs),
            "types": tuple(types),
            "dangerously_allow_pickle": self._pickles,
            "lru_bytes": lru_bytes,
        }
        self._disk = kind(self._directory.directory, **self._disk_arguments())
        self._statistics = Statistics(self._directory)
        self._form = form_of(self._disk)
        self._writer = EntryWriter(self._disk.content_type, self._form, pickles=self._pickles)
        # Direct where the disk has no say, for each read takes this way.
        self._name_of: Callable[[Any], Name] = name_of if kind is Disk else self._form.name

    def _disk_arguments(self) -> dict[str, Any]:
        settings = self._directory.settings.items()
        return {name.removeprefix(PREFIX): value for name, value in settings if name.startswith(PREFIX)}

    @property
    def directory(self) -> str:
        """The directory."""
        return self._directory.directory

    @property
    def timeout(self) -> float:
        """Seconds to wait while others write."""
        return self._directory.timeout

    @property
    def disk(self) -> Disk:
        """How values are kept."""
        return self._disk

    def __getattr__(self, name: str) -> Any:
        """Return a setting."""
        directory = self.__dict__.get("_directory")
        if directory is not None and name in directory.settings:
            return directory.settings[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- removing

    def expire(self, now: float | None = None, retry: bool = False) -> int:
        """Remove the entries that have expired, by *now* if it is given, and return how many."""
        return remove_expired(self._directory, now, retry=retry)

    def cull(self, retry: bool = False) -> int:
        """Remove what has expired, then the oldest entries until the cache is under its size limit."""
        return cull(self._directory, retry=retry)

    def clear(self, retry: bool = False) -> int:
        """Remove every entry and return how many there were."""
        return self._directory.on_entries(remove_all, retry=retry)

    # -- transactions, settings, statistics

    def transact(self, retry: bool = False) -> AbstractContextManager[None]:
        """Return a context manager in whose block this thread alone writes, all or nothing.

        Others read meanwhile. A block within another is part of it.

        Raises:
            Timeout: others wrote for the whole timeout.
        """
        return self._directory.transact(retry=retry)

    def without_limit(self) -> AbstractContextManager[None]:
        """Return a context manager in whose block writes of this cache evict nothing; diskcache has no such method.

        Raises:
            RuntimeError: this thread is in a transaction, in which the file cannot be opened again.
        """
        return self._directory.without_limit()

    def check(self, fix: bool = False, retry: bool = False) -> list[warnings.WarningMessage]:
        """Read the whole file and return warnings for what is damaged; *fix* gives free space back first."""

        def checked(opened: OpenStore) -> tuple[str, ...]:
            if fix:
                opened.store.vacuum()
            return opened.store.check().problems

        problems = self._directory.run(checked, retry=retry)
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            for problem in problems:
                warnings.warn(problem, stacklevel=2)
        return list(noted)

    def create_tag_index(self) -> None:
        """Note that an index of tags is wanted; there is no index, and :meth:`evict` looks at every entry."""
        self.reset("tag_index", 1)

    def drop_tag_index(self) -> None:
        """Note that no index of tags is wanted."""
        self.reset("tag_index", 0)

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """Return hits and misses, and go on counting or not; *reset* begins at zero."""
        counted = self._statistics.total(reset=bool(reset))
        if bool(self._directory.settings["statistics"]) != bool(enable):
            self.reset("statistics", enable)
        return counted

    def volume(self) -> int:
        """Return the size of the cache on disk in bytes, without its free space."""
        return used_bytes(self._directory)

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Return a setting as it is stored, or write it; ``count``, ``size``, ``hits`` and ``misses`` can be read.

        Raises:
            TypeError: the setting is unknown.
            ValueError: it cannot be kept.
        """
        if key in METADATA:
            if value is not ENOVAL:
                raise ValueError(f"{key} is counted by the store and cannot be set")
            hits, misses = self._statistics.total(reset=False)
            return {"count": len(self), "size": 0, "hits": hits, "misses": misses}[key]
        if value is ENOVAL:
            if key not in self._directory.settings:
                raise TypeError(f"unknown setting {key!r}")
            return self._directory.reload(key)
        if not update:
            raise ValueError("update must be True: a setting applies to every cache of the directory")
        checked = self._directory.reset(key, value)
        if key.startswith(PREFIX):
            setattr(self._disk, key.removeprefix(PREFIX), checked)
        return checked

    def __len__(self) -> int:
        """Return the number of entries; those that have expired do not count."""
        return self._directory.on_entries(len)

    # -- opening and closing

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._statistics.flush()
        self._directory.close()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what opens the same cache elsewhere."""
        return make_closed, (type(self), self._options), self.__getstate__()

    def __getstate__(self) -> tuple[Any, ...]:
        """Return the arguments that open the same cache; a subclass may add those of its own ``__init__``."""
        return self.directory, self.timeout, type(self._disk)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Open the same cache."""
        self.__init__(*state, **self.__dict__.pop("_closed_options", {}))  # type: ignore[misc] # as diskcache does

    def __repr__(self) -> str:
        """Return the directory."""
        return f"{type(self).__name__}(directory={self.directory!r})"


def make_closed(cls: type[T], options: dict[str, Any]) -> T:
    """Return a cache that ``__setstate__`` opens, with those options that are not the defaults."""
    cache = cls.__new__(cls)
    cache.__dict__["_closed_options"] = {name: value for name, value in options.items() if value}
    return cache
