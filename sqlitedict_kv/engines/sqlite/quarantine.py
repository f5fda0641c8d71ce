"""Putting a damaged file aside, and a new one with all that can be saved in its place.

The new file is made beside the old one while a lock keeps everybody out, and takes its place in one step. So
others see the damaged file or the whole new one, and whoever dies in between leaves the old one as it was; or
with a second name, by which the next quarantine knows that it must be undone first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.connection import _make_immortal
from sqlitedict_kv.engines.sqlite.failures import primary_code
from sqlitedict_kv.engines.sqlite.location import PRIVATE_FILE, Location
from sqlitedict_kv.engines.sqlite.rows import Row, is_checked, record_of
from sqlitedict_kv.errors import CorruptStoreError, DamagedEntryError, KVError, NotADatabaseError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # what stands for it is never called

Connect = Callable[..., sqlite3.Connection]

WAIT = 2.0  # seconds for the lock, which those who only look at the file hold for moments
PAUSE = 0.005  # seconds between two attempts

# https://www.sqlite.org/src/file/src/os.h: the bytes PENDING, RESERVED and the 510 of SHARED, on which every
# connection in WAL mode holds a lock for as long as it is open.
LOCK_START, LOCK_BYTES = 0x4000_0000, 512

COMPANIONS = ("-wal", "-shm")
JOURNAL = "-journal"
MARKER = ".corrupt-"  # between the path and the time

# https://www.sqlite.org/fileformat.html#the_database_header
MAGIC = b"SQLite format 3\0"
USER_VERSION = slice(60, 64)
APPLICATION_ID = slice(68, 72)
READ_AND_WRITE_VERSION = slice(18, 20)
PAGES = slice(28, 32)
WAL_VERSIONS = b"\x02\x02"
PAGE = 4096
HEAD_BYTES = 2**16  # the largest page, the first one of which holds the schema
# The beginning of our table in that page: no script or text has these words run together.
OUR_TABLE = re.compile(rb"tablekvkv.{1,9}?CREATE TABLE kv\s*\(\s*ns\s+TEXT", re.IGNORECASE | re.DOTALL)

COLUMNS = "value, content_type, version, expires_at, updated_at, checksum, ns, key, rowid"
COLUMNS_V1 = COLUMNS.replace("checksum", "NULL")
UP = "SELECT {} FROM kv WHERE rowid > ? AND rowid < ? ORDER BY rowid"
DOWN = "SELECT {} FROM kv WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC"
INDEXED = "SELECT rowid FROM kv INDEXED BY sqlite_autoindex_kv_1 ORDER BY ns, key"
FLOORS_UP = "SELECT ns, version FROM kv_floor WHERE ns > ? ORDER BY ns LIMIT 1"
FLOORS_DOWN = "SELECT ns, version FROM kv_floor WHERE ns < ? ORDER BY ns DESC LIMIT 1"
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
QUICK_CHECK = "PRAGMA quick_check(5)"

ROWS_PER_WRITE = 500
BYTES_PER_WRITE = 4 * 2**20
COPY_BYTES = 2**20
LOWEST, HIGHEST = -(2**63), 2**63 - 1  # of a rowid
PROBES = 4000  # ranges of rowids that are tried between pages that cannot be read
TAIL = 2**16  # rowids behind the last one that could be read, where the end of the table cannot be
PLAUSIBLE = 2**53  # versions below it can have been given
LONGEST_NAMESPACE = 255  # bytes
MOST_FLOORS = 2**20  # that are read; more can only be a page that is out of order


class Quarantine(NamedTuple):
    """What was done with a damaged file.

    Attributes:
        path: where it lies now; its log, if it has one, lies beside it as always.
        salvaged: how many entries are in the new file: all those that could be read and match their checksum.
        lost: how many are not, as far as that can be told.
        complete: whether *lost* is exact; False if pages could not be read, so that nobody knows what was on them.
        problems: what was wrong, in words that show no value.
    """

    path: str
    salvaged: int
    lost: int
    complete: bool
    problems: tuple[str, ...]


def is_damage(error: BaseException) -> bool:
    """Return whether what an opening raised may mean a damaged store."""
    if isinstance(error, CorruptStoreError | NotADatabaseError):
        return True
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return False
    return primary_code(cause) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(cause)


def damage_in(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds wrong with the pages of a file, nothing if all is well."""
    try:
        return [text for (text,) in connection.execute(QUICK_CHECK).fetchall() if text != "ok"]
    except sqlite3.DatabaseError as error:
        if primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return [str(error)]
        raise


