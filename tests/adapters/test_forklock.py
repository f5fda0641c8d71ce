"""Locks of the adapters, and children that are forked while a thread holds one."""

import os
import signal
import threading
from contextlib import contextmanager

import pytest

from sqlitedict_kv.adapters._compat.forklock import ForkLock
from sqlitedict_kv.adapters.diskcache import Cache
from sqlitedict_kv.adapters.sqlitedict import SqliteDict
from tests.support.processes import PATIENCE, forked

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@contextmanager
def held_by_a_thread(lock):
    """Let another thread hold *lock*."""
    taken, done = threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(PATIENCE)
    try:
        yield
    finally:
        done.set()
        thread.join()


def in_child(work):
    """Return the exit code of a child that does *work*, and that is killed if it waits for what never comes."""

    def limited():
        signal.alarm(int(PATIENCE))
        work()

    return forked(limited)


def test_a_child_takes_a_lock_that_a_thread_of_its_parent_held():
    lock = ForkLock()

    def take():
        with lock, lock:
            pass

    with held_by_a_thread(lock):
        assert in_child(take) == 0


def test_a_thread_that_forks_with_a_lock_holds_it_on_both_sides():
    lock = ForkLock()

    def others_wait():
        entered = threading.Event()

        def enter():
            with lock:
                entered.set()

        thread = threading.Thread(target=enter)
        with lock:
            thread.start()
            thread.join(0.05)
            assert not entered.is_set()
        lock.__exit__(None, None, None)  # what the parent took
        thread.join()
        assert entered.is_set()

    with lock:
        assert in_child(others_wait) == 0


def test_a_dict_is_read_and_written_in_a_child_that_was_forked_while_a_thread_was_writing(tmp_path):
    taken, done = threading.Event(), threading.Event()

    def encode(value):
        if value == "slow":
            taken.set()
            done.wait(PATIENCE)
        return value

    with SqliteDict(tmp_path / "d.db", autocommit=True, encode=encode) as mine:
        mine["a"] = 1
        thread = threading.Thread(target=mine.__setitem__, args=("b", "slow"))
        thread.start()
        assert taken.wait(PATIENCE)

        def use():
            assert mine["a"] == 1
            mine["child"] = 2

        assert in_child(use) == 0
        done.set()
        thread.join()
        assert dict(mine) == {"a": 1, "child": 2, "b": "slow"}


def test_a_cache_is_opened_in_a_child_that_was_forked_while_a_thread_opened_it(tmp_path):
    with Cache(tmp_path) as cache:
        cache["a"] = 1
        cache.close()

        def use():
            assert cache["a"] == 1

        with held_by_a_thread(cache._directory._opening):
            assert in_child(use) == 0


def test_a_cache_is_opened_in_a_child_that_was_forked_while_a_thread_closed_it(tmp_path):
    with Cache(tmp_path) as cache:
        cache["a"] = 1
        cache._directory.opened().store.close()  # as far as the thread came

        def use():
            assert cache["a"] == 1

        assert in_child(use) == 0
        assert cache["a"] == 1
