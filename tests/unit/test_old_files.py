"""Moves of shelves and of cache files, written here as the libraries write them; tests/adapters/ has the libraries."""

import dbm.dumb
import os
import pickle
import shelve
import sqlite3
import struct
import time
import zlib
from contextlib import closing
from datetime import date
from hashlib import md5, sha256

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.adapters.migration import (
    detect_kind,
    move_cachelib_files,
    move_django_files,
    move_joblib_memory,
    move_shelf,
)
from tests.support.command_line import run_program, well

on_places = pytest.mark.parametrize("engine", ["file", "valkey"], indirect=True)
VALUES = {"ada": {"name": "Ada", "born": date(1815, 12, 10)}, "pair": (1, {2}), "text": "words", "none": None}


class Evil:
    def __reduce__(self):
        return os.mkdir, (self.path,)


def evil(path):
    thing = Evil()
    thing.path = str(path)
    return pickle.dumps(thing)


@pytest.fixture
def shelf(tmp_path):
    """A shelf, and the files that it consists of."""
    name = tmp_path / "old"
    with closing(shelve.Shelf(dbm.dumb.open(str(name), "c"))) as opened:
        opened.update(VALUES)
    return name


@pytest.mark.parametrize("ending", ["", ".dat", ".dir"])
def test_a_shelf_is_moved(shelf, make_store, ending, clock):
    entries = make_store().ns("n")
    assert detect_kind(f"{shelf}{ending}") == "shelve"
    report = move_shelf(f"{shelf}{ending}", entries)
    assert (report.moved, report.skipped) == (len(VALUES), [])
    assert dict(entries) == VALUES
    assert move_shelf(shelf, entries).present == len(VALUES)


def test_a_shelf_of_dbm_sqlite3_is_moved_on_every_python(tmp_path, make_store):
    path = tmp_path / "old.shelf"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        rows = [(key.encode(), pickle.dumps(value)) for key, value in VALUES.items()]
        connection.executemany("INSERT INTO Dict VALUES (?, ?)", rows)
    before = path.read_bytes()
    entries = make_store().ns("n")
    assert detect_kind(path) == "shelve"
    move_shelf(path, entries)
    assert dict(entries) == VALUES
    assert path.read_bytes() == before


def test_code_in_a_shelf_is_not_run_unless_that_is_asked_for(tmp_path, make_store):
    name, made = tmp_path / "old", tmp_path / "made"
    with closing(dbm.dumb.open(str(name), "c")) as opened:
        opened[b"evil"], opened[b"good"] = evil(made), pickle.dumps(1)
        opened[b"\xff"], opened[b"broken"] = pickle.dumps(1), b"\x80"
    entries = make_store().ns("n")
    report = move_shelf(name, entries)
    assert report.moved == 1
    assert {entry.key: entry.reason.split(":")[0] for entry in report.skipped} == {
        "'evil'": "its value is a pickle that is not read",
        "'\\\\xff'": "its key is not UTF-8",
        "'broken'": "its value is a pickle that is not read",
    }
    assert not made.exists()
    assert move_shelf(name, make_store().ns("n"), unpickle=False).moved == 0
    with pytest.warns(RuntimeWarning, match="runs any code"):
        move_shelf(name, entries, unpickle=True)
    assert made.is_dir()


def test_what_is_not_there_is_said(tmp_path, make_store):
    entries = make_store().ns("n")
    for move in (move_shelf, move_joblib_memory, move_cachelib_files, move_django_files):
        with pytest.raises(ValueError, match="there (is|are) no"):
            move(tmp_path / "none", entries)
    assert detect_kind(tmp_path / "none") is None
    assert detect_kind(tmp_path) is None
    (tmp_path / "text").write_text("words")
    assert detect_kind(tmp_path / "text") is None


def cachelib_file(directory, key, value, expires_at=0, make=sha256):
    path = directory / make(key.encode()).hexdigest()
    path.write_bytes(struct.pack("I", int(expires_at)) + pickle.dumps(value))
    return path


def test_files_of_cachelib_are_moved_by_the_keys_that_are_named(tmp_path, make_store):
    now = time.time()
    cachelib_file(tmp_path, "__wz_cache_count", 4)
    cachelib_file(tmp_path, "ada", VALUES["ada"])
    cachelib_file(tmp_path, "old", 1, now - 10)
    cachelib_file(tmp_path, "new", 2, now + 1000, make=md5)
    cachelib_file(tmp_path, "unnamed", 3)
    cachelib_file(tmp_path, "short", 3).write_bytes(b"\0")
    entries = make_store(clock=time.time).ns("n")
    assert detect_kind(tmp_path) == "cachelib"
    report = move_cachelib_files(tmp_path, entries, keys=["ada", "old", "new", "short", "never"])
    assert (report.moved, report.expired) == (2, 1)
    assert sorted(entry.reason for entry in report.skipped) == [
        "its file is called by a hash of its key, and no key that was named has this hash",
        "its file is cut off",
    ]
    assert dict(entries) == {"ada": VALUES["ada"], "new": 2}
    left = entries.get_with_meta("new").meta.expires_at.timestamp() - now
    assert 990 < left < 1010


def django_file(directory, key, value, expires_at=None):
    path = directory / f"{md5(key.encode()).hexdigest()}.djcache"
    path.write_bytes(pickle.dumps(expires_at) + zlib.compress(pickle.dumps(value)))
    return path


