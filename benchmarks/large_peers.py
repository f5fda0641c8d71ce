"""Libraries that keep large arrays and frames, each behind the same three verbs."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sqlitedict_kv import Store
from sqlitedict_kv.options import StoreOptions

KEY = "value"


class Keeper:
    """A library that keeps one large value in a directory.

    `set` writes it over the one before, `get` returns a new value, and `mapped`, where there is one, returns a value
    that lies in the page cache.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[frozenset[str]] = frozenset({"array", "arrays", "frame"})
    mapped: Callable[[], Any] | None = None

    def __init__(self, directory: Path) -> None:
        """Open what is in the directory, made if it is empty."""
        self.path = directory / "value"

    @classmethod
    def lacks(cls) -> str | None:
        """Return what is not installed, None if all is."""
        absent = [module for module in cls.modules if find_spec(module) is None]
        return f"no module {', '.join(absent)}" if absent else None

    def set(self, value: Any) -> None:
        raise NotImplementedError

    def get(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Close it; most have nothing open."""


def has_files() -> bool:
    """Return whether this release keeps large values in files of their own."""
    return "files_above" in StoreOptions.__annotations__


class Ours(Keeper):
    """This library, with values over 8 MiB in files of their own."""

    name = "sqlitedict_kv"
    options: ClassVar[dict[str, Any]] = {}
    files_above: ClassVar[str | None] = "8 MiB"

    def __init__(self, directory: Path) -> None:
        options: Any = self.options | ({"files_above": self.files_above} if has_files() else {})
        self._store = Store(directory / "store.db", **options)
        self._values = self._store.ns("values")
        try:
            self._values.get("none", mapped=True)
        except TypeError:
            return
        self.mapped = lambda: self._values.get(KEY, mapped=True)

    def set(self, value: Any) -> None:
        self._values[KEY] = value

    def get(self) -> Any:
        return self._values[KEY]

    def close(self) -> None:
        self._store.close()


class OursInOneFile(Ours):
    """All values in the database."""

    name = "sqlitedict_kv, one file"
    files_above = None

    @classmethod
    def lacks(cls) -> str | None:
        return None if has_files() else "this release has nothing else"


class OursSynced(Ours):
    """Each set is synced."""

    name = 'sqlitedict_kv, "power"'
    options: ClassVar = {"durability": "power"}


class Npy(Keeper):
    """np.save over the file that is there."""

    name = "np.save, np.load"
    kinds = frozenset({"array"})

    def set(self, value: Any) -> None:
        np.save(f"{self.path}.npy", value)

    def get(self) -> Any:
        return np.load(f"{self.path}.npy")

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.mapped = lambda: np.load(f"{self.path}.npy", mmap_mode="c")


class SyncedNpy(Npy):
    """np.save as one has to write it so that a power cut leaves the old array or the new one."""

    name = "np.save, synced, replaced"

    def set(self, value: Any) -> None:
        new = f"{self.path}.new"
        with open(new, "wb") as file:
            np.save(file, value)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, f"{self.path}.npy")
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class Joblib(Keeper):
    name = "joblib"
    modules = ("joblib",)

    def __init__(self, directory: Path) -> None:
        import joblib

        super().__init__(directory)
        self._dump, self._load = joblib.dump, joblib.load
        self.mapped = lambda: self._load(self.path, mmap_mode="c")

    def set(self, value: Any) -> None:
        self._dump(value, self.path)

    def get(self) -> Any:
        return self._load(self.path)


class DiskCache(Keeper):
    name = "diskcache"
    modules = ("diskcache",)

    def __init__(self, directory: Path) -> None:
        import diskcache

        self._cache = diskcache.Cache(str(directory), size_limit=2**40)

    def set(self, value: Any) -> None:
        self._cache[KEY] = value

    def get(self) -> Any:
        return self._cache[KEY]

    def close(self) -> None:
        self._cache.close()


class SafeTensors(Keeper):
    name = "safetensors"
    modules = ("safetensors",)
    kinds = frozenset({"array"})

    def __init__(self, directory: Path) -> None:
        from safetensors.numpy import load_file, save_file

        super().__init__(directory)
        self._save, self._load = save_file, load_file

    def set(self, value: Any) -> None:
        self._save({KEY: value}, self.path)

    def get(self) -> Any:
        return self._load(self.path)[KEY]


class Feather(Keeper):
    """Without compression, as the others are."""

    name = "feather"
    modules = ("pyarrow", "pandas")
    kinds = frozenset({"frame"})

    def __init__(self, directory: Path) -> None:
        from pyarrow import feather

        super().__init__(directory)
        self._feather = feather
        self.mapped = lambda: feather.read_feather(self.path, memory_map=True)

    def set(self, value: Any) -> None:
        self._feather.write_feather(value, str(self.path), compression="uncompressed")

    def get(self) -> Any:
        return self._feather.read_feather(self.path, memory_map=False)


KEEPERS: tuple[type[Keeper], ...] = (
    Ours, OursInOneFile, OursSynced, Npy, SyncedNpy, Joblib, DiskCache, SafeTensors, Feather,
)  # fmt: skip
BY_NAME = {keeper.name: keeper for keeper in KEEPERS}


def installed(kind: str) -> list[type[Keeper]]:
    """Return those that can keep a kind of value here."""
    return [keeper for keeper in KEEPERS if kind in keeper.kinds and keeper.lacks() is None]
