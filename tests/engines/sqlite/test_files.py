"""What the engine does with files, directories and descriptors."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import sys
import threading
import warnings

import pytest

from sqlitedict_kv import LocationError, Store, UnsafeFilesystemError
from sqlitedict_kv.engines.sqlite.checkpoint import BACKLOG_PAGES
from sqlitedict_kv.engines.sqlite.files import filesystems
from tests.support.processes import run

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and names of POSIX")
linux = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# -- permissions


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_all_files_and_new_directories_are_for_their_owner_alone(tmp_path, umask):
    tmp_path.chmod(0o755)
    path = tmp_path / "a" / "b" / "store.db"
    before = os.umask(umask)
    try:
        with Store(path) as store:
            store.ns("n")["k"] = 1
            assert [mode(f"{path}{end}") for end in ("", "-wal", "-shm")] == [0o600] * 3
            assert [mode(path.parent), mode(path.parent.parent)] == [0o700] * 2
            store.backup(tmp_path / "copy.db")
            assert mode(tmp_path / "copy.db") == 0o600
            store.vacuum()
        assert mode(path) == 0o600
        assert mode(tmp_path) == 0o755
    finally:
        os.umask(before)


@posix
def test_the_mode_of_a_file_that_is_there_stays(tmp_path):
    path = tmp_path / "store.db"
    Store(path).close()
    path.chmod(0o640)
    with Store(path) as store:
        store.ns("n")["k"] = 1
        assert mode(path) == 0o640
        assert mode(f"{path}-wal") == 0o640  # SQLite gives the log the mode of its file


# -- paths


@posix
@pytest.mark.parametrize(
    "name",
    [
        "with space.db",
        "question?mode=memory.db",
        "hash#fragment.db",
        "percent%41.db",
        "percent%.db",
        "%2e%2e",
        "file:x",
        "file:x?mode=memory&cache=shared",
        "semi;colon&amp=1.db",
        "quote'and\"quote.db",
        "back\\slash.db",
        "new\nline.db",
        "tab\t.db",
        "ünïcode ☃ 日本.db",
        "café.db",
        "-dash.db",
        ".hidden",
        "$HOME",
        "~",
        "*",
        ":memory",
        "a" * 240,
    ],
)
def test_every_character_of_a_path_means_itself(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for path in (name, os.path.join(tmp_path, name)):
        with Store(path) as store:
            store.ns("n").incr("k")
            store.vacuum()
            store.sync()
            assert sorted(os.listdir(tmp_path)) == sorted([name, name + "-shm", name + "-wal"])
        assert os.listdir(tmp_path) == [name]
    with Store(name, readonly=True) as store:
        assert store.ns("n")["k"] == 2
        store.backup("copy of " + name[:200])
    assert "copy of " + name[:200] in os.listdir(tmp_path)


@posix
def test_a_path_of_bytes_that_are_no_utf_8_works_or_is_refused(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.db")
    try:
        with Store(path) as store:
            store.ns("n")["k"] = 1
        assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.db"]
    except (ValueError, LocationError):
        assert os.listdir(tmp_path) == []


def test_a_relative_path_stays_that_file_when_the_directory_changes(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with Store("store.db") as store:
        store.ns("n")["k"] = 1
        monkeypatch.chdir(tmp_path / "other")
        store.ns("n")["l"] = 2
        store.vacuum()
        assert store.stats().entries == 2
        assert os.listdir(tmp_path / "other") == []


# -- descriptors


def test_an_open_database_is_never_opened_by_anything_but_sqlite(tmp_path):
    """Closing any other descriptor of it would drop the process's POSIX locks."""
    lines = run(
        """
        import threading
        path = sys.argv[1]
        mine = {path, path + "-wal", path + "-shm", path + "-journal"}
        seen = []

        def hook(event, arguments):
            if event == "sqlite3.connect" or not watching:
                return
            names = {os.fsdecode(a) for a in arguments if isinstance(a, (str, bytes))}
            # To make a file only if there is none never gives a descriptor of one that is there.
            making = event == "open" and arguments[1] is None and arguments[2] & os.O_CREAT and arguments[2] & os.O_EXCL
            # The change mark keeps its descriptor for as long as the process has the database open.
            mark = event == "open" and arguments[1] is None and names == {path + "-shm"}
            if names & mine and not making and not mark:
                seen.append((event, sorted(names & mine)))

        watching = False
        sys.addaudithook(hook)
        store = Store(path)
        watching = True
        n = store.ns("n")
        n["k"] = 1
        n.set_many({str(i): "x" * 500 for i in range(5000)})
        n.incr("c"); n.pop("c"); n.touch("k", 100); n.delete("1"); n.modify("k", str)
        with store.atomic() as tx:
            tx.ns("n")["a"] = 1
        list(n.items()); list(n.scan("1")); n.list(); len(n); repr(n); repr(store)
        for _ in range(1100):
            n["k"] = 2
        store.stats(); store.check(); store.healthcheck(); store.vacuum(); store.sync()
        store.backup(path + ".copy"); store.purge_expired(); store.namespaces()
        second = Store(path); second.ns("n")["k"] = 3; second.close()
        third = Store(path, readonly=True); third.ns("n")["k"]; third.close()
        if hasattr(os, "fork"):
            child = os.fork()
            if child == 0:
                n["child"] = 1
                say(seen)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        n["k"] = 4
        store.drop("n"); n.clear()
        say(seen)
        seen.clear()
        open(path).close()
        say(len(seen))
        os._exit(0)
        """,
        tmp_path / "store.db",
    )
    assert lines == ["[]", "[]", "1"]  # the child, the parent; the last shows that the hook sees an open


