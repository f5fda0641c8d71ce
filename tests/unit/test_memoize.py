"""What a decorated function does, in one process; tests/unit/test_memoize_processes.py has the others."""

import copy
import functools
import inspect
import logging
import pickle
import pydoc
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from sqlitedict_kv import CodecError, ReadOnlyError, Store, StoreClosedError, TooLargeError
from sqlitedict_kv.concurrency.lease import Leases
from sqlitedict_kv.memoization.outcome import ALONE, Shared, share
from tests.conftest import on_shared
from tests.support.memoizing import WAIT, Counted, Held, memoize, passengers, until

# -- keeping


def test_a_result_is_computed_once_and_comes_back_equal(store):
    counted = Counted()
    load = memoize(store, ttl=60)(counted.function)

    assert load(1) == load(1) == load(x=1) == load(1, y=0) == {"x": 1}
    assert load(2) == {"x": 2}
    assert counted.calls == [1, 2]
    assert load.cache_info()[:3] == (3, 2, 2)


@pytest.mark.parametrize(
    "result",
    [
        None,
        False,
        0,
        "",
        b"",
        [],
        {},
        (1, "a"),
        {1, 2},
        Decimal("1.10"),
        date(2026, 1, 1),
        {"t": (1, None)},
        2**70,
        b"\0",
    ],
)
def test_a_result_comes_back_as_what_it_was_on_the_first_and_every_later_call(store, result):
    counted = Counted(lambda x: result)
    load = memoize(store)(counted.function)

    for _ in range(3):
        again = load(1)
        assert again == result
        assert type(again) is type(result)
    assert len(counted.calls) == 1


def test_a_numpy_array_is_a_result(store):
    counted = Counted(lambda x: np.full((2, 3), x, dtype="float32"))
    load = memoize(store, ttl=5)(counted.function)

    first, second = load(1), load(1)
    assert np.array_equal(first, second)
    assert first.dtype == second.dtype == np.float32
    second[:] = 0
    assert np.array_equal(load(1), first)
    assert counted.calls == [1]


def test_nobody_can_change_what_another_caller_gets(store):
    load = memoize(store)(Counted(lambda x: [x]).function)
    for _ in range(3):
        result = load(1)
        assert result == [1]
        result.append("mine")


def test_results_are_entries_that_can_be_read(store):
    load = memoize(store, ttl=60, version="v2", name="app.load", ignore=("self",))(Counted().function)
    load("ada")

    assert list(store.ns("memoize")) == ["app.load@v2('ada', 0)"]
    entry = store.ns("memoize").get_with_meta(load.cache_key("ada"))
    assert entry.value == {"x": "ada"}
    assert entry.meta.content_type == "application/json"
    assert list(store.ns("memoize.leases")) == []


def test_a_namespace_a_content_type_and_a_version_can_be_chosen(store):
    counted = Counted()
    memoize(store, ns="reports", content_type="application/msgpack", version=1)(counted.function)(1)
    later = memoize(store, ns="reports", version=2)(counted.function)
    assert later.peek(1) is None
    later(1)

    assert counted.calls == [1, 1]
    assert store.ns("memoize").list().keys == ()
    types = {entry.meta.content_type for _, entry in store.ns("reports").scan()}
    assert types == {"application/msgpack", "application/json"}


def test_a_result_expires(store, clock):
    counted = Counted()
    load = memoize(store, ttl=10)(counted.function)
    load(1)
    clock.advance(9.999)
    load(1)
    clock.advance(0.001)
    load(1)
    assert counted.calls == [1, 1]


def test_ttl_may_depend_on_the_result(store, clock):
    counted = Counted(lambda x: x)
    load = memoize(store, ttl=lambda result: None if result == "for ever" else len(result))(counted.function)
    load("for ever")
    load("abc")

    clock.advance(3)
    load("for ever")
    load("abc")
    assert counted.calls == ["for ever", "abc", "abc"]


def test_a_ttl_that_is_none_gives_the_lease_back(store):
    load = memoize(store, ttl=lambda result: -1)(Counted().function)
    with pytest.raises(ValueError, match="ttl must be more than 0"):
        load(1)
    assert list(store.ns("memoize.leases")) == []


