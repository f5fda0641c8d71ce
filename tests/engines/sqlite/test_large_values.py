"""Values over a size are in files beside the database, and what is promised of values holds for them too."""

import json
import os
import sqlite3
import stat
import threading
from contextlib import closing

import pytest

import sqlitedict_kv
from sqlitedict_kv import (
    ConflictError,
    DamagedEntryError,
    LocationError,
    MissingFileError,
    NewerFormatError,
    StoreFullError,
    TooLargeError,
    UnsupportedError,
)
from sqlitedict_kv.codecs.file_reference import FILE, BadReferenceError, parse_reference
from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.value_files import folder as folders
from sqlitedict_kv.engines.sqlite.value_files import reaping, writing
from tests.support.processes import Worker

LARGE = 100_000
A, B, C = (letter * LARGE for letter in (b"a", b"b", b"c"))


@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch):
    """Files are written without a name where the system can, and under another name elsewhere."""
    if request.param == "named":
        monkeypatch.setattr(folders, "NAMELESS", 0)
    elif not folders.NAMELESS:
        pytest.skip("this system has no files without a name")


@pytest.fixture
def store(make_store, path, way):
    return make_store(path, files_above="64 KiB")


@pytest.fixture
def ns(store):
    return store.ns("n")


def names_in(path):
    """Return the names of the value files of a store."""
    folder = f"{path}-values"
    return {name for name in os.listdir(folder) if len(name) == 32} if os.path.isdir(folder) else set()


def all_names_in(path):
    return set(os.listdir(f"{path}-values")) - {"STORE", ".reap"}


def row_of(path, key="k"):
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute("SELECT value, content_type FROM kv WHERE key = ?", (key,)).fetchone()


def file_of(path, key="k"):
    return f"{path}-values/{json.loads(row_of(path, key)[0])['file']}"


def rewrite(path, change, key="k"):
    """Change the reference of an entry as somebody does who can write to the database; the row stays sealed."""
    with closing(sqlite3.connect(path)) as raw:
        reference = json.loads(row_of(path, key)[0]) | change
        # Another program's write has no checksum of its version.
        raw.execute(
            "UPDATE kv SET value = ?, version = version + 1 WHERE key = ?", (json.dumps(reference).encode(), key)
        )
        raw.commit()


# -- where values are


def test_a_value_over_the_size_is_the_content_of_a_file_and_one_of_the_size_is_in_the_database(ns, path):
    ns["k"] = b"x" * (2**16 + 1)
    ns["small"] = b"x" * 2**16

    (name,) = names_in(path)
    with open(f"{path}-values/{name}", "rb") as file:
        assert file.read() == b"x" * (2**16 + 1)
    assert row_of(path)[1] == FILE
    assert row_of(path, "small")[1] == "application/octet-stream"
    assert ns["k"] == b"x" * (2**16 + 1)
    assert ns.get_with_meta("k").meta.content_type == "application/octet-stream"
    assert ns.get("k", content_type="application/octet-stream") == b"x" * (2**16 + 1)
    assert ns.get("k", content_type="application/json") is None


def test_every_verb_reads_and_writes_large_values(ns, store):
    assert ns.add("a", A) == 1
    assert ns.add("a", B) is None
    assert ns.cas_set("a", B, 1) == 2
    with pytest.raises(ConflictError):
        ns.cas_set("a", C, 1)
    assert ns.setdefault("a", C) == B
    assert ns.modify("a", lambda value: value + b"!") == B + b"!"
    ns.set_many({"b": B, "c": C, "s": 1})
    ns.update(d=A)
    assert ns.get_many(["a", "b", "s", "none"]) == {"a": B + b"!", "b": B, "s": 1}
    assert dict(ns.items()) == {"a": B + b"!", "b": B, "c": C, "d": A, "s": 1}
    assert [entry.value for _, entry in ns.scan("c")] == [C]
    assert ns.pop("c") == C
    assert ns.popitem() == ("s", 1)
    assert ns.popitem() == ("d", A)
    with store.atomic() as tx:
        tx.ns("n")["e"] = A
        tx.ns("m")["f"] = B
    with store.exclusive() as held:
        held.ns("m")["g"] = held.ns("n")["e"] + held.ns("m")["f"]
    assert store.ns("m")["g"] == A + B
    assert store.check().ok