@posix
def test_a_second_open_of_a_file_gets_no_descriptor_of_it(tmp_path, monkeypatch):
    path = str(tmp_path / "store.db")
    got = []
    genuine = os.open

    def watched(name, *arguments, **options):
        descriptor = genuine(name, *arguments, **options)
        got.append(name)
        return descriptor

    with Store(path):
        monkeypatch.setattr(os, "open", watched)
        Store(path).close()
        Store(path, readonly=True).close()
    assert [name for name in got if not os.path.isdir(name)] == []  # of its directory it does


def descriptors(path):
    """How many descriptors of a database this process has; found without opening it."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        count += target.startswith(str(path))
    return count


@linux
def test_threads_that_come_and_go_leave_no_descriptors(tmp_path):
    path = tmp_path / "store.db"
    with Store(path) as store:
        n = store.ns("n")
        n["k"] = 0
        base = descriptors(path)
        for turn in range(60):
            crew = [threading.Thread(target=lambda: (n.incr("k"), store.stats(), list(n))) for _ in range(4)]
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
            if turn % 10 == 0:
                store.sync()
                store.backup(f"{path}.copy{turn}")
        assert n["k"] == 240
        # SQLite keeps descriptors of closed connections while a lock is held, as many as were open at once.
        assert descriptors(path) <= base + 3 * 8
    assert descriptors(path) == 0


@linux
def test_closing_gives_every_descriptor_back(tmp_path):
    path = tmp_path / "store.db"
    for _ in range(20):
        with Store(path) as store:
            store.ns("n").incr("k")
        assert descriptors(path) == 0
    for _ in range(5):
        with pytest.raises(LocationError):
            Store(tmp_path)
    assert descriptors(path) == 0


@linux
@pytest.mark.parametrize("held", ["store", "namespace", "neither"])
def test_a_forgotten_store_is_collected_without_a_warning(tmp_path, held):
    path = tmp_path / "store.db"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Store(path)
        n = store.ns("n")
        n["k"] = 1
        store.stats()
        assert descriptors(path) > 0
        if held == "namespace":  # as in Store(path).ns("n"): the view keeps its store at work
            del store
            gc.collect()
            n["l"] = 2
            assert n["l"] == 2
        elif held == "store":
            del n
        store = n = None
        gc.collect()
        assert descriptors(path) == 0
    assert os.listdir(tmp_path) == ["store.db"]
    with Store(path) as again:
        assert again.ns("n")["k"] == 1


def test_a_process_that_ends_without_closing_warns_of_nothing(tmp_path):
    path = tmp_path / "store.db"
    code = 'store = Store(sys.argv[1]); store.ns("n")["k"] = 1; memory = Store(); memory.ns("n")["k"] = 1'
    assert run(code, path) == []
    with Store(path) as store:
        assert store.ns("n")["k"] == 1


def test_a_new_store_in_a_cycle_is_collected(tmp_path):
    class Holder:
        pass

    holder = Holder()
    holder.me, holder.store = holder, Store(tmp_path / "store.db")
    holder.store.ns("n")["k"] = 1
    del holder
    gc.collect()
    assert os.listdir(tmp_path) == ["store.db"]


# -- the log


@pytest.mark.parametrize("size", [100, 20_000])
def test_the_log_stays_small_under_steady_writes(tmp_path, size):
    path = tmp_path / "store.db"
    largest = 0
    with Store(path) as store:
        n = store.ns("n")
        for number in range(6000 if size == 100 else 1500):
            n[str(number % 200)] = f"{number:>{size}}"
            if number % 50 == 0:
                largest = max(largest, os.stat(f"{path}-wal").st_size)
        assert largest < 2 * BACKLOG_PAGES * 4096
        assert os.stat(path).st_size > 200 * size, "pages have gone to the file"


def test_a_great_log_is_cut_when_it_has_been_copied(tmp_path):
    path = tmp_path / "store.db"
    with Store(path, files_above=None) as store:
        store.ns("n")["big"] = bytes(40 * 2**20)
        assert os.stat(f"{path}-wal").st_size > 30 * 2**20
        for number in range(20):
            store.ns("n")["small"] = number
        assert os.stat(f"{path}-wal").st_size < 10 * 2**20


def test_iteration_that_stops_half_way_does_not_hold_the_log(tmp_path):
    """An unfinished statement would pin a snapshot, and the log would grow for ever."""
    path = tmp_path / "store.db"
    with Store(path) as store:
        n = store.ns("n")
        n.set_many({str(number): "x" * 5000 for number in range(2000)})
        halves = [iter(n), iter(n.items()), n.scan(), iter(n.values())]
        for half in halves:
            next(half)
        observer = sqlite3.connect(path, isolation_level=None)
        busy, frames, copied = observer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        observer.close()
        assert (busy, frames, copied) == (0, 0, 0)
        assert len(list(halves[0])) == 1999


# -- file systems

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:30 / /tmp rw - tmpfs tmpfs rw
31 22 0:31 / /home rw - nfs4 server:/home rw,vers=4.2
32 31 8:2 / /home/local rw - xfs /dev/sdb1 rw
33 22 0:33 / /mnt/with\\040space rw - cifs //server/share rw
34 22 0:34 / /mnt/back\\134slash rw - 9p host rw
35 22 0:35 / /mnt/tab\\011nl\\012hash\\043 rw - virtiofs host rw
36 22 0:36 / /media/ssh rw,nosuid - fuse.sshfs me@host: rw
37 22 0:37 / /var/lib/container rw - overlay overlay rw,lowerdir=/a:/b
38 22 0:38 / /shadow rw - nfs server:/x rw
39 38 8:3 / /shadow rw - ext4 /dev/sdc1 rw
40 22 8:4 / /hidden rw - ext4 /dev/sdd1 rw
41 40 0:41 / /hidden rw master:5 propagate_from:2 - cifs //server/y rw
42 22 0:42 / /win rw - fuseblk /dev/sde1 rw
43 22 8:5 / /homely rw - btrfs /dev/sdf1 rw
44 22 0:44 / /caf\u00e9 rw - nfs server:/c rw
45 22 0:45 / /vbox rw - vboxsf share rw
46 22 0:46 / /portal rw - fuse.portal portal rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/store.db", None),
        ("/tmp/store.db", None),
        ("/tmp", None),
        ("/home/me/store.db", "nfs4"),
        ("/home", "nfs4"),
        ("/home/local/store.db", None),
        ("/home/locality/store.db", "nfs4"),
        ("/homely/store.db", None),
        ("/homes/store.db", None),
        ("/mnt/with space/store.db", "cifs"),
        ("/mnt/with\\040space/store.db", None),
        ("/mnt/back\\slash/store.db", "9p"),
        ("/mnt/tab\tnl\nhash#/store.db", "virtiofs"),
        ("/media/ssh/store.db", "fuse.sshfs"),
        ("/var/lib/container/store.db", None),
        ("/shadow/store.db", None),
        ("/hidden/store.db", "cifs"),
        ("/win/store.db", "fuseblk"),
        ("/café/store.db", "nfs"),
        ("/vbox/x", "vboxsf"),
        ("/portal/x", "fuse.portal"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(tmp_path, path, kind):
    (tmp_path / "mountinfo").write_text(TABLE, encoding="utf-8")
    assert filesystems.unsafe_type(path, str(tmp_path / "mountinfo")) == kind


def test_a_mount_below_one_that_came_later_is_out_of_reach(tmp_path):
    (tmp_path / "mountinfo").write_text(
        "1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / /data/local rw - ext4 y rw\n3 1 0:3 / /data rw - nfs z rw\n"
    )
    assert filesystems.unsafe_type("/data/local/store.db", str(tmp_path / "mountinfo")) == "nfs"


@pytest.mark.parametrize("name", ["v\x0bt", "\u2028", "\u3000", "\xa0", "carriage\rreturn"])
def test_white_space_that_the_kernel_does_not_escape_is_part_of_a_mount_point(tmp_path, name):
    table = f"1 0 8:1 / / rw - ext4 x rw\n2 1 0:2 / /{name} rw - nfs y rw\n"
    (tmp_path / "mountinfo").write_bytes(table.encode())
    assert filesystems.unsafe_type(f"/{name}/store.db", str(tmp_path / "mountinfo")) == "nfs"
    assert filesystems.unsafe_type("/store.db", str(tmp_path / "mountinfo")) is None


def test_a_system_without_a_mount_table_is_not_checked(tmp_path):
    assert filesystems.unsafe_type("/x", str(tmp_path / "none")) is None


def test_a_mount_point_that_is_no_utf_8_is_understood(tmp_path):
    (tmp_path / "mountinfo").write_bytes(b"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /caf\xe9 rw - nfs y rw\n")
    assert filesystems.unsafe_type("/caf\udce9/store.db", str(tmp_path / "mountinfo")) == "nfs"


@posix
@pytest.mark.parametrize("kind", ["nfs", "nfs4", "9p", "virtiofs", "cifs", "smb3", "fuse.sshfs", "vboxsf"])
def test_a_store_on_an_unsafe_file_system_is_refused_untouched(tmp_path, monkeypatch, kind):
    place = tmp_path / "mounted"
    place.mkdir()
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 8:1 / / rw - ext4 x rw\n2 1 0:2 / {os.path.realpath(place)} rw - {kind} y rw\n")
    monkeypatch.setattr(filesystems.unsafe_type, "__defaults__", (str(table),))

    (tmp_path / "link").symlink_to(place)
    for path in (place / "store.db", place / "deep" / "store.db", tmp_path / "link" / "store.db"):
        for readonly in (False, True):
            with pytest.raises(UnsafeFilesystemError, match=kind) as caught:
                Store(path, readonly=readonly)
            assert "allow_unsafe_filesystem=True" in str(caught.value)
    assert os.listdir(place) == []

    with Store(place / "store.db", allow_unsafe_filesystem=True) as store:
        store.ns("n")["k"] = 1
    with Store(tmp_path / "store.db") as store:
        store.ns("n")["k"] = 1


@posix
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "apfs"])
def test_a_store_on_a_local_file_system_opens(tmp_path, monkeypatch, kind):
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - nfs x rw\n2 1 0:2 / {os.path.realpath(tmp_path)} rw - {kind} y rw\n")
    monkeypatch.setattr(filesystems.unsafe_type, "__defaults__", (str(table),))
    Store(tmp_path / "store.db").close()


def test_a_name_that_is_too_long_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(LocationError, match="too long"):
        Store(tmp_path / ("x" * 250))
    assert list(tmp_path.iterdir()) == []
