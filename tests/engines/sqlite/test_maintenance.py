"""The engine's upkeep, beyond what every engine must do."""

import os
import threading

import pytest

from sqlitedict_kv import Store


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_child_that_was_forked_during_a_round_sweeps_all_the_same(tmp_path):
    now = [1000.0]
    with Store(tmp_path / "a.db", clock=lambda: now[0]) as store:
        n = store.ns("n")
        n.set_many({str(number): 1 for number in range(20)}, ttl=1)
        now[0] += 2
        held, done = threading.Event(), threading.Event()

        def hold():
            with store._engine._maintenance._round:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for number in range(40):
                    n["k"] = number
                code = 0 if store.stats().expired == 0 else 2
            finally:
                os._exit(code)
        done.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_eviction_that_finds_nothing_left_removes_nothing(tmp_path):
    """Another process may clear the store between the count and the eviction, after a write that stands."""
    with Store(tmp_path / "a.db", max_entries=2) as store:
        assert store._engine._limits.evict(4) == []
        store.ns("n")["only"] = 1
        assert store._engine._limits.evict(4) == []
        assert store.ns("n").copy() == {"only": 1}