def test_a_transaction_that_fails_leaves_neither_entries_nor_files(ns, store, path):
    ns["k"] = A
    before = all_names_in(path)

    with pytest.raises(ConflictError), store.atomic() as tx:
        tx.ns("n")["k"] = B
        tx.ns("n").check("k", 7)
    with pytest.raises(ZeroDivisionError), store.atomic() as tx:
        tx.ns("n")["k"] = B
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), store.exclusive() as held:
        held.ns("n")["k"] = B
        raise ZeroDivisionError

    assert ns["k"] == A
    store.vacuum()
    assert all_names_in(path) == before


def test_what_was_overwritten_or_removed_is_gone_from_the_folder_after_vacuum(ns, store, path, clock):
    ns["over"] = A
    ns["over"] = B
    ns["small"] = A
    ns["small"] = 1
    ns["deleted"] = A
    del ns["deleted"]
    ns.set("expired", A, ttl=1)
    store.ns("cleared")["k"] = A
    store.ns("cleared").clear()
    store.ns("dropped")["k"] = A
    store.drop("dropped")
    clock.advance(2)
    store.purge_expired()

    store.vacuum()

    assert names_in(path) == {os.path.basename(file_of(path, "over"))}
    assert store.stats().files == 1
    assert store.stats().file_bytes == LARGE


def test_an_older_reader_goes_on_with_what_it_had_opened_and_others_see_the_new_value(ns, store, path, make_store):
    other = make_store(path).ns("n")
    ns["k"] = A
    assert other["k"] == A
    ns["k"] = B
    store.vacuum()
    assert other["k"] == B


def test_a_store_without_large_values_keeps_its_format_and_the_first_one_changes_it(make_store, path, monkeypatch):
    store = make_store(path, files_above="64 KiB")
    store.ns("n")["k"] = 1
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (2,)
    assert not os.path.exists(f"{path}-values")

    store.ns("n")["k"] = A

    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (3,)
    store.close()
    monkeypatch.setattr(schema, "NEWEST", 2)  # as a release that knows no files has it
    with pytest.raises(NewerFormatError, match="format 3"):
        make_store(path)


def test_folder_and_files_are_their_owner_s_alone(ns, path):
    ns["k"] = A
    assert stat.S_IMODE(os.stat(f"{path}-values").st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(f"{path}-values/{name}").st_mode) for name in os.listdir(f"{path}-values")} == {0o600}


def test_files_above_is_for_stores_in_files_and_has_a_lowest_size(make_store, path):
    with pytest.raises(UnsupportedError, match="files_above"):
        make_store(files_above="64 KiB")
    with pytest.raises(ValueError, match="files_above"):
        make_store(path, files_above=1000)
    assert make_store(path, files_above="1 MiB").capabilities.files
    assert not make_store(path.with_name("b.db"), files_above=None).capabilities.files


def test_a_limit_of_values_holds_for_files_too(make_store, path):
    ns = make_store(path, files_above="64 KiB", max_value_bytes=2 * LARGE).ns("n")
    ns["k"] = A
    with pytest.raises(TooLargeError):
        ns["k"] = A + B + C
    assert ns["k"] == A


# -- damage and hostile files


def test_a_missing_file_and_a_missing_folder_raise_and_nothing_is_deleted(ns, store, path):
    ns["k"] = A
    ns["l"] = B
    os.unlink(file_of(path))
    with pytest.raises(MissingFileError, match="its file"):
        ns["k"]
    assert ns["l"] == B
    os.rename(f"{path}-values", f"{path}-away")
    with pytest.raises(MissingFileError, match="copy that folder too"):
        ns["l"]
    report = store.check()
    assert not report.ok
    assert len(report.problems) == 2
    os.rename(f"{path}-away", f"{path}-values")
    store.vacuum()
    assert ns["l"] == B


@pytest.mark.parametrize("place", [0, 50_000, LARGE - 1])
def test_no_damaged_byte_is_returned(ns, store, path, place):
    ns["k"] = A
    with open(file_of(path), "r+b") as file:
        file.seek(place)
        file.write(b"?")
    with pytest.raises(DamagedEntryError, match="chunk 0"):
        ns["k"]
    assert not store.check().ok
    ns["k"] = B  # writing it again mends it
    assert ns["k"] == B