def test_condition_says_what_is_kept(store):
    counted = Counted(lambda x: x)
    load = memoize(store, condition=lambda result: result is not None)(counted.function)
    assert load(None) is None
    assert load(None) is None
    assert load(1) == load(1) == 1
    assert counted.calls == [None, None, 1]
    assert load.cache_info().not_kept == 2
    assert list(store.ns("memoize.leases")) == []


def test_a_result_that_cannot_be_kept_exactly_raises_at_the_first_call(store):
    counted = Counted(lambda x: [object()])
    load = memoize(store, unstorable="raise", ignore=("self",))(counted.function)
    with pytest.raises(CodecError, match=r"the result of .*load\(1, 0\) cannot be kept: .*an object"):
        load(1)
    assert load.cache_info().unstorable == 1
    assert load.peek(1) is None
    assert list(store.ns("memoize.leases")) == []


def test_a_result_that_is_too_large_raises(make_store):
    load = memoize(make_store(max_value_bytes=1000), unstorable="raise", ignore=("self",))(
        Counted(lambda x: b"x" * 1001).function
    )
    with pytest.raises(TooLargeError, match=r"the result of .*load\(1, 0\) cannot be kept: value takes 1001 bytes"):
        load(1)


def test_a_result_that_cannot_be_kept_is_returned_and_counted_if_asked(store):
    counted = Counted(lambda x: object())
    load = memoize(store, unstorable="return")(counted.function)
    with pytest.warns(UserWarning, match="is returned and not kept"):
        first = load(1)
    assert first is not load(1)
    assert load.cache_info().unstorable == 2
    assert list(store.ns("memoize.leases")) == []


def test_an_argument_that_cannot_be_a_key_raises_before_anything_is_called(store):
    counted = Counted(lambda x: "result")
    with pytest.raises(TypeError, match="argument 'x' of .*load cannot be a part of a cache key"):
        memoize(store)(counted.function)(object())
    assert counted.calls == []
    assert memoize(store, ignore=("x",))(counted.function)(object())
    assert memoize(store, key=lambda x: "k")(counted.function)(object())


def test_a_result_comes_through_the_lru_and_is_never_older_than_what_others_did(make_store, path):
    counted, elsewhere = Counted(lambda x: [len(counted.calls)]), make_store(path)
    store = make_store(path, lru_bytes="1 MB")
    load = memoize(store)(counted.function)
    assert load(1) == load(1) == load(1) == [1]
    load(1).append("mine")
    assert load(1) == [1]
    assert store.stats().lru.hits

    memoize(elsewhere)(counted.function).forget(1)
    assert load(1) == [2]


# -- exceptions


class OwnError(Exception):
    def __init__(self, code, *, hint=None):
        super().__init__(code)
        self.hint = hint


def failing(error):
    def fail(x):
        raise error

    return Counted(fail)


def test_an_exception_is_not_kept(store):
    counted = failing(LookupError("no"))
    load = memoize(store)(counted.function)
    for _ in range(2):
        with pytest.raises(LookupError, match="no"):
            load(1)
    assert counted.calls == [1, 1]
    assert list(store.ns("memoize")) == list(store.ns("memoize.leases")) == []


@pytest.mark.parametrize(
    "error",
    [LookupError("no", 5), KeyError(("a", 1)), OwnError(404, hint=["x"]), UnicodeDecodeError("u8", b"x", 0, 1, "bad"),
     FileNotFoundError(2, "no such file", "x.txt")],
)  # fmt: skip
def test_exceptions_that_are_named_are_kept_with_their_own_ttl(store, clock, error):
    counted = failing(error)
    named = {LookupError: 5, OwnError: 5, UnicodeError: 5, OSError: 5}
    load = memoize(store, ttl=60, cache_exceptions=named)(counted.function)
    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            load(1)
        assert str(caught.value) == str(error)
        assert caught.value.args == error.args
        assert {**vars(caught.value), "__notes__": 0} == {**vars(error), "__notes__": 0}
    assert counted.calls == [1]
    assert load.peek(1) is None

    clock.advance(5)
    counted.result = lambda x: "found"
    assert load(1) == load(1) == "found"
    assert counted.calls == [1, 1]
    assert list(store.ns("memoize.leases")) == []


