"""Backups, copies, limits, checks and repairs of a store take its value files along."""

import asyncio
import json
import os
import sqlite3
import threading
from contextlib import closing

import pytest

import sqlitedict_kv
from sqlitedict_kv import AsyncStore, MissingFileError, OpenError, ReadOnlyError, Store, TooLargeError, diagnose
from sqlitedict_kv.engines.sqlite.value_files import transfer as transfers
from sqlitedict_kv.tools.exchange import export_lines, import_lines
from sqlitedict_kv.tools.restore import restore

LARGE = 100_000
A, B, C = (letter * LARGE for letter in (b"a", b"b", b"c"))


def names_in(path):
    folder = f"{path}-values"
    return {name for name in os.listdir(folder) if len(name) == 32} if os.path.isdir(folder) else set()


@pytest.fixture
def store(make_store, path):
    return make_store(path, files_above="64 KiB")


@pytest.fixture
def ns(store):
    return store.ns("n")


# -- backup


@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_a_backup_is_whole_and_lives_without_the_store(ns, store, make_store, path, tmp_path, link):
    ns["k"], ns["gone"], ns["small"] = A, B, 1
    del ns["gone"]
    target = tmp_path / "backup.db"

    store.backup(target, link=link)
    ns["k"] = C
    store.vacuum()

    assert len(names_in(target)) == 1
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]
    copy = make_store(target, files_above="64 KiB")
    assert dict(copy.ns("n").items()) == {"k": A, "small": 1}
    assert copy.check() == copy.check()._replace(ok=True, files=1, unknown_files=0)
    copy.ns("n")["k"] = B
    copy.vacuum()
    assert (copy.ns("n")["k"], ns["k"]) == (B, C)


def test_a_backup_of_a_store_without_large_values_makes_no_folder(ns, store, tmp_path):
    ns["k"] = 1
    store.backup(tmp_path / "backup.db")
    assert not os.path.exists(tmp_path / "backup.db-values")


def test_a_backup_may_have_a_relative_path(ns, store, make_store, tmp_path, monkeypatch):
    ns["k"] = A
    monkeypatch.chdir(tmp_path)
    store.backup("backup.db")
    assert make_store("backup.db").ns("n")["k"] == A


def test_a_backup_refuses_a_place_where_a_folder_is(ns, store, tmp_path):
    ns["k"] = A
    os.mkdir(tmp_path / "backup.db-values")
    with pytest.raises(OpenError, match="something is there already"):
        store.backup(tmp_path / "backup.db")
    assert not os.path.exists(tmp_path / "backup.db")


def test_a_backup_without_a_file_that_it_needs_fails_and_leaves_nothing(ns, store, path, tmp_path):
    ns["k"] = A
    (name,) = names_in(path)
    os.unlink(f"{path}-values/{name}")
    with pytest.raises(MissingFileError):
        store.backup(tmp_path / "backup.db")
    assert [name for name in os.listdir(tmp_path) if name.startswith("backup")] == []


def test_a_backup_keeps_the_files_of_its_moment_while_others_overwrite_and_remove(
    ns, store, make_store, path, tmp_path, monkeypatch
):
    ns["k"] = A
    original = transfers.transfer

    def overwrite_first(*arguments, **options):
        ns["k"] = B
        store.vacuum()
        return original(*arguments, **options)

    monkeypatch.setattr("sqlitedict_kv.engines.sqlite.administration.backup.transfer", overwrite_first)
    store.backup(tmp_path / "backup.db")

    assert make_store(tmp_path / "backup.db").ns("n")["k"] == A
    store.vacuum()
    assert len(names_in(path)) == 1


def test_copying_without_the_system_s_help_gives_the_same(ns, store, make_store, tmp_path, monkeypatch):
    ns["k"] = A

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    store.backup(tmp_path / "backup.db")
    assert make_store(tmp_path / "backup.db").ns("n")["k"] == A