def test_files_of_django_are_moved_by_the_keys_that_are_named(tmp_path, make_store):
    now = time.time()
    django_file(tmp_path, ":1:ada", VALUES["ada"])
    django_file(tmp_path, ":1:old", 1, now - 10)
    django_file(tmp_path, ":1:new", 2, now + 1000)
    django_file(tmp_path, ":1:unnamed", 3)
    django_file(tmp_path, ":1:empty", 3).write_bytes(b"")
    django_file(tmp_path, ":1:strange", 3, expires_at="soon")
    cut = django_file(tmp_path, ":1:cut", "x" * 1000)
    cut.write_bytes(cut.read_bytes()[:-4])
    keys = [f":1:{name}" for name in ("ada", "old", "new", "empty", "strange", "cut")]
    entries = make_store(clock=time.time).ns("n")
    assert detect_kind(tmp_path) == "django"
    report = move_django_files(tmp_path, entries, keys=keys)
    assert (report.moved, report.expired, len(report.skipped)) == (2, 1, 4)
    assert dict(entries) == {":1:ada": VALUES["ada"], ":1:new": 2}
    assert "2 skipped: its file does not begin with a time" in str(report)


def test_results_of_joblib_are_moved_as_data(tmp_path, make_store):
    for digest, value, description in (
        ("a" * 32, [1, 2], '{"duration": 1, "input_args": {"seed": "7", "name": "\'x\'"}}'),
        ("b" * 32, {"n": None}, "no json"),
        ("c" * 32, 3, '{"input_args": {"long": "%s"}}' % ("x" * 5000)),
    ):
        folder = tmp_path / "joblib" / "app" / "models" / "simulate" / digest
        folder.mkdir(parents=True)
        (folder / "output.pkl").write_bytes(pickle.dumps(value))
        (folder / "metadata.json").write_text(description)
    (folder / "output.pkl").write_bytes(zlib.compress(pickle.dumps(3)))
    entries = make_store().ns("n")
    assert detect_kind(tmp_path) == "joblib"
    assert move_joblib_memory(tmp_path, entries).moved == 3
    assert entries["app.models.simulate(seed=7, name='x')#aaaaaaaa"] == [1, 2]
    assert entries["app.models.simulate(...)#bbbbbbbb"] == {"n": None}
    assert len(entries) == 3


def test_an_entry_that_cannot_be_kept_stops_no_other(shelf, make_store):
    with closing(shelve.Shelf(dbm.dumb.open(str(shelf), "c"))) as opened:
        opened["long"] = "x" * 1000
    entries = make_store(max_value_bytes=100).ns("n")
    report = move_shelf(shelf, entries)
    assert report.moved == len(VALUES)
    assert [entry.key for entry in report.skipped] == ["'long'"]


def test_progress_is_told(shelf, make_store):
    told = []
    move_shelf(shelf, make_store().ns("n"), progress=lambda *figures: told.append(figures))
    assert told == [(len(VALUES), len(VALUES))]


# -- the command


@on_places
def test_a_shelf_is_moved_in_a_shell(shelf, open_store, where):
    done = well("move", where, shelf)
    assert done.out.startswith("4 entries moved")
    assert dict(open_store(clock=time.time).ns("shelve")) == VALUES
    assert "4 were there already" in well("move", where, shelf, "--namespace", "shelve").out


def test_a_summary_says_why_entries_were_skipped(tmp_path, path):
    old = tmp_path / "old"
    old.mkdir()
    for number in range(3):
        django_file(old, f":1:key{number}", number)
    (tmp_path / "keys.txt").write_text(":1:key1\n")
    done = run_program("move", path, old, "--keys", tmp_path / "keys.txt")
    assert done.code == 6
    assert done.out.splitlines()[0].startswith("1 entries moved")
    assert "2 skipped: its file is called by a hash of its key" in done.out
    with Store(path) as store:
        assert dict(store.ns("django")) == {":1:key1": 1}


def test_code_is_run_in_a_shell_only_after_consent(tmp_path, path):
    made = tmp_path / "made"
    with closing(dbm.dumb.open(str(tmp_path / "old"), "c")) as opened:
        opened[b"evil"] = evil(made)
    assert run_program("move", path, tmp_path / "old").code == 6
    assert run_program("move", path, tmp_path / "old", "--unpickle", "all").code == 2
    assert not made.exists()
    well("move", path, tmp_path / "old", "--unpickle", "all", "--yes")
    assert made.is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{here}/new.db", "{here}/none"), "does not exist"),
        (("{here}/new.db", "{here}"), "--from"),
        (("{here}/new.db", "{here}/none", "--from", "django"), "no cache of Django"),
        (("{here}/new.db", "{here}/none", "--from", "diskcache"), "not a directory of diskcache"),
        (("{here}/new.db", "{here}/none", "--from", "dbm"), "dbm"),
        (("valkey://127.0.0.1:1", "{here}/none", "--from", "diskcache"), "directory"),
    ],
)
def test_a_wrong_source_is_told(tmp_path, arguments, said):
    done = run_program("move", *(argument.format(here=tmp_path) for argument in arguments))
    assert (done.code, said in done.err) == (2, True), done
