"""The adapter does what diskcache does: the same calls on both, with the same results."""

import dataclasses
import io
import math
import pickle
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlitedict_kv import Codec, CodecError, DecodeError, NotKeptHereError, Store, StoreError, TooLargeError
from sqlitedict_kv.adapters import diskcache as ours

theirs = pytest.importorskip("diskcache")

KEYS = st.sampled_from([0, 1000, 1000.0, True, None, "a", "b", "b-500000000000000", b"a", ("a", 1), -0.5, 2**70])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.sampled_from(["", "x", b"y", 1.5]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.tuples(inner, inner), max_leaves=4)
TAGS = st.sampled_from([None, "red", "blue", 7, b"t"])
EXPIRES = st.sampled_from([None, None, 3, 10])
SIDES = st.sampled_from(["front", "back"])
PREFIXES = st.sampled_from([None, "b", "q"])


@dataclasses.dataclass
class User:
    name: str
    friends: list = dataclasses.field(default_factory=list)


OPERATIONS = st.one_of(
    st.tuples(st.just("set"), KEYS, VALUES, EXPIRES, st.just(False), TAGS),
    st.tuples(st.just("add"), KEYS, VALUES, EXPIRES, st.just(False), TAGS),
    st.tuples(st.just("__setitem__"), KEYS, VALUES),
    st.tuples(st.just("__getitem__"), KEYS),
    st.tuples(st.just("__delitem__"), KEYS),
    st.tuples(st.just("__contains__"), KEYS),
    st.tuples(st.just("get"), KEYS, st.just("default"), st.just(False), st.booleans(), st.booleans()),
    st.tuples(st.just("pop"), KEYS, st.just("default"), st.booleans(), st.booleans()),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("touch"), KEYS, st.sampled_from([None, 0, -1, 3, 10])),
    st.tuples(st.just("incr"), KEYS, st.sampled_from([1, -3, 0.5]), st.sampled_from([0, 5, None])),
    st.tuples(st.just("decr"), KEYS, st.just(2), st.sampled_from([0, None])),
    st.tuples(st.just("push"), VALUES, PREFIXES, SIDES, st.none(), st.just(False), TAGS),
    st.tuples(st.just("pull"), PREFIXES, st.just((None, None)), SIDES, st.booleans(), st.booleans()),
    st.tuples(st.just("peek"), PREFIXES, st.just((None, None)), SIDES, st.booleans(), st.booleans()),
    st.tuples(st.just("evict"), st.sampled_from(["red", 7, b"t", None])),
    st.tuples(st.just("clear")),
    st.tuples(st.just("advance"), st.sampled_from([1, 2.5, 8])),
)


@pytest.fixture
def clock():
    """Time for both, which stands still until it is moved."""

    class Clock:
        now = 1_700_000_000.5

        def __call__(self):
            return self.now

        def advance(self, seconds):
            self.now += seconds

    clock = Clock()
    with mock.patch("time.time", clock):
        yield clock


@pytest.fixture
def cache(tmp_path):
    with ours.Cache(tmp_path / "cache") as cache:
        yield cache
    assert cache.check() == []
    cache.close()


def outcome(cache, name, *arguments):
    """Return what a call returns, or the class of what it raises."""
    try:
        result = getattr(cache, name)(*arguments)
        return None if name == "__delitem__" else result
    except (KeyError, TypeError, OverflowError) as error:
        return type(error)


def same(one, other):
    """Return whether two results are equal and of the same types."""
    return repr(one) == repr(other)


def run_on_both(operations, kind, expiring):
    directory = tempfile.mkdtemp()
    moment = [1_700_000_000.5]
    options = {"shards": 2, "timeout": 60} if kind == "FanoutCache" else {}
    try:
        with (
            mock.patch("time.time", lambda: moment[0]),
            getattr(theirs, kind)(f"{directory}/theirs", **options) as old,
            getattr(ours, kind)(f"{directory}/ours", **options) as new,
        ):
            for name, *arguments in operations:
                if name == "advance":
                    moment[0] += arguments[0]
                    continue
                wanted, found = outcome(old, name, *arguments), outcome(new, name, *arguments)
                if name in ("evict", "clear") and expiring:
                    continue  # diskcache counts those that have expired
                # A key of 1000.0 comes back as 1000.
                alike = wanted == found if name in ("push", "pull", "peek") else same(wanted, found)
                assert alike, (name, arguments, wanted, found)
            live = [key for key in old if key in old]
            if expiring or kind == "FanoutCache":
                assert sorted(map(repr, live)) == sorted(map(repr, map(original(live), new)))
            else:
                assert live == list(new)
                assert list(reversed(old)) == list(reversed(new))
                assert outcome(old, "peekitem") == outcome(new, "peekitem")
                assert outcome(old, "peekitem", False) == outcome(new, "peekitem", False)
            assert len(new) == len(live)
            for key in live:
                assert same(old.get(key, None, False, True, True), new.get(key, None, False, True, True))
            if kind == "Cache":
                plain = [key for key in old.iterkeys() if type(key) in (int, float, str, bytes) and key in old]
                assert plain[:-1] == [key for key in new.iterkeys() if type(key) in (int, float, str, bytes)][:-1] or (
                    2**70 in live
                )
                assert list(new.iterkeys(reverse=True)) == list(new.iterkeys())[::-1]
    finally:
        shutil.rmtree(directory)