def test_a_restore_brings_the_files_back(ns, store, make_store, path, tmp_path):
    ns["k"], ns["l"] = A, B
    store.backup(tmp_path / "backup.db")
    ns["k"], ns["m"] = C, C
    del ns["l"]
    store.vacuum()

    restore(store, tmp_path / "backup.db")

    assert dict(ns.items()) == {"k": A, "l": B}
    store.vacuum()
    assert dict(ns.items()) == {"k": A, "l": B}
    assert len(names_in(path)) == 2
    assert store.check().ok


def test_a_restore_mends_a_damaged_file_and_one_without_large_values_leaves_none(ns, store, make_store, path, tmp_path):
    store.backup(tmp_path / "empty.db")
    ns["k"] = A
    store.backup(tmp_path / "backup.db")
    (name,) = names_in(path)
    with open(f"{path}-values/{name}", "r+b") as file:
        file.write(b"?")

    restore(store, tmp_path / "backup.db")
    assert ns["k"] == A

    restore(store, tmp_path / "empty.db")
    store.vacuum()
    assert len(ns) == 0
    assert names_in(path) == set()


# -- to another store


def test_a_copy_brings_values_into_files_and_out_of_them(ns, store, make_store, tmp_path):
    ns["k"], ns["l"], ns["small"] = A, "ä" * LARGE, 1
    into_files = make_store(tmp_path / "files.db", files_above="64 KiB")
    into_one = make_store(tmp_path / "one.db", files_above=None)
    memory = make_store()
    again = make_store(tmp_path / "again.db", files_above="64 KiB")

    for source, target in ((store, into_files), (into_files, into_one), (into_one, memory), (memory, again)):
        sqlitedict_kv.copy(source, target)
        assert dict(target.ns("n").items()) == {"k": A, "l": "ä" * LARGE, "small": 1}
        assert target.check().ok
    assert [each.stats().files for each in (into_files, into_one, memory, again)] == [2, 0, 0, 2]
    assert not names_in(tmp_path / "files.db") & names_in(store._engine.label)


def test_a_copy_refuses_what_is_too_large_for_the_target(ns, store, make_store, tmp_path):
    ns["k"] = A
    target = make_store(tmp_path / "target.db", files_above=None, max_value_bytes=1000)
    with pytest.raises(TooLargeError, match="'k'"):
        sqlitedict_kv.copy(store, target)


def test_an_export_holds_the_values_and_an_import_writes_files(ns, store, make_store, tmp_path):
    ns["k"], ns["l"], ns["small"] = A, "ä" * LARGE, 1
    lines = [line + b"\n" for line in b"".join(export_lines(store)).splitlines()]
    assert not any(b"sqlitedict-kv.file" in line for line in lines)

    target = make_store(tmp_path / "target.db", files_above="64 KiB")
    import_lines(target, lines)

    assert dict(target.ns("n").items()) == {"k": A, "l": "ä" * LARGE, "small": 1}
    assert target.stats().files == 2
    assert target.check().ok


# -- limits


def test_max_bytes_counts_files_and_eviction_frees_their_space(make_store, path):
    store = make_store(path, files_above="64 KiB", max_bytes="1 MB")
    ns = store.ns("n")
    for number in range(40):
        ns[str(number)] = A
        size = sum(os.stat(f"{path}-values/{name}").st_size for name in names_in(path))
        assert size <= 10**6 + LARGE
    assert "39" in ns
    assert 5 <= len(ns) <= 10
    assert store.stats().evicted == 40 - len(ns)
    assert store.check().ok


def test_what_is_about_to_be_removed_does_not_let_live_entries_be_evicted(make_store, path, tmp_path):
    store = make_store(path, files_above="64 KiB", max_bytes="1 MB")
    ns = store.ns("n")
    for number in range(5):
        ns[str(number)] = A
    with store._engine._files.folder.kept():  # as a backup does, so that nothing can be removed
        for _ in range(10):
            ns["0"] = B
        assert len(ns) == 5
    ns["0"] = C
    store.vacuum()
    assert len(ns) == 5
    assert len(names_in(path)) == 5


