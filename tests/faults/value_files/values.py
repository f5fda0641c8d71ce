"""Large values of which every byte is known, and the stores that keep them in files."""

from __future__ import annotations

import functools
import json
import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from struct import Struct
from typing import Any

import numpy as np

from sqlitedict_kv import DamagedEntryError, Namespace, Store
from tests.faults.workload import Key

FILES_ABOVE = 64 * 1024  # the least that a store takes
SIZES = (16, 1000, 70_000, 70_000, 120_000, 200_000)  # of the values
HEADER = Struct("<qq")  # the number and the length
DAMAGED = (-1, -1)  # stands for a value that raises
TYPE = "application/vnd.sqlitedict-kv.file"
NAME = re.compile("[0-9a-f]{32}")
OWN = {"STORE", ".reap"}  # names in the folder that are no values


class WrongValueError(Exception):
    """Says that a read gave what nobody had written."""


def open_store(path: str | os.PathLike[str], **options: Any) -> Store:
    """Open a store whose values over 64 KiB are in files."""
    return Store(path, files_above=FILES_ABOVE, **options)


def is_in_file(length: int) -> bool:
    """Whether a value of that length is in a file of its own."""
    return length > FILES_ABOVE


@functools.lru_cache(maxsize=128)
def body_of(number: int, length: int) -> bytes:
    """Return bytes that name their step; none of their blocks is like that of another step."""
    return HEADER.pack(number, length) + Random(number).randbytes(length - HEADER.size)


def value_of(number: int, length: int) -> Any:
    """Return a value that names its step: bytes, an array, or arrays among other things."""
    body = body_of(number, length)
    match number % 3:
        case 0:
            return body
        case 1:
            return np.frombuffer(body, dtype=np.uint8).copy()
    array = np.frombuffer(body, dtype=np.uint8).copy()
    return {"number": number, "parts": [array[: length // 2], array[length // 2 :]]}


def name_of(value: Any) -> tuple[int, int]:
    """Return number and length of such a value; raise WrongValueError if one byte is another one."""
    found = b"".join(part.tobytes() for part in value["parts"]) if isinstance(value, dict) else bytes(value)
    number, length = HEADER.unpack_from(found)
    if len(found) != length or found != body_of(number, length):
        raise WrongValueError(f"a value of {len(found)} bytes, which says that it is {number} of {length} bytes")
    return number, length


def look(ns: Namespace, key: str) -> tuple[int, int] | None:
    """Return what an entry holds: DAMAGED if it raises, None if there is none."""
    try:
        value = ns.get(key)
    except DamagedEntryError:
        return DAMAGED
    return None if value is None else name_of(value)


def content_of(store: Store) -> dict[Key, tuple[int, int]]:
    """Return what a store holds, entry by entry."""
    found = {}
    for name in store.namespaces():
        ns = store.ns(name)
        for key in list(ns.keys()):
            held = look(ns, key)
            if held is not None:
                found[name, key] = held
    return found


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Return the folder of a store's values."""
    return Path(f"{os.fspath(path)}-values")


def names_in(path: str | os.PathLike[str]) -> set[str]:
    """Return the names of values, and of what should not be, in the folder of a store."""
    try:
        names = set(os.listdir(folder_of(path)))
    except FileNotFoundError:
        return set()
    if "STORE" not in names:  # nobody has claimed the folder yet, so what was left of that is not collected either
        names = {name for name in names if not name.startswith("STORE.")}
    return names - OWN


def size_in(path: str | os.PathLike[str], name: str) -> int | None:
    """Return the size of a file in the folder of a store in bytes, None if it is gone."""
    try:
        return os.stat(folder_of(path) / name).st_size
    except FileNotFoundError:
        return None


def references_of(path: str | os.PathLike[str]) -> tuple[set[str], set[str]]:
    """Return the files to which rows refer, and those that the database knows."""
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT value FROM kv WHERE content_type = ?", (TYPE,)).fetchall()
        known: set[str] = set()
        with suppress(sqlite3.OperationalError):  # of a store without large values
            known = {name for (name,) in raw.execute("SELECT name FROM kv_file WHERE name <> ''")}
    return {json.loads(value)["file"] for (value,) in rows}, known


def leftovers(path: str | os.PathLike[str]) -> str | None:
    """Say in what folder, rows and list of files differ; None if they agree, as they must once all is collected."""
    names = names_in(path)
    references, known = references_of(path)
    if names == references == known:
        return None
    return (
        f"files without a row: {sorted(names - references)}, rows without a file: {sorted(references - names)}, "
        f"known without a row: {sorted(known - references)}, rows that are not known: {sorted(references - known)}"
    )
