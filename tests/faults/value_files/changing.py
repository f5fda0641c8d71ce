"""Arrays that their owner changes while they are written to files.

What is stored is then of no one moment. But it is whole, and never reads as damaged: each element is as it was at some
time, the shape and the type are those of the array, and every other entry is what it was.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from sqlitedict_kv import AsyncStore, DamagedEntryError, Store
from sqlitedict_kv.engines.crc32 import crc32_of_large
from sqlitedict_kv.engines.sqlite.value_files import writing
from tests.faults.campaign import Campaign, Round
from tests.faults.value_files.values import FILES_ABOVE, leftovers, open_store

SOURCE_SUMMED = "the array itself is summed"
WRITE_PARTS = writing.write_parts
ELEMENTS = (90_000, 300_000, 600_000)
FORMS: dict[str, Callable[[Any], Any]] = {
    "an array": lambda array: array,
    "a list of arrays": lambda array: [array, array[::-1], "more"],
    "a dict of arrays": lambda array: {"a": array[: len(array) // 2], "b": {"c": array}},
    "columns": lambda array: array.reshape(-1, 10),
    "columns the other way": lambda array: array.reshape(-1, 10).T,
}


@contextmanager
def changed(array: Any) -> Iterator[None]:
    """Change every element from 0 to 1 and back, all the time, in a thread; one byte of each, so none is ever torn."""
    stop, began = threading.Event(), threading.Event()

    def change() -> None:
        while not stop.is_set():
            np.bitwise_xor(array, 1, out=array)
            began.set()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        began.wait()
        yield
    finally:
        stop.set()
        thread.join()


def arrays_in(value: Any) -> list[Any]:
    """Return the arrays of a value."""
    match value:
        case np.ndarray():
            return [value]
        case dict():
            return [array for part in value.values() for array in arrays_in(part)]
        case list():
            return [array for part in value for array in arrays_in(part)]
    return []


def write(path: Path, store: Store, value: Any, verb: str) -> None:
    """Write the value under "k"."""
    ns = store.ns("n")
    match verb:
        case "set":
            ns["k"] = value
        case "set_many":
            ns.set_many({"k": value, "other": b"o" * 70_000})
        case "atomic":
            with store.atomic() as transaction:
                transaction.ns("n")["k"] = value
        case "exclusive":
            with store.exclusive() as inside:
                inside.ns("n")["k"] = value
        case "async":
            asyncio.run(_write_in_task(path, value))


async def _write_in_task(path: Path, value: Any) -> None:
    async with AsyncStore(path, files_above=FILES_ABOVE) as store:
        await store.ns("n").set("k", value)


def run(round_: Round) -> None:
    """Write arrays that change, and read them again."""
    choose = Random(round_.seed)
    path = round_.directory / "store.db"
    writing.write_parts = _write_summing_the_source if round_.sabotage else WRITE_PARTS
    try:
        with open_store(path) as store:
            store.ns("n")["other"] = b"o" * 70_000
            for number in range(round_.size):
                _try(round_, path, store, choose)
                round_.count("arrays")
                if number % 10 == 9:
                    store.vacuum()
                    if problem := leftovers(path):
                        round_.fail(f"when all is collected: {problem}")
    finally:
        writing.write_parts = WRITE_PARTS


def _try(round_: Round, path: Path, store: Store, choose: Random) -> None:
    form = choose.choice(list(FORMS))
    verb = choose.choice(("set", "set_many", "atomic", "exclusive", "async"))
    array = np.zeros(choose.choice(ELEMENTS), dtype=choose.choice((np.uint8, np.int64)))
    value = FORMS[form](array)
    with changed(array):
        write(path, store, value, verb)
    try:
        found, other = store.ns("n")["k"], store.ns("n")["other"]
    except DamagedEntryError as error:
        round_.fail(f"{form} that was changed during {verb} reads as damaged: {error}")
    if other != b"o" * 70_000 or not store.check().ok:
        round_.fail(f"{form} that was changed during {verb} harmed the store")
    for ours, theirs in itertools.zip_longest(arrays_in(value), arrays_in(found)):
        if ours is None or theirs is None or (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            round_.fail(f"{form} that was changed during {verb} reads as one of another form")
        if theirs.min() < 0 or theirs.max() > 1:
            round_.fail(f"{form} that was changed during {verb} has elements that it never had")
    round_.count(f"of them: {form}")
    round_.count("arrays that changed under the writer", any(len(np.unique(part)) > 1 for part in arrays_in(found)))


def _write_summing_the_source(descriptor: int, parts: Any, chunk: int) -> bytes:
    """As the fastest writer does, which copies nothing: the sums are of one state and the file is of another."""
    sums, crc, done = bytearray(), 0, 0
    for part in parts:
        start = 0
        while start < len(part):
            size = min(chunk - done % chunk, len(part) - start)
            crc = crc32_of_large(part[start : start + size], crc)
            writing.write_all(descriptor, part[start : start + size])
            start, done = start + size, done + size
            if done % chunk == 0:
                sums += crc.to_bytes(4, "big")
                crc = 0
    if done % chunk:
        sums += crc.to_bytes(4, "big")
    return bytes(sums)


CAMPAIGN = Campaign(
    name="files-changed-arrays",
    promise="An array that its owner changes while it is written is stored whole and never reads as damaged, though of "
    "no one moment",
    unit="arrays",
    run=run,
    ci=60,
    nightly=5_000,
    release=20_000,
    twins=(SOURCE_SUMMED,),
    twin=200,
)
