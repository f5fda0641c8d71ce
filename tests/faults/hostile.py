"""Database files that somebody made to hurt: other schemas, broken headers, columns of wrong types.

What is not just the schema of a store is refused, and the file stays as it was: a trigger or a view in it would run
inside of our calls. What has our schema and strange rows opens, and gives values or typed errors.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from sqlitedict_kv import CorruptStoreError, KVError, OpenError, Store
from sqlitedict_kv.engines.sqlite import schema
from tests.faults.campaign import Campaign, Round

GATE_OFF = "schema gate off"
PAGE = 4096
KEYS = [f"key {number}" for number in range(30)]
TABLE = "ns TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, content_type TEXT NOT NULL DEFAULT 'application/json', version INTEGER NOT NULL DEFAULT 1, expires_at INTEGER, updated_at INTEGER NOT NULL, checksum INTEGER"  # noqa: E501
REBUILD = "ALTER TABLE kv RENAME TO old; DROP INDEX idx_kv_expires_at; {}; INSERT INTO kv SELECT * FROM old; DROP TABLE old; CREATE INDEX idx_kv_expires_at ON kv (expires_at) WHERE expires_at IS NOT NULL"  # noqa: E501

# -- schemas that are not ours

SCHEMAS = {
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON kv BEGIN UPDATE kv SET value = x'39', checksum = NULL; END",
    "a trigger by the name of the table": "CREATE TRIGGER kv BEFORE INSERT ON kv BEGIN DELETE FROM kv; END",
    "a trigger by the name of the index": "CREATE TRIGGER idx_kv_expires_at BEFORE DELETE ON kv BEGIN SELECT 1; END",
    "a view in the place of the table": "ALTER TABLE kv RENAME TO old; CREATE VIEW kv AS SELECT * FROM old",
    "a view beside it": "CREATE VIEW v AS SELECT * FROM kv",
    "a view of the floors": "DROP TABLE kv_floor; CREATE VIEW kv_floor AS SELECT 'n' AS ns, 9 AS version",
    "a further table": "CREATE TABLE more (a)",
    "a further column": "ALTER TABLE kv ADD COLUMN more",
    "a column that is computed": "ALTER TABLE kv ADD COLUMN more AS (length(value))",
    "an index on an expression": "CREATE INDEX i ON kv (length(value))",
    "an index on another column": "CREATE INDEX i ON kv (value)",
    "a partial index": "CREATE INDEX i ON kv (ns, key) WHERE version > 1",
    "a unique index": "CREATE UNIQUE INDEX i ON kv (ns, key)",
    "no index": "DROP INDEX idx_kv_expires_at",
    "no floors": "DROP TABLE kv_floor",
    "no table": "DROP TABLE kv",
    "a table without rowid": REBUILD.format(f"CREATE TABLE kv ({TABLE}, PRIMARY KEY (ns, key)) WITHOUT ROWID"),
    "a table with a check": REBUILD.format(f"CREATE TABLE kv ({TABLE}, PRIMARY KEY (ns, key), CHECK (version < 9))"),
    "a table that ignores case": REBUILD.format(
        f"CREATE TABLE kv ({TABLE}, PRIMARY KEY (ns, key))".replace("key TEXT", "key TEXT COLLATE NOCASE")
    ),
    "a table without a key": REBUILD.format(f"CREATE TABLE kv ({TABLE})"),
    "statistics": "ANALYZE; CREATE TABLE x (a); DROP TABLE x; CREATE TABLE y (b)",
    "another application": "PRAGMA application_id = 7",
    "a later release": "PRAGMA user_version = 99",
    "a full-text table": "CREATE VIRTUAL TABLE f USING fts5(a)",
    "a schema that lies": (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'version INTEGER', 'version TEXT')"
    ),
    "a schema of nonsense": "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE kv (('",
    "a trigger in front of the table": (
        "CREATE TRIGGER kv BEFORE INSERT ON kv BEGIN DELETE FROM kv; END; PRAGMA writable_schema = ON; "
        "UPDATE sqlite_schema SET rowid = -1 WHERE type = 'trigger'"
    ),
    "a table twice": (
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT type, name, tbl_name, rootpage, sql || ' ' "
        "FROM sqlite_schema WHERE name = 'kv'"
    ),
}

# -- rows and pages that cannot be

COLUMNS = ("ns", "key", "value", "content_type", "version", "expires_at", "updated_at", "checksum")
VALUES = (
    "NULL", "0", "-1", "1.5", "9e999", "-9223372036854775808", "9223372036854775807", "''", "x''", "'text'",
    "x'ff00fe'", "CAST(x'ff6162' AS TEXT)",
    "CAST(x'6100' AS TEXT)", "zeroblob(300000)", "hex(zeroblob(60000))", "char(0)",
    "'[1'", "'n'", "x'93'",
)  # fmt: skip


def strange_row(raw: sqlite3.Connection, generator: random.Random) -> None:
    raw.execute("PRAGMA ignore_check_constraints = ON")
    for _ in range(generator.randrange(1, 4)):
        changes = ", ".join(
            f"{c} = {generator.choice(VALUES)}" for c in generator.sample(COLUMNS, generator.randrange(1, 4))
        )
        with contextlib.suppress(sqlite3.Error):  # NOT NULL, say
            raw.execute(f"UPDATE OR REPLACE kv SET {changes} WHERE rowid = ?", (generator.randrange(1, 30),))
    with contextlib.suppress(sqlite3.Error):
        raw.execute(f"INSERT OR REPLACE INTO kv_floor VALUES ('n', {generator.choice(VALUES)})")


def strange_roots(raw: sqlite3.Connection, generator: random.Random) -> None:
    raw.execute("PRAGMA writable_schema = ON")
    root = generator.choice((0, -1, 1, 2, 3, 4, 5, 6, 2**31, "NULL", "'x'"))
    raw.execute(f"UPDATE sqlite_schema SET rootpage = {root} WHERE rowid = ?", (generator.randrange(1, 6),))


def strange_header(content: bytes, generator: random.Random) -> bytes:
    """The fields at 16 to 100: https://www.sqlite.org/fileformat.html#the_database_header."""
    start, size = generator.choice(((16, 2), (18, 1), (19, 1), (20, 1), (21, 1), (24, 4), (28, 4), (32, 4), (36, 4), (44, 4), (48, 4), (52, 4), (56, 4), (64, 4), (92, 4), (96, 4)))  # fmt: skip # noqa: E501
    piece = generator.choice((bytes(size), b"\xff" * size, generator.randbytes(size), b"\x7f" + b"\xff" * (size - 1)))
    return content[:start] + piece + content[start + size :]