def test_a_file_that_is_too_short_or_too_long_is_damaged(ns, path):
    ns["k"] = A
    for size in (LARGE - 1, LARGE + 1, 0):
        os.truncate(file_of(path), size)
        with pytest.raises(DamagedEntryError, match="bytes instead of"):
            ns["k"]


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../etc/passwd"},
        {"file": "/etc/passwd"},
        {"file": "STORE"},
        {"file": "0" * 31},
        {"file": "A" * 32},
        {"file": None},
        {"size": 512 * 10**9},
        {"size": -1},
        {"size": True},
        {"size": 1.5},
        {"chunk": 1},
        {"chunk": 0},
        {"crc32": ""},
        {"crc32": "zz" * 4},
        {"type": FILE},
        {"type": 3},
        {"more": 1},
    ],
    ids=str,
)
def test_a_hostile_reference_opens_and_allocates_nothing(make_store, path, change, monkeypatch):
    ns = make_store(path, files_above="64 KiB").ns("n")
    ns["k"] = A
    rewrite(path, change)
    opened = []
    original = folders.OpenFolder.open
    monkeypatch.setattr(folders.OpenFolder, "open", lambda self, *rest: opened.append(rest) or original(self, *rest))

    with pytest.raises(DamagedEntryError):
        ns["k"]

    assert opened == []


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are of POSIX")
def test_what_is_in_the_place_of_a_file_is_not_followed_or_waited_for(ns, path, tmp_path):
    ns["k"] = A
    file = file_of(path)
    secret = tmp_path / "secret"
    secret.write_bytes(A)
    os.unlink(file)
    os.symlink(secret, file)
    with pytest.raises(DamagedEntryError, match="link"):
        ns["k"]
    os.unlink(file)
    os.mkfifo(file)
    with pytest.raises(DamagedEntryError, match="something else"):
        ns["k"]
    os.unlink(file)
    os.mkdir(file)
    with pytest.raises(DamagedEntryError):
        ns["k"]
    os.rmdir(file)
    with open(file, "wb") as sparse:
        sparse.truncate(LARGE)
    with pytest.raises(DamagedEntryError, match="chunk"):
        ns["k"]


@pytest.mark.skipif(os.name != "posix", reason="links are of POSIX")
def test_a_folder_that_is_a_link_is_refused(make_store, path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", f"{path}-values")
    ns = make_store(path, files_above="64 KiB").ns("n")
    with pytest.raises(LocationError, match="not a directory"):
        ns["k"] = A
    assert os.listdir(tmp_path / "elsewhere") == []


def test_the_folder_of_another_store_is_neither_written_to_nor_emptied(make_store, path, tmp_path):
    other = tmp_path / "other.db"
    make_store(other, files_above="64 KiB").ns("n")["k"] = B
    make_store(path, files_above="64 KiB").ns("n")["k"] = A
    kept = names_in(other)
    os.rename(f"{path}-values", f"{path}-own")
    os.rename(f"{other}-values", f"{path}-values")

    store = make_store(path, files_above="64 KiB")
    with pytest.raises(LocationError, match="another store"):
        store.ns("n")["l"] = A
    store.vacuum()

    assert names_in(path) == kept


def test_a_reference_is_read_strictly():
    with pytest.raises(BadReferenceError):
        parse_reference(b"[" * 100_000)
    with pytest.raises(BadReferenceError):
        parse_reference(b"\xff")


# -- others at the same time


def test_an_array_that_another_thread_changes_meanwhile_is_never_read_as_damaged(make_store, path):
    numpy = pytest.importorskip("numpy")
    ns = make_store(path, files_above="64 KiB").ns("n")
    array, stop = numpy.zeros(500_000), threading.Event()

    def change():
        while not stop.is_set():
            numpy.add(array, 1, out=array)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(15):
            ns["k"] = array
            assert ns["k"].shape == array.shape
    finally:
        stop.set()
        thread.join()


def test_a_value_that_is_overwritten_between_the_look_at_its_row_and_at_its_file_is_read_again(
    store, ns, path, monkeypatch
):
    ns["k"] = A
    original = folders.OpenFolder.open

    def overwrite_first(self, name, flags):
        monkeypatch.setattr(folders.OpenFolder, "open", original)
        ns["k"] = B
        store.vacuum()
        return original(self, name, flags)

    monkeypatch.setattr(folders.OpenFolder, "open", overwrite_first)
    assert ns["k"] == B

    def remove_first(self, name, flags):
        monkeypatch.setattr(folders.OpenFolder, "open", original)
        del ns["k"]
        store.vacuum()
        return original(self, name, flags)

    monkeypatch.setattr(folders.OpenFolder, "open", remove_first)
    assert ns.get("k", "none") == "none"


def test_a_file_that_a_process_left_behind_is_removed_and_one_that_is_being_written_stays(store, ns, path, way):
    ns["k"] = A
    with open(f"{path}-values/{'0' * 32}", "wb") as file:
        file.write(b"left behind")
    with open(f"{path}-values/tmp-{'1' * 32}", "wb") as file:
        file.write(b"likewise")
    staged, _ = writing.stage(folders.ValueFolder(str(path)), B, "application/octet-stream", durable=False)
    being_written = all_names_in(path) - names_in(path) - {f"tmp-{'1' * 32}"}
    assert store.check().unknown_files == 2 + len(being_written)
    assert store.check().ok

    store.vacuum()

    assert all_names_in(path) == {os.path.basename(file_of(path))} | being_written
    staged.close()


def test_removal_is_in_bounded_steps(make_store, path, monkeypatch, clock):
    monkeypatch.setattr(reaping, "BATCH", 4)
    store = make_store(path, files_above="64 KiB")
    ns = store.ns("n")
    for number in range(20):
        ns.set(str(number), A, ttl=1)
    clock.advance(2)
    store.purge_expired()
    store.vacuum()
    assert names_in(path) == set()
    assert store.stats().files == 0


def test_a_full_disk_refuses_the_value_and_changes_nothing(store, ns, path, monkeypatch):
    ns["k"] = A

    def full(descriptor, piece):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_all", full)
    with pytest.raises(StoreFullError, match="no space is left"):
        ns["k"] = B
    monkeypatch.undo()
    assert ns["k"] == A
    assert all_names_in(path) == {os.path.basename(file_of(path))}


def test_a_failing_sync_of_a_file_fails_that_write_alone(make_store, path, monkeypatch):
    ns = make_store(path, files_above="64 KiB", durability="power").ns("n")
    ns["k"] = A

    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writing, "sync_file", fail)
    with pytest.raises(sqlitedict_kv.StoreIOError):
        ns["k"] = B
    monkeypatch.undo()
    assert ns["k"] == A
    ns["k"] = B
    assert ns["k"] == B


