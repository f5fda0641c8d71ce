"""Files that others wrote: those of the first SQLiteKV open as they are, all others are refused untouched."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgpack
import pytest

from sqlitedict_kv import (
    CorruptStoreError,
    DamagedEntryError,
    DecodeError,
    ForeignDatabaseError,
    LocationError,
    NewerFormatError,
    NotADatabaseError,
    OpenError,
    Store,
)
from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.engine import SQLiteEngine
from tests.support.processes import Worker, run

TABLE_OF_THE_FIRST = """
CREATE TABLE IF NOT EXISTS kv (
    ns TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    content_type TEXT NOT NULL DEFAULT 'application/json',
    version INTEGER NOT NULL DEFAULT 1,
    expires_at INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (ns, key)
)
"""
INDEX_OF_THE_FIRST = "CREATE INDEX IF NOT EXISTS idx_kv_expires_at ON kv (expires_at) WHERE expires_at IS NOT NULL"
USELESS_INDEX = "CREATE INDEX IF NOT EXISTS idx_kv_ns_key ON kv (ns, key)"

UPSERT_OF_THE_FIRST = """
INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at) VALUES (?, ?, ?, ?, 1, ?, ?)
ON CONFLICT (ns, key) DO UPDATE SET
    value = excluded.value, content_type = excluded.content_type, version = kv.version + 1,
    expires_at = excluded.expires_at, updated_at = excluded.updated_at
