"""Memoize without a store of one's own: one file in the user's cache directory, or what the environment names."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

from sqlitedict_kv.aio.lazy import LazyStore
from sqlitedict_kv.aio.namespace import AsyncNamespace
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.errors import StoreIOError
from sqlitedict_kv.memoization.decorator import Decorator, Memoize
from sqlitedict_kv.memoization.result_store import ResultStore
from sqlitedict_kv.operations.context import Defaults
from sqlitedict_kv.operations.memoize_modes import Modes
from sqlitedict_kv.options import check_options
from sqlitedict_kv.validation import check_namespace

VARIABLE = "SQLITEDICT_KV_STORE"
FILE = "memoize.db"

_modes = Modes()


def default_address() -> str:
    """Return where results go: what ``SQLITEDICT_KV_STORE`` says, else a file in the user's cache directory."""
    return os.environ.get(VARIABLE) or str(cache_directory() / FILE)


def cache_directory() -> Path:
    """Return the directory for caches of this user: where the system wants it."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "sqlitedict_kv" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sqlitedict_kv"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache") / "sqlitedict_kv"


@lru_cache(8)
def _store_at(address: str) -> LazyStore:
    """Return the store at an address, which its first use opens."""

    def make_directory() -> None:
        if address != str(cache_directory() / FILE):
            return
        try:
            cache_directory().mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreIOError(
                f"{cache_directory()} cannot be made ({error.strerror}), where memoize without a store keeps its "
                f"results; name a place in {VARIABLE}"
            ) from error

    lazy = LazyStore.of(check_options(address, {}, "memoize"), make_directory)
    lazy.modes = _modes
    return lazy


def _place(ns: str | None) -> ResultStore:
    name = "memoize" if ns is None else check_namespace(ns, "ns")
    namespace: AsyncNamespace = AsyncNamespace(_store_at(default_address()), name, Defaults(None, None))
    return _on_loop(namespace._result_store(None))  # noqa: SLF001 - a view of this store


def _on_loop(place: ResultStore) -> ResultStore:
    """Return a place as one that is read where the call is made."""
    recoded = place.recoded

    def recode(codecs: Codecs) -> ResultStore:
        assert recoded is not None
        return _on_loop(recoded(codecs))

    return place._replace(off_loop=None, recoded=recode)


memoize: Final[Memoize[Decorator]] = Memoize(_place, _modes)
