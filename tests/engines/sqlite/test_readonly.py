"""Stores that are opened to read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

import pytest

from sqlitedict_kv import ForeignDatabaseError, LocationError, ReadOnlyError, Store, StoreNotFoundError
from tests.support.processes import Worker, run

FIRST = """
CREATE TABLE kv (ns TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  content_type TEXT NOT NULL DEFAULT 'application/json', version INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER, updated_at INTEGER NOT NULL, PRIMARY KEY (ns, key));
CREATE INDEX idx_kv_expires_at ON kv (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX kv_ns_key ON kv (ns, key);
INSERT INTO kv VALUES ('n', 'k', x'7b2261223a317d', 'application/json', 3, NULL, 1700000000000);
INSERT INTO kv VALUES ('n', 'gone', x'31', 'application/json', 1, 1, 1);
"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")

# The interpreter of a test run may not be readable for others, so the worker gives up its rights when it has started.
NOBODY = """
from sqlitedict_kv.codecs import msgpack, registry
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    with open(os.path.join(os.path.dirname(sys.argv[1]), "probe"), "w"):
        raise SystemExit("the directory can be written")
except PermissionError:
    pass

"""


@pytest.fixture
def place():
    """A directory that everybody can read; pytest's own are private."""
    directory = Path(tempfile.mkdtemp(prefix="kv-readonly-"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def lock_up(path):
    path.chmod(0o444)
    path.parent.chmod(0o555)


def make(path, value=1):
    with Store(path) as store:
        store.ns("n")["k"] = value
        store.ns("n").set_many({str(number): number for number in range(100)})


WRITES = {
    "setitem": lambda s, n: n.__setitem__("k", 2),
    "set": lambda s, n: n.set("k", 2),
    "set absent": lambda s, n: n.set("new", 2, ttl=1),
    "add": lambda s, n: n.add("new", 2),
    "cas_set": lambda s, n: n.cas_set("k", 2, 1),
    "delete": lambda s, n: n.delete("k"),
    "delete absent": lambda s, n: n.delete("absent"),
    "delitem": lambda s, n: n.__delitem__("k"),
    "touch": lambda s, n: n.touch("k", 5),
    "incr": lambda s, n: n.incr("k"),
    "decr": lambda s, n: n.decr("k"),
    "modify": lambda s, n: n.modify("k", lambda value: value),
    "set_many": lambda s, n: n.set_many({"k": 2}),
    "set_many long": lambda s, n: n.set_many({str(number): 2 for number in range(3000)}),
    "delete_many": lambda s, n: n.delete_many(["k"]),
    "setdefault": lambda s, n: n.setdefault("new", 2),
    "pop": lambda s, n: n.pop("k"),
    "popitem": lambda s, n: n.popitem(),
    "update": lambda s, n: n.update(k=2),
    "clear": lambda s, n: n.clear(),
    "namespace purge": lambda s, n: n.purge_expired(),
    "purge": lambda s, n: s.purge_expired(),
    "drop": lambda s, n: s.drop("n"),
    "vacuum": lambda s, n: s.vacuum(),
    "sync": lambda s, n: s.sync(),
}


@pytest.mark.parametrize("verb", WRITES)
def test_every_write_is_refused_clearly(tmp_path, verb):
    path = tmp_path / "store.db"
    make(path)
    before = path.read_bytes()
    with Store(path, readonly=True) as store:
        with pytest.raises(ReadOnlyError, match="readonly=True") as caught:
            WRITES[verb](store, store.ns("n"))
        assert isinstance(caught.value, PermissionError)
        assert store.ns("n")["k"] == 1
        assert len(store.ns("n")) == 101
    assert path.read_bytes() == before


def test_a_transaction_is_refused(tmp_path):
    make(tmp_path / "store.db")
    with Store(tmp_path / "store.db", readonly=True) as store:
        with pytest.raises(ReadOnlyError), store.atomic() as tx:
            tx.ns("n").set("k", 2)
        assert store.ns("n")["k"] == 1


def test_everything_that_reads_works(tmp_path):
    make(tmp_path / "store.db", {"a": 1})
    with Store(tmp_path / "store.db", readonly=True) as store:
        users = store.ns("n")
        assert users.get_with_meta("k").value == {"a": 1}
        assert users.get_many(["k", "1", "absent"]) == {"k": {"a": 1}, "1": 1}
        assert len(users.list(limit=7).keys) == 7
        assert sum(1 for _ in users.scan()) == len(users) == 101
        assert store.namespaces() == ["n"]
        assert store.stats().entries == 101
        assert store.healthcheck().ok
        assert store.check().ok
        store.backup(tmp_path / "copy.db")
    with Store(tmp_path / "copy.db") as copy:
        assert copy.ns("n")["k"] == {"a": 1}


@posix
def test_a_readonly_file_in_a_readonly_directory_is_read(place):
    path = place / "store.db"
    make(path)
    lock_up(path)
    before, listing = path.read_bytes(), sorted(os.listdir(place))
    lines = run(
        NOBODY
        + """
store = Store(sys.argv[1], readonly=True)
n = store.ns("n")
say(f"{n['k']} {len(n)} {store.check().ok} {store.stats().entries} {store.healthcheck().ok} {n.list('9').keys[-1]}")
try:
    n["k"] = 2
except ReadOnlyError:
    say("refused")
store.close()
""",
        path,
        measured=False,  # this user may not write the figures
    )
    assert lines == ["1 101 True 101 True 99", "refused"]
    assert (path.read_bytes(), sorted(os.listdir(place))) == (before, listing)


@posix
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_readonly_file_of_the_first_release_is_read(place, journal):
    path = place / "first.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.executescript(FIRST)
    connection.close()
    lock_up(path)
    before = path.read_bytes()
    lines = run(
        NOBODY
        + """
with Store(sys.argv[1], readonly=True) as store:
    n = store.ns("n")
    entry = n.get_with_meta("k")
    say(f"{entry.value} {entry.meta.version} {list(n)} {store.check()[:3]} {len(n)} {store.namespaces()}")
    say(n.get_many(["k"]))
    try:
        n["k"] = 2
    except ReadOnlyError:
        say("refused")
""",
        path,
        measured=False,  # this user may not write the figures
    )
    assert lines == ["{'a': 1} 3 ['k'] (True, 2, 2) 1 ['n']", "{'k': {'a': 1}}", "refused"]
    assert path.read_bytes() == before
    assert os.listdir(place) == ["first.db"]


@posix
def test_a_file_that_may_not_be_written_is_opened_for_writing_with_a_clear_error(place):
    path = place / "store.db"
    make(path)
    lock_up(path)
    lines = run(
        NOBODY
        + """
try:
    Store(sys.argv[1]).ns("n")["k"] = 2
except KVError as error:
    say(type(error).__name__)
    say(error)
""",
        path,
        measured=False,  # this user may not write the figures
    )
    assert lines[0] in ("OpenError", "ReadOnlyError", "LocationError"), lines
    assert str(path) in lines[1]


@posix
def test_a_log_that_cannot_be_read_from_a_readonly_place_is_named(place):
    """What is only in the log would be missing, so the store is not opened without it."""
    path = place / "store.db"
    make(path)
    with Worker('s = Store(sys.argv[1]); s.ns("n")["late"] = 1; say("written"); hear()', path) as worker:
        worker.hear()
        worker.kill()
    Path(f"{path}-shm").unlink()
    Path(f"{path}-wal").chmod(0o444)
    lock_up(path)
    lines = run(
        NOBODY
        + """
try:
    say(Store(sys.argv[1], readonly=True).ns("n")["late"])
except LocationError as error:
    say(error)
""",
        path,
        measured=False,  # this user may not write the figures
    )
    assert lines == ["1"] or "has a log" in lines[0]


def test_a_file_of_the_first_release_is_read_without_being_migrated(tmp_path):
    path = tmp_path / "first.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST)
    connection.close()
    before = path.read_bytes()
    with Store(path, readonly=True) as store:
        assert store.ns("n")["k"] == {"a": 1}
        assert dict(store.ns("n").items()) == {"k": {"a": 1}}
        assert store.stats().entries == 1
        assert store.check().unchecked == 2
        with pytest.raises(ReadOnlyError):
            store.ns("n")["k"] = 2
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["first.db"]


def test_a_first_file_that_another_process_migrates_meanwhile_is_read_on(tmp_path):
    path = tmp_path / "first.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST)
    connection.close()
    with Store(path, readonly=True) as store:
        assert store.ns("n")["k"] == {"a": 1}
        run('Store(sys.argv[1]).ns("n")["k"] = "newer"', path)
        assert store.ns("n")["k"] == "newer"


def test_a_missing_file_is_not_made(tmp_path):
    path = tmp_path / "deep" / "store.db"
    with pytest.raises(StoreNotFoundError) as caught:
        Store(path, readonly=True)
    assert isinstance(caught.value, FileNotFoundError)
    assert os.listdir(tmp_path) == []


def test_an_empty_file_is_no_store_yet(tmp_path):
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreNotFoundError, match="empty"):
        Store(tmp_path / "empty.db", readonly=True)
    assert (tmp_path / "empty.db").stat().st_size == 0


def test_files_of_others_are_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(ForeignDatabaseError):
        Store(tmp_path / "other.db", readonly=True)
    with pytest.raises(LocationError):
        Store(tmp_path, readonly=True)


def test_it_follows_what_another_process_writes(tmp_path):
    path = tmp_path / "store.db"
    make(path)
    with (
        Store(path, readonly=True) as store,
        Worker(
            """
            store = Store(sys.argv[1])
            n = store.ns("n")
            for number in iter(hear, ""):
                n["k"] = int(number)
                say(number)
            store.close()
            """,
            path,
        ) as worker,
    ):
        for number in range(2, 200):
            worker.say(number)
            worker.hear()
            assert store.ns("n")["k"] == number
        worker.say()
        worker.finish()
        assert store.ns("n")["k"] == 199
        assert store.check().ok


def test_a_reader_never_waits_for_a_writer(tmp_path):
    path = tmp_path / "store.db"
    make(path)
    writer = sqlite3.connect(path, isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM kv")
        with Store(path, readonly=True, timeout=0) as store:
            assert store.ns("n")["k"] == 1
            assert store.healthcheck().ok
    finally:
        writer.close()
