"""The cache for cachelib: its own conformance tests, and what those do not ask."""

# ruff: noqa: E402 - cachelib is imported where it is installed

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from suites import failures_in, report, run_pytest, source_of, version_of

from tests.support.processes import Worker

VERSION = version_of("cachelib")
version_of("pytest-xprocess")  # the suite's conftest wants it

from cachelib.serializers import BaseSerializer, SimpleSerializer

from sqlitedict_kv import CodecError, DecodeError, Store
from sqlitedict_kv.adapters.cachelib import SERIALIZED, SQLiteCache
from sqlitedict_kv.adapters.support import close_shared_stores

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def closed_stores():
    yield
    close_shared_stores()


@pytest.fixture
def make_cache(path, clock):
    def make(*args, options=(), **kwargs):
        return SQLiteCache(path, *args, options={"clock": clock, **dict(options)}, **kwargs)

    return make


@pytest.fixture
def cache(make_cache):
    return make_cache()


def test_cachelibs_own_conformance_tests_pass(tmp_path):
    tests = source_of("cachelib", VERSION) / "tests"
    shutil.copy(HERE / "cachelib_suite.py", tmp_path / "test_suite.py")  # away from our own conftest.py
    counts = run_pytest("test_suite.py", directory=tmp_path, path=(tests,))
    report("cachelib", VERSION, counts)
    log = (tmp_path / "suite.log").read_text()
    assert counts.failed == counts.skipped == 0, failures_in(log) or log
    assert counts.passed >= 22


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 300), (1, 1), (timedelta(minutes=1), 60), (timedelta(seconds=3), 3)]
)
def test_an_entry_ends_exactly_at_its_timeout(cache, clock, timeout, seconds):
    cache.set("k", 1, timeout)
    assert cache.add("k", 2) is False
    clock.advance(seconds - 0.001)
    assert cache.get("k") == 1
    clock.advance(0.001)
    assert cache.get("k") is None
    assert cache.has("k") is False
    assert cache.delete("k") is False
    assert cache.add("k", 2) is True


@pytest.mark.parametrize("timeout", [0, timedelta(), 10**12])
def test_nought_is_for_ever(make_cache, clock, timeout):
    cache, other = make_cache(), make_cache(timeout, namespace="other")
    cache.set("k", 1, timeout)
    cache.add("l", 1, timeout)
    cache.set_many({"m": 1}, timeout)
    other.set("k", 1)
    clock.advance(10**9)
    assert cache.get_many("k", "l", "m", "n") == [1, 1, 1, None]
    assert other.get("k") == 1


def test_a_negative_timeout_is_gone_at_once(cache):
    cache.set_many({"k": 1, "l": 1, "m": 1})
    assert cache.set("k", 2, -1) is True
    assert cache.add("l", 2, -1) is False
    assert cache.add("new", 2, -1) is True
    assert cache.set_many({"m": 2}, -1) == ["m"]
    assert cache.get_dict("k", "l", "m", "new") == {"k": None, "l": 1, "m": None, "new": None}


def test_a_stored_none_is_there(cache):
    assert cache.set(key="k", value=None, timeout=10)
    assert (cache.get("k"), cache.has("k"), cache.add("k", 1)) == (None, True, False)
    assert (cache.get("other"), cache.has("other")) == (None, False)


def test_inc_counts_from_nought_and_keeps_the_timeout(cache, clock):
    assert cache.inc("n", 2) == 2
    assert cache.dec("m") == -1
    clock.advance(200)
    assert cache.inc("n") == 3
    clock.advance(99.999)
    assert cache.get("n") == 3
    clock.advance(0.001)
    assert cache.inc("n") == 1
    for value, total in ((None, 1), (True, 2), (1.5, 2.5)):
        cache.set("n", value)
        assert cache.inc("n") == total
        assert cache.get("n") == total
    cache.set("n", "text")
    with pytest.raises(TypeError):
        cache.inc("n")
    assert cache.get("n") == "text"


def test_values_come_back_as_what_they_were_or_are_refused(cache):
    values = {"a": (1, [2]), "b": {256: {"x"}}, "c": b"\x00", "d": 1.5, "e": ""}
    assert cache.set_many(values) == list(values)
    assert cache.get_dict(*values) == values
    for write in (lambda: cache.set("k", len), lambda: cache.add("k", len), lambda: cache.set_many({"a": 1, "k": len})):
        with pytest.raises(CodecError):
            write()
    assert cache.get("a") == (1, [2])


def test_deleting_many_is_one_step_and_clear_keeps_to_its_namespace(make_cache, path):
    first, second = make_cache(), make_cache(ignore_delete_many_errors=False, namespace="second")
    for cache in (first, second):
        cache.set_many({"a": 1, "b": 2, "c": 3})
    assert second.delete_many("a", "b", "none") == ["a", "b", "none"]
    assert first.clear() is True
    assert first.get_many("a", "c") == [None, None]
    assert second.get_many("a", "c") == [None, 3]


