"""A diagnosis says what a file is, what is wrong with it and what to do, and changes nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import sqlitedict_kv
from sqlitedict_kv import Diagnosis, Store, diagnose
from sqlitedict_kv.engines.sqlite.files import filesystems
from sqlitedict_kv.tools import advice
from sqlitedict_kv.tools.diagnose import has_wal_reset_bug
from tests.engines.sqlite.test_format import make_first, state
from tests.support.processes import Worker, environment

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and names of POSIX")
linux = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="needs /proc")
CANARY = "canary-value"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


@pytest.fixture
def closed(path):
    with Store(path) as store:
        store.ns("n").set_many({f"key {number}": f"{CANARY} {number}" for number in range(300)})
        store.ns("n").set("gone", 1, ttl=0.001)
    return path


def advice_of(found):
    return " ".join(found.advice)


def test_a_store_in_order_is_reported_with_its_figures_and_left_alone(closed):
    before = state(closed.parent)

    found = diagnose(closed)

    assert state(closed.parent) == before
    assert found.ok
    assert found.kind == "store"
    assert (found.entries, found.unchecked, found.damaged, found.problems) == (301, 0, 0, ())
    assert found.path == os.path.realpath(closed)
    assert found.sqlite_version == sqlite3.sqlite_version
    assert found.file_bytes == closed.stat().st_size == found.pages * found.page_bytes
    assert (found.log_bytes, found.hard_links) == (0, 1)
    assert found.application_id == 0x5344_4B56
    assert found.format == 2
    assert found.limits == {"key": 1024, "namespace": 255, "value": 512 * 2**20}
    assert isinstance(found, Diagnosis)
    if os.name == "posix":
        assert found.mode == 0o600


def test_a_store_in_use_is_looked_at_beside_its_writers(path):
    with Store(path) as store:
        store.ns("n")["k"] = CANARY
        found = diagnose(path)
        assert found.ok
        assert found.entries == 1
        assert found.log_bytes > 0
        store.ns("n")["l"] = 2  # and its locks are still there
        assert sorted(os.listdir(path.parent)) == ["app.db", "app.db-shm", "app.db-wal"]
        assert diagnose(path).entries == 2


@linux
def test_the_processes_that_have_the_file_open_are_named(path):
    with Worker("store = Store(sys.argv[1]); store.ns('n')['k'] = 1; say(os.getpid()); hear()", path) as worker:
        number = int(worker.hear())
        found = diagnose(path)
        assert found.openers == (number,)
        assert f"process {number}" in advice_of(found)
        assert "backup()" in advice_of(found)
        worker.say()
        worker.finish()
    assert diagnose(path).openers == ()


def test_a_log_that_a_killed_process_left_is_read(path):
    with Worker("store = Store(sys.argv[1]); store.ns('n')['k'] = 1; say(); hear()", path) as worker:
        worker.hear()
        worker.kill()
    content = path.read_bytes()
    found = diagnose(path)
    assert found.ok
    assert found.entries == 1
    assert path.read_bytes() == content


def test_a_missing_file_is_not_made(path):
    found = diagnose(path)
    assert (found.kind, found.ok, found.mode, found.hard_links) == ("missing", False, None, 0)
    assert "makes one" in advice_of(found)
    assert os.listdir(path.parent) == []


def foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.execute("PRAGMA application_id = 7")
        connection.commit()


def newer(path):
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def linked(path):
    Store(path).close()
    os.link(path, f"{path}.other")


@pytest.mark.parametrize(
    ("make", "kind", "word"),
    [
        (foreign, "foreign", "another path"),
        (newer, "newer", "Upgrade"),
        (lambda path: path.write_text("no database at all"), "not a database", "another path"),
        (lambda path: path.mkdir(), "misplaced", "Move it"),
        (linked, "misplaced", "one name"),
        (lambda path: path.touch(), "missing", "makes one"),
    ],
    ids=["foreign", "newer", "text", "directory", "hard link", "empty"],
)
def test_what_is_no_store_is_named_and_left_alone(path, make, kind, word):
    make(path)
    before = state(path.parent) if path.is_file() else None
    found = diagnose(path)
    assert found.kind == kind
    assert not found.ok
    assert found.problems
    assert word in advice_of(found)
    if before:
        assert state(path.parent) == before


def test_a_damaged_value_is_counted_and_not_shown(closed):
    content = closed.read_bytes()
    place = content.index(f'"{CANARY} 7"'.encode())
    closed.write_bytes(content[:place] + b"X" + content[place + 1 :])
    found = diagnose(closed)
    assert (found.kind, found.damaged, found.entries) == ("damaged", 1, 301)
    assert "'key 7'" in found.problems[0]
    assert "quarantine" in advice_of(found)
    assert "canary" not in str(found).lower()
    assert closed.read_bytes() == content[:place] + b"X" + content[place + 1 :]


@pytest.mark.parametrize("keep", [3, 2, 0.4])
def test_a_file_that_was_cut_or_overwritten_is_damaged(closed, keep):
    content = closed.read_bytes()
    if keep < 1:
        closed.write_bytes(content[: int(len(content) * keep)])
    else:
        closed.write_bytes(content[: keep * 4096] + b"\xa5" * (len(content) - keep * 4096))
    found = diagnose(closed)
    assert found.kind == "damaged"
    assert found.problems
    str(found)


def test_a_file_of_the_first_release_has_entries_without_checksums(path):
    make_first(path)
    before = state(path.parent)
    found = diagnose(path)
    assert found.ok
    assert found.entries == found.unchecked == 9
    assert "no checksum" in advice_of(found)
    assert state(path.parent) == before


def test_an_entry_of_an_unknown_codec_is_no_damage(path):
    with Store(path, codecs=[sqlitedict_kv.Codec("x/y", str.encode, bytes.decode)]) as store:
        store.ns("n").set("k", "v", content_type="x/y")
    assert diagnose(path).ok


@posix
def test_permissions_that_are_too_wide_are_a_problem(closed):
    closed.chmod(0o640)
    found = diagnose(closed)
    assert found.ok
    assert "chmod 600" in advice_of(found)
    closed.chmod(0o666)
    assert "everybody" in diagnose(closed).problems[0]
    closed.chmod(0o600)
    closed.parent.chmod(0o777)
    assert "replace files" in advice_of(diagnose(closed))
    closed.parent.chmod(0o1777)
    assert "replace files" not in advice_of(diagnose(closed))
    closed.parent.chmod(0o700)


@posix
def test_an_unsafe_file_system_is_a_problem(closed, tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text("1 0 8:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystems.type_of, "__defaults__", (str(table),))
    found = diagnose(closed)
    assert (found.filesystem, found.filesystem_is_safe, found.ok) == ("nfs4", False, False)
    assert "local disk" in advice_of(found)
    monkeypatch.setattr(filesystems.type_of, "__defaults__", (str(tmp_path / "none"),))
    found = diagnose(closed)
    assert (found.filesystem, found.filesystem_is_safe, found.ok) == (None, None, True)
    assert "local one" in advice_of(found)


def test_free_pages_and_a_large_log_have_advice(path, monkeypatch):
    with Store(path, files_above=None) as store:
        store.ns("n")["k"] = bytes(9 * 2**20)
        store.ns("n").clear()
        assert "vacuum()" in advice_of(diagnose(path))
        monkeypatch.setattr(advice, "LARGE_LOG", 2**20)
        assert "log is large" in advice_of(diagnose(path))
        store.vacuum()
    found = diagnose(path)
    assert "vacuum()" not in advice_of(found)
    assert "log is large" not in advice_of(found)


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_releases_with_the_wal_reset_bug_are_known(version, affected):
    assert has_wal_reset_bug(version) == affected


def test_the_page_says_it_all_in_words(closed):
    page = str(diagnose(closed))
    assert page.splitlines()[0] == f"{os.path.realpath(closed)}: all is well"
    for word in ("SQLite", "file system", "format", "log", "entries", "permissions", "limits", "durability='power'"):
        assert word in page
    assert CANARY not in page


@pytest.mark.parametrize("bad", [None, 5, b"x"])
def test_what_is_no_path_is_refused(bad):
    with pytest.raises(TypeError, match="path"):
        diagnose(bad)


def test_memory_has_nothing_to_look_at():
    with pytest.raises(ValueError, match="memory"):
        diagnose(":memory:")


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "sqlitedict_kv", "diagnose", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


def test_the_command_prints_the_page_and_its_code_says_whether_all_is_well(closed, tmp_path):
    done = command(closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{os.path.realpath(closed)}: all is well\n")
    done = command(tmp_path / "none.db")
    assert (done.returncode, done.stderr) == (1, "")
    assert "missing" in done.stdout
    for wrong in ((), (closed, closed), ("",)):
        done = command(*wrong)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr
    done = command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: sqlitedict-kv diagnose" in done.stdout


def test_it_is_imported_only_when_it_is_asked_for():
    code = "import sys, sqlitedict_kv; sys.exit('sqlitedict_kv.tools.diagnose' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
    with pytest.raises(AttributeError, match="nonsense"):
        sqlitedict_kv.nonsense  # noqa: B018