def test_forget_forgets_an_exception_too(store):
    counted = failing(LookupError("no"))
    load = memoize(store, cache_exceptions={LookupError: None})(counted.function)
    for _ in range(2):
        with pytest.raises(LookupError):
            load(1)
    assert load.forget(1)
    assert not load.forget(1)
    with pytest.raises(LookupError):
        load(1)
    assert counted.calls == [1, 1]
    assert load.cache_clear() == 1


def test_an_exception_that_cannot_be_kept_exactly_is_raised_as_it_is(store):
    counted = failing(LookupError(object()))
    load = memoize(store, cache_exceptions={LookupError: 5})(counted.function)
    for _ in range(2):
        with pytest.raises(LookupError):
            load(1)
    assert counted.calls == [1, 1]
    assert load.cache_info().unstorable == 2


def test_an_exception_whose_class_is_not_known_any_more_is_computed_again(store):
    counted = failing(type("Gone", (LookupError,), {})("no"))
    load = memoize(store, cache_exceptions={LookupError: 5})(counted.function)
    with pytest.raises(LookupError):
        load(1)
    entry = store.ns("memoize").get_with_meta("!" + load.cache_key(1))
    store.ns("memoize")["!" + load.cache_key(1)] = {**entry.value, "type": "app.Unknown"}
    with pytest.raises(LookupError):
        load(1)
    assert counted.calls == [1, 1]


# -- once


def test_threads_that_ask_for_the_same_key_share_one_computation(store):
    held = Held(lambda x: [x])
    load = memoize(store)(held.function)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(load, 1) for _ in range(8)]
        held.begun.acquire()
        passengers(load, 8)
        held.end.release()
        results = [future.result(WAIT) for future in asked]
    assert results == [[1]] * 8
    assert len({id(result) for result in results}) == 8
    assert held.calls == [1]


def test_threads_that_ask_for_other_keys_do_not_wait(store):
    held = Held()
    load = memoize(store)(held.function)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(load, number) for number in range(2)]
        held.begun.acquire()
        assert held.begun.acquire(timeout=WAIT)
        held.end.release(2)
        assert [future.result(WAIT) for future in asked] == [{"x": 0}, {"x": 1}]


def test_an_exception_reaches_all_who_wait(store):
    def fail(x):
        raise LookupError(x)

    held = Held(fail)
    load = memoize(store)(held.function)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(load, 1) for _ in range(4)]
        held.begun.acquire()
        passengers(load, 4)
        held.end.release()
        assert [type(future.exception(WAIT)) for future in asked] == [LookupError] * 4
    assert held.calls == [1]


def test_those_who_wait_for_a_result_that_is_not_kept_get_copies_of_it(store):
    held = Held(lambda x: [x])
    load = memoize(store, condition=lambda result: False)(held.function)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(load, 1) for _ in range(4)]
        held.begun.acquire()
        passengers(load, 4)
        held.end.release()
        results = [future.result(WAIT) for future in asked]
    assert results == [[1]] * 4
    assert len({id(result) for result in results}) == 4
    assert held.calls == [1]


def test_what_others_copy_is_nothing_that_the_one_who_computed_can_change():
    mine = [1]
    outcome = share(Shared(mine), 2)
    mine.append(2)
    assert outcome.value == [1]
    assert share(Shared(threading.Lock()), 2) is ALONE


def test_those_who_wait_for_a_result_that_cannot_be_kept_compute_their_own(store):
    held = Held(lambda x: iter([x]))
    load = memoize(store, unstorable="return")(held.function)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(load, 1) for _ in range(3)]
        held.begun.acquire()
        passengers(load, 3)
        with pytest.warns(UserWarning, match="is returned and not kept"):
            held.end.release(3)
            assert [list(future.result(WAIT)) for future in asked] == [[1]] * 3
    assert held.calls == [1] * 3


def test_a_thread_that_is_interrupted_leaves_the_computation_to_another(store):
    def interrupt(x):
        if len(held.calls) == 1:
            raise KeyboardInterrupt
        return "done"

    held = Held(interrupt)
    load = memoize(store)(held.function)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(load, 1) for _ in range(2)]
        held.begun.acquire()
        passengers(load, 2)
        held.end.release(2)
        outcomes = sorted(type(future.exception(WAIT)).__name__ for future in asked)
    assert outcomes == ["KeyboardInterrupt", "NoneType"]
    assert list(store.ns("memoize.leases")) == []