@pytest.mark.parametrize("key", ["a" * 5000, "lone \ud800", ""])
def test_any_key_is_a_key(cache, key):
    cache.set(key, 1)
    assert cache.inc(key) == 2
    assert cache.get_many(key, "other") == [2, None]
    assert cache.get_dict(key) == {key: 2}
    assert cache.delete_many(key) == [key]
    assert not cache.has(key)


def test_wrong_arguments_are_refused_before_a_file_is_made(path):
    for arguments, error, words in (
        ({"options": {"max_entires": 5}}, TypeError, "max_entires.*max_entries"),
        ({"options": {"max_entries": "5"}}, TypeError, "max_entries"),
        ({"default_timeout": -1}, ValueError, "default_timeout"),
        ({"default_timeout": "1"}, TypeError, "timeout"),
    ):
        with pytest.raises(error, match=words):
            SQLiteCache(path, **arguments)
        assert not path.exists()


# -- serializers


class JSONSerializer(BaseSerializer):
    """Writes text, which a cache has to encode."""

    def dumps(self, value):
        return json.dumps(value)

    def loads(self, body):
        return json.loads(body)


def test_a_serializer_encodes_all_but_ints_and_marks_what_it_encoded(cache, path, clock):
    cache.serializer = SimpleSerializer()
    cache.set_many({"f": len, "n": 5, "t": "text"})
    assert cache.get_many("f", "n", "t") == [len, 5, "text"]
    assert cache.inc("n") == 6
    with Store(path, clock=clock) as store:
        entries = store.ns("cachelib")
        assert entries["n"] == 6
        with pytest.raises(DecodeError, match=SERIALIZED):
            entries.get("f")


@pytest.mark.parametrize("other", [None, JSONSerializer()])
def test_what_a_serializer_wrote_no_other_one_reads(cache, other):
    cache.serializer = SimpleSerializer()
    cache.set("k", [1])
    cache.serializer = other
    with pytest.raises(DecodeError, match="SimpleSerializer"):
        cache.get("k")
    with pytest.raises(DecodeError, match="SimpleSerializer"):
        cache.get_many("k")
    assert cache.has("k")


def test_what_was_written_as_text_is_never_unpickled(cache):
    cache.serializer = JSONSerializer()
    cache.set("k", "cos\nsystem\n(S'true'\ntR.")
    cache.serializer = SimpleSerializer()
    with pytest.raises(DecodeError, match="JSONSerializer"):
        cache.get("k")


class Failing(BaseSerializer):
    """Answers as those of cachelib do when they cannot."""

    def dumps(self, _value):
        return None


def test_what_a_serializer_cannot_keep_is_refused(cache):
    cache.serializer = Failing()
    with pytest.raises(CodecError, match="Failing"):
        cache.set("k", "text")
    assert not cache.has("k")


# -- processes


COUNTING = """
from sqlitedict_kv.adapters.cachelib import SQLiteCache
cache = SQLiteCache(sys.argv[1], options={"lru_bytes": "1 MB"})
say("ready")
hear()
for _ in range(100):
    cache.inc("n")
say(sum(cache.add(f"first-{number}", os.getpid()) for number in range(100)))
"""


def test_no_count_of_several_processes_is_lost_and_one_adds(path):
    workers = [Worker(COUNTING, path) for _ in range(4)]
    try:
        assert [worker.hear() for worker in workers] == ["ready"] * 4
        for worker in workers:
            worker.say("go")
        answers = [line for worker in workers for line in worker.finish()]
    finally:
        for worker in workers:
            worker.__exit__(None, None, None)
    assert SQLiteCache(path).get("n") == 400
    assert sum(map(int, answers)) == 100


READING = """
from sqlitedict_kv.adapters.cachelib import SQLiteCache
cache = SQLiteCache(sys.argv[1], options={"lru_bytes": "1 MB"})
while hear() != "end":
    say(cache.get("k"))
"""


def test_another_process_with_an_lru_never_reads_what_is_stale(path):
    cache = SQLiteCache(path, options={"lru_bytes": "1 MB"})
    with Worker(READING, path) as reader:
        for number in (*range(20), None):
            if number is None:
                cache.delete("k")
            else:
                cache.set("k", number)
            for _ in range(2):
                reader.say("what?")
                assert reader.hear() == str(number)
        reader.say("end")
        reader.finish()


@pytest.mark.parametrize("verb", ["set", "add", "set_many", "delete", "delete_many", "inc", "clear"])
def test_a_cache_whose_file_was_deleted_goes_on_with_a_new_one(path, verb):
    cache = SQLiteCache(path)
    calls = {
        "set": lambda: cache.set("k", 1),
        "add": lambda: cache.add("k", 1),
        "set_many": lambda: cache.set_many({"k": 1}),
        "delete": lambda: cache.delete("absent") or cache.set("k", 1),
        "delete_many": lambda: cache.delete_many("old") and cache.set("k", 1),
        "inc": lambda: cache.inc("k"),
        "clear": lambda: cache.clear() and cache.set("k", 1),
    }
    cache.set("old", 1)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    assert calls[verb]()
    assert cache.get_many("k", "old") == [1, None]
    assert path.exists()
