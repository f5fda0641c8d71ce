"""A damaged file is put aside whole, and all that matches its checksum is in the new one."""

from __future__ import annotations

import contextlib
import errno
import inspect
import logging
import os
import random
import shutil
import sqlite3
import sys
from contextlib import ExitStack, closing

import pytest

from sqlitedict_kv import CorruptStoreError, KVError, NotADatabaseError, OpenError, Store
from sqlitedict_kv.engines.sqlite.files.location import Location
from sqlitedict_kv.engines.sqlite.recovery import quarantine as module
from sqlitedict_kv.engines.sqlite.recovery.quarantine import damage_in, quarantine, undo_interrupted
from tests.conftest import integrity_of
from tests.support.processes import Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX locks")
PAGE = 4096
ALL = "value, content_type, version, expires_at, updated_at, checksum, ns, key"

# The option itself, beside the function that does the work.
with_the_option = pytest.mark.skipif(
    "on_corrupt" not in inspect.signature(Store).parameters, reason="Store has no on_corrupt yet"
)


def fill(path, count=600):
    generator = random.Random(7)
    with Store(path) as store:
        for name in ("a", "b"):
            ns = store.ns(name)
            for number in range(0, count, 50):
                ns.set_many(
                    {
                        f"key {number + index}": {"n": index, "text": "x" * generator.randrange(20, 400)}
                        for index in range(50)
                    }
                )
            for number in range(0, count, 9):
                ns.set(f"key {number}", generator.randbytes(300), ttl=1e6)
            for number in range(0, count, 100):
                ns.set(f"key {number}", generator.randbytes(9000))
            ns.delete("key 18")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a file that was closed, and its rows by namespace and key."""
    path = tmp_path_factory.mktemp("good") / "app.db"
    fill(path)
    return path.read_bytes(), rows_of(path)


def rows_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return {row[6:]: row[:6] for row in connection.execute(f"SELECT {ALL} FROM kv")}


def put_aside(path, error=None, **options):
    location = Location(str(path), allow_unsafe_filesystem=True)
    error = error or CorruptStoreError("it is damaged")
    return quarantine(location, location.inode(), error, **{"in_use": False, "wait": 0.2, **options})


def names(path):
    return sorted(os.listdir(path.parent))


def check_salvage(path, content, rows, done):
    """Nothing that is damaged came, all figures are right, and the old file is as it was."""
    assert done is not None
    with open(done.path, "rb") as file:
        assert file.read() == content
    assert names(path) == sorted([path.name, os.path.basename(done.path)])
    found = rows_of(path)
    for key, row in found.items():
        assert row == rows[key], "value, version and times are those of before"
    assert done.salvaged == len(found)
    missing = len(rows) - len(found)
    assert done.lost <= missing
    if done.complete:
        assert done.lost == missing
    assert done.problems
    assert integrity_of(path) == ["ok"]
    with Store(path) as store:
        assert store.check().ok
    return found


def readable(path):
    """What SQLite itself gives, key by key, from a damaged file."""
    found = 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for rowid in range(1, 3000):
            with contextlib.suppress(sqlite3.Error):
                found += connection.execute(f"SELECT {ALL} FROM kv WHERE rowid = ?", (rowid,)).fetchone() is not None
    return found


@pytest.mark.parametrize("seed", range(12))
def test_every_entry_on_a_readable_page_is_saved(path, good, seed):
    content, rows = good
    generator = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(generator.randrange(1, 12)):
        start = generator.randrange(1, len(content) // PAGE) * PAGE
        damaged[start : start + PAGE] = bytes(PAGE) if seed % 2 else generator.randbytes(PAGE)
    path.write_bytes(damaged)
    done = put_aside(path)
    if done is None:  # only pages of values, or free ones: SQLite sees no damage
        assert path.read_bytes() == damaged
        return
    found = check_salvage(path, damaged, rows, done)
    with open(done.path, "rb") as file:
        assert file.read() == damaged
    shutil.copy(done.path, path.with_name("copy.db"))
    root_is_whole = damaged[PAGE : 2 * PAGE] == content[PAGE : 2 * PAGE]
    # Those whose own overflow pages are gone can be read and do not match; each is counted as lost.
    assert len(found) >= (readable(path.with_name("copy.db")) - 20 if root_is_whole else 0)


def leaf_pages(content):
    return [number for number in range(1, len(content) // PAGE) if content[number * PAGE] == 0x0D]


@pytest.mark.parametrize("place", ["first", "middle", "last", "every third"])
def test_a_lost_leaf_takes_only_its_own_entries(path, good, place):
    content, rows = good
    leaves = leaf_pages(content)
    chosen = {
        "first": leaves[:1],
        "middle": leaves[len(leaves) // 2 :][:1],
        "last": leaves[-1:],
        "every third": leaves[::3],
    }[place]
    damaged = bytearray(content)
    on_them = 0
    for number in chosen:
        on_them += int.from_bytes(damaged[number * PAGE + 3 : number * PAGE + 5], "big")
        damaged[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(damaged)
    done = put_aside(path)
    found = check_salvage(path, damaged, rows, done)
    assert len(rows) - len(found) == on_them
    assert done.lost == on_them, "the primary key knows how many there were"
    assert done.complete


def test_without_the_primary_key_nobody_knows_how_many_are_lost(path, good):
    content, rows = good
    leaves = leaf_pages(content)
    damaged = bytearray(content)
    damaged[2 * PAGE : 3 * PAGE] = bytes(PAGE)  # the root of the primary key
    damaged[leaves[-1] * PAGE : (leaves[-1] + 1) * PAGE] = bytes(PAGE)
    damaged[leaves[3] * PAGE : (leaves[3] + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(damaged)
    done = put_aside(path)
    found = check_salvage(path, damaged, rows, done)
    assert not done.complete
    assert any("nobody knows" in problem for problem in done.problems)
    assert len(found) > len(rows) - 200


@pytest.mark.parametrize("size", [16, 100, 512, PAGE - 1200])
@pytest.mark.parametrize("fill_with", [b"\0", b"\xff"])
def test_a_destroyed_header_loses_nothing(path, good, size, fill_with):
    content, rows = good
    damaged = fill_with * size + content[size:]
    path.write_bytes(damaged)
    done = put_aside(path, NotADatabaseError("no database"))
    assert check_salvage(path, damaged, rows, done) == rows
    assert done.lost == 0


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
def test_a_truncated_file_gives_what_is_left(path, good, share):
    content, rows = good
    damaged = content[: int(len(content) * share)]
    path.write_bytes(damaged)
    done = put_aside(path)
    found = check_salvage(path, damaged, rows, done)
    if share > 0.8:
        assert len(found) > len(rows) // 2


def test_an_entry_that_does_not_match_its_checksum_is_not_saved(path, good):
    content, rows = good
    path.write_bytes(content)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE kv SET value = x'736563726574' WHERE ns = 'a' AND key = 'key 5'")
        connection.execute("UPDATE kv SET version = 7000 WHERE ns = 'b' AND key = 'key 6'")
        connection.execute("UPDATE kv SET version = 1 << 60 WHERE ns = 'a' AND key = 'key 7'")
        connection.execute("UPDATE kv SET content_type = CAST(x'ff' AS TEXT) WHERE ns = 'a' AND key = 'key 8'")
        connection.execute("UPDATE kv SET checksum = NULL WHERE ns = 'a' AND key = 'key 10'")
    damaged = bytearray(path.read_bytes())
    damaged[2 * PAGE : 3 * PAGE] = bytes(PAGE)  # the primary key, so that SQLite notices
    path.write_bytes(damaged)
    done = put_aside(path)
    found = check_salvage(path, damaged, rows, done)
    gone = {("a", "key 5"), ("b", "key 6"), ("a", "key 7"), ("a", "key 8"), ("a", "key 10")}
    assert set(rows) - set(found) == gone
    assert done.lost == 5
    assert "secret" not in str(done)
    with Store(path) as store:
        assert store.ns("b").set("key 6", 1) == 7001, "above a version that was seen in a damaged row"
        assert store.ns("a").set("key 5", 1) < 1 << 53, "but not above one that nobody gave"


def test_a_version_is_not_reused_after_the_quarantine(path):
    with Store(path) as store:
        ns = store.ns("n")
        for _ in range(40):
            ns["gone"] = 1
        ns.delete("gone")
        for _ in range(5):
            ns["there"] = 1
    content = bytearray(path.read_bytes())
    content[:16] = bytes(16)
    path.write_bytes(content)
    put_aside(path)
    with Store(path) as store:
        assert store.ns("n").get_with_meta("there").meta.version == 45
        assert store.ns("n").set("gone", 1) == 46


def with_log(path, *, grown=True):
    """Leave a file and a log that holds its newest entries; return what it holds.

    SQLite writes the first page to the log only if the file has *grown*.
    """
    source = path.with_name("source.db")
    fill(source, 100)
    with Store(source) as store:
        if grown:
            store.ns("a").set_many({f"new {number}": "y" * 200 for number in range(100)})
        store.ns("a")["key 3"] = "newest"
        rows = rows_of(source)
        shutil.copy(source, path)
        shutil.copy(f"{source}-wal", f"{path}-wal")
        shutil.copy(f"{source}-shm", f"{path}-shm")
    source.unlink()
    return rows


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("place", ["header", "leaf"])
def test_the_newest_entries_come_from_the_log(path, with_index, place):
    rows = with_log(path, grown=place == "leaf")
    if not with_index:
        os.unlink(f"{path}-shm")
    damaged = damage_beside_log(path) if place == "leaf" else bytes(512) + path.read_bytes()[512:]
    path.write_bytes(damaged)
    before = {suffix: read(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")}
    done = put_aside(path)
    assert done is not None
    assert {suffix: read(f"{done.path}{suffix}") for suffix in before} == before
    assert names(path) == sorted(
        [path.name, *(os.path.basename(done.path) + suffix for suffix, found in before.items() if found is not None)]
    )
    found = rows_of(path)
    assert all(rows[key] == row for key, row in found.items())
    assert found[("a", "key 3")][0] == b'"newest"'
    if place == "header":
        assert found == rows
    else:
        assert all(("a", f"new {number}") in found for number in range(100))
        assert len(rows) - len(found) == done.lost > 0


def damage_beside_log(path):
    """Return the file without the entries of one page that the log does not hold."""
    content = bytearray(path.read_bytes())
    log = read(f"{path}-wal")
    logged = {int.from_bytes(log[at : at + 4], "big") for at in range(32, len(log), 24 + PAGE)}
    leaf = next(number for number in leaf_pages(content) if number + 1 not in logged)
    content[leaf * PAGE : (leaf + 1) * PAGE] = bytes(PAGE)
    return bytes(content)


def test_a_first_page_in_the_log_stands_for_one_that_is_gone(path):
    rows = with_log(path)
    path.write_bytes(bytes(512) + path.read_bytes()[512:])
    assert put_aside(path) is None
    assert rows_of(path) == rows


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


@pytest.fixture
def damaged(path, good):
    """A path with a damaged file."""
    content, _ = good
    path.write_bytes(bytes(512) + content[512:])
    return path


def refused(path, match, **options):
    """The original error comes with a note, and nothing is touched."""
    before = {name: read(path.with_name(name)) for name in names(path)}
    error = NotADatabaseError("the original")
    with pytest.raises(NotADatabaseError) as caught:
        put_aside(path, error, **options)
    assert caught.value is error
    assert any(match in note for note in error.__notes__), error.__notes__
    assert {name: read(path.with_name(name)) for name in names(path)} == before


def test_a_healthy_file_is_not_touched(path, good):
    content, _ = good
    path.write_bytes(content)
    assert put_aside(path) is None
    assert path.read_bytes() == content
    assert names(path) == [path.name]


def test_a_file_that_is_another_one_by_now_is_not_touched(damaged):
    location = Location(str(damaged), allow_unsafe_filesystem=True)
    before = damaged.read_bytes()
    device, inode = location.inode()
    assert quarantine(location, (device, inode + 1), CorruptStoreError("damaged"), in_use=False) is None
    assert damaged.read_bytes() == before
    assert names(damaged) == [damaged.name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a text",
        b"\0" * 10000,
        b"CREATE TABLE kv (ns TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL)" * 100,
        random.Random(1).randbytes(20000),
    ],
)
def test_a_file_that_was_never_a_store_is_refused(path, content):
    path.write_bytes(content)
    refused(path, "nothing in it says")


@pytest.mark.parametrize("pragma", ["application_id = 5", "user_version = 3"])
def test_a_damaged_database_of_somebody_else_is_refused(path, pragma):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE other (a)")
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(200) + content[300:])
    refused(path, "")


def test_a_damaged_file_of_a_later_release_is_refused(path, good):
    content = bytearray(good[0])
    content[60:64] = (99).to_bytes(4, "big")
    content[100:200] = bytes(100)
    path.write_bytes(content)
    refused(path, "a later release")


def test_it_is_refused_while_another_process_has_it_open(path, good):
    path.write_bytes(good[0])
    with Worker("store = Store(sys.argv[1]); store.ns('n')['k'] = 1; say(); hear()", path) as other:
        other.hear()
        with pytest.raises(CorruptStoreError, match="original") as caught:
            put_aside(path, CorruptStoreError("the original"))
        assert "others have it open" in caught.value.__notes__[0]
        assert not [name for name in names(path) if "corrupt" in name or "salvage" in name]
        other.say()
        other.finish()


def test_it_is_refused_while_anything_in_this_process_has_it_open(damaged):
    refused(damaged, "another store of this process", in_use=True)
    with closing(sqlite3.connect(damaged)) as connection:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("SELECT 1 FROM sqlite_schema")
        refused(damaged, "something in this process still has it open")
    assert put_aside(damaged)


def test_without_posix_locks_it_is_refused(damaged, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    refused(damaged, "cannot tell whether others")


def test_nothing_is_overwritten_by_a_second_quarantine(damaged, monkeypatch):
    monkeypatch.setattr(module.time, "strftime", lambda *_: "20260101T000000Z")
    content = damaged.read_bytes()
    paths = []
    for _ in range(3):
        damaged.write_bytes(content)
        paths.append(put_aside(damaged).path)
    assert [os.path.basename(path) for path in paths] == [
        f"{damaged.name}.corrupt-20260101T000000Z{number}" for number in ("", "-1", "-2")
    ]
    assert [read(path) for path in paths] == [content] * 3


def test_the_new_file_has_the_mode_of_the_old_one(damaged):
    os.chmod(damaged, 0o640)
    put_aside(damaged)
    assert damaged.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("step", range(12))
def test_a_crash_at_any_step_loses_nothing_and_another_try_works(path, monkeypatch, step):
    rows = with_log(path, grown=False)
    damaged = bytes(512) + path.read_bytes()[512:]
    path.write_bytes(damaged)
    log = read(f"{path}-wal")
    taken = crash_at(monkeypatch, step)
    with contextlib.suppress(Crash):
        put_aside(path)
    monkeypatch.undo()
    # The one name or the other has each of them, together.
    kept = [name for name in names(path) if read(path.with_name(name)) == damaged]
    assert kept
    if path.name not in kept:
        assert "replace" in taken, "at the end"
        assert rows_of(path) == rows
        assert read(path.with_name(kept[0] + "-wal")) == log
        return
    undo_interrupted(str(path))
    assert read(f"{path}-wal") == log
    done = put_aside(path)
    assert rows_of(path) == rows
    assert read(done.path) == damaged
    assert read(f"{done.path}-wal") == log
    assert os.stat(done.path).st_nlink == 1


class Crash(BaseException):
    """Ends the process, as far as the code under test is concerned."""


def crash_at(monkeypatch, step):
    """Let the call of the operating system with that number, among those that change names, be the last one."""
    taken = []

    def guarded(name, function):
        def call(*arguments):
            if len(taken) > step:
                raise Crash  # no clean-up runs in a process that was killed
            taken.append(name)
            result = function(*arguments)
            if len(taken) > step:
                raise Crash
            return result

        return call

    for name in ("link", "unlink", "replace"):
        monkeypatch.setattr(module.os, name, guarded(name, getattr(os, name)))
    monkeypatch.setattr(module, "_sync_directory", guarded("sync", module._sync_directory))
    return taken


def test_undoing_leaves_a_file_alone_that_has_one_name(path, good):
    path.write_bytes(good[0])
    undo_interrupted(str(path))
    assert names(path) == [path.name]
    undo_interrupted(str(path.with_name("missing")))


def test_undoing_leaves_a_hard_link_of_the_user_alone(path, good):
    path.write_bytes(good[0])
    os.link(path, path.with_name("other"))
    undo_interrupted(str(path))
    assert names(path) == ["app.db", "other"]


def test_a_file_system_without_links_is_a_refusal(damaged, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(module.os, "link", link)
    refused(damaged, "that failed")


def test_a_full_disk_leaves_all_as_it_was(damaged):
    def connect(path, **options):
        if not str(path).startswith("file:"):
            raise sqlite3.OperationalError("database or disk is full")
        return sqlite3.connect(path, **options)

    refused(damaged, "disk is full", connect=connect)


def test_damage_is_found_in_a_damaged_file_only(path, good):
    path.write_bytes(good[0])
    with closing(sqlite3.connect(path)) as connection:
        assert damage_in(connection) == []
    path.write_bytes(good[0][: 3 * PAGE])
    with closing(sqlite3.connect(path)) as connection:
        assert damage_in(connection)


# -- the option of a store


@with_the_option
def test_a_store_goes_on_with_what_could_be_saved(damaged, good, caplog):
    _, rows = good
    with caplog.at_level(logging.WARNING, "sqlitedict_kv"), Store(damaged, on_corrupt="quarantine") as store:
        assert store.quarantined.salvaged == len(rows)
        assert store.quarantined.lost == 0
        assert len(store.ns("a")) + len(store.ns("b")) == len(rows)
        store.ns("a")["after"] = 1
        assert store.check().ok
    (record,) = caplog.records
    assert store.quarantined.path in record.getMessage()
    with Store(damaged, on_corrupt="quarantine") as store:
        assert store.quarantined is None
        assert store.ns("a")["after"] == 1


@with_the_option
@pytest.mark.parametrize("options", [{}, {"on_corrupt": "raise"}])
def test_without_the_option_nothing_is_touched(damaged, options):
    content = damaged.read_bytes()
    with pytest.raises(NotADatabaseError):
        Store(damaged, **options)
    assert damaged.read_bytes() == content
    assert names(damaged) == [damaged.name]


@with_the_option
def test_a_damaged_page_is_found_at_opening(path, good):
    content, rows = good
    leaf = leaf_pages(content)[5]
    path.write_bytes(content[: leaf * PAGE] + bytes(PAGE) + content[(leaf + 1) * PAGE :])
    with Store(path, on_corrupt="quarantine") as store:
        assert 0 < store.quarantined.lost < 100
        assert store.quarantined.salvaged == len(rows) - store.quarantined.lost
        assert store.check().ok


@with_the_option
@pytest.mark.parametrize("text", [b"\xff", b"X"])
def test_a_schema_that_is_no_longer_ours_by_a_byte_is_damage_or_refused(path, good, text):
    content, rows = good
    place = content.index(b"kv_floor (ns TEXT") + 10
    path.write_bytes(content[:place] + text + content[place + 1 :])
    if text == b"\xff":
        with Store(path, on_corrupt="quarantine") as store:
            assert store.quarantined.salvaged == len(rows)
    else:  # somebody may have made that table
        with pytest.raises(OpenError):
            Store(path, on_corrupt="quarantine")
        assert names(path) == [path.name]


@with_the_option
def test_a_healthy_or_new_store_is_opened_as_always(path, caplog):
    for _ in range(2):
        with Store(path, on_corrupt="quarantine") as store:
            assert store.quarantined is None
            store.ns("n")["k"] = 1
    with Store(on_corrupt="quarantine") as store:
        assert store.quarantined is None
    assert names(path) == [path.name]
    assert not caplog.records


@with_the_option
def test_a_text_file_stays_where_it_is(path):
    path.write_text("not a store\n" * 1000)
    with pytest.raises(NotADatabaseError) as caught:
        Store(path, on_corrupt="quarantine")
    assert "nothing in it says" in caught.value.__notes__[0]
    assert path.read_text() == "not a store\n" * 1000
    assert names(path) == [path.name]


@with_the_option
def test_another_store_of_this_process_keeps_the_file_in_its_place(path):
    with Store(path) as first:
        first.ns("n")["k"] = 1
        first.vacuum()
        inode = path.stat().st_ino
        descriptor = os.open(path, os.O_RDWR)  # to close it would drop the locks of SQLite
        os.pwrite(descriptor, bytes(512), 0)
        with pytest.raises((CorruptStoreError, OpenError)) as caught:
            Store(path, on_corrupt="quarantine")
        assert "another store of this process" in caught.value.__notes__[0]
        assert path.stat().st_ino == inode
    os.close(descriptor)


@with_the_option
def test_a_bad_value_of_the_option_is_refused(path):
    with pytest.raises(ValueError, match="on_corrupt"):
        Store(path, on_corrupt="delete")
    with pytest.raises(ValueError, match="readonly"):
        Store(path, on_corrupt="quarantine", readonly=True)


@with_the_option
def test_an_interrupted_quarantine_is_finished_by_the_next_opening(damaged, good, monkeypatch):
    taken = crash_at(monkeypatch, 1)
    with contextlib.suppress(Crash):
        put_aside(damaged)
    monkeypatch.undo()
    assert taken
    with Store(damaged, on_corrupt="quarantine") as store:
        assert store.quarantined.salvaged == len(good[1])


OPENER = """
import logging
logging.disable()
say("ready")
hear()
try:
    with Store(sys.argv[1], on_corrupt="quarantine") as store:
        store.ns("mine")[str(os.getpid())] = 1
        say(f"{'moved' if store.quarantined else 'opened'} {len(store.ns('a'))}")