def original(keys):
    """Return what makes of 1 the 1.0 that diskcache remembers."""
    known = {repr(key): key for key in keys}
    return lambda key: known.get(repr(key), known.get(repr(float(key)) if type(key) is int else "", key))


SLOW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example takes too long to be made smaller
)


@SLOW
@given(st.lists(OPERATIONS, min_size=3, max_size=40))
@pytest.mark.parametrize("kind", ["Cache", "FanoutCache"])
def test_the_same_calls_have_the_same_results_while_time_passes(kind, operations):
    if kind == "FanoutCache":
        # To a FanoutCache of diskcache, 1000 and 1000.0 are two keys, in two shards.
        operations = [
            (name, 1000, *rest[1:]) if rest and same(rest[0], 1000.0) else (name, *rest)
            for name, *rest in operations
            if name not in ("push", "pull", "peek")
        ]
    run_on_both(operations, kind, expiring=True)


@SLOW
@given(st.lists(OPERATIONS.filter(lambda operation: operation[0] != "advance"), min_size=3, max_size=40))
def test_the_same_calls_leave_the_same_entries_in_the_same_order(operations):
    def lasting(operation):
        changes = {"set": 3, "add": 3}
        if operation[0] == "touch":
            return (*operation[:2], None)
        if operation[0] in changes:
            return (*operation[:3], None, *operation[4:])
        return operation

    run_on_both([lasting(operation) for operation in operations], "Cache", expiring=False)


@SLOW
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["append", "appendleft"]), SCALARS),
            st.tuples(st.sampled_from(["extend", "extendleft"]), st.lists(SCALARS, max_size=4)),
            st.tuples(st.sampled_from(["pop", "popleft", "peek", "peekleft", "reverse", "clear", "__len__"])),
            st.tuples(st.sampled_from(["rotate", "__getitem__", "__delitem__"]), st.integers(-6, 6)),
            st.tuples(st.just("__setitem__"), st.integers(-6, 6), SCALARS),
            st.tuples(st.sampled_from(["remove", "count"]), SCALARS),
        ),
        max_size=25,
    ),
    st.sampled_from([None, 3]),
)
def test_deques_do_the_same(operations, maxlen):
    directory = tempfile.mkdtemp()
    try:
        old = theirs.Deque((1, 2), f"{directory}/theirs", maxlen)
        new = ours.Deque((1, 2), f"{directory}/ours", maxlen)
        with old.cache, new.cache:
            for name, *arguments in operations:
                results = []
                for deque in (old, new):
                    try:
                        results.append(getattr(deque, name)(*arguments))
                    except (IndexError, ValueError) as error:
                        results.append(type(error))
                assert same(*results), (name, arguments)
                assert list(old) == list(new)
            assert list(reversed(old)) == list(reversed(new))
            assert new == list(old)
            assert outcome(new, "__lt__", [1, 2, 3]) == outcome(old, "__lt__", [1, 2, 3])
            assert outcome(new, "__ge__", [1, 2]) == outcome(old, "__ge__", [1, 2])
    finally:
        shutil.rmtree(directory)


def test_an_index_does_the_same(tmp_path):
    indexes = [module.Index(str(tmp_path / module.__name__), {"b": 1, "a": 2}) for module in (theirs, ours)]
    for index in indexes:
        index["c"] = 3
        index.update({"a": 20, "d": 4})
        assert list(index) == ["b", "a", "c", "d"]
        assert index.popitem() == ("d", 4)
        assert index.popitem(last=False) == ("b", 1)
        assert index.peekitem(last=False) == ("a", 20)
        assert index.setdefault("a", 0) == 20
        assert index.setdefault("e", 5) == 5
        assert index.pop("e") == 5
        assert index.pop("e", 6) == 6
        with pytest.raises(KeyError):
            index.pop("e")
        assert index.push("x") == 500_000_000_000_000
        assert index.pull() == (500_000_000_000_000, "x")
        assert index == {"c": 3, "a": 20}
        assert index != {"c": 3}
        assert list(index.items()) == [("a", 20), ("c", 3)]
        with index.transact():
            index.clear()
        assert not index
        index.cache.close()