"""

NOW = 1_700_000_000_000  # Unix time in milliseconds
LATER = NOW + 3_600_000
EARLIER = NOW - 1
JSON, MSGPACK, BYTES, TEXT = (
    "application/json",
    "application/msgpack",
    "application/octet-stream",
    "text/plain; charset=utf-8",
)
ROWS = [
    ("users", "ada", b'{"name": "Ada", "tags": [1, 2.5, null, true]}', JSON, 1, None, NOW),
    ("users", "Ünïcode ☃", '"žluťoučký"'.encode(), JSON, 7, None, NOW),
    ("users", "session", b'{"a":1}', JSON, 2, LATER, NOW),
    ("users", "gone", b'"expired"', JSON, 5, EARLIER, NOW - 9000),
    ("users", "packed", msgpack.packb({"a": [1, b"\x00\xff", "x"]}), MSGPACK, 3, None, NOW),
    ("blobs", "raw", bytes(range(256)) * 40, BYTES, 1, LATER, NOW),
    ("blobs", "empty", b"", BYTES, 12, None, NOW),
    ("notes", "text", "naïve\ntext".encode(), TEXT, 4, None, NOW),
    ("notes", "shell", "typed by hand", TEXT, 1, None, NOW),  # TEXT, from the sqlite3 shell
]
VALUES = {
    ("users", "ada"): {"name": "Ada", "tags": [1, 2.5, None, True]},
    ("users", "Ünïcode ☃"): "žluťoučký",
    ("users", "session"): {"a": 1},
    ("users", "packed"): {"a": [1, b"\x00\xff", "x"]},
    ("blobs", "raw"): bytes(range(256)) * 40,
    ("blobs", "empty"): b"",
    ("notes", "text"): "naïve\ntext",
    ("notes", "shell"): "typed by hand",
}


def make_first(path, journal="delete", rows=ROWS, useless=True):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    for statement in (TABLE_OF_THE_FIRST, INDEX_OF_THE_FIRST) + ((USELESS_INDEX,) if useless else ()):
        connection.execute(statement)
    connection.executemany("INSERT INTO kv VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()


def clock():
    return NOW / 1000


def opened(path, **options):
    return Store(path, clock=clock, **options)


def query(path, sql, *values):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def state(directory):
    """Everything that can be seen of the files in a directory; no database in it may be open in this process."""
    return [
        (file.name, file.lstat().st_mtime_ns, file.lstat().st_mode, file.lstat().st_ino, file.read_bytes())
        for file in sorted(Path(directory).iterdir())
        if not file.name.endswith("-shm")
    ]


# -- files of the first SQLiteKV


@pytest.mark.parametrize("useless", [True, False], ids=["with useless index", "without"])
@pytest.mark.parametrize("journal", ["delete", "wal", "truncate"])
def test_a_file_of_the_first_release_opens_and_reads_right(tmp_path, journal, useless):
    path = tmp_path / "first.db"
    make_first(path, journal, useless=useless)

    with opened(path) as store:
        assert store.namespaces() == ["blobs", "notes", "users"]
        for namespace in store.namespaces():
            assert dict(store.ns(namespace)) == {key: VALUES[ns, key] for ns, key in VALUES if ns == namespace}
        for ns, key, _, content_type, version, expires_at, updated_at in ROWS:
            entry = store.ns(ns).get_with_meta(key)
            if key == "gone":
                assert entry is None
                continue
            assert (entry.meta.version, entry.meta.content_type) == (version, content_type)
            assert entry.meta.updated_at.timestamp() * 1000 == updated_at
            assert (entry.meta.expires_at and entry.meta.expires_at.timestamp() * 1000) == expires_at
        report = store.check()
        assert report.ok
        assert (report.entries, report.unchecked) == (len(ROWS), len(ROWS))


def test_a_file_of_the_first_release_is_migrated(tmp_path):
    path = tmp_path / "first.db"
    make_first(path)

    opened(path).close()

    assert query(path, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    assert query(path, "PRAGMA user_version") == [(schema.CURRENT,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    columns = [row[1] for row in query(path, "PRAGMA table_info(kv)")]
    assert columns == ["ns", "key", "value", "content_type", "version", "expires_at", "updated_at", "checksum"]
    names = {name for (name,) in query(path, "SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")}
    assert names == {"kv", "kv_floor", "idx_kv_expires_at"}
    assert query(path, "SELECT ns, key, value, content_type, version, expires_at, updated_at FROM kv ORDER BY rowid")[
        : len(ROWS)
    ] == [tuple(row) for row in ROWS]
    assert query(path, "SELECT DISTINCT checksum FROM kv") == [(None,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_migrated_file_has_the_same_schema_as_a_new_one(tmp_path):
    make_first(tmp_path / "first.db")
    opened(tmp_path / "first.db").close()
    opened(tmp_path / "new.db").close()

    def shape(path):
        rows = query(path, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        return [(name, schema.canonical(sql)) for name, sql in rows]

    assert shape(tmp_path / "first.db") == shape(tmp_path / "new.db")


def test_writes_to_a_migrated_file_go_on_from_the_old_versions(tmp_path):
    path = tmp_path / "first.db"
    make_first(path)
    with opened(path) as store:
        users = store.ns("users")
        assert users.set("ada", 1) == 2
        assert users.cas_set("Ünïcode ☃", 1, 7) == 8
        assert users.set("gone", 1) == 6  # expired, and its versions count all the same
        assert users.touch("session", 60)
        assert users.get_with_meta("session").meta.version == 2
        assert users.delete("packed")
        assert users.set("packed", 0) == 4
        assert store.check().ok


def test_the_old_program_goes_on_working_on_a_migrated_file(tmp_path):
    path = tmp_path / "first.db"
    make_first(path)
    with opened(path) as store:
        users = store.ns("users")
        users["ada"] = "ours"  # sealed now
        users["mine"] = "ours"
        query(path, UPSERT_OF_THE_FIRST, "users", "ada", b'"theirs"', JSON, None, NOW)
        query(path, UPSERT_OF_THE_FIRST, "users", "new", b'["theirs"]', JSON, LATER, NOW)
        query(path, "UPDATE kv SET value = ?, version = version + 1 WHERE ns = 'users' AND key = 'mine'", b"3")
        query(path, "DELETE FROM kv WHERE ns = 'blobs'")

        assert users["ada"] == "theirs"
        assert users["new"] == ["theirs"]
        assert users["mine"] == 3
        assert users.get_with_meta("ada").meta.version == 3
        assert "raw" not in store.ns("blobs")
        report = store.check()
        assert report.ok
        assert report.unchecked == report.entries

        users["ada"] = "ours again"
        assert users.get_with_meta("ada").meta.version == 4
        assert store.check().unchecked == report.unchecked - 1


def test_an_old_program_may_write_many_times_over_one_of_our_rows(tmp_path):
    path = tmp_path / "first.db"
    with opened(path) as store:
        store.ns("n")["k"] = 0
        for number in range(1, 50):
            query(path, UPSERT_OF_THE_FIRST, "n", "k", str(number).encode(), JSON, None, NOW)
            assert store.ns("n")["k"] == number
        assert store.ns("n").set("k", -1) == 51


@pytest.mark.parametrize(
    "change",
    [
        "value = CAST('\"other\"' AS BLOB)",
        "content_type = 'application/octet-stream'",
        "expires_at = 9999999999999",
        "updated_at = updated_at + 1",
        "version = version - 1",
        "key = 'stolen'",
        "ns = 'elsewhere'",
        "checksum = checksum + 1",
        "checksum = 0",
        "value = CAST(value AS TEXT)",
    ],
)
def test_a_row_changed_without_a_version_bump_is_reported_damaged(tmp_path, change):
    path = tmp_path / "store.db"
    with opened(path) as store:
        users = store.ns("users")
        users["k"] = "first"
        users["k"] = "second"
        users["other"] = "well"
        query(path, f"UPDATE kv SET {change} WHERE key = 'k'")
        namespace, key = ("elsewhere", "k") if "ns =" in change else ("users", "stolen" if "stolen" in change else "k")

        with pytest.raises(DamagedEntryError) as caught:
            store.ns(namespace)[key]
        assert (caught.value.namespace, caught.value.key) == (namespace, key)
        assert "second" not in str(caught.value)
        report = store.check()
        assert not report.ok
        assert len(report.problems) == 1
        assert repr(key) in report.problems[0]
        assert users["other"] == "well"


def test_a_row_of_unknown_content_type_is_an_error_and_never_a_miss(tmp_path):
    path = tmp_path / "first.db"
    make_first(path, rows=[("n", "k", b"\x80\x04N.", "application/x-python-pickle", 1, None, NOW)])
    with opened(path) as store:
        with pytest.raises(DecodeError, match="application/x-python-pickle"):
            store.ns("n")["k"]
        assert "k" in store.ns("n")
        assert not store.check().ok


def test_a_file_that_the_first_release_left_in_the_middle_of_a_write_opens(tmp_path):
    """A killed writer leaves a hot journal, which whoever opens the file next must roll back."""
    path = tmp_path / "first.db"
    make_first(path)
    with Worker(
        """
        import sqlite3
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 2")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(200):
            connection.execute("INSERT INTO kv VALUES ('n', ?, zeroblob(5000), 'x', 1, NULL, 1)", (str(number),))
        connection.execute("UPDATE kv SET value = zeroblob(9000)")
        say("half")
        hear()
        """,
        path,
    ) as worker:
        assert worker.hear() == "half"
        worker.kill()
    assert os.path.getsize(f"{path}-journal") > 0

    with opened(path) as store:
        assert dict(store.ns("notes")) == {"text": "naïve\ntext", "shell": "typed by hand"}
        assert store.namespaces() == ["blobs", "notes", "users"]
        assert store.check().ok


@pytest.mark.parametrize("with_log", [False, True])
def test_a_file_whose_creation_a_power_cut_interrupted_opens(tmp_path, with_log):
    """The change to WAL mode goes through a journal, which a power cut can leave beside half of the first page."""
    path, half = tmp_path / "half.db", tmp_path / "store.db"
    with Worker(
        """
        import sqlite3
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        say("half")
        hear()
        """,
        path,
    ) as worker:
        worker.hear()
        worker.kill()
    journal = Path(f"{path}-journal").read_bytes()
    assert journal
    Path(f"{half}-journal").write_bytes(journal)
    half.write_bytes(bytes(4096))
    if with_log:
        Path(f"{half}-wal").touch()

    with opened(half) as store:
        store.ns("n")["k"] = 1
        assert store.check().ok
    assert not os.path.exists(f"{half}-journal")


def test_a_log_that_the_first_release_left_behind_is_read(tmp_path):
    path = tmp_path / "first.db"
    make_first(path, "wal", rows=ROWS[:1])
    with Worker(
        """
        import sqlite3
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("INSERT INTO kv VALUES ('n', 'late', x'31', 'application/json', 1, NULL, 1)")
        say("written")
        hear()
        """,
        path,
    ) as worker:
        worker.hear()
        worker.kill()
    assert os.path.getsize(f"{path}-wal") > 0

    with opened(path) as store:
        assert store.ns("n")["late"] == 1


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "first.db"
    make_first(path)

    class Stubborn(sqlite3.Connection):
        def execute(self, sql, *arguments):
            if sql.startswith("CREATE TABLE kv_floor"):
                raise KeyboardInterrupt
            return super().execute(sql, *arguments)

    with pytest.raises(KeyboardInterrupt):
        SQLiteEngine(str(path), connect=lambda *args, **kwargs: sqlite3.connect(*args, factory=Stubborn, **kwargs))

    assert query(path, "PRAGMA user_version") == [(0,)]
    assert "checksum" not in [row[1] for row in query(path, "PRAGMA table_info(kv)")]
    assert query(path, "SELECT count(*) FROM kv") == [(len(ROWS),)]
    with opened(path) as store:
        assert store.ns("users")["ada"] == VALUES["users", "ada"]


# -- opening what is current


@pytest.mark.parametrize("kind", ["new", "first"])
def test_opening_a_current_file_writes_nothing(tmp_path, kind):
    path = tmp_path / "store.db"
    if kind == "first":
        make_first(path)
    with opened(path) as store:
        store.ns("n")["k"] = 1
    before = state(tmp_path)

    with opened(path) as store:
        assert store.ns("n")["k"] == 1

    assert state(tmp_path) == before


def test_an_observer_sees_no_change_when_a_current_file_is_opened(tmp_path):
    path = tmp_path / "store.db"
    with opened(path) as store:
        store.ns("n")["k"] = 1
    observer = sqlite3.connect(path, isolation_level=None)
    try:
        before = observer.execute("PRAGMA data_version").fetchone()
        with opened(path) as store:
            assert store.ns("n")["k"] == 1
            assert observer.execute("PRAGMA data_version").fetchone() == before
        assert observer.execute("PRAGMA data_version").fetchone() == before
        query(path, "DELETE FROM kv")
        assert observer.execute("PRAGMA data_version").fetchone() != before
    finally:
        observer.close()


def test_a_file_that_another_process_migrates_while_it_is_looked_at_opens(tmp_path):
    """Whoever looks at application_id, user_version and tables one after the other sees no state in between."""
    path = tmp_path / "store.db"
    make_first(path, "wal")  # a journal would keep the other process waiting for our look
    looked = []

    class Slow(sqlite3.Connection):
        def execute(self, sql, *arguments):
            if sql == "PRAGMA user_version" and not looked:
                looked.append(True)
                run("Store(sys.argv[1]).close()", path)
            return super().execute(sql, *arguments)

    SQLiteEngine(str(path), connect=lambda *args, **kwargs: sqlite3.connect(*args, factory=Slow, **kwargs)).close()
    assert looked


# -- files of others


def tamper(*statements):
    def make(path):
        opened(path).close()
        for statement in statements:
            query(path, statement)

    return make


def foreign(*statements, journal="delete"):
    def make(path):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"PRAGMA journal_mode = {journal}")
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return make


def first_and(*statements):
    def make(path):
        make_first(path)
        for statement in statements:
            query(path, statement)

    return make


def raw(content):
    return lambda path: Path(path).write_bytes(content)


def truncated(path):
    with opened(path) as store:
        store.ns("n").set_many({str(number): "x" * 500 for number in range(200)})
    size = os.path.getsize(path)
    os.truncate(path, size // 4096 // 2 * 4096)


TRIGGER = "CREATE TRIGGER t AFTER INSERT ON kv BEGIN DELETE FROM kv; END"
VIEW = "CREATE VIEW v AS SELECT * FROM kv"
REFUSED = {
    "a newer format": (tamper(f"PRAGMA user_version = {schema.NEWEST + 1}"), NewerFormatError),
    "a much newer format": (tamper("PRAGMA user_version = 2000000000", "CREATE TABLE t (x)"), NewerFormatError),
    "another application_id": (tamper("PRAGMA application_id = 252006673"), ForeignDatabaseError),
    "another application's id, no tables": (foreign("PRAGMA application_id = 5"), ForeignDatabaseError),
    "another user_version, no tables": (foreign("PRAGMA user_version = 5"), ForeignDatabaseError),
    "other tables": (foreign("CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"), ForeignDatabaseError),
    "other tables, WAL": (foreign("CREATE TABLE t (x)", journal="wal"), ForeignDatabaseError),
    "another kv table": (foreign("CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB)"), ForeignDatabaseError),
    "a first file with a user_version": (first_and("PRAGMA user_version = 1"), ForeignDatabaseError),
    "a first file with a trigger": (first_and(TRIGGER), ForeignDatabaseError),
    "a first file with a table": (first_and("CREATE TABLE t (x)"), ForeignDatabaseError),
    "a first file without its index": (first_and("DROP INDEX idx_kv_expires_at"), ForeignDatabaseError),
    "an added trigger": (tamper(TRIGGER), ForeignDatabaseError),
    "an added view": (tamper(VIEW), ForeignDatabaseError),
    "an added table": (tamper("CREATE TABLE t (x)"), ForeignDatabaseError),
    "an added index": (tamper("CREATE INDEX i ON kv (updated_at)"), ForeignDatabaseError),
    "an index with an expression": (tamper("CREATE INDEX i ON kv (ns, lower(key))"), ForeignDatabaseError),
    "an added column": (tamper("ALTER TABLE kv ADD COLUMN more"), ForeignDatabaseError),
    "a missing table": (tamper("DROP TABLE kv_floor"), ForeignDatabaseError),
    "UTF-16": (foreign("PRAGMA encoding = 'UTF-16'", TABLE_OF_THE_FIRST, INDEX_OF_THE_FIRST), ForeignDatabaseError),
    "text": (raw(b"This is a diary, not a database.\n" * 100), NotADatabaseError),
    "short text": (raw(b"xy"), NotADatabaseError),
    "a header and nothing": (raw(b"SQLite format 3\0"), OpenError),
    "a truncated store": (truncated, CorruptStoreError),
}


@pytest.mark.parametrize("readonly", [False, True], ids=["rw", "readonly"])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_not_ours_is_refused_untouched(tmp_path, kind, readonly):
    make, error = REFUSED[kind]
    path = tmp_path / "file.db"
    make(path)
    before, listing = state(tmp_path), sorted(os.listdir(tmp_path))

    with pytest.raises(error) as caught:
        opened(path, readonly=readonly)

    assert str(path) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == listing
    assert state(tmp_path) == before


def test_a_foreign_file_with_a_log_that_is_not_in_it_yet_is_untouched(tmp_path):
    path = tmp_path / "foreign.db"
    foreign("CREATE TABLE t (x)", journal="wal")(path)
    with Worker(
        """
        import sqlite3
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("INSERT INTO t VALUES (zeroblob(50000))")
        say("written")
        hear()
        """,
        path,
    ) as worker:
        worker.hear()
        worker.kill()
    before, listing = state(tmp_path), sorted(os.listdir(tmp_path))
    assert os.path.getsize(f"{path}-wal") > 50000

    for readonly in (False, True):
        with pytest.raises(ForeignDatabaseError):
            opened(path, readonly=readonly)

    assert state(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == listing
    assert query(path, "SELECT sum(length(x)) FROM t") == [(50000,)]


def test_a_foreign_file_whose_application_runs_is_untouched(tmp_path):
    path = tmp_path / "foreign.db"
    foreign("CREATE TABLE t (x)", journal="wal")(path)
    theirs = sqlite3.connect(path, isolation_level=None)
    try:
        theirs.execute("INSERT INTO t VALUES (1)")
        before = [os.stat(file) for file in (path, f"{path}-wal")]  # to open them would drop the locks
        with pytest.raises(ForeignDatabaseError):
            opened(path)
        after = [os.stat(file) for file in (path, f"{path}-wal")]
        assert [(s.st_ino, s.st_mtime_ns, s.st_size) for s in after] == [
            (s.st_ino, s.st_mtime_ns, s.st_size) for s in before
        ]
        theirs.execute("INSERT INTO t VALUES (2)")
        assert run(
            """
            import sqlite3
            say(sqlite3.connect(sys.argv[1]).execute("SELECT sum(x) FROM t").fetchone()[0])
            os._exit(0)
            """,
            path,
        ) == ["3"]
    finally:
        theirs.close()


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(LocationError, match="not a regular file"):
        opened(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_hard_link_is_refused(tmp_path):
    path, other = tmp_path / "store.db", tmp_path / "other.db"
    opened(path).close()
    os.link(path, other)
    before = state(tmp_path)
    for name in (path, other):
        with pytest.raises(LocationError, match="hard links"):
            opened(name)
    assert state(tmp_path) == before


def test_a_dangling_link_is_refused_and_nothing_is_made_behind_it(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere.db")
    for readonly in (False, True):
        with pytest.raises(LocationError, match="link"):
            opened(tmp_path / "link.db", readonly=readonly)
    assert os.listdir(tmp_path) == ["link.db"]


def test_a_link_to_a_store_is_that_store(tmp_path):
    with opened(tmp_path / "store.db") as store:
        store.ns("n")["k"] = 1
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    with opened(tmp_path / "link.db") as store, opened(tmp_path / "store.db") as same:
        store.ns("n")["k"] = 2
        assert same.ns("n")["k"] == 2
        assert not os.path.exists(tmp_path / "link.db-wal")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LocationError, match="not a regular file"):
        opened(tmp_path / "pipe")


def test_a_file_of_one_byte_is_refused_untouched(tmp_path):
    """SQLite takes it for an empty one, and would write over it."""
    path = tmp_path / "note"
    path.write_bytes(b"y")
    for readonly in (False, True):
        with pytest.raises(NotADatabaseError, match="single byte"):
            Store(path, readonly=readonly)
    assert path.read_bytes() == b"y"


@pytest.mark.parametrize(
    "change", ["version = 'x'", "version = 1.5", "version = 9e999", "version = 'x', expires_at = 'x'"]
)
def test_a_row_whose_version_is_no_number_raises_a_typed_error_and_can_be_deleted(tmp_path, change):
    path = tmp_path / "store.db"
    with opened(path) as store:
        n = store.ns("n")
        n["k"] = 1
        query(path, f"UPDATE kv SET {change}")
        for call in (lambda: n.cas_set("k", 2, 1), lambda: n.delete("k", version=1), lambda: n.incr("k"), n.popitem):
            with pytest.raises(CorruptStoreError):
                call()
        assert n.delete("k")
        assert n.set("k", 2) >= 1
        n.clear()


@pytest.mark.parametrize("floor", ["'x'", "1.5", "-1", str(2**63 - 1)])
def test_a_floor_that_is_no_version_is_a_typed_error(tmp_path, floor):
    path = tmp_path / "store.db"
    with opened(path) as store:
        query(path, f"INSERT INTO kv_floor VALUES ('n', {floor})")
        with pytest.raises(CorruptStoreError):
            store.ns("n").set_many({"k": 1, "l": 2})
        assert len(store.ns("n")) == 0


def test_names_of_namespaces_that_are_no_text_are_damage(tmp_path):
    path = tmp_path / "store.db"
    with opened(path) as store:
        store.ns("n")["k"] = 1
        query(path, "UPDATE kv SET ns = x'00'")
        with pytest.raises(CorruptStoreError):
            store.namespaces()


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "empty.db"
    path.touch(mode=0o600)
    with opened(path) as store:
        store.ns("n")["k"] = 1
    assert query(path, "PRAGMA user_version") == [(schema.CURRENT,)]
