"""Groups of edits in one transaction, and the write that does not wait."""

import sqlite3
from contextlib import closing

import pytest

from sqlitedict_kv import ConflictError, ReadOnlyError, StoreBusyError, StoreError
from sqlitedict_kv.engines.protocol import Change, Check, Delete, Put, Touch
from sqlitedict_kv.engines.sqlite import SQLiteEngine

NOW = 1_700_000_000_000


def clock():
    return NOW


def put(key, body=b"1", expected=None, namespace="n"):
    return Put(namespace, key, body, "application/json", None, expected)


@pytest.fixture(params=["file", "memory"])
def engine(request, tmp_path):
    engine = SQLiteEngine(str(tmp_path / "app.db") if request.param == "file" else None, timeout=0.05)
    yield engine
    engine.close()


def test_a_group_that_fails_is_undone_and_those_around_it_stay(engine):
    engine.put("n", "there", b"0", "application/json", None, NOW)
    groups = [
        [put("a")],
        [put("half"), Delete("n", "there"), put("a", b"2"), Check("n", "never", 5)],
        [put("a", b"3")],
        [Delete("n", "never", required=True)],
        [put("there", b"4", 1), put("last")],
    ]
    outcomes = engine.commit_groups(lambda: groups, clock)
    assert [type(outcome) for outcome in outcomes] == [list, ConflictError, list, KeyError, list]
    assert [outcomes[0], outcomes[2], outcomes[4]] == [[1], [2], [2, 1]]
    assert {key: record.body for key, record in engine.read_many("n", ["a", "half", "there", "last"]).items()} == {
        "a": b"3",
        "there": b"4",
        "last": b"1",
    }


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 200])
def test_plain_writes_that_share_statements_have_the_versions_of_writes_one_by_one(engine, count):
    for key in ("k0", "k0", "k1"):
        engine.put("n", key, b"0", "application/json", None, NOW)
    engine.commit([Delete("n", "k1")], NOW)
    groups = [[put(f"k{number}", str(number).encode(), namespace="nm"[number % 2])] for number in range(count)]
    outcomes = engine.commit_groups(lambda: groups, clock)
    assert outcomes[0] == [3]
    assert outcomes[2:] == [[2 if number % 2 == 0 else 1] for number in range(2, count)]
    again = engine.commit_groups(lambda: [[put("k0")], [put("k0")], [put("k0")]], clock)
    assert again == [[4], [5], [6]]
    assert engine.check(lambda *_: None).ok


def test_groups_are_asked_for_only_when_the_lock_is_there(tmp_path):
    engine = SQLiteEngine(str(tmp_path / "app.db"), timeout=0.05)
    asked = []
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            engine.commit_groups(lambda: asked.append(1) or [], clock)
        assert asked == []
        assert engine.put_at_once(put("k"), NOW) is None
        other.execute("ROLLBACK")
    assert engine.put_at_once(put("k"), NOW) == 1
    assert engine.commit_groups(lambda: asked.append(1) or [], clock) == []
    assert asked == [1]
    engine.close()


def test_a_reader_refuses_the_write_that_does_not_wait(tmp_path):
    SQLiteEngine(str(tmp_path / "app.db")).close()
    engine = SQLiteEngine(str(tmp_path / "app.db"), readonly=True)
    with pytest.raises(ReadOnlyError):
        engine.put_at_once(put("k"), NOW)
    engine.close()


def test_an_error_of_the_storage_undoes_all_groups(tmp_path):
    class Failing(sqlite3.Cursor):
        armed = False

        def execute(self, statement, *arguments):
            if Failing.armed and arguments and "bad" in arguments[0]:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(statement, *arguments)

    class Connection(sqlite3.Connection):
        def cursor(self, factory=Failing):
            return super().cursor(factory)

    def connect(*arguments, **options):
        return sqlite3.connect(*arguments, factory=Connection, **options)

    engine = SQLiteEngine(str(tmp_path / "app.db"), connect=connect)
    Failing.armed = True
    with pytest.raises(StoreError):
        engine.commit_groups(lambda: [[put("good")], [put("bad", expected=0)]], clock)
    with pytest.raises(StoreError):
        engine.put_at_once(put("bad"), NOW)
    Failing.armed = False
    assert engine.read_many("n", ["good", "bad"]) == {}
    assert engine.commit_groups(lambda: [[put("good")]], clock) == [[1]]
    engine.close()


@pytest.mark.parametrize("was", [None, NOW + 1000])
def test_a_change_that_keeps_a_deadline_keeps_the_one_that_was_set_meanwhile(engine, was):
    engine.commit([put("k")._replace(expires_at=was)], NOW)
    calls = []

    def change(record):
        if not calls:  # as another process would, between the look and the write
            engine.commit([Touch("n", "k", NOW + 5000)], NOW)
        calls.append(record)
        return put("k", b"2")._replace(expires_at=record.expires_at)

    assert engine.commit([Change("n", "k", change)], NOW) == [2]
    record = engine.read("n", "k")
    assert (record.body, record.expires_at, len(calls)) == (b"2", NOW + 5000, 2)
    assert engine.check(lambda *_: None).ok


class Impatient(sqlite3.Connection):
    """A connection whose user presses Ctrl-C again while what he broke off is undone."""

    interrupts = 0

    def rollback(self):
        if Impatient.interrupts:
            Impatient.interrupts -= 1
            raise KeyboardInterrupt
        super().rollback()


def connect(*args, **options):
    return sqlite3.connect(*args, factory=Impatient, **options)


@pytest.mark.parametrize("work", ["write", "read"])
@pytest.mark.parametrize("then", ["put", "commit", "at once", "read"])
def test_a_transaction_that_two_interrupts_left_open_takes_no_later_write_with_it(tmp_path, work, then):
    engine = SQLiteEngine(str(tmp_path / "app.db"), connect=connect)
    engine.put("n", "there", b"0", "application/json", None, NOW)
    Impatient.interrupts = 2

    def interrupted(_):
        raise KeyboardInterrupt

    def cannot_be_read(cursor):
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM kv").fetchone()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        if work == "write":
            engine.commit([put("there"), Change("n", "there", interrupted)], NOW)
        else:
            engine._database.run(lambda _: engine._database.main.alone(cannot_be_read))
    Impatient.interrupts = 0
    with closing(SQLiteEngine(str(tmp_path / "app.db"), timeout=0)) as other:
        if then == "put":
            assert engine.put("n", "k", b"1", "application/json", None, NOW) == 1
        elif then == "commit":
            assert engine.commit([put("k")], NOW) == [1]
        elif then == "at once":
            assert engine.put_at_once(put("k"), NOW) is None, "the connection is to be settled first"
            assert engine.commit([put("k")], NOW) == [1]
        else:
            assert engine.read_value("n", "there")[0] == b"0"
            other.put("n", "k", b"1", "application/json", None, NOW)
        assert other.read_value("n", "k")[0] == engine.read_value("n", "k")[0] == b"1"
        assert other.read_value("n", "there")[0] == b"0"
    engine.close()