# -- what a value may be


def test_a_value_that_no_codec_keeps_is_refused_and_changes_nothing(cache):
    cache.set("k", 1, tag="t")
    for value in (object(), {1, object()}, memoryview(b"x")):
        for write in (cache.set, cache.add):
            with pytest.raises(CodecError):
                write("k" if write == cache.set else "new", value)
        with pytest.raises(CodecError):
            cache.set("k", value, tag="t")
        with pytest.raises(CodecError):
            cache.push(value)
    assert list(cache) == ["k"]
    assert cache.get("k", tag=True) == (1, "t")


class Point:
    __hash__ = None

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


def test_pickles_are_made_and_read_only_where_that_is_asked_for(tmp_path):
    with ours.Cache(tmp_path, dangerously_allow_pickle=True) as loose:
        loose["plain"] = (1, 2)
        loose["point"] = Point(1)
        loose.set("tagged", Point(2), tag="t")
        loose.set("x" * 5000, Point(3))
        loose.push(Point(4))
        assert loose.add("added", Point(5))
        assert loose["point"] == Point(1)
        assert loose.get("tagged", tag=True) == (Point(2), "t")
        assert loose["x" * 5000] == Point(3)
        assert loose.pull()[1] == Point(4)
        assert pickle.loads(pickle.dumps(loose))["point"] == Point(1)
    with closing(Store(tmp_path / "kv.db")) as store:
        types = {meta.meta.content_type for _, meta in store.ns("cache").scan("2plain")}
        assert types == {"application/msgpack"}
    with ours.Cache(tmp_path) as strict:
        assert strict["plain"] == (1, 2)
        for key in ("point", "tagged", "x" * 5000, "added"):
            with pytest.raises(DecodeError):
                strict[key]


def test_a_codec_of_the_user_keeps_values_of_his_types(tmp_path):
    codec = Codec("application/x-point", lambda p: str(p.x).encode(), lambda b: Point(int(b)), types=(Point,))
    with ours.Cache(tmp_path, codecs=[codec]) as cache:
        cache["p"] = Point(3)
        cache.set("tagged", Point(4), tag="t")
        assert (cache["p"], cache["tagged"]) == (Point(3), Point(4))


def test_objects_of_allowed_classes_are_kept_with_and_without_a_tag(tmp_path):
    with ours.Cache(tmp_path, types=[User], lru_bytes="1 MB") as cache:
        cache["ada"] = User("Ada", [User("Grace")])
        cache.set("tagged", {"u": User("Alan")}, tag="t")
        cache["x" * 5000] = User("Kurt")
        cache.push(User("Edsger"))
        assert cache["ada"] == User("Ada", [User("Grace")])
        assert cache.get("tagged", tag=True) == ({"u": User("Alan")}, "t")
        assert cache["x" * 5000] == User("Kurt")
        assert cache.pull()[1] == User("Edsger")
        assert cache.memoize()(User)("Barbara") == cache.memoize()(User)("Barbara") == User("Barbara")
        assert pickle.loads(pickle.dumps(cache))["ada"] == User("Ada", [User("Grace")])
    with Store(tmp_path / "kv.db", types=[User]) as store:
        assert store.ns("cache").get_with_meta("2ada").meta.content_type == "application/json; as=objects"
    with ours.Cache(tmp_path) as strict:
        for key in ("ada", "tagged", "x" * 5000):
            with pytest.raises(NotKeptHereError, match="User"):
                strict[key]
        for tag in (None, "t"):
            with pytest.raises(CodecError, match=r"types=\[User\]"):
                strict.set("refused", User("Ada"), tag=tag)
    with pytest.raises(TypeError, match="types must"):
        ours.Cache(tmp_path / "other", types=User)


def test_objects_are_kept_in_shards_and_in_what_is_below_them(tmp_path):
    with ours.FanoutCache(tmp_path, shards=2, types=[User]) as cache:
        cache["ada"] = User("Ada")
        cache.cache("c")["k"] = User("Alan")
        cache.index("i")["k"] = User("Grace")
        cache.deque("d").append(User("Kurt"))
        again = pickle.loads(pickle.dumps(cache))
        assert again["ada"] == User("Ada")
        assert again.cache("c")["k"] == User("Alan")
        assert again.index("i")["k"] == User("Grace")
        assert list(again.deque("d")) == [User("Kurt")]
        again.close()


def test_objects_are_kept_in_an_index_and_a_deque_of_a_cache_that_allows_them(tmp_path):
    with ours.Cache(tmp_path / "i", eviction_policy="none", types=[User]) as cache:
        index = ours.Index.fromcache(cache, ada=User("Ada"))
        assert dict(index) == {"ada": User("Ada")}
    with ours.Cache(tmp_path / "d", eviction_policy="none", types=[User]) as cache:
        deque = ours.Deque.fromcache(cache, [User("Ada"), User("Alan")])
        deque.rotate(1)
        assert list(deque) == [User("Alan"), User("Ada")]


