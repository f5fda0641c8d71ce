"""Salvage: every entry that can still be read in a damaged file, brought into a new one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.checksum import Row, is_checked, record_of
from sqlitedict_kv.engines.sqlite.connection import make_immortal
from sqlitedict_kv.engines.sqlite.files.location import PRIVATE_FILE, Location
from sqlitedict_kv.engines.sqlite.recovery.saved_files import enter_files
from sqlitedict_kv.errors import DamagedEntryError, KVError

Connect = Callable[..., sqlite3.Connection]

# https://www.sqlite.org/fileformat.html#the_database_header
READ_AND_WRITE_VERSION = slice(18, 20)
PAGES = slice(28, 32)
WAL_VERSIONS = b"\x02\x02"
PAGE = 4096

COLUMNS = "value, content_type, version, expires_at, updated_at, checksum, ns, key, rowid"
COLUMNS_V1 = "value, content_type, version, expires_at, updated_at, NULL, ns, key, rowid"
UP = "SELECT {} FROM kv WHERE rowid > ? AND rowid < ? ORDER BY rowid"
DOWN = "SELECT {} FROM kv WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC"
INDEXED = "SELECT rowid FROM kv INDEXED BY sqlite_autoindex_kv_1 ORDER BY ns, key"
FLOORS_UP = "SELECT ns, version FROM kv_floor WHERE ns > ? ORDER BY ns LIMIT 1"
FLOORS_DOWN = "SELECT ns, version FROM kv_floor WHERE ns < ? ORDER BY ns DESC LIMIT 1"
SOME_TAG = "SELECT 1 FROM kv_tag LIMIT 1"
BEHIND_ALL_TEXT = b""
INSERT = """
    INSERT INTO kv (value, content_type, version, expires_at, updated_at, checksum, ns, key)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (ns, key) DO UPDATE SET
        value = excluded.value, content_type = excluded.content_type, version = excluded.version,
        expires_at = excluded.expires_at, updated_at = excluded.updated_at, checksum = excluded.checksum
    WHERE excluded.version > kv.version
"""
COUNT = "SELECT count(*) FROM kv"
RAISE_FLOOR = """
    INSERT INTO kv_floor (ns, version) VALUES (?, ?)
    ON CONFLICT (ns) DO UPDATE SET version = excluded.version WHERE excluded.version > kv_floor.version
