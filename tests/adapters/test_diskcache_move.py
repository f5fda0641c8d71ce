"""Directories of diskcache are moved over whole, and stay as they are."""

import collections
import hashlib
import os
import pickle
import sqlite3
import subprocess
import sys
import time as clock
import zlib
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID

import pytest

from sqlitedict_kv.adapters import diskcache as ours
from sqlitedict_kv.adapters._compat.plain_pickle import plain_loads
from sqlitedict_kv.adapters.diskcache import move

diskcache = pytest.importorskip("diskcache")

LARGE = 40_000  # bytes or characters that diskcache keeps in a file of their own

VALUES = {
    "text": "x",
    "bytes": b"\x00\xff",
    "int": -7,
    "float": 1.5,
    "large text": "é\r\n" * LARGE,
    "large bytes": b"\x00\xff" * LARGE,
    1: "one",
    2.5: "two and a half",
    b"key": "bytes",
}
PLAIN = {
    "none": None,
    "big": 2**80,
    "list": [1, (2, {"a": {3}})],
    "large list": [["x" * 10] * 50] * 100,
    (1, "a", None): "a tuple as key",
    None: "none as key",
}


def fingerprint(directory):
    """Return what every file of a directory holds, and when it was changed last."""
    return {
        path.relative_to(directory).as_posix(): (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns)
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def old(tmp_path):
    return str(tmp_path / "old")


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new"


def test_keys_values_tags_expiry_and_order_are_moved_and_the_source_stays(old, new):
    with diskcache.Cache(old, size_limit=2**25) as cache:
        for key, value in VALUES.items():
            cache[key] = value
        cache.set("tagged", 1, tag="red", expire=1000)
        cache["text"] = "written again"
        cache.set("gone", 1, expire=1e-9)
        _, expires = cache.get("tagged", expire_time=True)
    before = fingerprint(old)

    report = move(old, new)

    assert fingerprint(old) == before
    assert (report.moved, report.present, report.expired, report.skipped) == (len(VALUES) + 1, 0, 1, [])
    with ours.Cache(new) as cache:
        assert list(cache) == [*VALUES, "tagged"]
        for key, value in {**VALUES, "text": "written again"}.items():
            assert (cache[key], type(cache[key])) == (value, type(value))
        value, moved_expires, tag = cache.get("tagged", expire_time=True, tag=True)
        assert (value, tag) == (1, "red")
        assert 0 <= moved_expires - expires < 0.01
        assert cache.size_limit == 2**25
        assert cache.check() == []


@pytest.mark.parametrize("kind", ["Cache", "FanoutCache"])
def test_the_same_calls_find_what_a_jsondisk_kept_under_tuples(old, new, kind):
    def double(number):
        return [number, number]

    with getattr(diskcache, kind)(old, disk=diskcache.JSONDisk) as cache:
        cache[("user", 7)] = "ada"
        cache[[1, [2, None]]] = "nested"
        cache[5] = "five"
        assert cache.memoize(name="double")(double)(3) == [3, 3]
        theirs = sorted(map(str, cache))
    assert move(old, new).skipped == []
    with getattr(ours, kind)(new, disk=ours.JSONDisk) as cache:
        assert (cache[("user", 7)], cache[["user", 7]], cache[(1, (2, None))], cache[5]) == (
            "ada",
            "ada",
            "nested",
            "five",
        )
        assert cache.memoize(name="double")(lambda _: "computed anew")(3) == [3, 3]
        assert sorted(map(str, cache)) == theirs
        assert cache.delete(("user", 7))
        with pytest.raises(TypeError, match="JSON"):
            cache.set(b"bytes", 1)


def test_what_was_to_live_for_ever_does(old, new):
    with diskcache.Cache(old) as cache:
        cache.set("long", 1, expire=1e12)
        cache.set("for ever", 2, expire=float("inf"))
    assert move(old, new).skipped == []
    with ours.Cache(new) as cache:
        assert cache.get("long", expire_time=True) == (1, None)
        assert cache.get("for ever", expire_time=True) == (2, None)


def test_pickles_are_left_behind_unless_they_are_asked_for(old, new):
    with diskcache.Cache(old) as cache:
        cache["plain"] = "x"
        for key, value in PLAIN.items():
            cache[key] = value
    report = move(old, new)
    assert report.moved == 1
    assert len(report.skipped) == len(PLAIN)
    assert {"its key is a pickle", "its value is a pickle"} == {entry.reason for entry in report.skipped}
    assert "'none'" in {entry.key for entry in report.skipped}

    again = move(old, new, unpickle="plain")
    assert (again.moved, again.present, again.skipped) == (len(PLAIN), 1, [])
    with ours.Cache(new) as cache:
        assert {key: cache[key] for key in cache} == {"plain": "x", **PLAIN}


class Own:
    """A class that no codec keeps."""


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_code_in_a_pickle_runs_only_where_that_is_asked_for_and_then_with_a_warning(old, new, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with diskcache.Cache(old) as cache:
        cache["trap"] = Trap()
        cache[Trap()] = 1
        cache["ordered"] = collections.OrderedDict(a=1)
        cache["own"] = Own()
        cache["plain"] = [1]
    for unpickle in (False, "plain"):
        report = move(old, new / str(unpickle), unpickle=unpickle)
        assert len(report.skipped) == (5 if unpickle is False else 3)
        assert not Path("trapped").exists()
    reasons = " ".join(entry.reason for entry in report.skipped)
    assert "mkdir" in reasons
    assert "test_diskcache_move.Own" in reasons

    with pytest.warns(RuntimeWarning, match="code"):
        report = move(old, new / "all", unpickle=True)
    assert Path("trapped").exists()
    assert report.moved == 3  # "trap" is what mkdir returned, None; the second time it fails
    reasons = {entry.key: entry.reason for entry in report.skipped}
    assert len(reasons) == 2
    assert "Own" in reasons.pop("'own'")
    assert [reason.split(":")[0] for reason in reasons.values()] == ["its key is a pickle that fails"]

    with ours.Cache(new / "loose", dangerously_allow_pickle=True) as cache, pytest.warns(RuntimeWarning):
        move(old, cache, unpickle=True)
        assert cache["ordered"] == collections.OrderedDict(a=1)
        assert type(cache["own"]) is Own


def test_plain_loads_reads_plain_data_alone():
    value = [None, True, 1, 2**99, 1.5, "x", b"y", (1,), {"a": {1}}, frozenset([2])]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert plain_loads(pickle.dumps(value, protocol)) == value
        for bad in (len, Trap(), Own(), collections.defaultdict(list), range(3), Trap):
            with pytest.raises(pickle.UnpicklingError):
                plain_loads(pickle.dumps(bad, protocol))
    bomb = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    with pytest.raises(pickle.UnpicklingError, match="parts"):
        plain_loads(pickle.dumps(bomb))
    bomb.append(bomb)
    with pytest.raises(pickle.UnpicklingError, match="holds itself"):
        plain_loads(pickle.dumps(bomb))


NAMED = [
    date(2026, 1, 2),
    time(1, 2, 3, 4, tzinfo=UTC),
    datetime(2026, 1, 2, 3, 4, 5, 6),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-5), "EST")),
    timedelta(days=-1, microseconds=1),
    Decimal("-1.50E+100"),
    Decimal("NaN"),
    Fraction(-7, 3),
    UUID("12345678123456781234567812345678"),
    PurePosixPath("a/b"),
    Path("a", "é"),
    PureWindowsPath("c:/x"),
    collections.OrderedDict(b=1, a=(2, {3})),
    collections.deque([1, [2]], maxlen=3),
    collections.Counter("abca"),
    1 + 2j,
    bytearray(b"\x00\xff"),
    b"\x00\xff",
    b"",
    frozenset([1, (2,)]),
]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", NAMED, ids=lambda value: type(value).__name__)
def test_plain_loads_reads_types_of_the_standard_library(value, protocol):
    for whole in (value, [value, {"twice": (value,)}, value]):
        found = plain_loads(pickle.dumps(whole, protocol))
        assert type(found) is type(whole)
        assert repr(found) == repr(whole)
    if isinstance(value, datetime):
        assert found[0].tzinfo == value.tzinfo


