"""Migration from another library: its file read without changing it, its pickles, the report."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from sqlitedict_kv import CodecError, TooLargeError
from sqlitedict_kv.adapters._compat.plain_pickle import plain_loads
from sqlitedict_kv.adapters._compat.table_rows import Gap

Unpickle = Literal["plain"] | bool
Loads = Callable[[bytes], Any]
Progress = Callable[[int, int | None], object]  # how many were looked at, and how many there are

SHOWN = 80  # characters of a key in a report
DANGER = (
    "move(unpickle=True) runs any code that the pickles of the old file contain; use it only if nobody else could "
    "write to that file"
)


class UnreadableError(Exception):
    """An entry that cannot be moved; the message says why."""


# What can be wrong with one entry; the others are moved all the same.
UNKEPT = (
    UnreadableError,
    CodecError,
    TooLargeError,
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    MemoryError,
    AttributeError,
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that was not moved.

    Attributes:
        place: the directory, or the table, that it is in.
        key: as repr shows it, shortened; that of a key that was not read, as it is stored.
        reason: why it was left behind.
    """

    place: str
    key: str
    reason: str


@dataclass(slots=True)
class Moved:
    """Report of a migration of a file or a directory; ``str()`` of it groups the skipped entries by reason.

    Attributes:
        moved: how many were written to the target.
        present: how many were in the target already; they stay as they are.
        expired: how many had expired.
        skipped: the entries that were left behind, and why.
        unkept: settings that could not be kept, and why.
        damaged: files that are damaged; what can still be read in them was moved.
    """

    moved: int = 0
    present: int = 0
    expired: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    unkept: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return a summary to read."""
        others = f"{self.present:,} were there already, {self.expired:,} had expired, {len(self.skipped):,} skipped"
        lines = [f"{self.moved:,} entries moved; {others}"]
        first = {entry.reason: entry.key for entry in reversed(self.skipped)}
        for reason, count in Counter(entry.reason for entry in self.skipped).most_common():
            lines.append(f"  {count:,} skipped: {reason} (first: {first[reason]})")
        lines += [f"  not kept: {note}" for note in self.unkept]
        lines += [f"  damaged: {note}" for note in self.damaged]
        return "\n".join(lines)

    def skip(self, place: str, key: Any, error: Exception) -> None:
        """Note an entry that is left behind."""
        self.skipped.append(Skipped(place, repr(key)[:SHOWN], str(error)))

    def skip_gap(self, place: str, gap: Gap) -> None:
        """Note rows that cannot be read."""
        self.skipped.append(Skipped(place, str(gap), "damaged pages of the file hold them"))

    def note_unkept(self, note: str) -> None:
        """Note a setting that could not be kept, once."""
        if note not in self.unkept:
            self.unkept.append(note)


def choose_loads(unpickle: object) -> Loads | None:
    """Return the function that reads pickles, None if they are not to be read; warn if it can run code."""
    if unpickle is False:
        return None
    if unpickle == "plain":
        return plain_loads
    if unpickle is True:
        warnings.warn(DANGER, RuntimeWarning, stacklevel=3)
        return pickle.loads
    raise ValueError(f"unpickle must be False, 'plain' or True, not {unpickle!r}")


def load_pickle(pickled: Any, what: str, loads: Loads | None) -> Any:
    """Return the value of a pickle; raise UnreadableError if it must not, or cannot, be read."""
    if loads is None:
        raise UnreadableError(f"its {what} is a pickle")
    if not isinstance(pickled, bytes):
        raise UnreadableError(f"its {what} should be a pickle and is not")
    try:
        return loads(pickled)
    except pickle.UnpicklingError as error:
        raise UnreadableError(f"its {what} is a pickle that is not read: {error}") from error
    except Exception as error:  # a pickle can raise anything
        raise UnreadableError(f"its {what} is a pickle that fails: {type(error).__name__}") from error


@contextmanager
def open_unchanged(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading without changing it, or making files beside it.

    SQLite would do so for a database with a log or a journal, so such a database is copied first.

    Raises:
        ValueError: it is not a database, or so damaged that nothing can be read.
    """
    companions = [ending for ending in ("-wal", "-journal") if Path(f"{path}{ending}").is_file()]
    with TemporaryDirectory(prefix="move-") as aside:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        if companions:
            for ending in ("", *companions):
                shutil.copyfile(f"{path}{ending}", Path(aside, f"copy{ending}"))
            uri = Path(aside, "copy").as_uri()
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                yield connection
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} cannot be read as a database: {error}") from error


def find_damage(connection: sqlite3.Connection) -> str | None:
    """Return what a check of the pages says about the damage of a database; None if there is no damage."""
    try:
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if finding == "ok" else str(finding).replace("\n", " ")
