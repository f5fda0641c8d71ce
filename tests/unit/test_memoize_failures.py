"""Results that cannot be kept or read, and storage that fails: the caller gets a result all the same."""

import asyncio
import logging
import sys
import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlitedict_kv import (
    AsyncStore,
    CodecError,
    DamagedEntryError,
    DecodeError,
    NotConfirmedError,
    OutcomeUnknownError,
    ReadOnlyError,
    Store,
    StoreBusyError,
    StoreClosedError,
    StoreDetachedError,
    StoreFullError,
    StoreIOError,
    TooLargeError,
    UnreachableError,
)
from sqlitedict_kv.concurrency.shared_errors import copy_error
from sqlitedict_kv.namespace import Namespace
from tests.conftest import on_shared
from tests.support.memoizing import memoize_body

FAILURES = [
    StoreBusyError,
    StoreFullError,
    StoreIOError,
    StoreDetachedError,
    UnreachableError,
    OutcomeUnknownError,
    NotConfirmedError,
]


class Odd:
    """A class that no codec keeps, and whose objects can be copied."""


def counted(store, result=lambda x: [x], **options):
    """Return a memoized function and the list of the arguments that it was called with."""
    calls = []

    @memoize_body(store, "load", **options)
    def load(x):
        calls.append(x)
        return result(x)

    return load, calls


@pytest.fixture(params=["file"])
def engine(request):
    """What the stores are on, where a test does not say more."""
    return request.param


@pytest.fixture
def broken(monkeypatch):
    """Make verbs of all namespaces raise; each call stands for the one before."""
    state = {"error": None, "verbs": ()}

    def breakable(verb):
        whole = getattr(Namespace, verb)

        def call(self, *args, **kwargs):
            if verb in state["verbs"]:
                raise state["error"]
            return whole(self, *args, **kwargs)

        return call

    for verb in ("get", "get_with_meta", "add", "set", "delete"):  # before anything is decorated
        monkeypatch.setattr(Namespace, verb, breakable(verb))
    return lambda error, *verbs: state.update(error=error, verbs=verbs)


# -- results that cannot be kept


@on_shared
def test_a_result_that_no_codec_keeps_is_returned_with_one_warning_that_names_its_type(store):
    load, calls = counted(store, lambda x: Odd())
    with pytest.warns(UserWarning, match=r"the result of load\(1\) is returned and not kept.*Odd") as caught:
        assert isinstance(load(1), Odd)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(load(1), Odd)
        assert isinstance(load(2), Odd)
    assert calls == [1, 1, 2]
    assert load.cache_info().unstorable == 3
    assert list(store.ns("memoize.leases")) == []


def test_a_result_that_is_too_large_is_returned_with_one_warning(make_store):
    load, calls = counted(make_store(max_value_bytes=1000), lambda x: b"x" * 1001)
    with pytest.warns(UserWarning, match="value takes 100. bytes"):
        assert load(1) == b"x" * 1001
    assert load(1) == b"x" * 1001
    assert calls == [1, 1]
    assert load.cache_info().unstorable == 2


def test_callers_that_wait_for_a_result_that_is_too_large_get_copies_of_it(make_store):
    begun, end = threading.Semaphore(0), threading.Event()

    def large(x):
        begun.release()
        end.wait(20)
        return [b"x" * 1001]

    load, calls = counted(make_store(max_value_bytes=1000), large)
    with ThreadPoolExecutor(2) as pool, pytest.warns(UserWarning, match="value takes 100. bytes"):
        first = pool.submit(load, 1)
        assert begun.acquire(timeout=20)
        second = pool.submit(load, 1)
        flights = [cell.cell_contents for cell in load.forget.__closure__ if hasattr(cell.cell_contents, "board")][0]
        while not any(flight.passengers == 2 for flight in flights._by_key.values()):
            threading.Event().wait(0.005)
        end.set()
        assert first.result(20) == second.result(20) == [b"x" * 1001]
        assert first.result() is not second.result()
    assert calls == [1]


@pytest.mark.parametrize(("result", "error"), [(Odd(), CodecError), (b"x" * 1001, TooLargeError)])
def test_unstorable_raise_makes_an_error_of_a_result_that_cannot_be_kept(make_store, result, error):
    load, _ = counted(make_store(max_value_bytes=1000), lambda x: result, unstorable="raise")
    for _ in range(2):
        with pytest.raises(error, match=r"the result of load\(1\) cannot be kept"):
            load(1)
    assert load.cache_info().unstorable == 2


