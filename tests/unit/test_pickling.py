"""Stores, views, locks and memoized functions in other processes: they are pickled as address and options."""

import asyncio
import functools
import multiprocessing
import pickle
import subprocess
import sys

import pytest

from sqlitedict_kv import AsyncStore, CodecError, Store, StoreClosedError
from sqlitedict_kv.locks import Lock, RLock, Semaphore, Throttle
from sqlitedict_kv.options import address_to_pickle, check_options


@pytest.fixture
def store(path):
    with Store(path, timeout=3.0) as store:
        yield store


def in_a_loop(test):
    @functools.wraps(test)
    def run(**arguments):
        asyncio.run(test(**arguments))

    return run


def again(thing):
    return pickle.loads(pickle.dumps(thing))


def test_a_store_comes_back_as_one_on_the_same_file_with_the_same_options(store):
    store.ns("n")["k"] = [1]
    other = again(store)
    assert type(other) is Store
    assert repr(other) == repr(store)
    assert other.ns("n")["k"] == [1]
    other.ns("n")["k"] = [2]
    assert store.ns("n")["k"] == [2]
    assert other._context.origin.options == {"timeout": 3.0}


def test_a_process_opens_a_store_that_was_pickled_once_while_it_is_used(store):
    one, other = again(store), again(store)
    assert one._engine is other._engine
    assert one._engine is not store._engine


def test_a_relative_path_means_the_same_file_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store("here.db") as store:
        store.ns("n")["k"] = 1
        pickled = pickle.dumps(store)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pickle.loads(pickled) as other:
        assert other.ns("n")["k"] == 1


def test_views_keep_their_name_their_defaults_and_the_type_of_their_keys(store):
    plain, keyed = store.ns("n", ttl=60), store.ns("numbers", keys=int)
    plain["k"], keyed[3] = 1, 4
    assert again(plain)["k"] == 1
    again(plain)["j"] = 2
    assert plain.get_with_meta("j").meta.expires_at is not None
    assert list(again(keyed).items()) == [(3, 4)]


@pytest.mark.parametrize("kind", [Lock, RLock, lambda ns, key: Semaphore(ns, key, 1)])
def test_a_lock_comes_back_as_one_that_is_not_held(store, kind):
    lock = kind(store.ns("locks"), "k")
    lock.acquire()
    other = again(lock)
    assert not other.owned()
    assert not other.acquire(blocking=False)
    lock.release()
    assert other.acquire(blocking=False)
    other.release()


def test_a_throttle_counts_for_all(store):
    throttle = Throttle(store.ns("limits"), "k", count=2, seconds=1000)
    assert throttle.acquire(blocking=False)
    assert again(throttle).acquire(blocking=False)
    assert not throttle.acquire(blocking=False)


def test_a_store_in_memory_says_why_it_cannot_be_pickled():
    with Store() as store:
        for thing in (store, store.ns("n"), Lock(store.ns("n"), "k")):
            with pytest.raises(TypeError, match="a store in memory cannot be pickled.*give it a path"):
                pickle.dumps(thing)


def test_a_view_within_an_exclusive_block_cannot_be_pickled(store):
    with store.exclusive() as block, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(block.ns("n"))


@pytest.mark.parametrize(
    "address", ["valkey://:secret@host", "valkey://user:secret@host:1/2", "valkeys://host?ssl_password=secret"]
)
def test_a_password_never_goes_into_a_pickle(address):
    pytest.importorskip("redis")
    where, obstacle = address_to_pickle(check_options(address, {}))
    assert where is None
    assert "password in its address cannot be pickled" in obstacle
    assert "secret" not in obstacle


def test_an_address_without_a_password_is_pickled_as_it_is():
    pytest.importorskip("redis")
    assert address_to_pickle(check_options("valkey://host:6380/1", {}))[0] == "valkey://host:6380/1"


