"""Files that are deleted, replaced or robbed of their locks while a store is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from sqlitedict_kv import KVError, Store, StoreDetachedError
from sqlitedict_kv.engines.sqlite.files.location import FileIdentity, Location
from tests.support.accidents import delete, delete_all, delete_log, lose_locks, rename, replace
from tests.support.processes import Worker, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")

WRITES = {
    "set": lambda s: s.ns("n").set("k", 2),
    "cas_set": lambda s: s.ns("n").cas_set("new", 2, 0),
    "delete": lambda s: s.ns("n").delete("k"),
    "incr": lambda s: s.ns("n").incr("k"),
    "touch": lambda s: s.ns("n").touch("k", 5),
    "set_many": lambda s: s.ns("n").set_many({"k": 2, "l": 3}),
    "set_many long": lambda s: s.ns("n").set_many({str(number): 2 for number in range(2500)}),
    "clear": lambda s: s.ns("n").clear(),
    "drop": lambda s: s.drop("n"),
    "purge": lambda s: s.purge_expired(),
    "sync": lambda s: s.sync(),
    "vacuum": lambda s: s.vacuum(),
}


def read_elsewhere(path):
    """What a new process finds, which closes the file in peace."""
    return eval(run('s = Store(sys.argv[1]); say(s.ns("n").copy()); s.close()', path)[0])


def write_elsewhere(path, **entries):
    """Write from a new process that closes the file: if it sees nobody's locks, it removes the log."""
    run(
        """
        store = Store(sys.argv[1])
        store.ns("n").update(eval(sys.argv[2]))
        store.close()
        """,
        path,
        entries,
    )


def rob(path):
    lose_locks(path)
    write_elsewhere(path, theirs=1)


ACCIDENTS = [delete, delete_all, delete_log, replace, rename, rob]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_the_next_write_is_not_acknowledged(path, accident, verb):
    store = Store(path)
    store.ns("n")["k"] = 1
    accident(path)

    with pytest.raises(StoreDetachedError) as caught:
        WRITES[verb](store)
    assert str(path) in str(caught.value)
    for other in ("set", "set_many", "delete"):
        with pytest.raises(StoreDetachedError):
            WRITES[other](store)
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"]
    assert not store.healthcheck().ok
    store.close()


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_a_store_in_order_is_not_reported(path, accident):
    """The accidents are what is detected, and not a store beside which others work."""
    store = Store(path)
    for number in range(3):
        store.ns("n")["k"] = number
        write_elsewhere(path, **{f"k{number}": number})
        with Store(path) as other:  # the same library, in the same process: that is safe
            other.ns("n")["mine"] = number
        plain = sqlite3.connect(path)
        plain.execute("SELECT count(*) FROM kv").fetchone()
        plain.close()
        store.vacuum()
        store.sync()
    assert store.ns("n").copy() == {"k": 2, "k0": 0, "k1": 1, "k2": 2, "mine": 2}
    accident(path)
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 1
    store.close()


def test_other_processes_keep_what_they_wrote_when_the_robbed_store_stops(path):
    store = Store(path)
    store.ns("n")["ours"] = "x" * 5000
    rob(path)
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 1
    write_elsewhere(path, more=2)
    store.close()
    del store

    found = read_elsewhere(path)
    assert (found["theirs"], found["more"]) == (1, 2)
    assert found["ours"] == "x" * 5000
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("third_first", [False, True], ids=["while a third works", "after a third"])
@pytest.mark.parametrize("end", ["close", "forget", "exit", "fork"])
def test_a_robbed_store_that_only_ends_overwrites_nothing(path, end, third_first):
    """Closing it in the ordinary way would copy its old log over what others have written since."""
    with Worker(
        """
        import gc
        store = Store(sys.argv[1])
        n = store.ns("n")
        for number in range(100):
            n[f"ours {number}"] = "x" * 300
        say("written")
        hear()
        for name in (sys.argv[1], sys.argv[1] + "-wal", sys.argv[1] + "-shm"):
            os.close(os.open(name, os.O_RDONLY))
        say("robbed")
        end = hear()
        if end == "close":
            store.close()
        elif end == "forget":
            del store, n
            gc.collect()
        elif end == "fork":
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        say("ended")
        if end != "exit":
            hear()
        """,
        path,
    ) as worker:
        worker.hear()
        worker.say()
        worker.hear()
        theirs = {f"theirs {number}": "y" * 300 for number in range(200)}
        write_elsewhere(path, **theirs)
        # A third process has the file open and its commits are in a log of its own.
        with Worker(
            """
            store = Store(sys.argv[1])
            n = store.ns("n")
            for number in range(100):
                n[f"third {number}"] = "z" * 300
            say("written")
            hear()
            n["third last"] = 1
            store.close()
            """,
            path,
        ) as third:
            third.hear()
            if third_first:
                third.say()
                third.finish()
            worker.say(end)
            worker.hear()
            if end == "exit":
                worker.finish()
            if not third_first:
                third.say()
                third.finish()
        if end != "exit":
            worker.say()
            worker.finish()

    found = read_elsewhere(path)
    assert {key: found.get(key) for key in theirs} == theirs
    assert found.get("third 99") == "z" * 300
    assert found.get("third last") == 1
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_no_acknowledged_write_disappears_when_the_locks_are_lost_again_and_again(path):
    """Two processes write by turns; one of them keeps losing its locks."""
    expected = {}
    with Store(path) as store:
        store.ns("n")["first"] = expected["first"] = 0
    for turn in range(8):
        store = Store(path)
        try:
            for number in range(5):
                key = f"{turn} {number}"
                store.ns("n")[key] = number
                expected[key] = number
                if number == turn % 5:
                    lose_locks(path)
                    write_elsewhere(path, **{f"theirs {key}": 1})
                    expected[f"theirs {key}"] = 1
        except StoreDetachedError:
            pass
        finally:
            store.close()
        if sys.version_info < (3, 12):
            break  # this process cannot have the file again
    assert read_elsewhere(path) == expected