def test_max_entries_removes_files_too(make_store, path):
    store = make_store(path, files_above="64 KiB", max_entries=3)
    ns = store.ns("n")
    for number in range(10):
        ns[str(number)] = A
    store.vacuum()
    assert len(names_in(path)) == len(ns) <= 3


# -- looking


def test_check_and_diagnose_tell_of_files(ns, store, path):
    ns["k"], ns["l"] = A, B
    with open(f"{path}-values/{'0' * 32}", "wb") as file:
        file.write(b"left behind")
    report = store.check()
    assert (report.ok, report.files, report.unknown_files) == (True, 2, 1)
    store.close()
    found = diagnose(path)
    assert found.ok
    assert (found.files, found.unknown_files, found.folder_mode) == (2, 1, 0o700)
    assert found.folder_bytes >= 2 * LARGE
    assert "value files   2, 1 unknown" in str(found)


def test_diagnose_finds_a_missing_file(ns, store, path):
    ns["k"] = A
    (name,) = names_in(path)
    store.close()
    os.unlink(f"{path}-values/{name}")
    found = diagnose(path)
    assert found.kind == "damaged"
    assert "'k'" in found.problems[0]


def test_a_store_that_only_reads_reads_files_and_changes_nothing(ns, store, make_store, path):
    ns["k"] = A
    store.close()
    before = sorted(os.listdir(f"{path}-values"))
    reader = make_store(path, readonly=True)
    assert reader.ns("n")["k"] == A
    assert reader.check().ok
    with pytest.raises(ReadOnlyError):
        make_store(path, readonly=True, files_above="64 KiB").ns("n")["l"] = B
    assert sorted(os.listdir(f"{path}-values")) == before


def test_a_file_and_its_folder_can_be_moved_together(ns, store, make_store, path, tmp_path):
    ns["k"] = A
    store.close()
    os.rename(path, tmp_path / "moved.db")
    os.rename(f"{path}-values", tmp_path / "moved.db-values")
    moved = make_store(tmp_path / "moved.db", files_above="64 KiB")
    assert moved.ns("n")["k"] == A
    moved.ns("n")["l"] = B
    assert moved.check().files == 2


@pytest.mark.skipif(os.name != "posix", reason="links are of POSIX")
def test_the_real_path_of_the_database_decides_where_the_folder_is(make_store, path, tmp_path):
    make_store(path).close()
    (tmp_path / "there").mkdir()
    os.symlink(path, tmp_path / "there" / "link.db")
    make_store(tmp_path / "there" / "link.db", files_above="64 KiB").ns("n")["k"] = A
    assert len(names_in(path)) == 1
    assert os.listdir(tmp_path / "there") == ["link.db"]


# -- quarantine