def test_a_function_may_call_itself_with_other_arguments_and_not_with_the_same(store):
    @memoize(store)
    def factorial(n):
        return n * factorial(n - 1) if n > 1 else 1

    @memoize(store)
    def endless(n):
        return endless(n)

    assert factorial(20) == 2432902008176640000
    assert factorial.cache_info().computed == 20
    with pytest.raises(RuntimeError, match=r"endless\(1\) needs its own result"):
        endless(1)
    assert list(store.ns("memoize.leases")) == []


def memoize_in_two_objects(store):
    """Two functions of one name, as two processes have them: they know of each other by their leases alone."""
    one, other = Held(), Held()
    return one, memoize(store, ttl=600)(one.function), other, memoize(store, ttl=600)(other.function)


def test_an_owner_that_outlives_its_lease_cannot_overwrite(store, clock):
    one, slow, other, quick = memoize_in_two_objects(store)
    one.result, first = lambda x: (first(x), "old")[1], one.result
    other.result, second = lambda x: (second(x), "new")[1], other.result
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(slow, 1)
        one.begun.acquire()
        clock.advance(10)
        other.end.release()
        assert pool.submit(quick, 1).result(WAIT) == "new"
        one.end.release()
        assert late.result(WAIT) == "old"
    assert slow.cache_info().lost == 1
    assert slow(1) == quick(1) == "new"


def test_an_owner_whose_lease_is_anothers_by_now_neither_overwrites_nor_frees_it(store, clock, after):
    one, slow, other, quick = memoize_in_two_objects(store)
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(slow, 1)
        one.begun.acquire()
        clock.advance(10)
        current = pool.submit(quick, 1)
        other.begun.acquire()
        one.end.release()
        late.result(WAIT)
        assert quick.peek(1) is None
        assert len(store.ns("memoize.leases")) == 1
        other.end.release()
        current.result(WAIT)
    assert quick.peek(1).meta.version == after(0)
    assert (slow.cache_info().lost, quick.cache_info().lost) == (1, 0)


def test_a_result_that_comes_between_the_look_and_the_lease_is_not_computed_again(store, monkeypatch):
    one, slow, other, quick = memoize_in_two_objects(store)
    other.end.release()
    take = Leases.take

    def others_first(self, key, **options):
        monkeypatch.setattr(Leases, "take", take)
        assert quick(1) == {"x": 1}
        return take(self, key, **options)

    monkeypatch.setattr(Leases, "take", others_first)
    assert slow(1) == {"x": 1}
    assert one.calls == []
    assert list(store.ns("memoize.leases")) == []


def test_a_lease_is_waited_for(store):
    one, slow, other, quick = memoize_in_two_objects(store)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow, 1)
        one.begun.acquire()
        second = pool.submit(quick, 1)
        passengers(quick, 1)
        one.end.release()
        assert first.result(WAIT) == second.result(WAIT) == {"x": 1}
    assert other.calls == []


@on_shared
def test_a_lease_is_renewed_while_its_owner_computes(where):
    one = Held()
    with Store(where) as store:  # by the real clock, which the renewing thread sleeps by
        slow = memoize(store, lease=0.3)(one.function)
        leases = store.ns("memoize.leases")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(slow, 1)
            one.begun.acquire()
            began = leases.get_with_meta(slow.cache_key(1)).meta
            until(lambda: leases.get_with_meta(slow.cache_key(1)).meta.expires_at > began.expires_at)
            assert leases.get_with_meta(slow.cache_key(1)).meta.version == began.version
            one.end.release()
            first.result(WAIT)
        assert slow.cache_info().lost == 0


# -- forget, refresh, clear


def test_forget_removes_one_result_and_clear_all_of_this_function(store):
    counted = Counted()
    load = memoize(store)(counted.function)
    other = memoize(store, name=f"{load.cache_key(1).partition('(')[0]}er")(counted.function)
    for number in range(1200):
        load(number)
    other(1)

    assert load.forget(1)
    assert not load.forget(1)
    assert load.peek(1) is None
    assert load.peek(2).value == {"x": 2}
    assert load.cache_clear() == 1199
    assert list(store.ns("memoize")) == [other.cache_key(1)]