def test_json_disk_keeps_what_json_keeps_and_refuses_the_rest(tmp_path):
    with ours.Cache(tmp_path, disk=ours.JSONDisk, disk_compress_level=6) as cache:
        cache["k"] = {"a": [1, None, "x"]}
        assert cache["k"] == {"a": [1, None, "x"]}
        with pytest.raises(CodecError):
            cache["k"] = (1, 2)
        assert cache.disk_compress_level == 6
    with pytest.raises(ValueError, match="Disk"):
        ours.Cache(tmp_path, disk=dict)
    with pytest.raises(ValueError, match="disk_compress_level"):
        ours.Cache(tmp_path, disk=ours.JSONDisk, disk_compress_level=10)
    with pytest.raises(TypeError, match="disk_compress_level"):
        ours.Cache(tmp_path, disk_compress_level=6)


def test_a_value_that_is_read_is_a_new_object_each_time(tmp_path):
    with ours.Cache(tmp_path, lru_bytes="1 MB") as cache:
        cache["k"] = [1]
        cache["k"].append(2)
        assert cache["k"] == [1]


def test_files_are_read_as_values_and_values_as_files(cache):
    assert cache.set("k", io.BytesIO(b"x" * 10_000_000), read=True)
    assert cache.add("a", io.BytesIO(b"abc"), read=True)
    key = cache.push(io.BytesIO(b"q"), read=True)
    assert cache["k"] == b"x" * 10_000_000
    with cache.read("a") as file:
        assert file.read() == b"abc"
    assert cache.get("k", read=True).read(3) == b"xxx"
    assert cache[key] == b"q"
    cache["n"] = 5
    assert cache.get("n", read=True) == 5
    with pytest.raises(KeyError):
        cache.read("nobody")
    with pytest.raises(TypeError, match="rb"):
        cache.set("k", io.StringIO("text"), read=True)


def test_keys_of_any_length_can_be_used_and_come_back(cache):
    long = tuple(range(2000))
    cache["first"] = 0
    assert cache.incr(long, 5) == 5
    assert cache.incr(long, 5) == 10
    cache.set("y" * 3000, [1], tag="t", expire=60)
    assert list(cache) == ["first", long, "y" * 3000]
    assert set(cache.iterkeys()) == {"first", long, "y" * 3000}
    assert cache.peekitem() == ("y" * 3000, [1])
    assert cache.touch("y" * 3000)
    assert cache.get("y" * 3000, expire_time=True, tag=True) == ([1], None, "t")
    assert cache.pop(long) == 10
    with pytest.raises(KeyError):
        cache.incr(long, default=None)


# -- expiry


def test_what_has_expired_is_absent_everywhere(cache, clock):
    for number in range(5):
        cache.set(number, number, expire=3, tag="t")
    cache["stays"] = 1
    clock.advance(3)
    assert list(cache) == list(cache.iterkeys()) == list(reversed(cache)) == ["stays"]
    assert len(cache) == 1
    assert cache.pull() == cache.peek() == (None, None)
    assert cache.peekitem(last=False) == ("stays", 1)
    assert cache.evict("t") == 0
    assert not cache.touch(0)
    assert cache.add(0, 9)
    assert cache.expire() == 4
    assert cache[0] == 9


def test_expire_takes_a_time_of_its_own(cache, clock):
    cache.set("a", 1, expire=10)
    cache.set("b", 2, expire=20)
    cache["c"] = 3
    assert cache.expire(now=clock.now + 15) == 1
    assert list(cache) == ["b", "c"]
    assert cache.expire(now=0) == 0  # which diskcache takes for "now"


def test_a_time_of_expiry_is_what_was_asked_for_to_the_millisecond(cache, clock):
    cache.set("a", 1, expire=1.0005)
    _, moment = cache.get("a", expire_time=True)
    assert 0 <= moment - (clock.now + 1.0005) < 0.001
    for wrong in ("1", math.nan, -math.inf):
        with pytest.raises((TypeError, ValueError)):
            cache.set("a", 2, expire=wrong)
    assert cache["a"] == 1


@pytest.mark.parametrize("expire", [1e11, 10**400, math.inf])
def test_what_is_to_expire_after_more_than_a_century_never_does(cache, clock, expire):
    assert cache.set("a", 1, expire=expire)
    assert cache.add("b", 2, expire)
    cache["c"] = 3
    assert cache.touch("c", expire)
    clock.advance(90 * 365 * 24 * 3600)
    assert [cache.get(key, expire_time=True) for key in "abc"] == [(1, None), (2, None), (3, None)]


