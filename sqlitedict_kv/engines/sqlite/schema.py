"""The tables in a file, their migrations, and the refusal of files that are not ours."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from sqlitedict_kv.engines.sqlite.error_mapping import primary_code
from sqlitedict_kv.engines.sqlite.files.value_table import FILE_INDEX, FILE_TABLE
from sqlitedict_kv.errors import (
    CorruptStoreError,
    ForeignDatabaseError,
    NewerFormatError,
    NotADatabaseError,
)

APPLICATION_ID = 0x53444B56  # "SDKV"

# A published migration is never edited: files in the wild were made by it. The first one makes what the
# first SQLiteKV made, so its files begin at the second.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE kv (ns TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  content_type TEXT NOT NULL DEFAULT 'application/json', version INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER, updated_at INTEGER NOT NULL, PRIMARY KEY (ns, key))""",
        "CREATE INDEX idx_kv_expires_at ON kv (expires_at) WHERE expires_at IS NOT NULL",
    ),
    (
        "ALTER TABLE kv ADD COLUMN checksum INTEGER",
        "CREATE TABLE kv_floor (ns TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
    ),
)
CURRENT = len(MIGRATIONS)  # which every file is brought to
# The tables of a feature are made by its first use; user_version is the number of the newest feature that is in use.
WITH_FILES = CURRENT + 1
NEWEST = WITH_TAGS = CURRENT + 2  # in which the tables of values in files may be there too

TABLE_V1 = MIGRATIONS[0][0]
# As ALTER TABLE leaves it, letter by letter.
TABLE = """CREATE TABLE kv (ns TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  content_type TEXT NOT NULL DEFAULT 'application/json', version INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER, updated_at INTEGER NOT NULL, checksum INTEGER, PRIMARY KEY (ns, key))"""
EXPIRY_INDEX = MIGRATIONS[0][1]
FLOOR_TABLE = MIGRATIONS[1][1]

# A tag counts for the version of the entry that it was written with. So any other write of the entry ends it.
TAG_TABLE = """CREATE TABLE kv_tag (ns TEXT NOT NULL, key TEXT NOT NULL, tag TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (ns, key, tag)) WITHOUT ROWID"""
TAG_INDEX = "CREATE INDEX kv_tag_entries ON kv_tag (tag, version)"

AS_WE_MAKE_IT = frozenset({TABLE, EXPIRY_INDEX, FLOOR_TABLE})  # and what canonical() finds equal

# The first SQLiteKV made this beside the primary key, which serves the same look-ups at half the cost.
USELESS_INDEX = re.compile(r"create index (\w+) on kv\(ns,key\)")

# A reader of a file that was not migrated yet sees the column and the table that it lacks.
VIEWS_OF_V1 = (
    "CREATE TEMP VIEW kv AS SELECT rowid AS rowid, *, NULL AS checksum FROM main.kv",
    "CREATE TEMP VIEW kv_floor AS SELECT NULL AS ns, NULL AS version WHERE 0",
)

OBJECTS = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"


def canonical(sql: str) -> str:
    """Return a statement without the freedom of case and white space, for comparison."""
    text = re.sub(r"\s+", " ", sql.strip()).lower().replace("if not exists ", "")
    return re.sub(r" ?([(),]) ?", r"\1", text)


class SchemaState(NamedTuple):
    """What a file is found to be."""

    version: int  # the migration that it is at, 0 if it is empty
    useless_indexes: list[str]