@pytest.mark.frameworks
def test_a_memoized_function_of_a_notebook_works_in_another_process(store, path):
    cloudpickle = pytest.importorskip("cloudpickle")
    space = {"__name__": "__main__", "store": store}
    exec("@store.memoize(name='f', code=False)\ndef f(x):\n    return [x, 'computed']\n", space)  # noqa: S102
    f = space["f"]
    assert f(1) == [1, "computed"]
    pickled = path.with_suffix(".pickle")
    pickled.write_bytes(cloudpickle.dumps(f))
    code = (
        "import sys, cloudpickle\n"
        "f = cloudpickle.loads(open(sys.argv[1], 'rb').read())\n"
        "print(f(1), f(2), f.cache_info().hits, f.cache_info().computed)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, pickled], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[0] == "[1, 'computed'] [2, 'computed'] 1 1"
    assert f.peek(2).value == [2, "computed"]


@pytest.mark.parametrize("options", [{"type": list[int]}, {"type": list[int], "keys": int}, {"type": dict[str, int]}])
def test_views_of_a_type_come_back_with_it(store, options):
    view = again(store.ns("n", ttl=60, **options))
    with pytest.raises(CodecError, match="this view keeps"):
        view[1 if "keys" in options else "k"] = "other"
    assert again(again(view))._defaults.as_arguments() == (60, None, options["type"], False)


@in_a_loop
async def test_an_asynchronous_store_comes_back_as_one_on_the_same_file_with_the_same_options(path):
    async with AsyncStore(path, timeout=3.0) as store:
        await store.ns("n").set("k", [1])
        other, same = again(store), again(store)
        assert type(other) is AsyncStore
        assert repr(other) == repr(store)
        assert await other.ns("n").get("k") == [1]
        assert same.sync_store is other.sync_store, "a process opens it once"
        assert other._lazy.origin.options == {"timeout": 3.0}
        await other.close()
        typed = again(store.ns("n", keys=int, type=list[int]))
        await typed.set(3, [4])
        assert await store.ns("n", keys=int).get(3) == [4]
        with pytest.raises(CodecError, match="this view keeps"):
            await typed.set(3, "other")
        await typed._lazy.close()


@in_a_loop
async def test_an_asynchronous_face_of_a_store_comes_back_as_one(store):
    store.ns("n")["k"] = 1
    other = again(AsyncStore.over(store))
    assert await other.ns("n").get("k") == 1
    await other.close()


@in_a_loop
async def test_locks_and_throttles_of_an_asynchronous_store_come_back(path):
    async with AsyncStore(path) as store:
        lock = Lock(store.ns("locks"), "k")
        async with lock:
            other = again(lock)
            assert not await other.acquire_async(blocking=False)
        assert await other.acquire_async(blocking=False)
        await other.release_async()
        throttle = Throttle(store.ns("limits"), "k", count=2, seconds=1000)
        assert await throttle.acquire_async(blocking=False)
        assert await again(throttle).acquire_async(blocking=False)
        assert not await throttle.acquire_async(blocking=False)


def test_an_asynchronous_store_in_memory_says_why_it_cannot_be_pickled():
    store = AsyncStore()
    for thing in (store, store.ns("n"), store.ns("n", keys=int, type=str), Lock(store.ns("n"), "k")):
        with pytest.raises(TypeError, match="a store in memory cannot be pickled.*give it a path"):
            pickle.dumps(thing)


def _write(view, number):
    view[f"k{number}"] = number


def test_views_go_to_processes_that_are_spawned(store):
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.starmap(_write, [(store.ns("n", type=int), number) for number in range(4)])
    assert dict(store.ns("n")) == {f"k{number}": number for number in range(4)}


@pytest.mark.frameworks
def test_a_memoized_function_goes_to_the_processes_of_joblib(store):
    joblib = pytest.importorskip("joblib")

    @store.memoize(name="square", code=False)
    def square(x):
        return x * x

    assert joblib.Parallel(n_jobs=2)(joblib.delayed(square)(x) for x in [2, 3, 2, 3]) == [4, 9, 4, 9]
    assert square.peek(3).value == 9


@pytest.mark.frameworks
@in_a_loop
async def test_a_function_memoized_on_an_asynchronous_store_works_in_another_process(path):
    cloudpickle = pytest.importorskip("cloudpickle")
    async with AsyncStore(path) as store:
        space = {"__name__": "__main__", "store": store}
        exec("@store.memoize(name='f', code=False)\nasync def f(x):\n    return [x]\n", space)  # noqa: S102
        f = space["f"]
        assert await f(1) == [1]
        pickled = path.with_suffix(".pickle")
        pickled.write_bytes(cloudpickle.dumps(f))
        code = (
            "import sys, asyncio, cloudpickle\n"
            "f = cloudpickle.loads(open(sys.argv[1], 'rb').read())\n"
            "async def main():\n"
            "    print(await f(1), await f(2), f.cache_info().hits, f.cache_info().computed)\n"
            "asyncio.run(main())\n"
        )
        command = [sys.executable, "-c", code, pickled]
        run = functools.partial(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)
        done = await asyncio.to_thread(run)
        assert done.stdout.split("\n")[0] == "[1] [2] 1 1"
        assert (await f.peek(2)).value == [2]


@pytest.mark.parametrize("options", [{}, {"ttl": 60, "refresh_before": 1}])
@in_a_loop
async def test_a_function_memoized_on_an_asynchronous_store_goes_on_in_one_opened_later(path, options):
    computed = []
    async with AsyncStore(path) as store:

        @store.memoize(**options)
        async def f(x):
            computed.append(x)
            return [x]

        assert await f(1) == [1]
    with pytest.raises(StoreClosedError):
        await f(2)
    async with AsyncStore(path):
        assert [await f(1), await f(2), await f(2)] == [[1], [2], [2]]
        assert (await f.peek(2)).value == [2]
        assert await f.forget(2)
        assert await f(2) == [2]
    assert computed == [1, 2, 2]
