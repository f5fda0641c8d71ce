"""Disks of programs, and what else programs take from inside of diskcache, work as with diskcache."""

import io
import json
import pickle
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from sqlitedict_kv import CodecError, CorruptStoreError, DamagedEntryError, Namespace, StoreFullError
from sqlitedict_kv.adapters import diskcache as ours
from sqlitedict_kv.adapters.diskcache import core, fanout, persistent, recipes
from tests.adapters.suites import wheel_of

theirs = pytest.importorskip("diskcache")


def own_disk(library):
    """Return a class of a disk that compresses JSON, for either library."""

    class Compressing(library.Disk):
        def __init__(self, directory, level=1, **kwargs):
            self.level = level
            super().__init__(directory, **kwargs)

        def put(self, key):
            return super().put(self.compressed(key))

        def get(self, key, raw):
            return json.loads(zlib.decompress(super().get(key, raw)))

        def store(self, value, read, key=core.UNKNOWN):
            return super().store(value if read else self.compressed(value), read, key=key)

        def fetch(self, mode, filename, value, read):
            data = super().fetch(mode, filename, value, read)
            return data if read else json.loads(zlib.decompress(data))

        def compressed(self, value):
            return zlib.compress(json.dumps(value).encode(), self.level)

    return Compressing


@pytest.mark.parametrize("library", [theirs, ours], ids=["diskcache", "ours"])
def test_a_disk_of_the_program_makes_keys_and_values(tmp_path, library):
    with library.Cache(str(tmp_path), disk=own_disk(library), disk_level=6) as cache:
        assert (cache.disk.level, cache.disk_level) == (6, 6)
        cache[("a", 1)] = (1, {"b": None})
        assert cache[["a", 1]] == [1, {"b": None}]
        assert cache.add("tagged", "x", tag="t", expire=60)
        assert cache.get("tagged", tag=True) == ("x", "t")
        assert list(cache) == [["a", 1], "tagged"]
        assert cache.peekitem() == ("tagged", "x")
        assert cache.pop("tagged", tag=True) == ("x", "t")
        cache.set("file", io.BytesIO(b"raw"), read=True)
        with cache.read("file") as handle:
            assert handle.read() == b"raw"
        cache.push([1])
        assert cache.pull()[1] == [1]
        assert sorted(map(str, cache.iterkeys())) == ["['a', 1]", "file"]
        with cache.transact():
            cache["b"] = 1
        assert cache.memoize(name="f")(lambda number: [number])(3) == [3]
        assert cache.memoize(name="f")(lambda number: "computed again")(3) == [3]
        assert cache.evict("t") == 0
        assert "b" in cache
        del cache["b"]
        assert "b" not in cache
    with library.Cache(str(tmp_path), disk=own_disk(library)) as cache:
        assert cache.disk.level == 6  # it is stored
        assert cache["a", 1] == [1, {"b": None}]
        cache.reset("disk_level", 3)
        assert cache.disk.level == 3


def test_numbers_and_functions_go_through_the_disk_too(tmp_path):
    with ours.Cache(tmp_path, disk=own_disk(ours)) as cache:
        assert cache.incr("n") == 1
        assert cache.incr("n", 4) == cache["n"] == 5
        cache.set("tagged", 1, tag="t")
        assert cache.decr("tagged") == 0
        assert cache.get("tagged", tag=True) == (0, "t")
        with pytest.raises(KeyError):
            cache.incr("none", default=None)
        assert cache.modify("list", lambda value: [*value, 1], [])
        assert cache["list"] == [1]
        long = "x" * 5000
        cache[long] = 1
        assert list(cache)[-1] == long


def test_a_disk_that_pickles_by_itself_is_not_our_business(tmp_path):
    class Pickling(ours.Disk):
        def put(self, key):
            return sqlite3.Binary(pickle.dumps(key)), False

        def get(self, key, raw):
            assert not raw
            return pickle.loads(key)

        def store(self, value, read, key=core.UNKNOWN):
            return 0, core.MODE_PICKLE, None, sqlite3.Binary(pickle.dumps(value))

        def fetch(self, mode, filename, value, read):
            assert (mode, filename, type(value)) == (core.MODE_PICKLE, None, bytes)
            return pickle.loads(value)

    with ours.Cache(tmp_path, disk=Pickling) as cache:
        cache[frozenset([1])] = Thing(7)
        cache[pickle.dumps(1)] = "bytes"
        assert cache[frozenset([1])] == Thing(7)
        assert list(cache) == [frozenset([1]), pickle.dumps(1)]
        assert cache.pop(frozenset([1])) == Thing(7)


class Thing:
    """A class that no codec keeps."""

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return type(other) is Thing and other.number == self.number

    __hash__ = None