"""

ROWS_PER_WRITE = 500
BYTES_PER_WRITE = 4 * 2**20
COPY_BYTES = 2**20
LOWEST, HIGHEST = -(2**63), 2**63 - 1  # of a rowid
PROBES = 4000  # ranges of rowids that are tried between pages that cannot be read
TAIL = 2**16  # rowids behind the last one that could be read, where the end of the table cannot be
PLAUSIBLE = 2**53  # versions below it can have been given
LONGEST_NAMESPACE = 255  # bytes
MOST_FLOORS = 2**20  # that are read; more can only be a page that is out of order


# -- the old file


def open_damaged(
    location: Location, descriptor: int, spare: Callable[[], str], connect: Connect, stack: contextlib.ExitStack
) -> tuple[sqlite3.Connection | None, list[str]]:
    """Return a reader of a damaged file, None if there can be none, and why its tables could not be found at once.

    Args:
        location: where the file is.
        descriptor: of the file; to open it once more and close that would drop the lock on it.
        spare: gives a free name for a copy, which the caller removes.
        connect: opens connections.
        stack: closes the readers.
    """
    reader = _reader(location.path, connect, stack)
    problem = _unreadable(reader)
    if problem is None:
        return reader, []
    problems = [problem]
    # The first page is of no use. Ours are all alike but for that page's cells, so a new one may do, in a copy.
    patched = spare()
    _copy_with_new_head(location, descriptor, patched)
    reader = _reader(patched, connect, stack)
    problem = _unreadable(reader)
    if problem is None:
        return reader, problems
    return None, [*problems, problem]


def _reader(path: str, connect: Connect, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """Open a file so that neither it nor its log nor the index of that is changed, and no lock is touched.

    With the locking mode EXCLUSIVE SQLite keeps the index of the log in memory
    (https://www.sqlite.org/wal.html#noshm), and without write access to the file it cannot make a checkpoint.
    """
    place = Location(path, allow_unsafe_filesystem=True)
    logged = os.path.lexists(place.wal)  # where there is no log, SQLite would make an empty one
    mode = "mode=ro&vfs=unix-none" if logged else "mode=ro&vfs=unix-none&immutable=1"
    raw = connect(place.uri(mode), uri=True, isolation_level=None)
    stack.callback(_end, raw, place, place.inode() if logged else None)
    if sys.version_info >= (3, 12):
        raw.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        raw.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        raw.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
    raw.text_factory = _lenient_text
    for pragma in ("locking_mode = EXCLUSIVE", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        raw.execute(f"PRAGMA {pragma}")
    return raw


def _end(raw: sqlite3.Connection, place: Location, inode: tuple[int, int] | None) -> None:
    """Close a reader, unless that could delete the log of the new file, which has the name of its own one."""
    if sys.version_info < (3, 12) and inode is not None and place.inode() != inode:
        make_immortal(raw)
    else:
        raw.close()


def _lenient_text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _unreadable(reader: sqlite3.Connection) -> str | None:
    """Return why the tables cannot be found, None if they can."""
    try:
        schema.inspect_schema(reader, "the file")
    except KVError as error:
        return str(error.__cause__ or error)
    return None


def _copy_with_new_head(location: Location, descriptor: int, target: str) -> None:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        schema.migrate(memory, schema.SchemaState(0, []))
        head = bytearray(memory.serialize()[:PAGE])
    finally:
        memory.close()
    head[PAGES] = bytes(4)  # unknown: the length of the file counts
    head[READ_AND_WRITE_VERSION] = WAL_VERSIONS
    with open(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE), "wb") as file:
        place = 0
        while block := os.pread(descriptor, COPY_BYTES, place):  # not by its path: that descriptor would be closed
            file.write(block)
            place += len(block)
        file.seek(0)
        file.write(head)
    if os.path.exists(location.wal):
        log = os.open(target + "-wal", os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
        with open(location.wal, "rb") as source, open(log, "wb") as file:
            while block := source.read(COPY_BYTES):
                file.write(block)


class Salvage:
    """What is read from a damaged file, and what is known of the rest."""

    def __init__(self, reader: sqlite3.Connection | None, problems: list[str]) -> None:
        """Read through *reader*, None if nothing can be read; *problems* are known already."""
        self._reader = reader
        self.problems = problems
        self._torn = reader is None  # whether there are pages with entries that cannot be read
        self.salvaged = 0
        self._refused = 0
        self._unchecked = 0
        self._indexed = 0  # entries
        self._counted = True  # whether these are all
        self._highest: dict[str, int] = {}
        self._columns = COLUMNS

    @property
    def complete(self) -> bool:
        """Whether `lost` is exact."""
        return self._reader is not None and (self._counted or not self._torn)

    @property
    def lost(self) -> int:
        """How many entries are lost, as far as that can be told."""
        return max(self._refused + self._unchecked, self._indexed - self.salvaged)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the rows whose checksum is right, in the order of INSERT."""
        if self._reader is None:
            return
        last = self._count_index()
        self._columns = COLUMNS if self._has_checksums() else COLUMNS_V1
        for *columns, namespace, key, _ in self._readable(last):
            row: Row = tuple(columns)
            self._saw(namespace, row[2])
            if self._is_right(namespace, key, row):
                yield (*row, namespace, key)
        if self._refused:
            self.problems.append(f"{self._refused} entries do not match their checksum")
        if self._unchecked:
            self.problems.append(f"{self._unchecked} entries have no checksum, and may be damaged")
        if self._torn:
            known = "" if self.complete else "; nobody knows how many entries were on them"
            self.problems.append(f"there are pages that cannot be read{known}")
        if self._has_tags():
            self.problems.append("tags were not saved, for they have no checksum: forget_tag() will not find entries")

    def floors(self) -> list[tuple[str, int]]:
        """Return for each namespace the highest version that was seen there."""
        for statement, start in ((FLOORS_UP, ""), (FLOORS_DOWN, BEHIND_ALL_TEXT)):
            place: object = start
            with contextlib.suppress(sqlite3.Error):
                for _ in range(MOST_FLOORS):
                    rows = list(self._rows(statement, (place,)))
                    if not rows or rows[0][0] == place:
                        break
                    place, version = rows[0]
                    self._saw(place, version)
        return list(self._highest.items())

    def _saw(self, namespace: object, version: object) -> None:
        """Note a version, be the rest of the row damaged: no later one of the namespace may be the same."""
        if type(namespace) is not str or type(version) is not int or not 0 < version < PLAUSIBLE:
            return
        if 0 < len(namespace.encode()) <= LONGEST_NAMESPACE:
            self._highest[namespace] = max(version, self._highest.get(namespace, 0))

    def _is_right(self, namespace: object, key: object, row: Row) -> bool:
        if type(namespace) is not str or type(key) is not str:
            self._refused += 1
            return False
        try:
            record_of(namespace, key, row)
        except (DamagedEntryError, UnicodeError):
            self._refused += 1
            return False
        checked = is_checked(row)
        self._unchecked += not checked
        return checked

    def _has_checksums(self) -> bool:
        assert self._reader is not None
        return any(row[1] == "checksum" for row in self._reader.execute("PRAGMA table_info(kv)"))

    def _has_tags(self) -> bool:
        try:
            return any(True for _ in self._rows(SOME_TAG, ()))
        except sqlite3.Error as error:
            return "no such table" not in str(error)

    def _count_index(self) -> int:
        """Count the entries by the primary key, which lies on pages of its own; return the highest rowid seen."""
        last = 0
        try:
            for (rowid,) in self._rows(INDEXED, ()):
                self._indexed += 1
                last = max(last, rowid)
        except sqlite3.Error:
            self._counted = False
        return last

    def _readable(self, last: int) -> Iterator[tuple[Any, ...]]:
        """Return every row that can be read: from both ends, then between the pages that cannot."""
        gaps: deque[tuple[int, int]] = deque([(LOWEST, HIGHEST)])
        for _ in range(PROBES):
            if not gaps:
                return
            low, high = gaps.popleft()
            low, whole = yield from self._stretch(UP, low, high)
            if whole:
                continue
            self._torn = True
            high, whole = yield from self._stretch(DOWN, low, high)
            if whole:
                continue
            if low == LOWEST:
                low = min(0, last) - 1
            if high == HIGHEST:
                high = max(last + 1, low + TAIL)
            if high - low > 2:  # noqa: PLR2004 - the bounds are outside
                middle = (low + high) // 2
                gaps += ((low, middle + 1), (middle, high))

    def _stretch(self, statement: str, low: int, high: int) -> Generator[Any, None, tuple[int, bool]]:
        """Give rows as far as they can be read; return the last rowid, and whether that was the end."""
        rising, statement = statement is UP, statement.format(self._columns)
        reached = low if rising else high
        closed = low != LOWEST and high != HIGHEST
        try:
            for row in self._rows(statement, (low, high)):
                if closed and not (reached < row[-1] < high if rising else low < row[-1] < reached):
                    return reached, False  # a page that is out of order would give the same rows to every probe
                reached = row[-1]
                yield row
        except sqlite3.Error:
            pass
        else:
            return reached, True
        # The sqlite3 module steps ahead, and so loses the last row before one that cannot be read.
        while True:
            bounds = (reached, high) if rising else (low, reached)
            try:
                rows = list(self._rows(f"{statement} LIMIT 1", bounds))
            except sqlite3.Error:
                return reached, False
            if not rows:
                return reached, True
            if not bounds[0] < rows[0][-1] < bounds[1]:  # in a page that is out of order, this would never end
                return reached, False
            reached = rows[0][-1]
            yield rows[0]

    def _rows(self, statement: str, values: tuple[object, ...]) -> Iterator[tuple[Any, ...]]:
        if self._reader is not None:
            yield from self._reader.execute(statement, values)


# -- the new file


def fill(path: str, salvage: Salvage, connect: Connect, owner: str) -> None:
    """Make a store of what is saved; it is one file in the end, and on the disk. *owner* is its id."""
    raw = connect(path, isolation_level=None)
    try:
        raw.execute("PRAGMA journal_mode = OFF")  # nobody sees the file before it is whole
        raw.execute("PRAGMA synchronous = OFF")
        schema.migrate(raw, schema.SchemaState(0, []))
        for batch in _batches(salvage.rows()):
            raw.execute("BEGIN")
            raw.executemany(INSERT, batch)
            raw.execute("COMMIT")
        (salvage.salvaged,) = raw.execute(COUNT).fetchone()
        raw.execute("BEGIN")
        raw.executemany(RAISE_FLOOR, salvage.floors())
        raw.execute("COMMIT")
        enter_files(raw, owner)
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("PRAGMA journal_mode = WAL")
    finally:
        raw.close()
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row[0])
        if len(batch) >= ROWS_PER_WRITE or size >= BYTES_PER_WRITE:
            yield batch
            batch, size = [], 0
    yield batch
