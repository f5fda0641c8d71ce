"""Failures of SQLite and of the operating system, injected under the library."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys

import pytest

from sqlitedict_kv import (
    CorruptStoreError,
    KVError,
    OpenError,
    ReadOnlyError,
    Store,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreIOError,
    TooLargeError,
)
from sqlitedict_kv.engines.protocol import Change, Delete, KeyRange, Put, Touch
from sqlitedict_kv.engines.sqlite import SQLiteEngine, session_engine
from sqlitedict_kv.engines.sqlite.error_mapping import translate
from sqlitedict_kv.engines.sqlite.files import location
from tests.support.processes import run

NOW = 1_700_000_000_000
SPAN = KeyRange("n")


def driver_error(code, message="injected"):
    kind = sqlite3.DatabaseError if code & 0xFF == sqlite3.SQLITE_CORRUPT else sqlite3.OperationalError
    error = kind(message)
    error.sqlite_errorcode, error.sqlite_errorname = code, "INJECTED"
    return error


class Faults:
    """Counts the statements that the library sends and makes chosen ones fail."""

    def __init__(self):
        self.sent = []
        self.plan = lambda number, sql: None
        self.number = 0

    def arm(self, plan):
        self.plan, self.number = plan, 0
        self.sent.clear()

    def disarm(self):
        self.arm(lambda number, sql: None)

    def before(self, sql):
        self.number += 1
        self.sent.append(sql)
        error = self.plan(self.number, sql)
        if error is not None:
            raise error

    def connect(self, *arguments, **options):
        faults = self

        class Cursor(sqlite3.Cursor):
            def execute(self, sql, *values):
                faults.before(sql)
                return super().execute(sql, *values)

        class Connection(sqlite3.Connection):
            def cursor(self, factory=Cursor):
                return super().cursor(factory)

            def execute(self, sql, *values):
                faults.before(sql)
                return super().execute(sql, *values)

        return sqlite3.connect(*arguments, factory=Connection, **options)


@pytest.fixture(autouse=True)
def soon_long(monkeypatch):
    """Makes 150 edits a long commit, which has a connection of its own."""
    monkeypatch.setattr(session_engine, "LONG_COMMIT", 150)


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.db")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A closed store with some entries, to be copied: to make a new one takes several syncs."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    engine = SQLiteEngine(str(path))
    engine.put_many([put(f"k{number}", b"%d" % number) for number in range(5)], NOW)
    engine.close()
    return path


@pytest.fixture
def engine(path, faults, template):
    shutil.copyfile(template, path)
    engine = SQLiteEngine(path, connect=faults.connect, timeout=0.02)
    yield engine
    faults.disarm()
    engine.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def put(key, body=b"1", **options):
    return Put("n", key, body, "application/json", None, **options)


def write(engine, edit):
    """Write one entry by the verb that is made for it, and return its version."""
    return engine.put(*edit[:5], NOW)


def bump(record):
    return put("k1", b"%d" % (int(record.body) + 1 if record else 0))


def raise_problems(report):
    """Raise what a check of the store reports, so that it is a verb like any other."""
    if not report.ok:
        raise CorruptStoreError("; ".join(report.problems)) from sqlite3.DatabaseError("as reported")


VERBS = {
    "read": lambda e: e.read("n", "k1"),
    "read_many": lambda e: e.read_many("n", ["k1", "k2"]),
    "keys": lambda e: e.keys(SPAN, 10, NOW),
    "records": lambda e: e.records(SPAN, 10, NOW),
    "count": lambda e: e.count("n", NOW),
    "namespaces": lambda e: e.namespaces(NOW),
    "figures": lambda e: e.figures(NOW),
    "check": lambda e: raise_problems(e.check(lambda *_: None)),
    "probe": lambda e: e.probe(),
    "put": lambda e: write(e, put("k1", b"7")),
    "put new": lambda e: write(e, put("new", b"7")),
    "put_many": lambda e: e.put_many([put(f"k{number}", b"8") for number in range(100)], NOW),
    "put_many long": lambda e: e.put_many([put(f"k{number}", b"8") for number in range(200)], NOW),
    "commit": lambda e: e.commit([put("a"), put("k1", b"9"), Delete("n", "k2"), Touch("n", "k3", NOW + 5)], NOW),
    "change": lambda e: e.commit([Change("n", "k1", bump)], NOW),
    "clear": lambda e: e.clear("n", NOW),
    "drop": lambda e: e.drop("n", NOW),
    "purge": lambda e: e.purge_expired(None, None, NOW),
    "vacuum": lambda e: e.vacuum(),
    "sync": lambda e: e.sync(),
}
WRITES = ["put", "put new", "put_many", "put_many long", "commit", "change", "clear"]


def content(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "SELECT ns, key, value, content_type, version, expires_at FROM kv ORDER BY ns, key"
        ).fetchall()
    finally:
        connection.close()


def is_free(path):
    """Whether another connection gets the write lock at once."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        connection.close()


