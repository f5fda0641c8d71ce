"""Values in files of their own, in a folder beside the database."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing

import numpy as np
import pytest

from sqlitedict_kv import (
    AsyncStore,
    ConflictError,
    DamagedEntryError,
    DamagedFileError,
    LocationError,
    MissingFileError,
    Store,
    StoreFullError,
    TooLargeError,
    UnsupportedError,
)
from sqlitedict_kv.codecs.file_reference import FILE, FileReference
from sqlitedict_kv.engines.sqlite.checksum import checksum, crc, seal
from sqlitedict_kv.engines.sqlite.value_files import folder as folders
from sqlitedict_kv.engines.sqlite.value_files import reading, reaping, writing

LARGE = 70_000
ABOVE = 2**16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


@pytest.fixture(params=["nameless", "renamed"])
def large_store(path, request, monkeypatch):
    if request.param == "renamed":
        monkeypatch.setattr(folders, "NAMELESS", 0)
    with Store(path, files_above=ABOVE) as store:
        yield store


def folder_of(path):
    return path.with_name(path.name + "-values")


def names_in(path):
    return {name for name in os.listdir(folder_of(path)) if name not in ("STORE", ".reap")}


def query(path, statement, *values):
    with closing(sqlite3.connect(path)) as raw, raw:
        return raw.execute(statement, values).fetchall()


def reference_in(path, key="k"):
    ((body,),) = query(path, "SELECT value FROM kv WHERE key = ?", key)
    return json.loads(body)


def test_a_large_value_is_in_a_file_and_a_small_one_is_not(large_store, path):
    ns = large_store.ns("n")
    ns["large"] = b"x" * LARGE
    ns["small"] = b"x" * ABOVE

    assert len(names_in(path)) == 1
    assert ns["large"] == b"x" * LARGE
    assert ns["small"] == b"x" * ABOVE
    assert large_store.check().ok


def test_the_file_is_the_encoded_value_and_nothing_else(large_store, path):
    array = np.arange(20_000.0)
    large_store.ns("n")["k"] = array
    (name,) = names_in(path)
    assert np.array_equal(np.load(folder_of(path) / name), array)


def test_what_is_read_is_new_and_can_be_changed(large_store):
    array = np.arange(20_000.0)
    ns = large_store.ns("n")
    ns["k"] = {"a": [array, "b"], "c": 1}
    first = ns["k"]
    first["a"][0][:] = 0
    assert np.array_equal(ns["k"]["a"][0], array)


def test_only_the_owner_can_look_into_the_folder(large_store, path):
    large_store.ns("n")["k"] = b"x" * LARGE
    assert stat.S_IMODE(folder_of(path).stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder_of(path).iterdir()} == {0o600}


def test_a_store_without_large_values_has_no_folder_and_the_old_format(path):
    with Store(path, files_above=ABOVE) as store:
        store.ns("n")["k"] = 1
    assert not folder_of(path).exists()
    assert query(path, "PRAGMA user_version") == [(2,)]


def test_the_first_large_value_makes_the_format_newer(large_store, path):
    large_store.ns("n")["k"] = b"x" * LARGE
    assert query(path, "PRAGMA user_version") == [(3,)]


def test_the_meta_data_tell_the_type_of_the_value(large_store):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    assert ns.get_with_meta("k").meta.content_type == "application/octet-stream"
    assert ns.get("k", content_type="application/octet-stream") == b"x" * LARGE
    assert ns.get("k", content_type="application/json") is None


def test_every_verb_writes_and_reads_large_values(large_store):
    ns = large_store.ns("n")
    value = [np.arange(20_000), "x"]
    assert ns.add("a", value) == 1
    assert ns.add("a", value) is None
    assert ns.cas_set("a", {"v": value}, 1) == 2
    ns.set_many({"b": value, "c": 1})
    with large_store.atomic() as transaction:
        transaction.ns("n")["d"] = value
    with large_store.exclusive() as block:
        block.ns("n")["e"] = value
        assert np.array_equal(block.ns("n")["e"][0], value[0])
    ns.modify("b", lambda old: [old[0] + 1, "y"])
    assert np.array_equal(ns["b"][0], value[0] + 1)
    assert np.array_equal(ns.setdefault("f", value)[0], value[0])
    assert np.array_equal(ns.pop("f")[0], value[0])
    assert set(ns.get_many(list("abcdef"))) == set("abcde")
    assert [key for key, _ in ns.items()] == [key for key, _ in ns.scan()] == list("abcde")
    assert large_store.check().ok


def test_a_refused_write_leaves_no_file(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = 1
    with pytest.raises(ConflictError):
        ns.cas_set("k", b"x" * LARGE, 7)
    with pytest.raises(ZeroDivisionError), large_store.atomic() as transaction:
        transaction.ns("n")["k"] = b"x" * LARGE
        1 / 0  # noqa: B018
    del transaction
    assert names_in(path) == set()


@pytest.fixture
def written(monkeypatch):
    """The sizes of the values that were written to files."""
    sizes, stage = [], writing.stage

    def watched(folder, body, content_type, *, durable):
        sizes.append(len(body))
        return stage(folder, body, content_type, durable=durable)

    monkeypatch.setattr(writing, "stage", watched)
    return sizes


def test_a_compare_and_set_that_is_refused_writes_no_file_in_vain(large_store, written):
    ns = large_store.ns("n")
    version = ns.set("k", 1)
    with pytest.raises(ConflictError) as caught:
        ns.cas_set("k", b"x" * LARGE, version + 1)
    assert (caught.value.expected, caught.value.actual) == (version + 1, version)
    with pytest.raises(ConflictError):
        ns.cas_set("absent", b"x" * LARGE, version)
    with pytest.raises(ConflictError), large_store.exclusive() as inside:
        inside.ns("n").cas_set("k", b"x" * LARGE, version + 1)
    assert ns.add("k", b"x" * LARGE) is None
    assert written == []
    assert ns.add("new", b"x" * LARGE)
    assert len(ns.cas_set("k", b"y" * LARGE, version) and ns["k"]) == LARGE
    assert written == [LARGE, LARGE]


def test_a_value_that_changes_after_the_look_is_still_not_overwritten(large_store, path, monkeypatch):
    ns = large_store.ns("n")
    version, stage = ns.set("k", 1), writing.stage

    def slow_stage(*arguments, **options):
        query(path, "UPDATE kv SET version = version + 1 WHERE key = 'k'")
        return stage(*arguments, **options)

    monkeypatch.setattr(writing, "stage", slow_stage)
    with pytest.raises(ConflictError):
        ns.cas_set("k", b"x" * LARGE, version)
    assert names_in(path) == set()


def test_a_compare_and_set_within_a_transaction_sees_what_stands_before_it(large_store):
    ns = large_store.ns("n")
    ns["k"] = 1
    with large_store.atomic() as transaction:
        transaction.ns("n").delete("k")
        transaction.ns("n").add("k", b"x" * LARGE)
    assert len(ns["k"]) == LARGE


def test_a_compare_and_set_of_a_task_that_is_refused_writes_no_file_in_vain(path, written):
    async def main():
        async with AsyncStore(path, files_above=ABOVE) as store:
            ns = store.ns("n")
            version = await ns.set("k", 1)
            with pytest.raises(ConflictError):
                await ns.cas_set("k", b"x" * LARGE, version + 1)
            assert await ns.add("k", b"x" * LARGE) is None
            assert written == []
            async with store.atomic() as transaction:
                transaction.ns("n").delete("k")
                transaction.ns("n").add("k", b"x" * LARGE)
            changes = iter([2, 3])

            async def grow(value):
                for number in changes:
                    await ns.set("k", number)  # behind the back of the one that changes it
                    break
                return b"y" * LARGE

            await ns.modify("k", grow)
            assert await ns.get("k") == b"y" * LARGE
            assert written == [LARGE, LARGE]

    asyncio.run(main())


def test_a_folder_that_is_removed_under_an_open_store_is_made_again_and_collected(large_store, path):
    ns = large_store.ns("n")
    ns["lost"] = b"x" * LARGE
    owner = (folder_of(path) / "STORE").read_bytes()
    shutil.rmtree(folder_of(path))
    with pytest.raises(MissingFileError):
        ns["lost"]
    ns["k"] = b"y" * LARGE
    assert (folder_of(path) / "STORE").read_bytes() == owner
    (folder_of(path) / ("0" * 32)).write_bytes(b"left behind")
    large_store.vacuum()
    assert names_in(path) == {reference_in(path, "k")["file"]}
    assert ns["k"] == b"y" * LARGE


@pytest.mark.skipif(not folders.NAMELESS, reason="needs files without a name")
def test_a_process_that_is_killed_while_it_claims_the_folder_leaves_nothing(path, monkeypatch):
    class KilledError(BaseException):
        pass

    def die(*_):
        raise KilledError

    monkeypatch.setattr(folders, "sync_file", die)
    monkeypatch.setattr(folders.OpenFolder, "unlink", die)  # which the dead do not
    with Store(path, files_above=ABOVE) as store, pytest.raises(KilledError):
        store.ns("n")["k"] = b"x" * LARGE
    assert os.listdir(folder_of(path)) == []


def test_a_folder_that_another_process_claims_meanwhile_is_claimed(large_store, path, monkeypatch):
    sync = folders.sync_file

    def claimed_by_another(descriptor):
        monkeypatch.setattr(folders, "sync_file", sync)
        with closing(sqlite3.connect(path)) as raw:
            ((owner,),) = raw.execute("SELECT ns FROM kv_file WHERE name = ''")
        (folder_of(path) / "STORE").write_text(owner)

    monkeypatch.setattr(folders, "sync_file", claimed_by_another)
    large_store.ns("n")["k"] = b"x" * LARGE
    assert large_store.ns("n")["k"] == b"x" * LARGE
    large_store.vacuum()
    assert names_in(path) == {reference_in(path)["file"]}


def test_no_descriptor_stays_open(large_store):
    ns = large_store.ns("n")
    ns["warm"] = b"x" * LARGE
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        ns["k"] = b"x" * (LARGE + number)
        assert len(ns["k"]) == LARGE + number
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_files_that_nothing_refers_to_are_removed(large_store, path):
    ns = large_store.ns("n")
    for key in "abcdef":
        ns[key] = b"x" * LARGE
    kept = reference_in(path, "a")["file"]
    ns["b"] = b"y" * LARGE
    ns["c"] = 1
    del ns["d"]
    large_store.ns("m")["k"] = b"x" * LARGE
    large_store.ns("m").clear()
    query(path, "DELETE FROM kv WHERE key IN ('e', 'f')")  # by another program

    large_store.vacuum()

    assert names_in(path) == {kept, reference_in(path, "b")["file"]}
    assert {name for (name,) in query(path, "SELECT name FROM kv_file WHERE name <> ''")} == names_in(path)
    assert ns["a"] == b"x" * LARGE


def test_dead_files_are_removed_by_later_writes(large_store, path, monkeypatch):
    monkeypatch.setattr(reaping, "DEAD_SECONDS", 0.0)
    ns = large_store.ns("n")
    for number in range(40):
        ns["k"] = b"%d" % number * LARGE
    assert len(names_in(path)) < 10


def test_files_of_writers_that_died_are_collected(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    for name in ("0" * 32, "tmp-" + "0" * 32):
        (folder_of(path) / name).write_bytes(b"left behind")
    (folder_of(path) / "README").write_text("mine")
    large_store.vacuum()
    assert names_in(path) == {reference_in(path)["file"], "README"}


def test_nothing_is_removed_from_the_folder_of_another_store(large_store, path):
    large_store.ns("n")["k"] = b"x" * LARGE
    (folder_of(path) / "0123456789abcdef0123456789abcdef").touch()
    (folder_of(path) / "STORE").write_text("another")
    large_store.vacuum()
    assert len(names_in(path)) == 2
    with pytest.raises(LocationError, match="another store"):
        large_store.ns("n")["k"] = b"x" * LARGE


def test_a_file_that_is_missing_is_an_error_that_says_what_to_do(large_store, path):
    ns = large_store.ns("n")
    ns["k"], ns["small"] = b"x" * LARGE, 1
    (name,) = names_in(path)
    (folder_of(path) / name).rename(path.with_name("aside"))
    with pytest.raises(MissingFileError, match=f"its file {name} is not in app.db-values"):
        ns["k"]
    folder_of(path).rename(path.with_name("elsewhere"))
    with pytest.raises(MissingFileError, match="copy that folder too"):
        ns["k"]
    assert ns["small"] == 1
    assert "k" in ns
    assert not large_store.check().ok
    ns["k"] = 2
    assert ns["k"] == 2


def damage(content):
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "change", [damage, lambda c: c[:-1], lambda c: c + b"x", lambda c: bytes(len(c)), lambda _: b""]
)
def test_a_damaged_file_is_an_error_that_names_the_entry(large_store, path, change):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    (name,) = names_in(path)
    file = folder_of(path) / name
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DamagedFileError, match="'k'"):
        ns["k"]
    assert not large_store.check().ok


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_something_else_in_the_place_of_a_file_is_refused(large_store, path, kind):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    (name,) = names_in(path)
    file = folder_of(path) / name
    if kind == "link":
        file.rename(path.with_name("target"))
        file.symlink_to(path.with_name("target"))
    else:
        file.unlink()
        os.mkfifo(file) if kind == "pipe" else file.mkdir()
    with pytest.raises(DamagedFileError):
        ns["k"]


def test_a_folder_that_is_a_link_is_refused(path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder_of(path).symlink_to(tmp_path / "elsewhere")
    with Store(path, files_above=ABOVE) as store:
        with pytest.raises(LocationError, match="not a directory"):
            store.ns("n")["k"] = b"x" * LARGE
        assert list((tmp_path / "elsewhere").iterdir()) == []


GOOD = FileReference("0" * 32, LARGE, "application/octet-stream", 2**20, bytes(4))


@pytest.mark.parametrize(
    "reference",
    [
        b"",
        b"[" * 10_000,
        b"{}",
        GOOD._replace(file="../../etc/passwd").pack(),
        GOOD._replace(file="STORE").pack(),
        GOOD._replace(file="0" * 31 + "\n").pack(),
        GOOD._replace(size=512 * 2**30).pack(),
        GOOD._replace(size=512 * 2**30, crc32=bytes(4 * 512 * 2**10)).pack(),
        GOOD._replace(size=512 * 2**30, chunk=2**61).pack(),
        GOOD._replace(size=-1).pack(),
        GOOD._replace(size=0).pack(),
        GOOD._replace(chunk=0).pack(),
        GOOD._replace(crc32=b"").pack(),
        GOOD._replace(type=FILE).pack(),
        json.dumps({**GOOD._asdict(), "crc32": 1}).encode(),
        json.dumps({**GOOD._asdict(), "crc32": "00000000", "size": 1e300}).encode(),
        json.dumps({**GOOD._asdict(), "crc32": "00000000", "file": None}).encode(),
    ],
)
def test_a_crafted_reference_is_refused_before_anything_is_opened(large_store, path, reference):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    summed = checksum(1, seal(crc("n", "k", reference, FILE, None), 5))
    query(path, "UPDATE kv SET value = ?, checksum = ?, updated_at = 5, version = 1", reference, summed)
    with pytest.raises(DamagedEntryError):
        ns["k"]
    assert not large_store.check().ok
    ns["k"] = b"y" * LARGE
    assert ns["k"] == b"y" * LARGE


def test_a_reader_finds_a_value_that_was_overwritten_since_it_read_the_entry(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    reader = large_store.ns("n")
    fetch = reader._fetch

    def fetch_and_lose(*arguments):
        found = fetch(*arguments)
        with Store(path, files_above=ABOVE) as other:
            other.ns("n")["k"] = b"y" * LARGE
            other.vacuum()
        return found

    reader._fetch = fetch_and_lose
    assert reader["k"] == b"y" * LARGE


def test_a_reader_finds_nothing_where_an_entry_was_removed_since_it_read_it(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE
    reader = large_store.ns("n")
    fetch = reader._fetch

    def fetch_and_lose(*arguments):
        found = fetch(*arguments)
        with Store(path, files_above=ABOVE) as other:
            del other.ns("n")["k"]
            other.vacuum()
        return found

    reader._fetch = fetch_and_lose
    assert reader.get("k", "nothing") == "nothing"


@pytest.mark.parametrize("change", ["overwritten", "removed", "small"])
def test_check_finds_nothing_wrong_where_others_write_between_its_look_at_a_row_and_at_its_file(
    large_store, path, monkeypatch, change
):
    ns, verify = large_store.ns("n"), reading.verify_file
    ns["k"] = b"x" * LARGE

    def lose_and_verify(*arguments):
        monkeypatch.setattr(reading, "verify_file", verify)
        with Store(path, files_above=ABOVE) as other:
            if change == "removed":
                del other.ns("n")["k"]
            else:
                other.ns("n")["k"] = b"y" * LARGE if change == "overwritten" else 1
            other.vacuum()
        verify(*arguments)

    monkeypatch.setattr(reading, "verify_file", lose_and_verify)
    assert large_store.check().problems == ()
    assert reading.verify_file is verify


def test_a_full_disk_refuses_a_large_value_and_changes_nothing(large_store, path, monkeypatch):
    ns = large_store.ns("n")
    ns["k"] = b"x" * LARGE

    def write(descriptor, piece):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_all", write)
    with pytest.raises(StoreFullError, match="nothing was written"):
        ns["k"] = b"y" * LARGE
    monkeypatch.undo()
    assert ns["k"] == b"x" * LARGE
    assert len(names_in(path)) == 1


def test_only_what_was_asked_for_limits_a_value_in_a_file(path):
    with Store(path, files_above=ABOVE, max_value_bytes=100_000) as store:
        store.ns("n")["k"] = b"x" * 100_000
        with pytest.raises(TooLargeError):
            store.ns("n")["k"] = b"x" * 100_001


@pytest.mark.parametrize("target", [":memory:", "valkey://localhost"])
def test_files_are_for_stores_in_a_file(target):
    with pytest.raises(UnsupportedError, match="files_above"):
        Store(target, files_above="8 MiB")


def test_files_above_is_at_least_64_kib(path):
    with pytest.raises(ValueError, match="files_above"):
        Store(path, files_above=1000)


def test_a_store_without_the_option_reads_the_files_of_others(large_store, path):
    large_store.ns("n")["k"] = b"x" * LARGE
    with Store(path) as other, Store(path, readonly=True) as reader:
        assert other.ns("n")["k"] == reader.ns("n")["k"] == b"x" * LARGE


def test_a_value_of_many_chunks_comes_back(large_store, monkeypatch):
    monkeypatch.setattr(writing, "CHUNK_BYTES", 2**18)
    monkeypatch.setattr(writing, "MOST_CHUNKS", 4)
    ns = large_store.ns("n")
    for size in (2**18, 2**18 + 1, 2**20, 2**20 + 1, 2**21, 3 * 2**20 + 12_345):
        value = os.urandom(size)
        ns["k"] = value
        assert ns["k"] == value


def test_an_array_that_another_thread_changes_while_it_is_written_never_reads_as_damaged(large_store, monkeypatch):
    array = np.zeros(300_000)
    real = writing.crc32_of_large

    def sum_and_change(piece, start):
        summed = real(piece, start)
        np.add(array, 1, out=array)  # between the sum and the write, where it does the most harm
        return summed

    monkeypatch.setattr(writing, "crc32_of_large", sum_and_change)
    large_store.ns("n")["k"] = array
    monkeypatch.undo()
    assert len(large_store.ns("n")["k"]) == 300_000
    assert large_store.check().ok


def test_a_sum_of_the_array_itself_would_read_as_damaged(large_store, monkeypatch):
    array = np.zeros(300_000)
    real = writing.crc32_of_large

    def sum_and_change(piece, start):
        summed = real(piece, start)
        np.add(array, 1, out=array)
        return summed

    monkeypatch.setattr(writing, "crc32_of_large", sum_and_change)
    monkeypatch.setattr(writing, "pieces_of", iter)  # without the copy of each piece
    large_store.ns("n")["k"] = array
    monkeypatch.undo()
    with pytest.raises(DamagedFileError):
        large_store.ns("n")["k"]


def test_an_entry_that_another_program_renames_or_copies_keeps_its_value(large_store, path):
    ns = large_store.ns("n")
    ns["k"], ns["source"] = b"x" * LARGE, b"y" * LARGE
    query(path, "UPDATE kv SET key = 'renamed', version = version + 1 WHERE key = 'k'")
    columns = "ns, value, content_type, version, updated_at"
    query(path, f"INSERT INTO kv (key, {columns}) SELECT 'copy', {columns} FROM kv WHERE key = 'source'")
    ns["source"] = b"z" * LARGE
    large_store.vacuum()
    assert (ns["renamed"], ns["copy"]) == (b"x" * LARGE, b"y" * LARGE)
    del ns["renamed"], ns["copy"]
    large_store.vacuum()
    assert names_in(path) == {reference_in(path, "source")["file"]}


@pytest.mark.parametrize("accident", [os.unlink, lambda path: os.truncate(path, 5)], ids=["missing", "truncated"])
@pytest.mark.parametrize("undecodable", ["recompute", "raise"])
def test_a_result_whose_file_is_damaged_is_computed_again(large_store, path, accident, undecodable, caplog):
    calls = []

    @large_store.memoize(name="f", undecodable=undecodable, ignore=("calls",))
    def f(x):
        calls.append(x)
        return bytes(LARGE)

    @large_store.memoize(name="g", ignore=("calls",))
    async def g(x):
        calls.append(x)
        return bytes(LARGE)

    def damage():
        for name in names_in(path):
            accident(folder_of(path) / name)

    assert f(1) == asyncio.run(g(2)) == bytes(LARGE)
    damage()
    assert f(1) == f(1) == bytes(LARGE)
    assert asyncio.run(g(2)) == bytes(LARGE)
    assert calls == [1, 2, 1, 2]
    assert "f(1) is computed again" in caplog.text
    assert f.cache_info().undecodable == 1
    damage()
    assert f.many([1, 3]) == [bytes(LARGE)] * 2
    assert calls == [1, 2, 1, 2, 1, 3]


def test_numbers_that_grow_into_files_within_a_transaction(path):
    large = 7**300_000
    with Store(path, files_above=ABOVE, timeout=5) as store:
        store.ns("n")["x"] = 1
        with store.atomic() as tx:
            tx.ns("n").incr("x", large)
            tx.ns("n").incr("x", large)
        assert store.ns("n")["x"] == 1 + 2 * large
        assert store.ns("n").incr("x") == 2 + 2 * large
        store.vacuum()
        assert store.ns("n")["x"] == 2 + 2 * large
        assert store.check().ok


def test_numbers_of_tasks_grow_into_files(path):
    large = 7**300_000

    async def grow():
        async with AsyncStore(path, files_above=ABOVE) as store:
            ns = store.ns("n")
            assert await ns.incr("x", large) == large
            assert await ns.incr("x", 1) == large + 1
            async with store.atomic() as tx:
                tx.ns("n").incr("x", large)
            sums = await asyncio.gather(*(ns.incr("y", large) for _ in range(4)))
            assert sorted(sums) == [large, 2 * large, 3 * large, 4 * large]
            return await ns.get("x"), await ns.get("y"), (await store.check()).ok

    assert asyncio.run(grow()) == (2 * large + 1, 4 * large, True)