def strange_page(content: bytes, generator: random.Random) -> bytes:
    """The header of a b-tree page, and the pointers to its cells."""
    start = generator.randrange(len(content) // PAGE) * PAGE
    start += generator.randrange(100 if start == 0 else 0, 140)
    piece = generator.choice((b"\xff\xff", bytes(2), generator.randbytes(4), b"\x0d", b"\x05", b"\x0a", b"\x02"))
    return content[:start] + piece + content[start + len(piece) :]


def run(round_: Round) -> None:
    """Open files that are made to hurt, and use those that open."""
    generator = random.Random(round_.seed)
    path = round_.directory / "good.db"
    with Store(path) as store:
        store.ns("n").set_many({key: {"number": number} for number, key in enumerate(KEYS)}, ttl=1e6)
        store.ns("m").incr("k")
        store.ns("n").delete(KEYS[3])
    good = path.read_bytes()
    names = list(SCHEMAS)
    refuse = (lambda *_: None) if round_.sabotage == GATE_OFF else schema._refuse_strange_objects
    with patch.object(schema, "_refuse_strange_objects", refuse):
        for number in range(round_.size):
            place = round_.directory / str(number)
            place.mkdir()
            if number % 2 == 0:
                attempt_schema(place / "app.db", good, names[number // 2 % len(names)], round_, generator)
            else:
                attempt_rows(place / "app.db", good, round_, generator)
            round_.count("files")
            shutil.rmtree(place)


def attempt_schema(path: Path, good: bytes, name: str, round_: Round, generator: random.Random) -> None:
    path.write_bytes(good)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
        raw.executescript(SCHEMAS[name])
    before = path.read_bytes()
    try:
        Store(path, readonly=generator.random() < 0.3).close()
    except (OpenError, CorruptStoreError):
        round_.count("files that were refused")
    except BaseException as error:
        round_.fail(f"{name}: {type(error).__name__}: {error}")
    else:
        round_.fail(f"a file with {name} was opened")
    if path.read_bytes() != before or len(list(path.parent.iterdir())) > 1:
        round_.fail(f"a file with {name} was refused and changed")


def attempt_rows(path: Path, good: bytes, round_: Round, generator: random.Random) -> None:
    kind = generator.choice((strange_row, strange_row, strange_roots, strange_header, strange_page))
    if kind in (strange_header, strange_page):
        path.write_bytes(kind(good, generator))
    else:
        path.write_bytes(good)
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            kind(raw, generator)
    try:
        with Store(path) as store:
            use(store, round_)
            round_.count("files that were used")
    except (KVError, KeyError):
        round_.count("files that were refused")
    except BaseException as error:
        round_.fail(f"{kind.__name__}: {type(error).__name__}: {error}")


def use(store: Store, round_: Round) -> None:
    """Call everything; what is not a KVError, or what dict would raise, goes through."""
    n = store.ns("n")
    calls: list[Callable[[], object]] = [
        store.namespaces, store.stats, store.check, store.healthcheck,
        *(lambda key=key: n.get(key) for key in KEYS),
        lambda: list(n), lambda: dict(n.scan()), lambda: dict(n.items()), lambda: n.list("key", limit=3, reverse=True),
        lambda: n.get_many(KEYS), lambda: n.get_with_meta(KEYS[1]), lambda: len(n),
        lambda: n.set(KEYS[0], 1), lambda: n.incr(KEYS[0]), lambda: n.set("new", 1), lambda: n.touch(KEYS[2], 9),
        lambda: n.modify(KEYS[4], lambda value: value), lambda: n.set_many(dict.fromkeys(KEYS[:5], 0)),
        lambda: n.delete(KEYS[6]), lambda: n.pop(KEYS[7], None), n.popitem, store.purge_expired, store.sync,
        lambda: store.backup(f"{store._engine.label}.copy"), store.vacuum, n.clear, lambda: store.drop("m"),
    ]  # fmt: skip
    for call in calls:
        try:
            call()
        except (KVError, KeyError):
            round_.count("calls that raised")
        except TypeError as error:
            if "not a number" not in str(error):  # incr, of what a strange row holds
                raise
        round_.count("calls")


CAMPAIGN = Campaign(
    name="hostile",
    promise="A hostile file is refused untouched, or used with typed errors only; nothing in it runs",
    unit="files",
    run=run,
    ci=200,
    nightly=5_000,
    release=20_000,
    twins=(GATE_OFF,),
    twin=10,
)