KINDS = {
    "io": (sqlite3.SQLITE_IOERR_FSYNC, StoreIOError),
    "corrupt": (sqlite3.SQLITE_CORRUPT, CorruptStoreError),
    "full": (sqlite3.SQLITE_FULL, StoreFullError),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_an_error_at_any_statement_is_typed_and_changes_nothing(tmp_path, template, verb, kind):
    """The n-th statement fails, for every n until the verb comes through."""
    code, expected = KINDS[kind]
    for number in range(1, 60):
        path, faults = str(tmp_path / f"{number}.db"), Faults()
        shutil.copyfile(template, path)
        engine = SQLiteEngine(path, connect=faults.connect, timeout=0.02)
        try:
            before = content(path)
            faults.arm(lambda n, sql, at=number: driver_error(code) if n == at else None)
            try:
                VERBS[verb](engine)
            except KVError as error:
                opening = type(error).__name__ == "OpenError"  # of a connection for work that takes long
                assert opening or isinstance(error, expected), repr(error)
                assert isinstance(error.__cause__, sqlite3.Error)
                assert path in str(error)
                failed = True
            else:
                failed = False
            reached = faults.number >= number
            faults.disarm()
            assert is_free(path)
            if failed and verb in WRITES:
                assert content(path) == before
            if kind == "full":
                assert write(engine, put("after")) >= 1
        finally:
            engine.close()
        if not reached:
            break
    else:
        pytest.fail("never came through")
    assert number > 1


@pytest.mark.parametrize("kind", ["io", "corrupt"])
@pytest.mark.parametrize("verb", VERBS)
def test_after_a_failed_storage_no_statement_is_sent_any_more(engine, faults, verb, kind):
    code, expected = KINDS[kind]
    faults.arm(lambda number, sql: driver_error(code))
    with pytest.raises(KVError):
        VERBS[verb](engine)
    faults.disarm()
    if verb in ("figures", "check", "vacuum", "sync", "put_many long", "clear"):
        with pytest.raises(KVError):  # these open a connection of their own, where the first statement failed
            faults.arm(lambda number, sql: driver_error(code) if number > 20 or "kv" in sql else None)
            engine.read("n", "k1")
        faults.disarm()
    for other in VERBS.values():
        with pytest.raises(expected):
            other(engine)
    assert faults.sent == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT])
def test_the_last_connection_of_a_store_that_stopped_makes_no_checkpoint(engine, faults, path, code):
    """After a failed sync the log may be on the disk in part only; to copy it and sync again would hide that."""
    write(engine, put("k1"))
    with open(path, "rb") as file:  # no other process is there whose locks this would drop
        before = file.read()
    faults.arm(lambda number, sql: driver_error(code) if "wal_checkpoint" in sql else None)
    with pytest.raises(KVError):
        engine.vacuum()
    faults.disarm()
    engine.close()
    assert os.path.getsize(f"{path}-wal") > 0
    with open(path, "rb") as file:
        assert file.read() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_busy_statement_is_tried_again(engine, faults, verb):
    engine._database._timeout = 60.0  # however slow the machine is
    for number in (1, 2, 3):
        busy = iter([driver_error(sqlite3.SQLITE_BUSY), driver_error(sqlite3.SQLITE_BUSY_SNAPSHOT)])
        faults.arm(lambda n, sql, at=number, busy=busy: next(busy, None) if n >= at else None)
        VERBS[verb](engine)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])
@pytest.mark.parametrize("verb", VERBS)
def test_what_stays_busy_raises_after_the_timeout_and_changes_nothing(engine, faults, path, verb, code):
    before = content(path)
    faults.arm(lambda number, sql: driver_error(code))
    with pytest.raises(StoreBusyError, match="0.02 s"):
        VERBS[verb](engine)
    faults.disarm()
    assert content(path) == before
    assert engine.read("n", "k1").body == b"1"
    assert write(engine, put("k1")) == 2