def test_a_file_whose_locks_were_lost_opens_again_or_says_why_not(path):
    store = Store(path)
    store.ns("n")["k"] = 1
    rob(path)
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 2
    store.close()
    if sys.version_info >= (3, 12):
        with Store(path) as again:
            again.ns("n")["k"] = 3
    else:  # SQLite goes on believing that this process holds the locks
        with pytest.raises(StoreDetachedError):
            Store(path)
    write_elsewhere(path, more=1)
    assert read_elsewhere(path)["theirs"] == 1


def test_a_new_file_at_the_place_of_a_deleted_one_can_be_opened(path):
    store = Store(path)
    store.ns("n")["k"] = 1
    delete_all(path)
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 2
    with Store(path) as new:
        assert len(new.ns("n")) == 0
        new.ns("n")["k"] = "new"
        assert read_elsewhere(path) == {"k": "new"}
    store.close()
    assert read_elsewhere(path) == {"k": "new"}


def test_a_store_whose_file_was_replaced_leaves_the_new_one_alone(path):
    store = Store(path)
    store.ns("n")["k"] = 1
    with Store(f"{path}.new") as other:
        other.ns("n")["other"] = "file"
    content = Path(f"{path}.new").read_bytes()
    os.replace(f"{path}.new", path)
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 2
    store.close()
    del store
    assert path.read_bytes() == content


def test_a_log_that_is_lost_takes_writes_with_it_and_that_is_said(path):
    """Nobody can bring them back, but no further write is acknowledged."""
    store = Store(path)
    n = store.ns("n")
    n["k"] = 1
    shutil.move(f"{path}-wal", f"{path}-lost")
    with pytest.raises(KVError):
        n["k"] = 2
    with pytest.raises(StoreDetachedError):
        n["k"] = 3
    store.close()


def test_damage_that_is_read_in_a_file_that_was_taken_away_is_called_by_its_name(path):
    """Pages of a lost log beside pages that others rewrote read like this too, and the new file may be sound."""
    with Store(path) as store:
        store.ns("n").set_many({f"{number}": "x" * 3000 for number in range(300)})
    store = Store(path)
    os.rename(path, f"{path}.moved")
    run('with open(sys.argv[1], "r+b") as file: file.seek(4096); file.write(b"?" * 2**20)', f"{path}.moved")
    with pytest.raises(StoreDetachedError, match="lost its locks"):
        store.ns("n").copy()
    store.close()


def settled(store):
    """Write until the store has seen that its directory is quiet, so that one look at its times stands for all."""
    place = store._engine._database.main.place
    deadline = time.monotonic() + 30
    while place._seen is None:
        assert time.monotonic() < deadline
        store.ns("n")["k"] = 1


@pytest.mark.skipif(os.name != "posix", reason="Windows moves no directory with open files")
def test_a_directory_that_was_moved_is_noticed_by_the_next_write(tmp_path):
    store = Store(tmp_path / "a" / "store.db")
    settled(store)
    os.rename(tmp_path / "a", tmp_path / "b")

    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 2
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="Windows moves no directory with open files")
def test_a_directory_far_above_that_was_moved_is_noticed_by_the_next_long_work(tmp_path):
    store = Store(tmp_path / "a" / "b" / "store.db")
    settled(store)
    os.rename(tmp_path / "a", tmp_path / "moved")

    with pytest.raises(StoreDetachedError):
        store.sync()
    with pytest.raises(StoreDetachedError):
        store.ns("n")["k"] = 2
    store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are listed there")
def test_no_descriptor_of_the_directory_is_left_open_by_stores_that_lose_their_file(path):
    def lose():
        store = Store(path)
        store.ns("n")["k"] = 1
        directories = [name for name in os.listdir("/proc/self/fd") if _leads_to(name, path.parent)]
        delete_all(path)
        with pytest.raises(StoreDetachedError):
            store.ns("n")["k"] = 2
        store.close()
        assert directories
        return [name for name in os.listdir("/proc/self/fd") if _leads_to(name, path.parent)]

    assert not lose()
    with pytest.raises(FileNotFoundError):
        FileIdentity(Location(str(path), allow_unsafe_filesystem=False))
    assert not [name for name in os.listdir("/proc/self/fd") if _leads_to(name, path.parent)]


def _leads_to(descriptor, directory):
    try:
        return os.path.samefile(f"/proc/self/fd/{descriptor}", directory)
    except OSError:
        return False