def test_a_codec_of_the_user_without_parts_writes_one_part(make_store, path):
    class Point:
        def __init__(self, text):
            self.text = text

    codec = sqlitedict_kv.Codec(
        "application/x-point", lambda point: point.text.encode(), lambda body: Point(bytes(body).decode()), (Point,)
    )
    ns = make_store(path, files_above="64 KiB", codecs=[codec]).ns("n")
    ns["k"] = Point("x" * LARGE)
    assert ns["k"].text == "x" * LARGE
    assert row_of(path)[1] == FILE


def test_processes_that_overwrite_and_read_the_same_entries_see_whole_values(make_store, path):
    make_store(path, files_above="64 KiB").ns("n")["k"] = A
    program = """
        from sqlitedict_kv import Store
        import sys
        with Store(sys.argv[1], files_above="64 KiB") as store:
            ns = store.ns("n")
            for number in range(40):
                letter = bytes([97 + number % 3])
                ns["k"] = letter * 100_000
                value = ns["k"]
                assert len(value) == 100_000 and len(set(value)) == 1
                if number % 10 == 0:
                    store.vacuum()
    """
    workers = [Worker(program, path) for _ in range(3)]
    for worker in workers:
        worker.finish()
    store = make_store(path, files_above="64 KiB")
    store.vacuum()
    assert len(names_in(path)) == 1
    assert store.check().ok


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_reads_and_writes_large_values_and_closes_none_of_its_parent_s_files(store, ns, path):
    ns["k"] = A
    with store.atomic() as tx:
        tx.ns("n")["l"] = B
        child = os.fork()
        if not child:
            try:
                ok = ns["k"] == A
                ns["m"] = C
                os._exit(0 if ok and ns["m"] == C else 1)
            except BaseException:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    assert (ns["l"], ns["m"]) == (B, C)


def test_by_default_values_over_8_mib_are_in_files_and_in_memory_none(make_store, path):
    ns = make_store(path).ns("n")
    ns["k"], ns["l"] = bytes(8 * 2**20), bytes(8 * 2**20 + 1)
    assert row_of(path)[1] == "application/octet-stream"
    assert row_of(path, "l")[1] == FILE
    memory = make_store()
    memory.ns("n")["k"] = bytes(9 * 2**20)
    assert len(memory.ns("n")["k"]) == 9 * 2**20
    assert not memory.capabilities.files