@pytest.mark.parametrize("verb", WRITES)
def test_a_commit_that_is_busy_is_made_once(engine, faults, path, verb):
    """The whole transaction is repeated, so what it did before is not done twice."""
    engine._database._timeout = 60.0  # as above
    busy = iter([driver_error(sqlite3.SQLITE_BUSY)])
    faults.arm(lambda number, sql: next(busy, None) if sql == "COMMIT" else None)
    VERBS[verb](engine)
    for _, key, _, _, version, _ in content(path):
        assert version <= 2, key


@pytest.mark.parametrize("exception", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupted_call_is_rolled_back_and_leaves_no_lock(tmp_path, template, verb, exception):
    for number in range(1, 60):
        path, faults = str(tmp_path / f"{number}.db"), Faults()
        shutil.copyfile(template, path)
        engine = SQLiteEngine(path, connect=faults.connect, timeout=0.02)
        try:
            before = content(path)
            faults.arm(lambda n, sql, at=number: exception() if n == at else None)
            interrupted = False
            try:
                VERBS[verb](engine)
            except exception:
                interrupted = True
            # An interrupt of the upkeep that follows a commit cannot take the commit back.
            committed = "COMMIT" in faults.sent[:-1] or (verb.split()[0] == "put" and number > 1)
            reached = faults.number >= number
            faults.disarm()
            assert is_free(path)
            if interrupted and verb in WRITES and not committed:
                assert content(path) == before
            write(engine, put("after"))
            assert engine.read("n", "after").body == b"1"
            assert not engine._database.main.lock.locked()
        finally:
            engine.close()
        if not reached:
            break
    assert number > 1


def test_a_function_that_raises_inside_a_transaction_rolls_it_back(engine, path):
    before = content(path)

    def bad(record):
        raise ZeroDivisionError

    for raising in ([put("a"), Change("n", "k1", bad)], [Delete("n", "k1"), put("b"), Change("n", "x", bad)]):
        with pytest.raises(ZeroDivisionError):
            engine.commit(raising, NOW)
        assert content(path) == before
        assert is_free(path)
    write(engine, put("a"))


def test_a_full_disk_leaves_the_store_at_work(engine, faults, path):
    faults.arm(lambda number, sql: driver_error(sqlite3.SQLITE_FULL) if "INSERT" in sql else None)
    before = content(path)
    for _ in range(3):
        with pytest.raises(StoreFullError) as caught:
            write(engine, put("k1", b"9"))
        assert isinstance(caught.value, OSError)
    assert engine.read("n", "k1").body == b"1"
    assert content(path) == before
    faults.disarm()
    assert write(engine, put("k1", b"9")) == 2


def test_upkeep_that_fails_does_not_fail_the_write_before_it(path, faults):
    engine = SQLiteEngine(path, connect=faults.connect, timeout=0.05, max_entries=64)
    try:
        faults.arm(lambda number, sql: driver_error(sqlite3.SQLITE_FULL) if "DELETE" in sql else None)
        for number in range(200):
            assert write(engine, put(str(number))) == 1
        assert len(content(path)) == 200
        faults.disarm()
        for number in range(200):
            write(engine, put(str(number)))
        assert len(content(path)) < 150
    finally:
        engine.close()


def failing_stat(monkeypatch, suffix):
    """Make the system fail to say what is at a path, or behind a descriptor, when the library asks it."""
    whole = os.stat

    def stat(path, *arguments, **options):
        if isinstance(path, int) or path.endswith(suffix):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return whole(path, *arguments, **options)

    monkeypatch.setattr(location.os, "stat", stat)


def test_a_file_that_cannot_be_looked_at_stops_the_store(engine, path, monkeypatch):
    assert write(engine, put("k1")) == 2
    before = content(path)
    with monkeypatch.context() as patch:
        failing_stat(patch, os.path.dirname(path))
        with pytest.raises(StoreIOError):
            write(engine, put("k1"))
    for verb in VERBS.values():
        with pytest.raises(StoreIOError):
            verb(engine)
    assert content(path) == before


@pytest.mark.parametrize("suffix", [".db", "-wal"])
def test_a_file_that_cannot_be_looked_at_is_not_opened(path, template, monkeypatch, suffix):
    shutil.copyfile(template, path)
    with monkeypatch.context() as patch:
        failing_stat(patch, suffix)
        with pytest.raises(OpenError, match="cannot (open|look at)"):
            SQLiteEngine(path)
    SQLiteEngine(path).close()


def test_a_backup_whose_file_sqlite_cannot_open_is_an_error_of_ours(engine, path, monkeypatch):
    def refuse(path, **_):
        raise driver_error(sqlite3.SQLITE_CANTOPEN)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        with pytest.raises(OpenError, match="cannot write a backup"):
            engine.backup(f"{path}.copy")
    assert write(engine, put("k1")) == 2


def test_an_error_while_opening_leaves_no_connection_behind(path, faults):
    for number in range(1, 80):
        faults.arm(lambda n, sql, at=number: driver_error(sqlite3.SQLITE_IOERR) if n == at else None)
        try:
            engine = SQLiteEngine(path, connect=faults.connect)
        except KVError as error:
            assert path in str(error)
        else:
            engine.close()
            break
    assert number > 5
    faults.disarm()
    SQLiteEngine(path).close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreFullError),
        (sqlite3.SQLITE_IOERR, StoreIOError),
        (sqlite3.SQLITE_IOERR_WRITE, StoreIOError),
        (sqlite3.SQLITE_CORRUPT, CorruptStoreError),
        (sqlite3.SQLITE_NOTADB, CorruptStoreError),
        (sqlite3.SQLITE_READONLY, ReadOnlyError),
        (sqlite3.SQLITE_READONLY_DBMOVED, ReadOnlyError),
        (sqlite3.SQLITE_TOOBIG, TooLargeError),
        (sqlite3.SQLITE_MISUSE, StoreError),
        (None, StoreError),
    ],
)
def test_each_code_of_sqlite_has_its_error(code, kind):
    error = sqlite3.OperationalError("what SQLite said")
    if code is not None:
        error.sqlite_errorcode = code
    ours = translate(error, "the label")
    assert type(ours) is kind
    assert "the label" in str(ours)
    assert "what SQLite said" in str(ours)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