def test_what_expires_at_once_is_not_there(cache):
    cache["k"] = 1
    assert cache.set("k", 2, expire=0)
    assert "k" not in cache
    assert cache.add("k", 3, expire=-1)
    assert "k" not in cache
    cache["k"] = 4
    assert not cache.add("k", 5, expire=0)
    assert cache["k"] == 4


# -- transactions


def test_a_transaction_is_alone_and_sees_what_it_wrote(tmp_path):
    with ours.Cache(tmp_path, timeout=0) as cache, ours.Cache(tmp_path, timeout=0) as other:
        cache["a"] = 1
        with cache.transact():
            cache["a"] = 2
            cache.set("b", 3, tag="t", expire=60)
            assert cache.incr("a", 5) == 7
            assert list(cache) == ["a", "b"]
            with cache.transact():
                assert cache.push("x") == 500_000_000_000_000
            assert len(cache) == 3
            assert other["a"] == 1
            with pytest.raises(ours.Timeout):
                other.set("a", 9)
            with pytest.raises(ours.Timeout), other.transact():
                pass
            with pytest.raises(RuntimeError):
                cache.close()
        assert other["a"] == 7
        assert list(other) == ["a", "b", 500_000_000_000_000]


def test_settings_and_statistics_belong_to_the_transaction_that_asks_for_them(tmp_path):
    with ours.Cache(tmp_path, statistics=1) as cache:
        cache["a"] = 1
        with cache.transact():
            assert cache["a"] == 1
            assert cache.stats() == (1, 0)
            cache.create_tag_index()
            assert cache.reset("tag_index") == 1
            assert cache.reset("cull_limit", 5) == 5
            with pytest.raises(RuntimeError, match="size_limit"):
                cache.reset("size_limit", 2**22)
            assert cache.stats(enable=False, reset=True) == (1, 0)
        with ours.Cache(tmp_path) as other:
            assert (other.tag_index, other.cull_limit, other.size_limit) == (1, 5, 2**30)
            assert other.stats(enable=False) == (0, 0)


def test_a_transaction_that_raises_changes_nothing(cache):
    cache["a"] = 1
    with pytest.raises(ZeroDivisionError), cache.transact():
        cache["a"] = 2
        cache.clear()
        with cache.transact():
            cache["b"] = 3
        raise ZeroDivisionError
    assert {key: cache[key] for key in cache} == {"a": 1}


def test_a_transaction_is_that_of_one_thread(cache):
    cache["n"] = 0

    def work():
        for _ in range(20):
            with cache.transact(retry=True):
                cache["n"] = cache["n"] + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache["n"] == 80


def test_a_call_with_retry_waits_as_long_as_it_takes(tmp_path):
    with ours.Cache(tmp_path, timeout=0.01) as cache, ours.Cache(tmp_path, timeout=0.01) as other:
        begun, tried = threading.Event(), threading.Event()

        def hold():
            with cache.transact():
                begun.set()
                tried.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        begun.wait()
        for call in (other.incr, other.delete, other.pop, other.touch, other.add, other.set):
            arguments = ("k", 1) if call in (other.add, other.set) else ("k",)
            if call == other.pop:
                assert call(*arguments) is None  # there is nothing to remove, so nothing to wait for
                continue
            with pytest.raises(ours.Timeout):
                call(*arguments)
        assert other.get("k") is None
        waiting = threading.Thread(target=lambda: other.incr("k", retry=True))
        waiting.start()
        tried.set()
        waiting.join()
        thread.join()
        assert cache["k"] == 1


def test_tasks_that_share_a_thread_do_not_share_a_transaction(tmp_path):
    import asyncio

    async def writer(cache, begun, go_on):
        with pytest.raises(ZeroDivisionError), cache.transact():
            cache["a"] = 1
            begun.set()
            await go_on.wait()
            raise ZeroDivisionError

    async def stranger(cache, begun, go_on):
        await begun.wait()
        with pytest.raises(ours.Timeout):
            cache.set("b", 2)
        with pytest.raises(ours.Timeout, match="task"):  # to retry would never end
            cache["b"] = 2
        assert "a" not in cache
        go_on.set()

    async def main():
        with ours.Cache(tmp_path, timeout=0) as cache:
            begun, go_on = asyncio.Event(), asyncio.Event()
            await asyncio.gather(writer(cache, begun, go_on), stranger(cache, begun, go_on))
            assert list(cache) == []
            cache["b"] = 3

    asyncio.run(main())