@on_shared
@pytest.mark.parametrize("nothing", [0, 0.0])
def test_a_ttl_function_that_returns_0_returns_the_result_and_does_not_keep_it(store, nothing):
    load, calls = counted(store, ttl=lambda result: nothing if result == [1] else 60)
    assert load(1) == load(1) == [1]
    assert load(2) == load(2) == [2]
    assert calls == [1, 1, 2]
    assert load.cache_info().not_kept == 2
    assert list(store.ns("memoize.leases")) == []
    with pytest.raises(ValueError, match="ttl must be more than 0"):
        store.memoize(ttl=nothing)


# -- entries that do not decode


@on_shared
def test_an_entry_that_does_not_decode_is_computed_again_counted_and_logged_once(store, caplog):
    load, calls = counted(store)
    for number in (1, 2):
        load(number)
        _spoil(store, load.cache_key(number))
    with caplog.at_level(logging.WARNING, "sqlitedict_kv"):
        assert load(1) == [1]
        assert load(2) == [2]
    assert len(caplog.records) == 1
    assert "load(1) is computed again" in caplog.text
    assert load(1) == [1]
    assert calls == [1, 2, 1, 2]
    assert load.cache_info().undecodable == 2
    assert load.cache_info().hits == 1


@on_shared
def test_an_entry_that_does_not_decode_is_computed_again_for_tasks_and_where_it_is_refreshed(store, clock):
    calls = []

    @memoize_body(store, "load", ttl=60, refresh_before=10)
    async def load(x):
        calls.append(x)
        return [x]

    async def main():
        await load(1)
        _spoil(store, load.cache_key(1))
        assert await load(1) == await load(1) == [1]

    asyncio.run(main())
    assert calls == [1, 1]
    assert load.cache_info().undecodable == 1


@on_shared
def test_undecodable_raise_passes_the_error_on(store):
    load, calls = counted(store, undecodable="raise")
    load(1)
    _spoil(store, load.cache_key(1))
    for _ in range(2):
        with pytest.raises(DecodeError):
            load(1)
    assert calls == [1]


def test_a_damaged_entry_always_raises(make_store, path):
    import sqlite3
    from contextlib import closing

    store = make_store(path)
    load, _ = counted(store)
    load(1)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE kv SET value = '[7]' WHERE ns = 'memoize'")
    with pytest.raises(DamagedEntryError):
        load(1)


def test_an_entry_that_does_not_decode_is_computed_on_a_store_that_is_read_only(make_store, path):
    store = make_store(path)
    load, _ = counted(store)
    load(1)
    _spoil(store, load.cache_key(1))
    store.close()
    reader = make_store(path, readonly=True)
    load, calls = counted(reader)
    assert load(1) == load(1) == [1]
    assert calls == [1, 1]
    assert load(2) == [2]
    with pytest.raises(ReadOnlyError):
        load.put([2], 2)


@on_shared
def test_an_exception_and_a_stale_copy_that_do_not_decode_are_none(store, clock):
    fails = [LookupError("first")]

    def result(x):
        if fails:
            raise fails[0]
        return x

    load, calls = counted(store, result, ttl=10, stale_if_error=60, cache_exceptions={LookupError: 60})
    with pytest.raises(LookupError):
        load(1)
    _spoil(store, "!" + load.cache_key(1))
    fails.clear()
    assert load(1) == 1
    clock.advance(10)
    _spoil(store, "~" + load.cache_key(1))
    fails.append(LookupError("second"))
    with pytest.raises(LookupError, match="second"):
        load(1)
    assert calls == [1, 1, 1]


def _spoil(store, key):
    """Write an entry of a content type that this release does not know, as a later one might."""
    from sqlitedict_kv.engines.protocol import Put

    edit = Put("memoize", key, b"x", "application/vnd.of-a-later-release", None, None)
    store._engine.commit([edit], store._context.now())


# -- storage that fails


@on_shared
@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("verb", ["get", "add", "get_with_meta"])
def test_a_call_survives_each_failure_of_the_storage_at_each_step(store, broken, caplog, kind, verb):
    load, calls = counted(store)
    error = kind("the storage fails")
    broken(error, *{"get": ("get",), "add": ("add",), "get_with_meta": ("get_with_meta", "add")}[verb])
    with caplog.at_level(logging.WARNING, "sqlitedict_kv"):
        assert load(1) == load(1) == [1]
        assert load(2) == [2]
    assert len(caplog.records) == 1
    assert "load(1) is computed without its store" in caplog.text
    assert calls == [1, 1, 2]
    assert load.cache_info().storage_errors >= 3


