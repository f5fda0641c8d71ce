"""Stores, views, locks and memoized functions in other processes: they are pickled as address and options."""

import pickle
import subprocess
import sys

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.locks import Lock, RLock, Semaphore, Throttle
from sqlitedict_kv.options import address_to_pickle, check_options


@pytest.fixture
def store(path):
    with Store(path, timeout=3.0) as store:
        yield store


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