def quarantine(
    location: Location,
    inode: tuple[int, int] | None,
    error: KVError,
    *,
    in_use: bool,
    connect: Connect = sqlite3.connect,
    wait: float = WAIT,
) -> Quarantine | None:
    """Put a damaged file aside and a new one with what could be saved in its place.

    Args:
        location: where the file is.
        inode: which file was found damaged.
        error: what the opening raised; raised again, with a note, where the file must stay.
        in_use: whether a store of this process has the file open.
        connect: opens connections.
        wait: seconds to wait for others who look at the file.

    Returns:
        What was done; None if there is another file by now or this one is in order, so that it can be opened.
    """
    if in_use:
        _refuse(error, "another store of this process has it open; close it first")
    try:
        with _sole_owner(location.path, inode, error, wait) as descriptor:
            if descriptor is None:
                return None
            if os.path.lexists(location.path + JOURNAL):
                _refuse(error, "it has a rollback journal, without which it cannot be judged")
            _refuse_strangers(location, descriptor, error)
            return _replaced(location, descriptor, connect)
    except (OSError, sqlite3.Error) as failure:
        _refuse(error, f"that failed ({failure}); the file is where it was", failure)


def undo_interrupted(path: str) -> None:
    """Give a file back its only name, if somebody died while putting it aside; it is still damaged, and complete."""
    real = os.path.realpath(path)
    aside = _second_name(real)
    if aside is None:
        return
    status = os.stat(real)
    note = NotADatabaseError(real)  # not raised further
    with (
        contextlib.suppress(NotADatabaseError, OSError),
        _sole_owner(real, (status.st_dev, status.st_ino), note, WAIT) as descriptor,
    ):
        if descriptor is None or _second_name(real) != aside:
            return
        moved = [suffix for suffix in COMPANIONS if os.path.lexists(aside + suffix)]
        for suffix in moved:
            if not os.path.lexists(real + suffix):
                os.link(aside + suffix, real + suffix)
            elif not os.path.samefile(aside + suffix, real + suffix):
                return  # somebody else has opened it since
        _sync_directory(real)
        for suffix in moved:
            os.unlink(aside + suffix)
        os.unlink(aside)
        _sync_directory(real)


# -- who owns the file


def _refuse(error: KVError, reason: str, cause: BaseException | None = None) -> NoReturn:
    error.add_note(f"It was not put into quarantine: {reason}.")
    if cause is None or error.__cause__ is not None:
        raise error
    raise error from cause


@contextlib.contextmanager
def _sole_owner(path: str, inode: tuple[int, int] | None, error: KVError, wait: float) -> Iterator[int | None]:
    """Give a descriptor of the file under a lock that keeps every connection out; None if it is another file now."""
    if fcntl is None:
        _refuse(error, "this system cannot tell whether others have it open")
    if inode in _descriptors_here():
        _refuse(error, "something in this process still has it open; try again in a new process")
    # To open and close a file drops all locks that the process holds on it (location.py), so this is safe only
    # because the process has no connection to it, as was just seen, and the caller keeps its stores from
    # opening it meanwhile.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # somebody was faster
        yield None
        return
    try:
        _lock(descriptor, error, wait)
        # SQLite's readers of this module take no locks (_reader), so none is dropped before their end.
        same = _identity(os.fstat(descriptor)) == inode and _is_at(path, inode)
        yield descriptor if same else None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, error: KVError, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_BYTES, LOCK_START)
        except OSError as failure:
            if failure.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            if time.monotonic() >= deadline:
                _refuse(error, "others have it open; close it everywhere first")
            time.sleep(PAUSE)
        else:
            return


def _descriptors_here() -> set[tuple[int, int]]:
    """Return what this process has open, by device and inode; an empty set where the system does not tell."""
    found = set()
    for directory in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            for name in os.listdir(directory):
                with contextlib.suppress(OSError, ValueError):
                    found.add(_identity(os.fstat(int(name))))
            break
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_at(path: str, inode: tuple[int, int] | None) -> bool:
    try:
        return _identity(os.stat(path)) == inode
    except FileNotFoundError:
        return False


# -- whose file it is


def _refuse_strangers(location: Location, descriptor: int, error: KVError) -> None:
    """Raise *error* unless something says that the file was a store of ours."""
    head = os.pread(descriptor, HEAD_BYTES, 0)
    application = int.from_bytes(head[APPLICATION_ID], "big")
    if head.startswith(MAGIC):
        if application not in (0, schema.APPLICATION_ID):
            _refuse(error, "it belongs to another application")
        if application and int.from_bytes(head[USER_VERSION], "big") > schema.CURRENT:
            _refuse(error, "a later release wrote it")
        if application:
            return
    log = b""
    with contextlib.suppress(FileNotFoundError), open(location.wal, "rb") as file:  # nobody locks the log itself
        log = file.read(HEAD_BYTES)
    if not OUR_TABLE.search(head) and not OUR_TABLE.search(log):
        _refuse(error, "nothing in it says that it was a store")