def test_what_no_codec_keeps_is_pickled_only_for_a_disk_that_reads_it(tmp_path):
    class Reading(ours.Disk):
        allowed = True

        def fetch(self, mode, filename, value, read):
            if mode == core.MODE_PICKLE and self.allowed:
                return pickle.loads(value)
            return super().fetch(mode, filename, value, read)

    class Wrapping(Reading):
        allowed = False

    with ours.Cache(tmp_path, disk=Reading) as cache:
        cache["thing"], cache["plain"] = Thing(1), (1, 2)
        cache.set("tagged", Thing(2), tag="t")
        assert (cache["thing"], cache["plain"], cache.get("tagged", tag=True)) == (Thing(1), (1, 2), (Thing(2), "t"))
    for disk in (Wrapping, type("Own", (ours.Disk,), {})):
        with ours.Cache(tmp_path / disk.__name__, disk=disk) as cache:
            with pytest.raises(CodecError):
                cache["thing"] = Thing(1)
            assert "thing" not in cache
            assert len(cache) == 0


def test_a_disk_that_writes_files_of_its_own_is_told(tmp_path):
    class Filing(ours.Disk):
        def store(self, value, read, key=core.UNKNOWN):
            return 5, core.MODE_TEXT, "value.txt", None

    with ours.Cache(tmp_path, disk=Filing) as cache, pytest.raises(ValueError, match=r"Filing.store\(\).*'value.txt'"):
        cache["k"] = "v"


def test_the_hash_of_a_disk_chooses_the_shard(tmp_path):
    class First(ours.Disk):
        def hash(self, key):
            return 0

    with ours.FanoutCache(tmp_path, shards=3, disk=First) as cache:
        for number in range(10):
            cache[number] = number
        assert [len(shard) for shard in cache.shards] == [10, 0, 0]
        assert cache[7] == 7


# -- disks of published projects, from their wheels

RUN_WITH_OURS = """
import importlib.util, sys
from sqlitedict_kv.adapters import diskcache
from sqlitedict_kv.adapters.diskcache import core
sys.modules["diskcache"], sys.modules["diskcache.core"] = diskcache, core

def load(path):
    spec = importlib.util.spec_from_file_location("loaded", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""

OUTLINES = (
    RUN_WITH_OURS
    + """
import os, types
outlines, version = types.ModuleType("outlines"), types.ModuleType("outlines._version")
version.__version__ = "1"
sys.modules.update({"outlines": outlines, "outlines._version": version})
os.environ["OUTLINES_CACHE_DIR"] = sys.argv[2]
caching = load(sys.argv[1] + "/outlines/caching.py")
calls = []

@caching.cache()
def double(number, *, of=None):
    calls.append(number)
    return {"result": (number, number), "of": of}

assert double(2, of=[1]) == double(2, of=[1]) == {"result": (2, 2), "of": [1]}
assert calls == [2]
memory = caching.get_cache()
memory["lambda"] = lambda: 7
assert memory["lambda"]() == 7
assert "__version__" in list(memory)
caching.clear_cache()
assert len(memory) == 0
print("works")
"""
)

DSPY = (
    RUN_WITH_OURS
    + """
import collections
disks = load(sys.argv[1] + "/dspy/clients/disk_serialization.py")

class Answer:
    def __init__(self, text):
        self.text = text

answer = disks.restricted_disk(frozenset({("__main__", "Answer")}))
with diskcache.FanoutCache(shards=4, timeout=10, directory=sys.argv[2], size_limit=2**30, disk=answer) as cache:
    cache["k"], cache["plain"] = Answer("yes"), {"a": [1]}
    assert cache.get("k").text == "yes"
    assert cache["plain"] == {"a": [1]}
with diskcache.FanoutCache(shards=4, directory=sys.argv[2], disk=disks.restricted_disk(frozenset())) as cache:
    assert cache["plain"] == {"a": [1]}
    try:
        cache["k"]
    except disks.DeserializationError as error:
        assert "safe_types" in str(error)
    else:
        raise AssertionError
