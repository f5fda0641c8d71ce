"""Value files that are damaged: bits and sectors, files cut, exchanged, or gone, and references that are forged.

Each entry reads as what was written, or raises an error that names it; the others are as they were. `check()` reports
what raises and nothing else, and collecting removes no file to which an entry refers.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

from sqlitedict_kv import DamagedEntryError, DamagedFileError, KVError, Store
from sqlitedict_kv.engines.sqlite.value_files import reading
from tests.faults.campaign import Campaign, Round
from tests.faults.damage import KINDS as KINDS_OF_BYTES
from tests.faults.value_files.values import (
    TYPE,
    WrongValueError,
    folder_of,
    is_in_file,
    name_of,
    names_in,
    open_store,
    value_of,
)

LENGTHS = (16, 1000, 70_000, 70_000, 70_000, 120_000, 200_000, 2_100_000)  # of the values; the last has three chunks
CHECKSUMS_OFF = "checksums off"
COMPARE = reading.compare

Damage = Callable[[Path, str, Random], None]  # of the store at a path, in the file of an entry


# -- damage


def of_bytes(kind: str) -> Damage:
    """Return what damages the bytes of a file."""

    def damage(path: Path, name: str, choose: Random) -> None:
        file = folder_of(path) / name
        file.write_bytes(KINDS_OF_BYTES[kind](file.read_bytes(), choose))

    return damage


def exchange(path: Path, name: str, choose: Random) -> None:
    """As a program does that confuses two files."""
    other = folder_of(path) / choose.choice(sorted(names_in(path) - {name}))
    file = folder_of(path) / name
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)


def remove(path: Path, name: str, choose: Random) -> None:
    """Take the file away, or all of them."""
    if choose.random() < 0.7:
        (folder_of(path) / name).unlink()
    else:
        shutil.rmtree(folder_of(path))


def empty(path: Path, name: str, choose: Random) -> None:
    """As a file system does that knew the name of a file and not yet its content: no bytes, or zeros."""
    size = (folder_of(path) / name).stat().st_size
    with open(folder_of(path) / name, "wb") as file:
        file.truncate(choose.choice((0, size)))


def lengthen(path: Path, name: str, choose: Random) -> None:
    """Add bytes to the end."""
    with open(folder_of(path) / name, "ab") as file:
        file.write(choose.randbytes(choose.choice((1, 4096))))


def replace(path: Path, name: str, choose: Random) -> None:
    """Put something else in the place of the file."""
    file = folder_of(path) / name
    kept = file.rename(path.with_name("kept"))
    match choose.randrange(3):
        case 0:
            file.symlink_to(kept)
        case 1:
            file.mkdir()
        case _:
            os.mkfifo(file)


def forge(path: Path, name: str, choose: Random) -> None:
    """Change what an entry refers to, as a program does that knows no checksums of rows."""
    with closing(sqlite3.connect(path)) as raw, raw:
        rows = raw.execute("SELECT ns, key, value FROM kv WHERE content_type = ?", (TYPE,))
        namespace, key, body = next(row for row in rows.fetchall() if json.loads(row[2])["file"] == name)
        reference = json.loads(body)
        change = choose.choice(
            (
                {"file": choose.choice(("../store.db", "STORE", name.upper(), "", 7))},
                {"file": choose.choice(sorted(names_in(path) - {name}))},
                {"size": choose.choice((0, -1, reference["size"] + 1, 2**40, "1"))},
                {"chunk": choose.choice((0, 1, 2**20 - 1, 2**50))},
                {"crc32": choose.choice(("", "00", "00000000" * 3, reference["crc32"][:-2], None))},
            )
        )
        forged = json.dumps(reference | change).encode()
        raw.execute("UPDATE kv SET value = ?, checksum = NULL WHERE ns = ? AND key = ?", (forged, namespace, key))


KINDS: dict[str, Damage] = {kind: of_bytes(kind) for kind in KINDS_OF_BYTES} | {
    "an exchanged file": exchange,
    "a file that is gone": remove,
    "a file without its content": empty,
    "a longer file": lengthen,
    "something else in its place": replace,
    "a forged reference": forge,
}


# -- reading


def make(path: Path, choose: Random) -> dict[str, tuple[int, int]]:
    """Make a store, and return number and length of each value."""
    held = {f"k{place}": (choose.randrange(2**40), length) for place, length in enumerate(LENGTHS)}
    with open_store(path) as store:
        for key, (number, length) in held.items():
            store.ns("n")[key] = value_of(number, length)
    return held


def files_of(path: Path) -> dict[str, str]:
    """Return the key of each file."""
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT key, value FROM kv WHERE content_type = ?", (TYPE,)).fetchall()
    return {json.loads(body)["file"]: key for key, body in rows}


def look(store: Store, held: dict[str, tuple[int, int]], round_: Round) -> set[str]:
    """Return the keys whose values raise; fail if one is wrong, or if an error names another entry."""
    raising = set()
    for key, expected in held.items():
        try:
            value = store.ns("n")[key]
        except DamagedEntryError as error:
            if repr(key) not in str(error):
                round_.fail(f"the error of {key!r} does not name it: {error}")
            if is_in_file(expected[1]) != isinstance(error, DamagedFileError):
                round_.fail(f"the error of {key!r} is {error!r}")
            raising.add(key)
            continue
        try:
            found = name_of(value)
        except WrongValueError as error:
            round_.fail(f"{key!r} reads as {error}")
        if found != expected:
            round_.fail(f"{key!r} reads as {found} instead of {expected}")
    round_.count("values that were read", len(held) - len(raising))
    round_.count("reads that raised", len(raising))
    return raising


def judge(round_: Round, path: Path, held: dict[str, tuple[int, int]], choose: Random) -> None:
    """Read all that is there, check it and collect."""
    with open_store(path) as store:
        raising = look(store, held, round_)
        if store.check().ok == bool(raising):
            round_.fail(f"{sorted(raising)} raise, and check() says {store.check().problems}")
        try:
            dict(store.ns("n").items())
        except DamagedEntryError:
            if not raising:
                round_.fail("a walk raises where no read does")
        else:
            if raising:
                round_.fail(f"a walk does not raise, and reads of {sorted(raising)} do")
        store.vacuum()
        if (left := look(store, held, round_)) != raising:
            round_.fail(f"{sorted(raising)} raised, and when all was collected {sorted(left)} do")
        for key in sorted(raising):
            store.ns("n")[key] = value_of(*(held[key]))
        if left := look(store, held, round_):
            round_.fail(f"{sorted(left)} raise although they were written again")


# -- the campaign


@contextmanager
def broken(sabotage: str | None) -> Iterator[None]:
    """Let this process read without comparing checksums, or as it should."""
    reading.compare = (lambda *_: None) if sabotage == CHECKSUMS_OFF else COMPARE
    try:
        yield
    finally:
        reading.compare = COMPARE


def run(round_: Round) -> None:
    """Damage one file of a store at a time."""
    choose = Random(round_.seed)
    good = round_.directory / "good"
    good.mkdir()
    held = make(good / "store.db", choose)
    files = files_of(good / "store.db")
    with broken(round_.sabotage):
        for number in range(round_.size):
            kind = choose.choice(list(KINDS_OF_BYTES) if round_.sabotage else list(KINDS))
            place = round_.directory / "damaged"
            shutil.copytree(good, place)
            name = choose.choice(sorted(files))
            KINDS[kind](place / "store.db", name, choose)
            try:
                judge(round_, place / "store.db", held, choose)
            except KVError as error:
                round_.fail(f"{kind} in the file of {files[name]!r}, {number}: {error!r}")
            round_.count("damaged files")
            round_.count(f"of them: {kind}")
            shutil.rmtree(place)


CAMPAIGN = Campaign(
    name="files-damage",
    promise="A large value whose file or reference is damaged is never returned: the entry raises, by its name, the "
    "others are as they were, check() reports it, and it can be written again",
    unit="damaged files",
    run=run,
    ci=60,
    nightly=5_000,
    release=50_000,
    twins=(CHECKSUMS_OFF,),
)
