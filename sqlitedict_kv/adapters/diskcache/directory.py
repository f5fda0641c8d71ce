"""Store of one directory, opened when it is needed, opened again after a close, held by a transaction."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

from sqlitedict_kv import (
    Codec,
    Kind,
    Namespace,
    NewerFormatError,
    NotADatabaseError,
    Store,
    StoreBusyError,
    StoreClosedError,
    StoreError,
)
from sqlitedict_kv.adapters._compat.forklock import ForkLock
from sqlitedict_kv.adapters.diskcache.errors import Timeout, like_sqlite3
from sqlitedict_kv.adapters.diskcache.settings import DEFAULT_SETTINGS, Takes, check_setting, durability_of, limit_of
from sqlitedict_kv.adapters.diskcache.values import ENOVAL, codecs_for
from sqlitedict_kv.adapters.support import is_address

T = TypeVar("T")

FILE = "kv.db"
ORIGINAL_FILE = "cache.db"  # diskcache's own file
ENTRIES, SETTINGS, COUNTERS = "cache", "cache.settings", "cache.counters"


class OpenStore(NamedTuple):
    """A store that is open, and its namespace of entries."""

    store: Store
    entries: Namespace


class HeldTransaction(NamedTuple):
    """A transaction that a thread is in: its namespaces, and that of the entries."""

    ns: Callable[[str], Namespace]
    entries: Namespace


class CacheDirectory:
    """One directory with one store."""

    def __init__(
        self,
        directory: str | os.PathLike[str] | None,
        timeout: float,
        settings: dict[str, Any],
        *,
        codecs: Sequence[Codec],
        types: Sequence[type | Kind],
        pickles: bool,
        lru_bytes: int | str | None,
        takes: Takes,
    ) -> None:
        """OpenStore the store of *directory*, a new temporary one if it is None; *settings* are checked already."""
        self.directory = directory_of(directory)
        self.timeout = timeout
        self._takes = takes
        self._codecs, self._types = codecs_for(codecs, types, pickles=pickles), types
        self._lru_bytes = lru_bytes
        self._opening = ForkLock()
        self._open: OpenStore | None = None
        self._unlimited = 0  # blocks in which nothing is evicted
        self._holder: int | None = None  # the thread that is in a transaction
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._refuse_original()
        self.settings = {**DEFAULT_SETTINGS, **settings}
        assumed = dict(self.settings)
        stored = self._stored()
        self.settings = {**DEFAULT_SETTINGS, **stored, **settings}
        if _kept_by(assumed) != _kept_by(self.settings):
            self.close()
        changed = {name: value for name, value in self.settings.items() if stored.get(name) != value}
        if changed:
            self.on(SETTINGS, lambda settings: settings.set_many(changed))

    def _refuse_original(self) -> None:
        mine, original = os.path.join(self.directory, FILE), os.path.join(self.directory, ORIGINAL_FILE)
        if os.path.lexists(original) and not os.path.lexists(mine):
            raise ValueError(
                f"{self.directory} is a directory of diskcache, which cannot be opened as it is; move its entries with "
                f"sqlitedict_kv.adapters.diskcache.move(directory, target), where target may be the same directory"
            )

    def _stored(self) -> dict[str, Any]:
        return self.on(SETTINGS, lambda settings: settings.copy())

    # -- calls

    def opened(self) -> OpenStore:
        """Return the store; open it if it is closed."""
        opened = self._open
        if opened is not None:
            return opened
        with self._opening:
            if self._open is None:
                store = Store(
                    os.path.join(self.directory, FILE),
                    timeout=self.timeout,
                    durability=durability_of(self.settings),
                    max_bytes=None if self._unlimited else limit_of(self.settings),
                    codecs=self._codecs,
                    types=self._types,
                    clock=lambda: time.time(),  # noqa: PLW0108 - looked up at each call, so that it can be replaced
                    lru_bytes=self._lru_bytes,
                )
                self._open = OpenStore(store, store.ns(ENTRIES))
            return self._open

    def run(self, call: Callable[[OpenStore], T], *, retry: bool) -> T:
        """Call with the store: again where another thread closed it meanwhile, and with *retry* where others hold it.

        Raises:
            Timeout: others held the lock for the whole timeout; with *retry*, a task that shares this thread, and so
                waits for it.
        """
        while True:
            opened = None
            try:
                opened = self.opened()  # which may have to wait too, while others make the file
                return call(opened)
            except StoreBusyError as error:
                if not retry:
                    raise Timeout(str(error)) from error
            except RuntimeError as error:  # the store refuses a thread that would wait for itself
                if self._holder != get_ident():
                    raise
                raise Timeout(f"{error}; another task of this thread is in transact(), and waits for it") from error
            except StoreClosedError:
                with self._opening:
                    if self._open is opened:  # forked while a thread was about to close it
                        self._open = None
            except (NotADatabaseError, NewerFormatError, StoreError) as error:
                raise like_sqlite3(error) from error

    def on_entries(self, call: Callable[[Namespace], T], *, retry: bool = True) -> T:
        """Call with the entries, those of this thread's transaction if there is one."""
        held = self._held()
        if held is None:
            return self.run(lambda opened: call(opened.entries), retry=retry)
        try:
            return call(held.entries)
        except StoreError as error:
            raise like_sqlite3(error) from error

    def on(self, name: str, call: Callable[[Namespace], T]) -> T:
        """Call with a namespace beside the entries, within this thread's transaction if there is one."""
        held = self._held()
        if held is not None:
            return call(held.ns(name))
        return self.run(lambda opened: call(opened.store.ns(name)), retry=True)

    def value(self, text: str) -> Any:
        """Return what is stored under *text*, ENOVAL if nothing is."""
        # Flat, because this is the hot path: on_entries would add a fifth to the time of a read.
        opened = self._open
        if opened is not None and not _holding.get():
            try:
                return opened.entries.get(text, ENOVAL)
            except StoreError:  # another thread closed it, for example: see `run`
                pass
        return self.on_entries(lambda entries: entries.get(text, ENOVAL))

    # -- transactions

    def is_held(self) -> bool:
        """Return whether this thread and task is in a transaction."""
        return self._held() is not None

    def _held(self) -> HeldTransaction | None:
        holding = _holding.get()
        return holding.get((id(self), get_ident())) if holding else None

    @contextmanager
    def transact(self, *, retry: bool) -> Iterator[None]:
        """Hold the write lock until the block ends; one within another is part of it."""
        if self.is_held():
            yield
            return
        try:
            with ExitStack() as stack:
                ns = self._begin(stack, retry=retry)
                self._holder = get_ident()
                stack.callback(self._let_go)
                held = HeldTransaction(ns, ns(ENTRIES))
                token = _holding.set({**_holding.get(), (id(self), get_ident()): held})
                stack.callback(_holding.reset, token)
                yield
        except StoreError as error:  # of the commit, for example
            raise like_sqlite3(error) from error

    def _let_go(self) -> None:
        self._holder = None

    def _begin(self, stack: ExitStack, *, retry: bool) -> Callable[[str], Namespace]:
        def begin(opened: OpenStore) -> Callable[[str], Namespace]:
            return stack.enter_context(opened.store.exclusive()).ns

        return self.run(begin, retry=retry)

    @contextmanager
    def without_limit(self) -> Iterator[None]:
        """Evict nothing in the block, whatever the settings say."""
        if self.is_held():
            raise RuntimeError("the limit cannot be lifted within transact(); do it before the block")
        self._unlimited += 1
        self.close()  # the next call opens the store without a limit
        try:
            yield
        finally:
            self._unlimited -= 1
            self.close()

    # -- settings, closing

    def reset(self, name: str, value: Any) -> Any:
        """Change a setting of the directory, for all who open it, and for this object now.

        Raises:
            RuntimeError: the store must be opened again for it, and this thread is in a transaction.
        """
        checked = check_setting(name, value, takes=self._takes)
        if self.is_held() and _kept_by(self.settings) != _kept_by({**self.settings, name: checked}):
            raise RuntimeError(f"{name} cannot be changed within transact(); do it before or after the block")
        self.on(SETTINGS, lambda settings: settings.set(name, checked))
        return self._take(name, checked)

    def reload(self, name: str) -> Any:
        """Return a setting as it is stored, and follow it."""
        return self._take(name, self._stored().get(name, self.settings[name]))

    def _take(self, name: str, value: Any) -> Any:
        before = _kept_by(self.settings)
        self.settings = {**self.settings, name: value}
        if before != _kept_by(self.settings):
            self.close()  # the next call opens the store with the new ones
        return value

    def close(self) -> None:
        """Close the store; the next call opens it again."""
        with self._opening:
            opened = self._open
            if opened is not None:
                opened.store.close()
                self._open = None


# By directory and thread: tasks of asyncio that share a thread do not share a transaction, nor do threads that inherit
# the context of another one.
_holding: ContextVar[dict[tuple[int, int], HeldTransaction]] = ContextVar("holding", default={})  # noqa: B039 - never changed


def _kept_by(settings: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the store must be opened with for these settings."""
    return limit_of(settings), durability_of(settings)


def directory_of(directory: str | os.PathLike[str] | None) -> str:
    """Return a directory as diskcache understands it: ``~`` and variables are replaced, None is a temporary one."""
    if directory is None:
        return tempfile.mkdtemp(prefix="diskcache-")
    text = os.path.expandvars(os.path.expanduser(os.fspath(directory)))
    if isinstance(text, str) and is_address(text):  # or a directory of that name would be made
        raise ValueError("directory must be a directory of this machine, not an address: this interface needs a file")
    return text