# -- the new file


def _replaced(location: Location, descriptor: int, connect: Connect) -> Quarantine | None:
    """Make the new file and put it in the place of the old one; None if the old one is in order."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = _free_name(f"{location.path}{MARKER}{stamp}")
    fresh = _free_name(f"{location.path}.salvage-{stamp}")
    status = os.fstat(descriptor)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove, fresh)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
        reader, problems = _opened(location, descriptor, fresh, connect, stack)
        if reader is not None and not problems:
            return None
        salvage = Salvage(reader, problems)
        _fill(fresh, salvage, connect)
        with contextlib.suppress(PermissionError):
            os.chown(fresh, status.st_uid, status.st_gid)
        os.chmod(fresh, stat.S_IMODE(status.st_mode))
        _swap(location.path, aside, fresh)
        # The readers are closed only now: with their descriptors the process loses its lock.
    return Quarantine(aside, salvage.salvaged, salvage.lost, salvage.complete, tuple(salvage.problems))


def _free_name(name: str) -> str:
    candidate, number = name, 0
    while any(os.path.lexists(candidate + suffix) for suffix in ("", *COMPANIONS, JOURNAL)):
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _remove(path: str) -> None:
    for suffix in ("", *COMPANIONS, JOURNAL):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _swap(path: str, aside: str, fresh: str) -> None:
    """Give the old files their new names, and the new file theirs.

    The old log goes before the new file comes, or SQLite would apply it to that. The old file without its log
    would be another one too: so it has two names by then, and no store opens it (Location).
    """
    present = [suffix for suffix in COMPANIONS if os.path.lexists(path + suffix)]
    made: list[str] = []
    try:
        for suffix in (*present, ""):
            os.link(path + suffix, aside + suffix)
            made.append(aside + suffix)
        _sync_directory(path)
    except BaseException:  # a file system without links, say
        for name in reversed(made):
            os.unlink(name)
        raise
    for suffix in present:
        os.unlink(path + suffix)
    os.replace(fresh, path)
    _sync_directory(path)


def _second_name(path: str) -> str | None:
    """Return the other name of a file that was being put aside."""
    try:
        status = os.lstat(path)
        if status.st_nlink != 2 or not stat.S_ISREG(status.st_mode):  # noqa: PLR2004 - two names
            return None
        directory, name = os.path.split(path)
        for other in os.listdir(directory):
            found = os.path.join(directory, other)
            if other.startswith(name + MARKER) and os.path.samestat(status, os.lstat(found)):
                return found
    except OSError:
        pass
    return None


def _sync_directory(path: str) -> None:
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(path: str, salvage: Salvage, connect: Connect) -> None:
    """Make a store of what is saved; it is one file in the end, and on the disk."""
    raw = connect(path, isolation_level=None)
    try:
        raw.execute("PRAGMA journal_mode = OFF")  # nobody sees the file before it is whole
        raw.execute("PRAGMA synchronous = OFF")
        schema.migrate(raw, schema.Found(0, []))
        for batch in _batches(salvage.rows()):
            raw.execute("BEGIN")
            raw.executemany(INSERT, batch)
            raw.execute("COMMIT")
        (salvage.salvaged,) = raw.execute(COUNT).fetchone()
        raw.execute("BEGIN")
        raw.executemany(RAISE_FLOOR, salvage.floors())
        raw.execute("COMMIT")
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


# -- the old file


def _opened(
    location: Location, descriptor: int, beside: str, connect: Connect, stack: contextlib.ExitStack
) -> tuple[sqlite3.Connection | None, list[str]]:
    """Return a reader of the damaged file, None if there can be none, and what is wrong with the file."""
    reader = _reader(location.path, connect, stack)
    problem = _unreadable(reader)
    if problem is None:
        return reader, damage_in(reader)
    problems = [problem]
    # The first page is of no use. Ours are all alike but for that page's cells, so a new one may do, in a copy.
    patched = _free_name(beside + ".copy")
    stack.callback(_remove, patched)
    _copy_with_new_head(location, descriptor, patched)
    reader = _reader(patched, connect, stack)
    problem = _unreadable(reader)
    if problem is None:
        return reader, [*problems, *damage_in(reader)]
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
        _make_immortal(raw)
    else:
        raw.close()


def _lenient_text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _unreadable(reader: sqlite3.Connection) -> str | None:
    """Return why the tables cannot be found, None if they can."""
    try:
        schema.found_in(reader, "the file")
    except KVError as error:
        return str(error.__cause__ or error)
    return None


def _copy_with_new_head(location: Location, descriptor: int, target: str) -> None:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        schema.migrate(memory, schema.Found(0, []))
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