def inspect_schema(connection: sqlite3.Connection, label: str) -> SchemaState:
    """Return what is in a file, unless it is not ours; the caller has begun a transaction.

    Raises:
        NotADatabaseError: it is not a SQLite database.
        ForeignDatabaseError: another application made it, or something was added to ours.
        NewerFormatError: a later release made it.
    """
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        rows = connection.execute(OBJECTS).fetchall()
    except sqlite3.DatabaseError as error:
        code = primary_code(error)
        if code == sqlite3.SQLITE_NOTADB:
            raise NotADatabaseError(f"{label} is not a SQLite database; it was not changed") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise CorruptStoreError(f"{label} is damaged: {error}; it was not changed") from error
        raise
    objects = dict(rows)
    if len(objects) < len(rows):  # a trigger may have the name of a table, and hide behind it
        raise ForeignDatabaseError(f"{label} is not a store of this library: names are used twice; it was not changed")
    found = _version_of(application, version, objects, encoding, label)
    return SchemaState(found, _useless(objects.values()))


def _version_of(application: int, version: int, objects: dict[str, str], encoding: str, label: str) -> int:
    if application not in (0, APPLICATION_ID):
        raise ForeignDatabaseError(
            f"{label} belongs to another application (application_id {application:#x}); it was not changed"
        )
    if application == APPLICATION_ID and version > NEWEST:
        raise NewerFormatError(
            f"{label} was written by a later release (format {version}, this release knows up to {NEWEST}); "
            f"upgrade sqlitedict_kv to open it; it was not changed"
        )
    if not objects and application == 0 and version == 0:
        return 0
    found = version if application == APPLICATION_ID else 1
    if application == 0 and version != 0:
        raise ForeignDatabaseError(
            f"{label} belongs to another application (user_version {version}); it was not changed"
        )
    _refuse_strange_objects(objects, found, label)
    if encoding != "UTF-8":
        raise ForeignDatabaseError(f"{label} is encoded in {encoding}, a store is UTF-8; it was not changed")
    return found


def _refuse_strange_objects(objects: dict[str, str], version: int, label: str) -> None:
    """Raise unless the schema is just ours: a trigger or a view in a crafted file would run inside our calls."""
    expected = {"kv": TABLE_V1, "idx_kv_expires_at": EXPIRY_INDEX}
    if version >= 2:  # noqa: PLR2004 - the number of a migration
        expected |= {"kv": TABLE, "kv_floor": FLOOR_TABLE}
    if version == WITH_FILES or (version > WITH_FILES and "kv_file" in objects):
        expected |= {"kv_file": FILE_TABLE, "kv_file_todo": FILE_INDEX}
    if version >= WITH_TAGS:
        expected |= {"kv_tag": TAG_TABLE, "kv_tag_entries": TAG_INDEX}
    for name, sql in objects.items():
        ours = expected.pop(name, "")
        known = sql == ours or (ours and canonical(sql) == canonical(ours))
        if not known and not USELESS_INDEX.fullmatch(canonical(sql)):
            raise ForeignDatabaseError(
                f"{label} is not a store of this library: {name!r} is not as we make it; it was not changed"
            )
    if expected:
        missing = ", ".join(sorted(expected))
        raise ForeignDatabaseError(f"{label} is not a store of this library: it lacks {missing}; it was not changed")


def _useless(statements: Iterable[str]) -> list[str]:
    """Return the names of the indexes that only repeat the primary key."""
    matches = [USELESS_INDEX.fullmatch(canonical(sql)) for sql in statements if sql not in AS_WE_MAKE_IT]
    return [match[1] for match in matches if match]


def migrate(connection: sqlite3.Connection, found: SchemaState) -> None:
    """Bring a file to the current format; the caller has looked in the same transaction, which can write."""
    for statements in MIGRATIONS[found.version :]:
        for statement in statements:
            connection.execute(statement)
    for name in found.useless_indexes:
        connection.execute(f"DROP INDEX {name}")  # the pattern above admits letters, digits and _ only
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {max(found.version, CURRENT)}")


def raise_format(cursor: sqlite3.Cursor, number: int) -> None:
    """Note that the feature with a number is in use, so that releases that do not know it refuse the file."""
    (version,) = cursor.execute("PRAGMA main.user_version").fetchone()
    if version < number:
        cursor.execute(f"PRAGMA main.user_version = {number}")