def test_a_disk_that_is_really_full_loses_nothing_and_recovers(tmp_path):
    """A limit of the file size stands for the end of the disk."""
    lines = run(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = Store(sys.argv[1])
        n = store.ns("n")
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        acknowledged = {}
        errors = set()
        for number in range(400):
            try:
                n[str(number)] = "x" * 2000
                acknowledged[str(number)] = "x" * 2000
            except StoreError as error:
                errors.add(type(error).__name__)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        say(sorted(errors))
        try:
            say(n.copy() == acknowledged)
            n["again"] = 1
        except StoreError as error:
            say(type(error).__name__)
        store.close()
        with Store(sys.argv[1]) as store:
            say(store.ns("n").copy() == acknowledged | ({"again": 1} if "again" in store.ns("n") else {}))
            store.ns("n")["again"] = 1
            say(store.check().ok)
        """,
        tmp_path / "store.db",
    )
    errors = eval(lines[0])
    # SQLite says FULL where write() says ENOSPC, and IOERR for EFBIG; both are typed, and after the second it stops.
    assert errors
    assert set(errors) <= {"StoreFullError", "StoreIOError"}
    assert lines[-2:] == ["True", "True"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
def test_a_backup_that_cannot_be_written_does_not_stop_the_store(tmp_path):
    assert run(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = Store(sys.argv[1])
        n = store.ns("n")
        n.set_many({str(number): "x" * 2000 for number in range(200)})
        store.vacuum()
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            store.backup(sys.argv[1] + ".copy")
        except OpenError:
            say("refused")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        n["more"] = 1
        say(len(n))
        say(sorted(name for name in os.listdir(os.path.dirname(sys.argv[1])) if "copy" in name))
        """,
        tmp_path / "store.db",
    ) == ["refused", "201", "[]"]


def test_a_memory_store_is_not_stopped_by_an_error_of_the_driver(faults):
    """What is gone with the connection could not be read again."""
    engine = SQLiteEngine(None, connect=faults.connect)
    write(engine, put("k"))
    faults.arm(lambda number, sql: driver_error(sqlite3.SQLITE_IOERR))
    with pytest.raises(StoreIOError):
        engine.read("n", "k")
    faults.disarm()
    assert engine.read("n", "k").body == b"1"
    engine.close()


def test_a_memory_store_that_is_full_says_so():
    with Store() as store:
        n = store.ns("n")
        n["k"] = 1
        store._engine._database.main.raw.execute("PRAGMA max_page_count = 10")
        with pytest.raises(StoreFullError):
            n["big"] = b"x" * 100_000
        assert n.copy() == {"k": 1}
        n["k"] = 2


def test_the_faults_reach_the_library(engine, faults):
    faults.arm(lambda number, sql: None)
    engine.read("n", "k1")
    engine.sync()
    assert len(faults.sent) >= 5
    assert any("SELECT" in sql for sql in faults.sent)
