"""Results of functions on servers that fail: the caller gets a result all the same, and nobody waits for nothing."""

import asyncio
from contextlib import ExitStack

import pytest

from sqlitedict_kv import (
    AsyncStore,
    NotConfirmedError,
    OutcomeUnknownError,
    Store,
    StoreFullError,
    UnreachableError,
)
from tests.engines.valkey.load import hurried
from tests.support.memoizing import memoize_body

LEASES = "memoize.leases"


def counted(store, meanwhile=lambda x: None, **options):
    """Return a memoized function, during which something happens, and the list of the arguments of its calls."""
    calls = []

    @memoize_body(store, "load", **options)
    def load(x):
        calls.append(x)
        meanwhile(x)
        return [x]

    return load, calls


def test_a_full_server_keeps_no_results_and_costs_none(server):
    with Store(server.url) as store:
        load, calls = counted(store)
        assert load(0) == [0]
        server.ask("CONFIG SET", "maxmemory", "1", "maxmemory-policy", "noeviction")
        assert load(0) == [0]
        assert load(1) == load(1) == [1]
        assert calls == [0, 1, 1]
        assert load.cache_info().storage_errors == 2

        server.ask("CONFIG SET", "maxmemory", "0")
        assert load(1) == load(1) == [1]
        assert calls == [0, 1, 1, 1]


def test_a_server_that_becomes_full_during_a_computation_costs_no_result_and_keeps_no_lease(server):
    def fill(x):
        server.ask("CONFIG SET", "maxmemory", "1", "maxmemory-policy", "noeviction")

    with Store(server.url) as store:
        load, calls = counted(store, fill)
        assert load(1) == [1]
        assert list(store.ns(LEASES)) == []
        server.ask("CONFIG SET", "maxmemory", "0")
        assert load(1) == [1]
        assert calls in ([1], [1, 1])  # the step removes the lease first, and a server then lets it write


def test_calls_on_a_server_that_is_away_return_what_they_compute_until_it_is_back(server):
    with Store(server.url) as store:
        load, calls = counted(store)
        assert load(1) == [1]
        server.kill()
        with hurried(store):
            assert load(1) == [1]
            assert load(2) == [2]
        assert calls == [1, 1, 2]
        assert load.cache_info().storage_errors == 2
        server.start()
        assert load(1) == load(1) == [1]
        assert calls == [1, 1, 2, 1]


def test_a_server_that_hangs_during_a_computation_costs_no_result(server):
    with Store(server.url) as store, Store(server.url) as other, ExitStack() as hanging:

        def hang(x):
            server.pause()
            hanging.enter_context(hurried(store))

        load, calls = counted(store, hang)
        try:
            assert load(1) == [1]
        finally:
            server.resume()
            hanging.close()
        assert load.cache_info().storage_errors == 1

        again, more = counted(other)  # whether the server has the result, or only a lease of a call that is over
        assert again(1) == [1]
        assert calls + more in ([1], [1, 1])


def test_a_lease_that_nobody_confirmed_keeps_no_caller_waiting(server):
    with Store(server.url, timeout=3) as store, Store(server.url) as other:
        load, calls = counted(store)
        assert load(0) == [0]
        store._engine._link.confirm = 1  # as if the replica that there was were lost
        assert load(1) == load.refresh(1) == [1]
        assert calls == [0, 1, 1]
        assert load.cache_info().storage_errors == 2
        assert list(other.ns(LEASES)) == []

        again, more = counted(other)
        assert again(1) == [1]
        assert more == [1]


@pytest.mark.parametrize("error", [NotConfirmedError, StoreFullError, UnreachableError, OutcomeUnknownError])
def test_on_error_raise_passes_on_what_the_servers_say(server, error):
    options = {"timeout": 3, **({"confirm": 1} if error is NotConfirmedError else {})}
    accidents = {
        StoreFullError: lambda: server.ask("CONFIG SET", "maxmemory", "1", "maxmemory-policy", "noeviction"),
        UnreachableError: server.kill,
    }
    with Store(server.url, **options) as store:
        during = (lambda x: server.pause()) if error is OutcomeUnknownError else (lambda x: None)
        load, _ = counted(store, during, on_error="raise")
        accidents.get(error, lambda: None)()
        try:
            with pytest.raises(error):
                load(1)
        finally:
            if server.is_running:
                server.resume()


def test_tasks_survive_a_server_that_is_away_too(server):
    async def main():
        async with AsyncStore(server.url) as store:
            calls = []

            @store.memoize(name="load")
            async def load(x):
                calls.append(x)
                return [x]

            assert await load(1) == [1]
            server.kill()
            with hurried(store):
                assert await asyncio.gather(load(1), load(2)) == [[1], [2]]
            server.start()
            assert await load(1) == await load(1) == [1]
            assert calls == [1, 1, 2, 1] or calls == [1, 2, 1, 1]

    asyncio.run(main())