@on_shared
def test_a_result_is_returned_if_the_storage_fails_after_it_was_computed(store, monkeypatch):
    load, calls = counted(store)

    def full(self, *args):
        raise StoreFullError("the disk is full")

    def fill(x):
        monkeypatch.setattr(type(store._engine), "commit", full)
        return [x]

    load, calls = counted(store, fill)
    assert load(1) == [1]
    monkeypatch.undo()
    assert load.cache_info().storage_errors == 1
    assert load.peek(1) is None


@on_shared
def test_the_function_s_own_error_is_raised_even_if_it_is_one_of_the_storage(store):
    error = UnreachableError("of the function")

    def fail(x):
        raise error

    load, calls = counted(store, fail)
    with pytest.raises(UnreachableError) as caught:
        load(1)
    assert caught.value is error
    assert calls == [1]
    assert load.cache_info().storage_errors == 0


@on_shared
def test_the_error_of_the_function_is_raised_if_the_storage_fails_too(store, broken):
    def fail(x):
        raise LookupError("of the function")

    load, _ = counted(store, fail, stale_if_error=60, ttl=60)
    broken(StoreBusyError("busy"), "get", "delete")
    with pytest.raises(LookupError, match="of the function"):
        load(1)


@on_shared
def test_on_error_raise_passes_the_failure_on(store, broken):
    load, calls = counted(store, on_error="raise")
    for verb in ("get", "add"):
        broken(StoreBusyError("busy"), verb)
        with pytest.raises(StoreBusyError):
            load(1)
    assert calls == []


@on_shared
def test_a_store_that_is_closed_raises(store):
    load, calls = counted(store)
    store.close()
    with pytest.raises(StoreClosedError):
        load(1)
    assert calls == []


def test_a_call_on_a_file_that_others_lock_or_took_away_returns_its_result(make_store, path):
    store, other = make_store(path, timeout=0.05), make_store(path)
    load, calls = counted(store)
    with other.exclusive():
        assert load(1) == [1]
    assert load.cache_info().storage_errors == 1
    assert load(1) == load(1) == [1]
    assert calls == [1, 1]
    path.rename(path.with_suffix(".gone"))
    assert load(2) == [2]
    assert load.cache_info().storage_errors > 1
    path.with_suffix(".gone").rename(path)


@on_shared
def test_refresh_and_calls_of_tasks_survive_too(store, broken):
    calls = []

    @memoize_body(store, "load")
    async def load(x):
        calls.append(x)
        return [x]

    async def main():
        broken(StoreBusyError("busy"), "get")
        assert await load(1) == [1]
        broken(StoreBusyError("busy"), "add")
        assert await load(1) == [1]
        broken(StoreBusyError("busy"), "set")
        assert await load.refresh(1) == [1]

    asyncio.run(main())
    assert calls == [1, 1, 1]
    assert load.cache_info().storage_errors == 3


@on_shared
def test_callers_that_come_while_the_storage_fails_share_one_computation(store, broken):
    begun, end = threading.Semaphore(0), threading.Event()

    def slow(x):
        begun.release()
        end.wait(20)
        return [x]

    load, calls = counted(store, slow)
    broken(UnreachableError("away"), "get")
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(load, 1) for _ in range(2)]
        assert begun.acquire(timeout=20)
        flights = [cell.cell_contents for cell in load.forget.__closure__ if hasattr(cell.cell_contents, "board")][0]
        while not any(flight.passengers == 2 for flight in flights._by_key.values()):
            threading.Event().wait(0.005)
        end.set()
        assert [future.result(20) for future in futures] == [[1], [1]]
    assert calls == [1]


def test_an_asynchronous_store_survives_too(path):
    calls = []

    async def main():
        async with AsyncStore(path, timeout=0.05) as store:
            await store.ns("memoize").set("k", 1)

            @memoize_body(store, "load")
            async def load(x):
                calls.append(x)
                return [x]

            with Store(path) as other:
                with other.exclusive():
                    assert await load(1) == [1]
                assert load.cache_info().storage_errors == 1
                assert await load(1) == await load(1) == [1]

    asyncio.run(main())
    assert calls == [1, 1]