def test_a_fanout_cache_holds_all_its_shards(tmp_path):
    with ours.FanoutCache(tmp_path, shards=3) as cache, ours.FanoutCache(tmp_path, shards=3) as other:
        with cache.transact():
            for number in range(20):
                cache[number] = number
            assert [other.set(number, 0) for number in range(20)] == [False] * 20
            assert [other.incr(number) for number in range(20)] == [None] * 20
            assert len(other) == 0
        assert sorted(other) == list(range(20))
        with pytest.raises(ValueError, match="retry"), cache.transact(retry=False):
            pass


# -- settings, statistics, eviction


def test_settings_are_kept_in_the_directory_and_unknown_ones_refused(tmp_path):
    with ours.Cache(tmp_path, size_limit=2**20, statistics=True) as cache:
        for name, value in ours.DEFAULT_SETTINGS.items():
            changed = {"size_limit": 2**20, "statistics": 1}
            assert getattr(cache, name) == changed.get(name, value)
    with ours.Cache(tmp_path) as again, ours.Cache(tmp_path) as other:
        assert (again.size_limit, again.statistics) == (2**20, 1)
        assert again.reset("size_limit", 2**21) == 2**21
        assert other.size_limit == 2**20
        assert other.reset("size_limit") == 2**21
        assert other.size_limit == 2**21
    assert set(ours.DEFAULT_SETTINGS) == set(theirs.DEFAULT_SETTINGS)
    for unknown in ({"time_out": 10}, {"sqlite_secure_delete": 1}, {"disk_compress_level": 1}):
        with pytest.raises(TypeError, match="unknown setting"):
            ours.Cache(tmp_path, **unknown)
    for unkept in (
        {"eviction_policy": "mine"},
        {"sqlite_journal_mode": "delete"},
        {"size_limit": -1},
        {"size_limit": float("nan")},
        {"size_limit": 2**70},
        {"sqlite_synchronous": 7},
    ):
        with pytest.raises(ValueError, match=next(iter(unkept))):  # by the name that diskcache gives it
            ours.Cache(tmp_path / "other", **unkept)
    with pytest.raises(AttributeError):
        cache.nothing  # noqa: B018


@pytest.mark.parametrize("policy", ["least-recently-used", "least-frequently-used"])
def test_policies_that_count_reads_evict_what_was_stored_first(tmp_path, policy):
    with ours.Cache(tmp_path, eviction_policy=policy, size_limit=2**20) as cache:
        assert cache.eviction_policy == policy
        for number in range(3000):
            cache[number] = "x" * 1000
        assert len(cache) < 3000
        assert 2999 in cache
        assert 0 not in cache


@pytest.mark.parametrize("limit", [0, 1, 1000, 300_000.5, 2**18 - 1, True])
def test_a_size_limit_that_is_too_small_is_rounded_up_to_what_an_empty_file_needs(tmp_path, limit):
    with ours.Cache(tmp_path, size_limit=limit) as cache:
        assert cache.size_limit == int(limit)
        for number in range(1000):
            cache[number] = "x" * 1000
        assert 0 < len(cache) < 1000
        assert cache[999] == "x" * 1000


def test_no_size_limit_is_infinity(tmp_path):
    with ours.Cache(tmp_path / "c", size_limit=math.inf) as cache:
        cache["k"] = 1
        assert cache.size_limit == cache.reset("size_limit") == math.inf
        assert cache.cull() == 0
    with ours.Cache(tmp_path / "c") as cache:
        assert cache.size_limit == math.inf
        assert cache.reset("size_limit", 2**20) == 2**20
    with ours.FanoutCache(tmp_path / "f", shards=4, size_limit=math.inf) as cache:
        cache["k"] = 1
        assert cache.size_limit == math.inf


def test_the_share_of_a_shard_may_be_less_than_a_store_takes(tmp_path):
    with ours.FanoutCache(tmp_path, shards=8, size_limit=1000.0) as cache:
        assert cache.size_limit == 125
        for number in range(100):
            cache[number] = number
        assert len(cache) == 100
    with pytest.raises(ValueError, match="size_limit"):
        ours.FanoutCache(tmp_path, shards=8, size_limit=-1)


def test_statistics_count_the_reads_of_all_who_have_written_theirs_down(tmp_path):
    with ours.Cache(tmp_path) as cache, ours.Cache(tmp_path, statistics=True) as other:
        cache["k"] = 1
        assert cache.stats(enable=True) == (0, 0)
        for _ in range(5):
            cache["k"], other["k"], other.get("nothing")
        other.close()
        assert cache.stats() == (10, 5)
        assert (cache.reset("hits"), cache.reset("misses"), cache.reset("count")) == (10, 5, 1)
        assert cache.stats(enable=False, reset=True) == (10, 5)
        cache["k"]
        assert cache.stats(enable=False) == (0, 0)