@pytest.mark.parametrize("forget", [lambda load: load.forget(1), lambda load: load.cache_clear()])
def test_what_begins_after_forget_sees_nothing_older_than_it(store, forget):
    source = {"value": "old"}
    read, go_on = threading.Event(), threading.Event()

    @memoize(store)
    def load(x):
        seen = source["value"]
        if seen == "old":
            read.set()
            assert go_on.wait(WAIT)
        return seen

    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(load, 1)
        read.wait(WAIT)
        source["value"] = "new"
        forget(load)
        assert load(1) == "new"
        go_on.set()
        assert early.result(WAIT) == "old"
    assert load(1) == "new"
    assert load.cache_info().lost == 1


def test_refresh_computes_anew_and_others_get_the_old_one_meanwhile(store):
    held = Held(lambda x: len(held.calls))
    load = memoize(store)(held.function)
    held.end.release()
    assert load(1) == 1
    with ThreadPoolExecutor(1) as pool:
        held.begun.acquire()
        refreshed = pool.submit(load.refresh, 1)
        held.begun.acquire()
        assert load(1) == 1
        held.end.release()
        assert refreshed.result(WAIT) == 2
    assert load(1) == 2
    assert list(store.ns("memoize.leases")) == []


def test_a_refresh_that_raises_leaves_what_is_kept(store):
    counted = Counted()
    load = memoize(store)(counted.function)
    load(1)
    counted.result = failing(LookupError()).result
    with pytest.raises(LookupError):
        load.refresh(1)
    assert load(1) == {"x": 1}
    assert list(store.ns("memoize.leases")) == []


def test_a_computation_that_began_before_a_refresh_does_not_overwrite_it(store, after):
    held = Held(lambda x: len(held.calls))
    load = memoize(store)(held.function)
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(load, 1)
        held.begun.acquire()
        refreshed = pool.submit(load.refresh, 1)
        held.begun.acquire()
        held.end.release(2)
        early.result(WAIT)
        refreshed.result(WAIT)
    assert load.cache_info().lost == 1
    assert load.peek(1).meta.version == after(0)


# -- fresh without waiting


def test_a_result_near_its_end_is_computed_in_the_background_by_one_caller(store, clock):
    held = Held(lambda x: len(held.calls))
    load = memoize(store, ttl=60, refresh_before=10)(held.function)
    held.end.release()
    assert load(1) == 1
    held.begun.acquire()

    clock.advance(49.9)
    assert load(1) == 1
    assert held.calls == [1]
    clock.advance(0.1)
    assert [load(1) for _ in range(20)] == [1] * 20
    held.begun.acquire()
    assert load(1) == 1
    held.end.release()
    until(lambda: load(1) == 2)
    assert held.calls == [1, 1]
    clock.advance(49)
    assert load(1) == 2
    assert held.calls == [1, 1]


def test_another_process_does_not_refresh_what_one_refreshes(store, clock):
    held = Held(lambda x: len(held.calls))
    other = Counted()
    load = memoize(store, ignore=("self",), ttl=60, refresh_before=10)(held.function)
    elsewhere = memoize(store, ignore=("self",), ttl=60, refresh_before=10)(other.function)
    held.end.release()
    load(1)
    held.begun.acquire()
    clock.advance(55)
    load(1)
    held.begun.acquire()
    assert elsewhere(1) == 1
    assert other.calls == []
    held.end.release()
    until(lambda: elsewhere(1) == 2)
    assert other.calls == []


def test_a_refresh_in_the_background_that_fails_is_logged_and_not_tried_again_at_once(store, clock, caplog):
    counted = Counted()
    load = memoize(store, ttl=60, refresh_before=20, lease=5)(counted.function)
    load(1)
    counted.result = failing(LookupError("no")).result
    clock.advance(45)
    with caplog.at_level(logging.WARNING, "sqlitedict_kv"):
        load(1)
        until(lambda: load.cache_info().failed_refreshes == 1 and "computing" in caplog.text)
        assert [load(1) for _ in range(10)] == [{"x": 1}] * 10
        assert counted.calls == [1, 1]
        assert "computing" in caplog.text

        clock.advance(5)
        load(1)
        until(lambda: load.cache_info().failed_refreshes == 2)

    clock.advance(10)  # expired: a call does not wait for the lease of a computation that failed
    counted.result = lambda x: "new"
    assert load(1) == "new"