print("works")
"""
)


@pytest.mark.parametrize(
    ("project", "version", "program"),
    [("outlines", "1.3.3", OUTLINES), ("dspy", "3.4.1", DSPY)],
    ids=["outlines", "dspy"],
)
def test_the_disk_of_a_published_project_works(tmp_path, project, version, program):
    pytest.importorskip("cloudpickle")
    found = wheel_of(project, version)
    done = subprocess.run(
        [sys.executable, "-c", program, str(found), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == "works\n", done.stderr


# -- what programs import


@pytest.mark.parametrize("part", ["core", "fanout", "persistent", "recipes"])
def test_modules_have_what_programs_import_from_them(part):
    mine = {"core": core, "fanout": fanout, "persistent": persistent, "recipes": recipes}[part]
    wanted = {
        "core": "Cache Constant DBNAME DEFAULT_SETTINGS Disk ENOVAL EVICTION_POLICY EmptyDirWarning JSONDisk "
        "MODE_BINARY MODE_NONE MODE_PICKLE MODE_RAW MODE_TEXT Timeout UNKNOWN UnknownFileWarning args_to_key full_name",
        "fanout": "FanoutCache",
        "persistent": "Deque Index",
        "recipes": "Averager Lock RLock BoundedSemaphore throttle barrier memoize_stampede",
    }[part].split()
    original = __import__(f"diskcache.{part}", fromlist=["*"])
    for name in wanted:
        assert hasattr(original, name)
        assert hasattr(mine, name)
    if part == "core":
        for name in (name for name in wanted if name.startswith("MODE_") or name == "DBNAME"):
            assert getattr(mine, name) == getattr(original, name)
        call = (("f",), (1, 2, 3), {"b": 1, "a": 2, "c": 3}, False, {1, "c"})
        assert core.args_to_key(*call) == original.args_to_key(*call)
        assert core.full_name(json.dumps) == original.full_name(json.dumps)


class Typed(ours.Cache):
    """A cache as dvc-data has one: it adds an argument of its own to what is pickled."""

    def __init__(self, directory=None, timeout=60, disk=ours.Disk, type=None, **settings):  # noqa: A002 - its name
        settings.setdefault("cull_limit", 0)
        super().__init__(directory=directory, timeout=timeout, disk=disk, **settings)
        self.type = type

    def __getstate__(self):
        return (*super().__getstate__(), self.type)


class TypedShards(ours.FanoutCache):
    """Likewise, with shards."""

    def __init__(self, directory=None, shards=8, timeout=0.01, disk=ours.Disk, type=None, **settings):  # noqa: A002
        super().__init__(directory, shards, timeout, disk, **settings)
        self.type = type

    def __getstate__(self):
        return (*super().__getstate__(), self.type)


@pytest.mark.parametrize("kind", [Typed, TypedShards])
def test_a_subclass_may_add_to_what_is_pickled(tmp_path, kind):
    with kind(tmp_path, timeout=3, type="links", lru_bytes=1000, dangerously_allow_pickle=True) as cache:
        cache["k"] = Thing(1)
        with pickle.loads(pickle.dumps(cache)) as other:
            assert type(other) is kind
            assert (other.type, other.timeout, other["k"]) == ("links", 3, Thing(1))
    with kind(tmp_path, type="links") as cache, pickle.loads(pickle.dumps(cache)) as other:
        assert other.type == "links"


def test_many_keys_at_once(tmp_path):
    values = {"a": 1, ("b", 2): [1], 3: None, "x" * 5000: "long"}
    for number, open_cache in enumerate((ours.Cache, ours.FanoutCache)):
        with open_cache(tmp_path / str(number)) as cache:
            assert cache.set_many(values, expire=60, tag="t") == 4
            assert cache.get_many([*values, "absent"]) == values
            assert list(cache.get_many([3, "a"])) == [3, "a"]
            assert cache.get(3, tag=True) == (None, "t")
            assert cache.set_many({}) == 0
            assert cache.get_many([]) == {}
    with ours.Cache(tmp_path / "0") as cache:
        with pytest.raises(CodecError):
            cache.set_many({"new": 1, "bad": object()})
        assert "new" not in cache
        assert cache.set_many({"a": 1}, expire=-1) == 1
        assert "a" not in cache


# -- errors that programs heal by themselves


def test_damage_is_an_error_of_sqlite3_too_so_a_program_that_begins_again_does(tmp_path):
    with ours.Cache(tmp_path) as cache:
        cache["k"] = "v"
    (tmp_path / "kv.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        ours.Cache(tmp_path)
    assert "kv.db" in str(caught.value)
    with pytest.raises(sqlite3.DatabaseError):
        ours.FanoutCache(tmp_path.parent / "f", shards=2).close()
        Path(tmp_path.parent / "f" / "001" / "kv.db").write_bytes(b"damaged" * 1000)
        ours.FanoutCache(tmp_path.parent / "f", shards=2)


def test_a_damaged_value_is_an_error_of_both(tmp_path):
    with ours.Cache(tmp_path) as cache:
        cache["k"] = "value to damage"
        cache["other"] = 1
    path = tmp_path / "kv.db"
    path.write_bytes(path.read_bytes().replace(b"value to damage", b"value to dAmage"))
    with ours.Cache(tmp_path) as cache:
        for error in (sqlite3.DatabaseError, CorruptStoreError, DamagedEntryError):
            with pytest.raises(error):
                cache["k"]
        with pytest.raises(sqlite3.DatabaseError), cache.transact():
            cache["k"]
        assert cache["other"] == 1
        with pytest.raises(DamagedEntryError) as caught:
            cache.get("k", expire_time=True)
        assert pickle.loads(pickle.dumps(caught.value)).key == caught.value.key


def test_a_full_disk_is_an_operational_error(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise StoreFullError("no space is left")

    with ours.Cache(tmp_path) as cache:
        monkeypatch.setattr(Namespace, "set", full)
        with pytest.raises(sqlite3.OperationalError, match="no space") as caught:
            cache["k"] = 1
        assert isinstance(caught.value, OSError)
        with pytest.raises(sqlite3.OperationalError), cache.transact():
            cache["k"] = 1