def test_writes_evict_the_oldest_once_the_limit_is_reached(tmp_path):
    with ours.Cache(tmp_path, size_limit=2**20) as cache:
        for number in range(400):
            cache[number] = random.randbytes(10_000)
        assert cache.volume() < 2 * 2**20
        assert 0 not in cache
        assert 399 in cache
        with pytest.raises(TooLargeError):
            cache["k"] = b"x" * 2**20


@pytest.mark.parametrize("unlimited", [{"eviction_policy": "none"}, {"cull_limit": 0}])
def test_nothing_is_evicted_by_writes_where_that_is_asked_for(tmp_path, unlimited):
    with ours.Cache(tmp_path, size_limit=2**20, **unlimited) as cache:
        for number in range(200):
            cache[number] = random.randbytes(10_000)
        assert len(cache) == 200
        removed = cache.cull()
        if "cull_limit" in unlimited:
            assert removed > 50
            assert cache.volume() <= 2**20
            assert list(cache) == list(range(removed, 200))
        else:
            assert removed == 0


# -- results of functions and recipes


def test_modify_loses_nothing_and_keeps_what_it_is_told_to(cache, clock):
    def work():
        for _ in range(50):
            cache.modify("n", lambda n: n + 1, 0, expire=60, tag="t")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n", expire_time=True, tag=True) == (150, clock.now + 60, "t")
    assert not cache.modify("n", lambda _: None, 0)
    assert not cache.modify("absent", lambda _: None, 0)
    assert cache.modify(("a",) * 999, lambda found: [*found, 1], [])
    assert cache[("a",) * 999] == [1]
    assert "absent" not in cache


def test_results_are_kept_under_the_keys_that_diskcache_makes(tmp_path):
    calls = []

    def power(*args, **kwargs):
        calls.append(args)
        return len(calls)

    with theirs.Cache(str(tmp_path / "theirs")) as old, ours.Cache(tmp_path / "ours") as new:
        kept, wanted = new.memoize(ignore={1, "skip"})(power), old.memoize(ignore={1, "skip"})(power)
        for args, kwargs in (((1, 2), {}), ((1, 3), {}), ((1,), {"b": 1, "a": 2}), ((), {"skip": 1})):
            assert kept.__cache_key__(*args, **kwargs) == wanted.__cache_key__(*args, **kwargs)
        assert kept(1, 2) == kept(1, 9) == 1
        assert kept(1, a=2) == 2
        assert kept.__wrapped__ is power
        typed = new.memoize(name="typed", typed=True, tag="t", expire=60)(power)
        assert typed(3) != typed(3.0)
        assert new.evict("t") == 2
        never = new.memoize(name="never", expire=0)(power)
        assert never(1) != never(1)
        with pytest.raises(TypeError, match="callable"):
            new.memoize(power)
        with pytest.raises(TypeError, match="key"):
            kept(object())


def test_the_recipes_do_what_diskcache_says(cache):
    average = ours.Averager(cache, "average")
    assert average.get() is None
    for number in range(10):
        average.add(number)
    assert (average.get(), average.pop(), average.get()) == (4.5, 4.5, None)
    lock = ours.Lock(cache, "lock")
    with lock:
        assert lock.locked()
        assert not cache.add("lock", None)
    assert not lock.locked()
    again = ours.RLock(cache, "rlock")
    with again, again:
        pass
    with pytest.raises(AssertionError):
        again.release()
    few = ours.BoundedSemaphore(cache, "few", value=2)
    with few, few:
        assert cache["few"] == 0
    with pytest.raises(AssertionError):
        few.release()


def test_a_throttle_lets_so_many_in(cache, clock):
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        clock.advance(seconds)

    @ours.throttle(cache, 2, 1, time_func=clock, sleep_func=sleep)
    def work():
        return clock.now

    begun = clock.now
    assert [round(work() - begun, 6) for _ in range(6)] == [0, 0, 0.5, 1, 1.5, 2]
    assert waited == [pytest.approx(0.5)] * 4


def test_a_barrier_lets_one_in_at_a_time(cache):
    inside = []

    @ours.barrier(cache, ours.Lock)
    def work():
        inside.append(1)
        assert inside == [1]
        inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == []


def test_a_result_near_its_end_is_renewed_in_a_thread_by_one(cache, clock):
    computed = threading.Semaphore(0)

    @ours.memoize_stampede(cache, expire=10, beta=1)
    def work(number):
        clock.advance(4)  # seconds that it takes
        computed.release()
        return clock.now

    first = work(1)
    assert computed.acquire(blocking=False)
    with mock.patch("random.random", lambda: 0.0):  # log(1): nothing is renewed early
        assert work(1) == first
    assert not computed.acquire(blocking=False)
    with mock.patch("random.random", lambda: 0.99):  # 4 * 4.6 seconds before its end
        assert work(1) == first
        assert computed.acquire(timeout=60)
    forever = ours.memoize_stampede(cache, expire=None, name="forever")(lambda: 7)
    assert forever() == forever() == 7