def test_an_expired_result_stands_in_while_the_function_raises(store, clock):
    counted = Counted()
    load = memoize(store, ttl=10, stale_if_error=60)(counted.function)
    load(1)
    counted.result = failing(LookupError("down")).result

    clock.advance(10)
    assert load.peek(1) is None
    assert load(1) == load(1) == {"x": 1}
    assert counted.calls == [1, 1, 1]
    assert load.cache_info().stale == 2
    with pytest.raises(LookupError):
        load(2)
    with pytest.raises(LookupError):
        load.refresh(1)

    clock.advance(60)
    with pytest.raises(LookupError, match="down"):
        load(1)
    counted.result = lambda x: "up"
    assert load(1) == "up"


def test_a_forgotten_result_does_not_stand_in(store, clock):
    counted = Counted()
    load = memoize(store, ttl=10, stale_if_error=60)(counted.function)
    load(1)
    load(2)
    load.forget(1)
    counted.result = failing(LookupError("down")).result
    with pytest.raises(LookupError):
        load(1)
    load.cache_clear()
    with pytest.raises(LookupError):
        load(2)


# -- methods, and what looks at functions


@dataclass(frozen=True)
class Account:
    number: int


def test_methods_of_objects_classes_and_neither(store):
    calls = []

    @dataclass
    class Report:
        year: int

        @memoize(store)
        def rows(self, day):
            calls.append((self.year, day))
            return [self.year, day]

        @classmethod
        @memoize(store)
        def kind(cls, x):
            calls.append((cls.__name__, x))
            return cls.__name__

        @memoize(store)
        @classmethod
        def kind_above(cls, x):
            return cls.__name__

        @staticmethod
        @memoize(store)
        def fixed(x):
            return x

        @memoize(store)
        @staticmethod
        def fixed_above(x):
            return x

        @property
        @memoize(store)
        def size(self):
            calls.append(("size", self.year))
            return self.year * 2

    class Yearly(Report):
        def rows(self, day):
            return ["yearly", *super().rows(day)]

    for _ in range(2):
        assert Report(2025).rows(1) == [2025, 1]
        assert Report(2026).rows(day=1) == [2026, 1]
        assert Yearly(2025).rows(1) == ["yearly", 2025, 1]
        assert (Report.kind(1), Yearly.kind(1), Yearly(1).kind(1)) == ("Report", "Yearly", "Yearly")
        assert (Report.kind_above(1), Yearly.kind_above(1)) == ("Report", "Yearly")
        assert Report.fixed(1) == Report(1).fixed(1) == Report.fixed_above(1) == Report(1).fixed_above(1) == 1
        assert Report(7).size == 14
    # the class of self counts: the third is that of Yearly
    assert calls == [(2025, 1), (2026, 1), (2025, 1), ("Report", 1), ("Yearly", 1), ("size", 7)]
    assert Report.rows.forget(Report(2025), 1)
    assert Report(2026).rows.cache_info().computed == 3


def test_self_needs_a_form_of_its_own_or_is_ignored(store):
    class Plain:
        @memoize(store)
        def bad(self, x):
            return x

        @memoize(store, ignore=("self",))
        def good(self, x):
            return x

    with pytest.raises(TypeError, match=r"argument 'self' of .*Plain\.bad .* may define __cache_key__"):
        Plain().bad(1)
    assert Plain().good(1) == Plain().good(1) == 1
    assert Plain.good.cache_info().computed == 1


@memoize(Store())
def at_top(x: int, *, y: str = "a") -> list[int]:
    """Say what it does."""
    return [x]


def test_a_decorated_function_looks_like_the_function():
    assert at_top.__name__ == "at_top"
    assert at_top.__doc__ == "Say what it does."
    assert at_top.__module__ == __name__
    assert str(inspect.signature(at_top)) == "(x: int, *, y: str = 'a') -> list[int]"
    assert inspect.isfunction(at_top)
    assert at_top.__wrapped__(5) == [5]
    assert copy.copy(at_top) is copy.deepcopy(at_top) is pickle.loads(pickle.dumps(at_top)) is at_top
    assert inspect.getsource(at_top).startswith("@memoize(Store())")
    assert functools.partial(at_top, 1)() == [1]
    assert "Return what happened" in at_top.cache_info.__doc__


def test_help_shows_the_parameters_and_what_they_mean(store):
    parameters = inspect.signature(store.memoize).parameters
    assert {"ttl", "key", "version", "code", "ignore", "refresh_before"} <= set(parameters)
    shown = pydoc.plain(pydoc.render_doc(store.memoize))
    for name in parameters:
        assert f"{name}: " in shown
    assert "forever" in shown