# -- what waiters share


@on_shared
def test_each_waiter_gets_its_own_copy_of_an_exception(store):
    begun, end = threading.Semaphore(0), threading.Event()

    def fail(x):
        begun.release()
        end.wait(20)
        raise LookupError("none", x) from ValueError("the cause")

    load, calls = counted(store, fail)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(load, 1) for _ in range(4)]
        assert begun.acquire(timeout=20)
        flights = [cell.cell_contents for cell in load.forget.__closure__ if hasattr(cell.cell_contents, "board")][0]
        while not any(flight.passengers == 4 for flight in flights._by_key.values()):
            threading.Event().wait(0.005)
        end.set()
        errors = [future.exception(20) for future in futures]
    assert calls == [1]
    assert len({id(error) for error in errors}) == 4
    lengths = set()
    for error in errors:
        assert error.args == ("none", 1)
        assert str(error.__cause__) == "the cause"
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert "fail" in names, "a copy tells where it was raised"
        lengths.add(len(names))
    assert len(lengths) <= 2, "one length for the caller that computes, and one for all the others"


def test_an_exception_that_cannot_be_copied_is_shared():
    class OddError(Exception):
        def __init__(self, code, *, hint):
            super().__init__(f"{code}: {hint}")

    odd, plain = OddError(1, hint="x"), LookupError("no", 2)
    assert copy_error(odd) is odd
    other = copy_error(plain)
    assert (type(other), other.args, other is plain) == (LookupError, ("no", 2), False)


async def happened(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.001)


def test_callers_that_are_cancelled_leave_the_computation_to_one_that_is_on_its_way(path):
    calls = []

    async def main():
        async with AsyncStore(path) as store:
            go_on = asyncio.Event()

            @memoize_body(store, "load")
            async def load(x):
                calls.append(x)
                await go_on.wait()
                return [x]

            first = asyncio.create_task(load(1))
            await happened(lambda: calls)
            second = asyncio.create_task(load(1))
            await asyncio.sleep(0)  # it reads, in a thread
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go_on.set()
            assert await second == [1]
            go_on.clear()
            last = [asyncio.create_task(load(2)) for _ in range(2)]
            await happened(lambda: len(calls) == 2)
            for task in last:
                task.cancel()
            await asyncio.wait(last)
            await happened(lambda: not store.sync_store.ns("memoize.leases"))  # it is given up with the last one

    asyncio.run(main())
    assert calls == [1, 2]


def test_a_computation_in_one_s_own_exclusive_block_is_refused_at_once(store):
    load, calls = counted(store)
    assert load(2) == [2]
    with store.exclusive():
        assert load(2) == [2]
        with pytest.raises(RuntimeError, match=r"in the block of exclusive\(\).*use what the block is given"):
            load(1)
    assert load(1) == [1]
    assert calls == [2, 1]


def test_recursion_through_memoize_is_deeper_than_it_was(store):
    @memoize_body(store, "depth")
    def depth(x):
        return depth(x - 1) + 1 if x else 0

    assert depth(180) == 180


def test_a_level_of_recursion_through_memoize_takes_four_frames_at_most(store):
    @memoize_body(store, "depth")
    def depth(x):
        return depth(x - 1) + 1 if x else 0

    levels = (sys.getrecursionlimit() - 80) // 4  # the innermost call reads and writes
    with ThreadPoolExecutor(1) as pool:  # whose stack is not that of the tests
        assert pool.submit(depth, levels).result(120) == levels


@pytest.mark.parametrize("options", [{}, {"ttl": 60, "refresh_before": 1}])
def test_a_function_goes_on_when_its_store_is_closed_and_opened_again_as_in_a_cell_that_is_run_again(path, options):
    store = Store(path)
    load, calls = counted(store, **options)
    assert load(1) == [1]
    store.close()
    with pytest.raises(StoreClosedError):
        load(1)
    with Store(path) as again:
        assert load(1) == load(1) == [1]
        assert load(2) == load(2) == [2]
        assert load.peek(2).value == [2]
        assert load.forget(2)
        assert again.ns("memoize")[load.cache_key(1)] == [1]
        assert calls == [1, 2]
    with pytest.raises(StoreClosedError):
        load(1)
    with Store(path.with_name("another.db")), pytest.raises(StoreClosedError):
        load(1)