except KVError as error:
    say(f"refused {type(error).__name__}")
"""


@with_the_option
@pytest.mark.parametrize("damage", ["header", "leaf"])
def test_one_of_many_processes_moves_the_file(tmp_path, good, damage):
    content, rows = good
    moved = opened = 0
    for turn in range(3):
        path = tmp_path / str(turn) / "app.db"
        path.parent.mkdir()
        leaf = 0 if damage == "header" else leaf_pages(content)[-1]
        path.write_bytes(content[: leaf * PAGE] + bytes(512) + content[leaf * PAGE + 512 :])
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(OPENER, path)) for _ in range(4)]
            for worker in workers:
                worker.hear()
            for worker in workers:
                worker.say()
            said = [worker.finish()[0].split() for worker in workers]
        assert all(word in ("moved", "opened", "refused") for word, _ in said), said
        winners = [word for word, _ in said if word == "moved"]
        assert len(winners) == 1, said
        assert len([name for name in names(path) if "corrupt" in name]) == 1
        there = {int(count) for word, count in said if word != "refused"}
        assert len(there) == 1, "nobody sees a part of the new file"
        moved += 1
        opened += sum(word == "opened" for word, _ in said)
        with Store(path) as store:
            assert len(store.ns("mine")) == sum(word != "refused" for word, _ in said), "no write was lost"
            assert store.check().ok
    assert moved == 3
    assert opened >= 3, "most find the new file"


@with_the_option
def test_every_kind_of_damage_opens_or_raises_and_shows_no_wrong_entry(path, good):
    content, rows = good
    generator = random.Random(11)
    moved = 0
    for _ in range(40):
        for name in names(path):
            path.with_name(name).unlink()
        damaged = bytearray(content)
        for _ in range(generator.randrange(1, 4)):
            start = generator.randrange(len(content) // 512) * 512
            damaged[start : start + 512] = generator.choice([bytes(512), b"\xff" * 512, generator.randbytes(512)])
        path.write_bytes(damaged)
        try:
            store = Store(path, on_corrupt="quarantine")
        except KVError:
            assert path.read_bytes() == damaged
            continue
        with store:
            if store.quarantined:
                moved += 1
                assert all(rows[key] == row for key, row in rows_of(path).items())
                assert store.check().ok
                assert read(store.quarantined.path) == damaged
    assert moved > 20