def test_decorators_stack(store, make_store):
    counted = Counted()
    both = memoize(store)(memoize(make_store(), ttl=5)(counted.function))
    assert both(1) == both(1) == {"x": 1}
    assert counted.calls == [1]
    assert both.__wrapped__.__wrapped__ is counted.function
    cached = functools.lru_cache(memoize(store, ns="other")(counted.function))
    assert cached(1) is cached(1)

    twice = memoize(store, ns="twice")(memoize(store, ns="twice")(counted.function))
    with pytest.raises(RuntimeError, match="memoized twice in the same place"):
        twice(1)


def test_what_cannot_be_memoized_is_refused(store):
    def numbers():
        yield 1

    async def more():
        yield 1

    for function, message in [
        (numbers, "numbers yields, and a generator cannot be kept"),
        (more, "more yields"),
        (property(numbers), "memoize goes below @property"),
        (Account, "not a class"),
        (5, "memoize decorates a function, not int; write @store.memoize\\(\\), with brackets"),
    ]:
        with pytest.raises(TypeError, match=message):
            memoize(store)(function)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ttl": 0}, ValueError, "ttl must be more than 0"),
        ({"ttl": "60"}, TypeError, "ttl must be a number"),
        ({"ttl": int}, TypeError, "ttl must be seconds, None, or a function"),
        ({"ttl": at_top}, TypeError, "ttl must be seconds, None, or a function"),
        ({"condition": 1}, TypeError, "condition must be callable"),
        ({"key": "x"}, TypeError, "key must be callable"),
        ({"key": len, "ignore": ("x",)}, ValueError, "ignore has no meaning beside key"),
        ({"ignore": "x"}, TypeError, "ignore must be a collection"),
        ({"typed": 1}, TypeError, "typed must be True or False"),
        ({"version": 1.5}, TypeError, "version must be"),
        ({"name": ""}, ValueError, "name must be"),
        ({"cache_exceptions": LookupError}, TypeError, "cache_exceptions must map types to seconds"),
        ({"cache_exceptions": {int: 1}}, TypeError, "cache_exceptions must name subclasses of Exception"),
        ({"cache_exceptions": {KeyboardInterrupt: 1}}, TypeError, "cache_exceptions must name"),
        ({"cache_exceptions": {LookupError: -1}}, ValueError, "ttl must be more than 0"),
        ({"refresh_before": 5}, ValueError, "refresh_before and stale_if_error need a ttl"),
        ({"stale_if_error": 5}, ValueError, "refresh_before and stale_if_error need a ttl"),
        ({"ttl": 5, "refresh_before": 5}, ValueError, "refresh_before must be less than ttl"),
        ({"ttl": 5, "refresh_before": 0}, ValueError, "refresh_before must be more than 0"),
        ({"ttl": 5, "stale_if_error": "1"}, TypeError, "stale_if_error must be a number of seconds"),
        ({"unstorable": "ignore"}, ValueError, "unstorable must be one of 'raise', 'return'"),
        ({"lease": 0}, ValueError, "lease must be more than 0"),
        ({"lease": float("nan")}, ValueError, "lease must be more than 0"),
        ({"content_type": "image/png"}, ValueError, "content_type 'image/png' has no codec"),
        ({"ns": "x" * 256}, ValueError, "ns is 256 bytes"),
        ({"expire": 5}, TypeError, "unexpected keyword argument 'expire'"),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_decorated(options, error, message):
    with Store() as store:
        with pytest.raises(error, match=message):
            memoize(store, **options)(Counted().function)
        assert store.namespaces() == []


@on_shared
def test_a_store_that_cannot_be_written_or_is_closed_says_so(open_store):
    memoize(open_store())(Counted().function)(1)
    reader = open_store(readonly=True)
    counted = Counted()
    load = memoize(reader)(counted.function)
    assert load(1) == {"x": 1}
    with pytest.raises(ReadOnlyError):
        load.put({"x": 3}, 3)
    assert load(2) == load(2) == {"x": 2}
    assert counted.calls == [2, 2]
    assert "load(2, 0)" not in reader.ns("memoize")
    reader.close()
    with pytest.raises(StoreClosedError):
        load(1)