# -- opening, closing, pickling


def test_a_cache_can_be_used_after_it_was_closed_and_by_threads_meanwhile(tmp_path):
    cache, failed = ours.Cache(tmp_path), []

    def work():
        try:
            for _ in range(100):
                cache.incr("n")
                list(cache)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        cache.close()
    for thread in threads:
        thread.join()
    assert failed == []
    cache.close()
    cache.close()
    assert cache["n"] == 300
    with cache as same_cache:
        assert same_cache is cache
    assert cache["n"] == 300
    cache.close()


def test_a_cache_that_cannot_be_opened_for_others_that_hold_it_is_one_that_is_held(tmp_path):
    cache, fanout = ours.Cache(tmp_path / "c", timeout=0), ours.FanoutCache(tmp_path / "f", shards=1, timeout=0)
    cache.close()
    fanout.close()
    with ExitStack() as held:
        for directory in (tmp_path / "c", tmp_path / "f" / "000"):
            for file in directory.iterdir():
                file.unlink()
            other = held.enter_context(closing(sqlite3.connect(directory / "kv.db", isolation_level=None)))
            other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ours.Timeout):
            cache.set("a", 1)
        assert fanout.set("a", 1) is False
    assert cache.set("a", 1)
    assert fanout.set("a", 1)
    cache.close()
    fanout.close()


def test_caches_deques_and_indexes_come_through_pickle(tmp_path):
    with ours.Cache(tmp_path / "c", timeout=7, size_limit=2**20, lru_bytes=1000) as cache:
        cache["k"] = 1
        with pickle.loads(pickle.dumps(cache)) as other:
            assert (other["k"], other.timeout, other.size_limit) == (1, 7, 2**20)
    with ours.FanoutCache(tmp_path / "f", shards=3, size_limit=3 * 2**20) as cache:
        cache["k"] = 1
        with pickle.loads(pickle.dumps(cache)) as other:
            assert (other["k"], other.size_limit) == (1, 2**20)
    deque = ours.Deque("abc", tmp_path / "d", maxlen=3)
    other = pickle.loads(pickle.dumps(deque))
    assert (list(other), other.maxlen) == (["a", "b", "c"], 3)
    index = ours.Index(str(tmp_path / "i"), a=1)
    again = pickle.loads(pickle.dumps(index))
    assert again == {"a": 1}
    assert pickle.loads(pickle.dumps(ours.ENOVAL)) is ours.ENOVAL
    for thing in (deque, other, index, again):
        thing.cache.close()


def test_a_directory_of_diskcache_is_refused_and_stays_as_it_is(tmp_path):
    with theirs.Cache(str(tmp_path)) as old:
        old["k"] = 1
    with pytest.raises(ValueError, match=r"move\("):
        ours.Cache(tmp_path)
    with theirs.Cache(str(tmp_path)) as old:
        assert old["k"] == 1
    assert not (tmp_path / "kv.db").exists()


def test_directories_below_a_fanout_cache_are_caches_deques_and_indexes(tmp_path):
    with ours.FanoutCache(tmp_path, shards=2) as cache:
        cache.cache("a/b")["k"] = 1
        assert cache.cache("a/b") is cache.cache("a/b")
        cache.deque("d", maxlen=2).extend([1, 2, 3])
        cache.index("i").update(x=1)
    assert (tmp_path / "cache" / "a" / "b" / "kv.db").exists()
    with ours.FanoutCache(tmp_path, shards=2) as cache:
        assert cache.cache("a/b")["k"] == 1
        assert list(cache.deque("d")) == [2, 3]
        assert cache.index("i") == {"x": 1}
        assert cache.index("i").cache.eviction_policy == "none"


def test_check_names_what_is_damaged(tmp_path):
    with ours.Cache(tmp_path) as cache:
        cache["k"] = "value that is damaged"
    raw = (tmp_path / "kv.db").read_bytes()
    assert raw.count(b"value that is damaged") == 1
    (tmp_path / "kv.db").write_bytes(raw.replace(b"value that is damaged", b"value that is DAMAGED"))
    with ours.Cache(tmp_path) as cache:
        assert len(cache.check()) == 1
        with pytest.raises(StoreError):
            cache["k"]


def test_a_cache_takes_little_time_to_expire_many_entries_of_one_moment(cache, clock):
    for number in range(250):  # of which diskcache leaves 150 behind
        cache.set(number, number, expire=1)
    clock.advance(1)
    assert cache.expire() == 250
    assert time.time() == clock.now