def test_values_of_the_standard_library_are_moved(old, new):
    with diskcache.Cache(old) as cache:
        for number, value in enumerate(NAMED):
            cache[number] = value
    report = move(old, new, unpickle="plain")
    assert report.skipped == []
    with ours.Cache(new) as cache:
        for number, value in enumerate(NAMED):
            assert (repr(cache[number]), type(cache[number])) == (repr(value), type(value))


class Setting:
    """Makes a pickle that sets attributes of what it names."""

    def __init__(self, kind, state):
        self.kind, self.state = kind, state

    def __reduce__(self):
        return (self.kind, ("1",), self.state) if self.kind is Decimal else (self.kind, (), self.state)


def test_a_pickle_changes_no_class_and_needs_no_memory_for_what_it_repeats():
    for kind in (collections.OrderedDict, collections.deque, collections.Counter, Decimal):
        for state in ({"items": 1}, (None, {"__init__": 1})):
            with pytest.raises(pickle.UnpicklingError):
                plain_loads(pickle.dumps(Setting(kind, state)))
    # GLOBAL, an empty tuple, BUILD: attributes of the class itself
    for name in (b"uuid\nUUID", b"datetime\ndate", b"collections\nOrderedDict"):
        with pytest.raises(pickle.UnpicklingError, match="attributes"):
            plain_loads(b"c" + name + b"\n(N}\x8c\x01xK\x01stb.")
    for call in (b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.", b"cfractions\nFraction\n(\x8c\x0b1e999999999tR."):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever: it does not take the memory
            plain_loads(call)
    copies = b"](" + b"K\x01" * 200_000 + b"eq\x00" + b"0](" + b"ccollections\ndeque\nh\x00\x85R" * 200 + b"e."
    with pytest.raises(pickle.UnpicklingError, match="parts"):
        plain_loads(copies)


FUZZ = r"""
import collections, pickle, random, sys
from tests.adapters.test_diskcache_move import NAMED
from sqlitedict_kv.adapters._compat.plain_pickle import plain_loads

random.seed(sys.argv[1])
good = [pickle.dumps(value, protocol) for value in [*NAMED, NAMED] for protocol in range(2, 6)]
for body in good:
    plain_loads(body)
b"x".decode("raw_unicode_escape")  # it is imported at its first use
kinds = [type(value) for value in NAMED] + [type(plain_loads), type(pickle)]
before = [dict(vars(kind)) for kind in kinds]
names = [b"os\nsystem", b"builtins\neval", b"builtins\ngetattr", b"collections\ndeque", b"uuid\nUUID", b"os\nmkdir"]
heard = []

def listen(event, arguments):
    if event in ("import", "exec", "compile", "open", "pickle.find_class") or event.startswith(("os.", "subprocess.")):
        heard.append((event, arguments))

sys.addaudithook(listen)
outcomes = collections.Counter()
for number in range(5_000):
    body = bytearray(random.choice(good))
    for _ in range(random.randrange(1, 6)):
        place = random.randrange(len(body) + 1)
        match random.randrange(4):
            case 0:
                body[place : place + 1] = bytes([random.randrange(256)])
            case 1:
                body[place:place] = b"c" + random.choice(names) + b"\n"
            case 2:
                body[place:place] = random.choice(b"RbioO\x81\x92\x93}(t)0QPaseu").to_bytes()
            case 3:
                other = random.choice(good)
                cut = random.randrange(len(other))
                body[place:] = other[cut:]
    try:
        plain_loads(bytes(body))
        outcomes["read"] += 1
    except Exception as error:
        outcomes[type(error).__name__] += 1
assert not heard, heard[:5]
assert [dict(vars(kind)) for kind in kinds] == before
assert outcomes["read"] > 100 and outcomes["UnpicklingError"] > 100, outcomes
print("nothing happened")
"""


@pytest.mark.parametrize("seed", range(2))
def test_no_pickle_however_it_was_changed_calls_or_changes_anything(seed):
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FUZZ, str(seed)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout == "nothing happened\n", done.stderr[-3000:]


@pytest.mark.parametrize("disk", [None, ours.JSONDisk])
def test_a_json_disk_is_recognized(old, new, disk):
    values = {"a": [1, None, {"b": 2}], 7: "x" * LARGE, "c": 1.5, "n": None}
    with diskcache.Cache(old, disk=diskcache.JSONDisk, disk_compress_level=6) as cache:
        for key, value in values.items():
            cache[key] = value
        cache.set("t", [1], tag="red", expire=60)
    report = move(old, new, disk=disk)
    assert report.skipped == []
    with ours.Cache(new) as cache:
        assert {key: cache[key] for key in cache} == {**values, "t": [1]}
        assert cache.get("t", tag=True)[1] == "red"


def test_a_fanout_cache_is_moved_with_all_that_is_below_it(old, new):
    with diskcache.FanoutCache(old, shards=3, eviction_policy="least-recently-used", size_limit=3 * 2**24) as cache:
        for number in range(50):
            cache.set(number, str(number), tag=number % 2)
        cache.set("large", b"x" * LARGE)
        with cache.cache("a/b") as below, cache.deque("d").cache as values, cache.index("i").cache as pairs:
            below["k"] = "v"  # diskcache does not close those by itself
            diskcache.Deque.fromcache(values).extend([3, 1, 2])
            diskcache.Index.fromcache(pairs).update(y=1, x=2)
    before = fingerprint(old)
    report = move(old, new)
    assert fingerprint(old) == before
    assert (report.moved, report.skipped) == (57, [])
    assert report.unkept == ["eviction_policy 'least-recently-used': 'least-recently-stored' it is"]
    with ours.FanoutCache(new, shards=3) as cache:
        assert sorted(map(str, cache)) == sorted([*map(str, range(50)), "large"])
        assert cache.get(7, tag=True) == ("7", 1)
        assert cache["large"] == b"x" * LARGE
        assert cache.cache("a/b")["k"] == "v"
        assert list(cache.deque("d")) == [3, 1, 2]
        assert list(cache.index("i").items()) == [("y", 1), ("x", 2)]
    with ours.Cache(new / "000") as shard:
        assert shard.eviction_policy == "least-recently-stored"
    with ours.FanoutCache(new.parent / "other", shards=2) as other:
        assert move(old, other).moved == 57
        assert other[7] == "7"
    with ours.FanoutCache(new.parent / "other", shards=2) as other:
        assert other.cache("a/b")["k"] == "v"


def test_done_twice_it_goes_on_and_leaves_alone_what_is_there(old, new):
    with diskcache.Cache(old) as cache:
        for number in range(450):
            cache[number] = number
    with ours.Cache(new) as cache:
        cache[3] = "newer"
        report = move(old, cache)
        assert (report.moved, report.present) == (449, 1)
        report = move(old, cache)
        assert (report.moved, report.present) == (0, 450)
        assert cache[3] == "newer"
        assert len(cache) == 450


def test_the_target_may_be_the_same_directory(old):
    with diskcache.Cache(old) as cache:
        cache["k"] = "v"
    before = fingerprint(old)
    move(old, old)
    assert {name: old_file for name, old_file in fingerprint(old).items() if not name.startswith("kv.db")} == before
    with ours.Cache(old) as cache:
        assert cache["k"] == "v"
    with diskcache.Cache(old) as cache:
        assert cache["k"] == "v"


def test_what_was_committed_by_a_process_that_was_killed_is_moved(old, new):
    code = (
        "import diskcache, os, sys\n"
        "cache = diskcache.Cache(sys.argv[1])\n"
        "cache['a'] = 1\n"
        "cache['b'] = 'x' * 50000\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, old], check=False, timeout=60)
    assert (Path(old) / "cache.db-wal").stat().st_size > 0
    before = fingerprint(old)
    report = move(old, new)
    assert fingerprint(old) == before
    assert (report.moved, report.skipped) == (2, [])


def test_values_whose_files_are_lost_or_elsewhere_are_named(old, new, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    with diskcache.Cache(old) as cache:
        for key in ("lost", "elsewhere", "windows", "strange", "kept"):
            cache[key] = key.encode() * LARGE
    with closing(sqlite3.connect(Path(old) / "cache.db")) as connection:
        names = dict(connection.execute("SELECT key, filename FROM Cache").fetchall())
        connection.execute("UPDATE Cache SET filename = '../secret' WHERE key = 'elsewhere'")
        connection.execute(
            "UPDATE Cache SET filename = ? WHERE key = 'windows'", (names["windows"].replace("/", "\\"),)
        )
        connection.execute("UPDATE Cache SET mode = 9 WHERE key = 'strange'")
        connection.commit()
    (Path(old) / names["lost"]).unlink()
    report = move(old, new)
    assert report.moved == 2
    reasons = {entry.key: entry.reason for entry in report.skipped}
    assert "outside" in reasons["'elsewhere'"]
    assert "No such file" in reasons["'lost'"]
    assert "mode" in reasons["'strange'"]
    with ours.Cache(new) as cache:
        assert list(cache) == ["windows", "kept"]


def test_what_is_no_directory_of_diskcache_is_refused(tmp_path, new):
    for directory in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ValueError, match="not a directory of diskcache"):
            move(directory, new)
    (tmp_path / "cache.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match="database"):
        move(tmp_path, new)
    (tmp_path / "cache.db").unlink()
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(ValueError, match="no tables of diskcache"):
        move(tmp_path, new)
    with pytest.raises(ValueError, match="unpickle"):
        move(tmp_path, new, unpickle="yes")
    assert not new.exists()


def test_a_large_directory_is_moved_in_reasonable_steps(old, new):
    with diskcache.Cache(old) as cache, cache.transact():
        for number in range(2000):
            cache.set(f"k{number}", number, expire=1000, tag=number % 3)
    begun = clock.time()
    assert move(old, new).moved == 2000
    with ours.Cache(new) as cache:
        assert cache.evict(0) == 667
        _, expires = cache.get("k1", expire_time=True)
        assert expires < begun + 1001


# -- limits


def test_moving_never_evicts_and_the_limit_is_set_afterwards(old, new):
    with diskcache.Cache(old, size_limit=2**22) as cache:
        for number in range(3000):
            cache[number] = f"{number:04d}" * 500
        there = len(cache)
        assert 1500 < there < 3000  # near its limit
    report = move(old, new)
    assert (report.moved, report.skipped) == (there, [])
    (note,) = report.unkept
    assert note.startswith("size_limit 4,194,304 ")
    with ours.Cache(new) as cache:
        assert len(cache) == there
        limit = cache.size_limit
        assert limit > 2**22
        for number in range(3000, 3050):
            cache[number] = "x" * 2000
        assert len(cache) == there + 50  # and the writes that follow evict nothing either
    report = move(old, new)
    assert (report.moved, report.present, report.unkept) == (0, there, [])
    with ours.Cache(new) as cache:
        assert cache.size_limit == limit


def test_moving_into_a_cache_that_is_open_evicts_nothing_and_its_limit_stays(old, new):
    with diskcache.Cache(old) as cache, cache.transact():
        for number in range(500):
            cache[number] = "x" * 2000
    with ours.Cache(new, size_limit=2**18) as cache:
        assert move(old, cache).moved == len(cache) == 500
        assert cache.size_limit == 2**18
        cache["more"] = "x" * 20_000
        assert len(cache) < 500  # the limit that was chosen is in force again
        with cache.transact(), pytest.raises(RuntimeError, match="transact"):
            move(old, cache)


@pytest.mark.parametrize("kind", ["Cache", "FanoutCache"])
def test_a_cull_limit_of_zero_is_taken_over_for_it_means_never(old, new, kind):
    with getattr(diskcache, kind)(old, size_limit=2**20, cull_limit=0) as cache:
        for number in range(1000):
            cache[number] = "x" * 2000
    assert move(old, new).moved == 1000
    with getattr(ours, kind)(new) as cache:
        assert cache.cull_limit == 0
        for number in range(1000, 1100):
            cache[number] = "x" * 2000
        assert len(cache) == 1100


def test_a_run_that_was_interrupted_is_completed_by_the_next_one(old, new, monkeypatch):
    with diskcache.Cache(old, size_limit=2**22) as cache, cache.transact():
        for number in range(1500):
            cache[number] = "x" * 2000
    copied = []

    def failing(self, row, **_):
        if len(copied) == 700:
            raise KeyboardInterrupt
        copied.append(row)
        return row.key

    with monkeypatch.context() as patch:
        patch.setattr("sqlitedict_kv.adapters.diskcache.original.OriginalDirectory.key", failing)
        with pytest.raises(KeyboardInterrupt):
            move(old, new)
    report = move(old, new)
    assert (report.moved, report.present) == (900, 600)
    with ours.Cache(new) as cache:
        assert len(cache) == 1500
        assert cache.size_limit > 2**22


# -- damage, and what is made to do harm


def damage_page_of(path, rowid):
    """Overwrite the leaf of the table that holds a row."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (marker,) = connection.execute("SELECT value FROM Cache WHERE rowid = ?", (rowid,)).fetchone()
    content = bytearray(path.read_bytes())
    page = content.index(marker.encode()) // size * size
    content[page : page + size] = b"\xaa" * size
    path.write_bytes(content)


def test_one_damaged_page_does_not_stop_the_rest(old, new):
    with diskcache.Cache(old, sqlite_journal_mode="delete") as cache, cache.transact():
        for number in range(1000):
            cache[number] = f"<{number:04d}>" + "x" * 300
    damage_page_of(Path(old) / "cache.db", 500)
    report = move(old, new)
    (gap,) = report.skipped
    assert 970 < report.moved < 1000
    assert "damaged pages" in gap.reason
    first, last = map(int, gap.key.removeprefix("from row ").split(" to "))
    assert first <= 500 <= last
    assert last - first + 1 == 1000 - report.moved
    assert report.damaged
    with ours.Cache(new) as cache:
        assert len(cache) == report.moved
        assert cache[0].startswith("<0000>")
        assert cache[999].startswith("<0999>")


def test_damage_at_the_end_and_in_the_settings_is_survived(old, new):
    with diskcache.Cache(old, sqlite_journal_mode="delete") as cache, cache.transact():
        for number in range(1000):
            cache[number] = f"<{number:04d}>" + "x" * 300
    damage_page_of(Path(old) / "cache.db", 1000)
    report = move(old, new)
    (gap,) = report.skipped
    assert gap.key.endswith(" on")
    assert 970 < report.moved < 1000


def test_a_value_file_that_is_not_whole_is_not_moved(old, new):
    with diskcache.Cache(old) as cache:
        for key, value in {
            "bytes": b"x" * 100_000,
            "text": "é" * 50_000,
            "pickle": [1] * 100_000,
            "whole": "y" * LARGE,
        }.items():
            cache[key] = value
    with closing(sqlite3.connect(Path(old) / "cache.db")) as connection:
        names = dict(connection.execute("SELECT key, filename FROM Cache").fetchall())
    for key in ("bytes", "text", "pickle"):
        os.truncate(Path(old) / names[key], 5)
    report = move(old, new, unpickle="plain")
    assert report.moved == 1
    assert {entry.key for entry in report.skipped} == {"'bytes'", "'text'", "'pickle'"}
    reasons = {entry.key: entry.reason for entry in report.skipped}
    assert reasons["'bytes'"] == "its file has 5 bytes, and should have 100000"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_in_place_of_a_value_does_not_hang(old, new):
    with diskcache.Cache(old) as cache:
        cache["fifo"], cache["kept"] = b"x" * LARGE, 1
    with closing(sqlite3.connect(Path(old) / "cache.db")) as connection:
        (name,) = connection.execute("SELECT filename FROM Cache WHERE key = 'fifo'").fetchone()
    (Path(old) / name).unlink()
    os.mkfifo(Path(old) / name)
    report = move(old, new)
    assert report.moved == 1
    assert [entry.reason for entry in report.skipped] == ["its file is not a regular file"]


def test_bombs_and_deep_nesting_are_skipped(old, new, monkeypatch):
    monkeypatch.setattr("sqlitedict_kv.adapters.diskcache.original.LARGEST_JSON", 2**20)
    with diskcache.Cache(old, disk=diskcache.JSONDisk) as cache:
        for key in ("bomb", "deep", "cut off", "kept"):
            cache[key] = 1
    hostile = {
        "bomb": zlib.compress(b'"' + b"x" * 2**21 + b'"'),
        "deep": zlib.compress(b"[" * 200_000 + b"]" * 200_000),
        "cut off": zlib.compress(b"1" * 100)[:-5],
    }
    with closing(sqlite3.connect(Path(old) / "cache.db")) as connection:
        for key, value in hostile.items():
            name = zlib.compress(f'"{key}"'.encode(), 1)
            assert connection.execute("UPDATE Cache SET value = ? WHERE key = ?", (value, name)).rowcount == 1
        connection.commit()
    report = move(old, new)
    assert report.moved == 1
    assert [entry.reason.split(" that ")[-1] for entry in report.skipped] == [
        "is cut off, or has more than 1,048,576 bytes",
        "is nested too deeply",
        "is cut off, or has more than 1,048,576 bytes",
    ]
    with ours.Cache(new) as cache:
        assert list(cache) == ["kept"]


def test_the_summary_groups_what_was_skipped_by_reason(old, new):
    with diskcache.Cache(old, eviction_policy="least-recently-used") as cache:
        cache["plain"] = 1
        for number in range(1200):
            cache[number] = [number]
        cache[(1, 2)] = "tuple"
    report = move(old, new)
    assert str(report).splitlines() == [
        "1 entries moved; 0 were there already, 0 had expired, 1,201 skipped",
        "  1,200 skipped: its value is a pickle (first: 0)",
        f"  1 skipped: its key is a pickle (first: {report.skipped[-1].key})",
        "  not kept: eviction_policy 'least-recently-used': 'least-recently-stored' it is",
    ]


# -- diskcache-community, which goes on with diskcache's directories


@pytest.mark.parametrize("disk", ["Disk", "JSONDisk", "SafeDisk"])
@pytest.mark.parametrize("kind", ["Cache", "FanoutCache"])
def test_directories_of_diskcache_community_are_moved_too(old, new, kind, disk):
    community = pytest.importorskip("diskcache_community")
    values = {"text": "x", "large": "y" * LARGE, "list": [1, {"a": None}], "number": 1.5}
    if disk != "JSONDisk":
        values |= {"tuple": (1, {2}), "date": datetime(2026, 1, 2), "decimal": Decimal("1.5"), "bytes": b"z" * LARGE}
    with getattr(community, kind)(old, disk=getattr(community, disk), size_limit=2**25, cull_limit=0) as cache:
        for key, value in values.items():
            cache.set(key, value, tag="t", expire=1000)
    report = move(old, new, unpickle="plain")
    assert (report.moved, report.skipped) == (len(values), [])
    with getattr(ours, kind)(new) as cache:
        assert {key: cache.get(key, tag=True) for key in values} == {key: (value, "t") for key, value in values.items()}
        assert cache.cull_limit == 0