def damage(path):
    """Spoil pages with rows, behind those with the schema and the table of the files."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        for page in range(size // 4096 // 2, size // 4096 // 2 + 3):
            file.seek(4096 * page)
            file.write(b"\xff" * 4096)


def fill(path):
    with Store(path, files_above="64 KiB") as store:
        ns = store.ns("n")
        ns["k"], ns["l"] = A, B
        ns.set_many({f"s{number}": "x" * 200 for number in range(3000)})


@pytest.mark.skipif(os.name != "posix", reason="no POSIX locks")
def test_a_quarantine_keeps_the_old_folder_and_the_new_store_has_its_own(make_store, path):
    fill(path)
    kept = names_in(path)
    damage(path)

    store = make_store(path, files_above="64 KiB", on_corrupt="quarantine")

    assert store.quarantined is not None
    ns = store.ns("n")
    assert (ns["k"], ns["l"]) == (A, B)
    ns["k"] = C
    store.vacuum()
    assert store.check().ok
    assert names_in(store.quarantined.path) == kept
    assert len(names_in(path)) == 2


@pytest.mark.skipif(os.name != "posix", reason="no POSIX locks")
@pytest.mark.parametrize("step", ["before", "between", "after"])
def test_a_quarantine_that_died_gives_the_folder_back(make_store, path, monkeypatch, step):
    fill(path)
    kept = names_in(path)
    damage(path)
    module = "sqlitedict_kv.engines.sqlite.recovery.quarantine.swap_folders"
    original = __import__("sqlitedict_kv.engines.sqlite.recovery.saved_files", fromlist=["x"]).swap_folders

    class Died(BaseException):
        pass

    def die(path, aside, fresh):
        if step == "between":
            os.rename(f"{path}-values", f"{aside}-values")
        elif step == "after":
            original(path, aside, fresh)
        raise Died

    monkeypatch.setattr(module, die)
    with pytest.raises(Died):
        make_store(path, files_above="64 KiB", on_corrupt="quarantine")
    monkeypatch.undo()

    store = make_store(path, files_above="64 KiB", on_corrupt="quarantine")

    assert (store.ns("n")["k"], store.ns("n")["l"]) == (A, B)
    assert names_in(path) == names_in(store.quarantined.path) == kept
    assert store.check().ok


# -- tasks


def test_tasks_write_and_read_files_in_threads(path, clock, monkeypatch):
    from sqlitedict_kv.engines.sqlite.value_files import reading, writing

    threads = set()

    def note_threads_of(function):
        def noting(*arguments):
            threads.add(threading.get_ident())
            return function(*arguments)

        return noting

    monkeypatch.setattr(writing, "write_parts", note_threads_of(writing.write_parts))
    monkeypatch.setattr(reading, "fill", note_threads_of(reading.fill))

    async def work():
        async with AsyncStore(path, files_above="64 KiB", lru_bytes="1 MB", clock=clock) as store:
            ns = store.ns("n")
            await ns.set("k", A)
            assert await ns.get("k") == A
            assert await ns.get("k") == A
            assert await ns.add("a", B) == 1
            assert await ns.modify("a", lambda value: value + b"!") == B + b"!"
            assert await ns.setdefault("d", C) == C
            assert await ns.cas_set("d", A, 1) == 2
            await ns.set_many({"m": B, "s": 1})
            async with store.atomic() as tx:
                tx.ns("n")["t"] = C
            assert (await ns.get_with_meta("t")).value == C
            assert {key: value async for key, value in ns.items()} == {
                "k": A, "a": B + b"!", "d": A, "m": B, "s": 1, "t": C,
            }  # fmt: skip
            assert [entry.value async for _, entry in ns.scan("t")] == [C]
            assert await ns.get_many(["k", "s"]) == {"k": A, "s": 1}
            assert await ns.pop("k") == A
            assert (await store.stats()).hits > 0
            assert (await store.check()).ok

    asyncio.run(work())
    assert threads
    assert threading.get_ident() not in threads


def test_the_format_can_be_read_with_sqlite_and_zlib_alone(ns, store, path):
    import zlib

    ns["k"] = bytes(range(256)) * 10_000
    with closing(sqlite3.connect(path)) as raw:
        row, kind = raw.execute("SELECT value, content_type FROM kv").fetchone()
        (known,) = raw.execute("SELECT name, ns, key, size, state FROM kv_file WHERE name <> ''").fetchall()
        (owner,) = raw.execute("SELECT ns FROM kv_file WHERE name = ''").fetchone()
    reference = json.loads(row)
    assert kind == "application/vnd.sqlitedict-kv.file"
    assert set(reference) == {"file", "size", "type", "chunk", "crc32"}
    with open(f"{path}-values/{reference['file']}", "rb") as file:
        body = file.read()
    assert len(body) == reference["size"]
    assert body == bytes(range(256)) * 10_000
    sums = [zlib.crc32(body[start : start + reference["chunk"]]) for start in range(0, len(body), reference["chunk"])]
    assert bytes.fromhex(reference["crc32"]) == b"".join(each.to_bytes(4, "big") for each in sums)
    assert known == (reference["file"], "n", "k", len(body), 0)
    with open(f"{path}-values/STORE") as file:
        assert file.read() == owner
