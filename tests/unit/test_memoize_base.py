"""Layers of results: a base that is only read below the store, and a store that is read-only itself."""

import asyncio
import copy
import pickle
import shutil
import sqlite3
from collections import ChainMap
from dataclasses import dataclass

import pytest

from sqlitedict_kv import (
    AsyncStore,
    DamagedEntryError,
    DecodeError,
    Namespace,
    NotCachedError,
    ReadOnlyError,
    Store,
    StoreBusyError,
    StoreClosedError,
)
from sqlitedict_kv.validation import DEFAULT
from tests.support.memoizing import Counted


def memoized(place, result=lambda x: {"x": x}, name="load", **options):
    counted = Counted(result)
    return place.memoize(name=name, ignore=("self",), **options)(counted.function), counted.calls


@pytest.fixture
def store(tmp_path, clock):
    with Store(tmp_path / "own.db", clock=clock) as store:
        yield store


@pytest.fixture
def shipped(tmp_path, clock):
    """Return the path of a store with the results of load(1) and load(2)."""
    path = tmp_path / "shipped.db"
    with Store(path, clock=clock) as store:
        load, _ = memoized(store, lambda x: {"shipped": x})
        load.many([1, 2])
    return path


@pytest.fixture
def base(shipped, clock):
    with Store(shipped, readonly=True, clock=clock) as store:
        yield store


def raw(path, statement, *arguments):
    """Change a file as another program would."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, arguments)
    connection.close()


# -- what is taken from where


def test_a_result_that_is_not_here_is_taken_from_the_base_and_what_is_computed_is_written_here(store, base):
    load, calls = memoized(store, base=base)
    assert [load(1), load(3), load(3)] == [{"shipped": 1}, {"x": 3}, {"x": 3}]
    assert calls == [3]
    assert list(store.ns("memoize")) == ["load(3, 0)"]
    info = load.cache_info()
    assert (info.hits, info.misses, info.computed, info.base_hits) == (2, 1, 1, 1)


def test_a_result_that_is_here_goes_before_that_of_the_base(store, base):
    load, calls = memoized(store, base=base)
    load.put({"here": 1}, 1)
    assert load(1) == {"here": 1}
    assert load.refresh(2) == load(2) == {"x": 2}
    assert calls == [2]
    assert load.cache_info().base_hits == 0


def test_what_the_base_gives_is_not_copied_so_a_new_base_counts_at_once(store, base, shipped, clock):
    load, calls = memoized(store, base=base)
    assert load(1) == {"shipped": 1}
    with Store(shipped, clock=clock) as nightly:
        memoized(nightly)[0].put({"new": 1}, 1)
    assert load(1) == {"new": 1}
    assert not calls
    assert store.namespaces() == []


def test_a_result_of_the_base_ends_when_it_ends_there(store, shipped, clock):
    with Store(shipped, clock=clock) as nightly:
        memoized(nightly, ttl=60)[0].refresh(1)
    with Store(shipped, readonly=True, clock=clock) as base:
        load, calls = memoized(store, base=base, ttl=5)
        clock.advance(59)
        assert load(1) == {"x": 1}
        assert not calls
        clock.advance(1)
        load(1)
        assert calls == [1]


def test_forget_removes_what_is_here_alone(store, base):
    load, calls = memoized(store, base=base)
    load.refresh(1)
    assert load.forget(1) is True
    assert load(1) == {"shipped": 1}
    assert load.forget(1) is False
    assert load.cache_clear() == 0
    assert load(1) == {"shipped": 1}
    assert calls == [1]


def test_many_looks_both_up(store, base):
    load, calls = memoized(store, base=base)
    load(3)
    assert load.many([1, 2, 3, 4]) == [{"shipped": 1}, {"shipped": 2}, {"x": 3}, {"x": 4}]
    assert calls == [3, 4]
    assert load.cache_info().base_hits == 2


def test_a_batch_computes_what_is_in_neither(store, base, clock, tmp_path):
    def batched(place, **options):
        calls = []

        @place.memoize(name="embed", ignore=("calls",), batch=True, **options)
        def embed(items):
            calls.append(list(items))
            return [item * 2 for item in items]

        return embed, calls

    with Store(tmp_path / "embedded.db", clock=clock) as made:
        batched(made)[0]([1, 2])
        embed, calls = batched(store, base=made)
        assert embed([1, 2, 3]) == [2, 4, 6]
        assert embed([3, 2]) == [6, 4]
        assert calls == [[3]]


def test_fresh_takes_what_is_young_enough_from_the_base(store, base, clock):
    load, calls = memoized(store, base=base)
    clock.advance(10)
    assert load.fresh(max_age=10)(1) == {"shipped": 1}
    assert load.fresh(max_age=9)(1) == {"x": 1}
    assert load(1) == {"x": 1}
    assert calls == [1]


def test_peek_and_explain_see_the_base(store, base):
    load, _ = memoized(store, base=base)
    assert load.peek(1).value == {"shipped": 1}
    assert load.explain(1).in_base
    assert str(load.explain(1)) == "load(1, 0) is kept in the base forever"
    load.refresh(1)
    assert not load.explain(1).in_base
    assert load.cache_info().base_hits == 0


def test_a_namespace_is_a_base_too(store, base, clock, tmp_path):
    load, _ = memoized(store, base=base.ns("memoize"), ns="results")
    assert load(1) == {"shipped": 1}
    assert memoized(store.ns("results"), base=base.ns("memoize"))[0](2) == {"shipped": 2}
    assert memoized(store.ns("results"), base=base)[0](2) == {"x": 2}  # that of the same name


def test_a_former_name_counts_in_the_base(store, base):
    load, calls = memoized(store, base=base, name="renamed", was="load")
    assert load(1) == {"shipped": 1}
    assert load.many([1, 2, 3]) == [{"shipped": 1}, {"shipped": 2}, {"x": 3}]
    assert load.peek(2).value == {"shipped": 2}
    assert calls == [3]
    assert load.cache_info().base_hits == 3


def test_an_exception_that_is_kept_here_is_raised_if_the_base_has_no_result(store, base):
    def fail(x):
        raise LookupError(x)

    load, calls = memoized(store, fail, base=base, cache_exceptions={LookupError: 60})
    assert load(1) == {"shipped": 1}
    for _ in range(2):
        with pytest.raises(LookupError):
            load(3)
    assert calls == [3]


@dataclass
class Point:
    """A class that a result names."""

    x: int


def test_the_annotation_of_the_function_allows_its_classes_in_the_base_too(store, shipped, clock):
    def point(x) -> Point:
        return Point(x)

    with Store(shipped, clock=clock) as nightly:
        nightly.memoize(name="point")(point)(1)
    with Store(shipped, readonly=True) as base:
        found = store.memoize(name="point", base=base)(point)
        assert found(1) == Point(1)
        assert found.cache_info().base_hits == 1


def test_a_base_may_be_written_by_others_and_never_is_by_this(store, shipped, clock):
    with Store(shipped, clock=clock) as base:
        load, _ = memoized(store, base=base)
        load(1), load(3), load.refresh(2), load.forget(1), load.put(5, 5), load.cache_clear()
        assert list(base.ns("memoize")) == ["load(1, 0)", "load(2, 0)"]
        assert base.namespaces() == ["memoize"]


# -- modes


def test_off_looks_into_no_base_and_only_takes_from_it(store, base):
    load, calls = memoized(store, base=base)
    with store.memoize.disabled():
        assert load(1) == {"x": 1}
    with store.memoize.only():
        assert load(1) == {"shipped": 1}
        assert load.many([1, 2]) == [{"shipped": 1}, {"shipped": 2}]
        assert load.fresh(max_age=60)(1) == {"shipped": 1}
        with pytest.raises(NotCachedError):
            load(3)
    assert calls == [1]


# -- a base that fails


def let_fail(monkeypatch, failing):
    """Let each read of a store raise."""
    get = Namespace.get

    def fail(self, *args, **options):
        if self._engine is failing._engine:
            raise StoreBusyError("busy")
        return get(self, *args, **options)

    monkeypatch.setattr(Namespace, "get", fail)


def test_what_does_not_decode_in_the_base_is_computed_and_kept_here(store, base, shipped, caplog):
    raw(shipped, "UPDATE kv SET content_type = 'application/x-later', version = version + 1 WHERE key = 'load(1, 0)'")
    load, calls = memoized(store, base=base)
    assert load(1) == load(1) == {"x": 1}
    assert load.many([1, 2]) == [{"x": 1}, {"shipped": 2}]
    assert calls == [1]
    assert load.cache_info().undecodable == 1
    assert "does not decode" in caplog.text
    with pytest.raises(DecodeError):
        memoized(store, base=base.ns("memoize"), ns="strict", undecodable="raise")[0](1)


def test_many_takes_what_decodes_in_the_base(store, base, shipped):
    raw(shipped, "UPDATE kv SET content_type = 'application/x-later', version = version + 1 WHERE key = 'load(1, 0)'")
    load, calls = memoized(store, base=base)
    assert load.many([1, 2]) == [{"x": 1}, {"shipped": 2}]
    assert calls == [1]


def test_what_does_not_decode_here_is_taken_from_the_base(store, base, tmp_path):
    load, calls = memoized(store, base=base)
    load.refresh(1)
    raw(tmp_path / "own.db", "UPDATE kv SET content_type = 'application/x-later', version = version + 1")
    assert load(1) == {"shipped": 1}
    assert calls == [1]


def test_a_damaged_entry_of_the_base_raises(store, base, shipped):
    raw(shipped, "UPDATE kv SET value = 'damaged' WHERE key = 'load(1, 0)'")
    load, calls = memoized(store, base=base)
    with pytest.raises(DamagedEntryError):
        load(1)
    assert load(2) == {"shipped": 2}
    assert not calls


def test_a_base_that_is_closed_raises_and_one_that_was_opened_again_is_used(store, base, shipped, clock):
    load, calls = memoized(store, base=base)
    base.close()
    with pytest.raises(StoreClosedError, match="shipped"):
        load(1)
    with Store(shipped, readonly=True, clock=clock):
        assert load(1) == {"shipped": 1}
    assert not calls


def test_a_base_that_fails_is_done_without(store, base, monkeypatch, caplog):
    let_fail(monkeypatch, base)
    load, calls = memoized(store, base=base)
    assert [load(1), load(1)] == [{"x": 1}, {"x": 1}]
    assert calls == [1]
    assert load.cache_info().storage_errors == 1
    assert "busy" in caplog.text
    with pytest.raises(StoreBusyError):
        memoized(store, base=base, on_error="raise", version=2)[0](1)


def test_a_store_that_fails_is_done_without_and_the_base_is_asked(store, base, monkeypatch):
    let_fail(monkeypatch, store)
    load, calls = memoized(store, base=base)
    assert [load(1), load(3)] == [{"shipped": 1}, {"x": 3}]
    assert calls == [3]


# -- how it is called


@pytest.mark.parametrize("wrong", ["shipped.db", 1, object()])
def test_a_base_is_a_store(store, wrong):
    with pytest.raises(TypeError, match="base must be a store"):
        memoized(store, base=wrong)


def test_a_store_is_not_its_own_base(store):
    with pytest.raises(ValueError, match="this very store"):
        memoized(store, base=store)
    memoized(store, base=store.ns("other"))


def test_a_base_that_is_awaited_is_for_a_store_that_is(store):
    with pytest.raises(TypeError, match="sync_store"):
        memoized(store, base=AsyncStore())


@pytest.mark.frameworks
def test_a_function_that_was_pickled_takes_from_its_base_and_computes_the_rest(store, base):
    cloudpickle = pytest.importorskip("cloudpickle")
    load, _ = memoized(store, base=base, max_entries=2)
    again = cloudpickle.loads(cloudpickle.dumps(load))
    assert [again(1), again(3), again(3)] == [{"shipped": 1}, {"x": 3}, {"x": 3}]
    assert again.many([2, 4, 5]) == [{"shipped": 2}, {"x": 4}, {"x": 5}]
    assert len(store.ns("memoize")) == 2


def test_the_sign_of_what_is_not_given_is_one_object_in_a_pickle_too():
    assert pickle.loads(pickle.dumps(DEFAULT)) is DEFAULT
    assert copy.deepcopy(DEFAULT) is DEFAULT


# -- for tasks


def async_memoized(place, **options):
    calls = []

    @place.memoize(name="load", ignore=("calls",), **options)
    async def load(x, y=0):
        calls.append(x)
        return {"x": x}

    return load, calls


async def check_in_tasks(load, calls):
    assert [await load(1), await load(3), await load(3)] == [{"shipped": 1}, {"x": 3}, {"x": 3}]
    assert await load.many([1, 2, 4]) == [{"shipped": 1}, {"shipped": 2}, {"x": 4}]
    assert await load.fresh(max_age=60)(1) == {"shipped": 1}
    assert calls == [3, 4]
    info = load.cache_info()
    assert (info.computed, info.base_hits) == (2, 3)
    assert await load.refresh(1) == await load(1) == {"x": 1}


def test_an_async_function_takes_from_the_base_of_a_plain_store(store, base):
    asyncio.run(check_in_tasks(*async_memoized(store, base=base)))


@pytest.mark.parametrize("awaited", [False, True])
def test_a_store_for_tasks_takes_from_a_base_of_either_kind(tmp_path, base, shipped, clock, awaited):
    async def main():
        below = AsyncStore(shipped, readonly=True, clock=clock) if awaited else base
        async with AsyncStore(tmp_path / "own.db", clock=clock) as store:
            load, calls = async_memoized(store, base=below)
            assert (await load.peek(1)).value == {"shipped": 1}
            assert (await load.explain(1)).in_base
            await check_in_tasks(load, calls)
        if awaited:
            await below.close()

    asyncio.run(main())


@pytest.mark.parametrize("awaited", [False, True])
def test_a_result_of_the_base_that_is_about_to_end_is_computed_again_here(tmp_path, shipped, clock, awaited):
    async def main():
        async with AsyncStore(shipped, clock=clock) as nightly:
            await async_memoized(nightly, ttl=60)[0].refresh(1)
            own = AsyncStore(tmp_path / "own.db", clock=clock)
            place = own if awaited else own.sync_store
            load, calls = async_memoized(
                place, ttl=60, refresh_before=20, base=nightly if awaited else nightly.sync_store
            )
            clock.advance(30)
            await load(1)
            assert not calls
            clock.advance(15)
            await load(1)
            while not await own.ns("memoize").contains("load(1, 0)"):  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.001)
            assert calls == [1]
            await own.close()

    asyncio.run(main())


# -- a store that is read-only


def test_memoize_on_a_read_only_store_computes_and_returns(base, shipped):
    before = shipped.read_bytes()
    load, calls = memoized(base)
    assert [load(1), load(3), load(3)] == [{"shipped": 1}, {"x": 3}, {"x": 3}]
    assert load.refresh(1) == {"x": 1}
    assert load.many([2, 4]) == [{"shipped": 2}, {"x": 4}]
    assert load.fresh(max_age=1)(5) == {"x": 5}
    assert calls == [3, 3, 1, 4, 5]
    assert load.cache_info().storage_errors == 0
    assert shipped.read_bytes() == before


def test_what_is_asked_of_a_read_only_store_alone_raises(base):
    load, _ = memoized(base)
    with pytest.raises(ReadOnlyError):
        load.put(1, 1)
    with pytest.raises(ReadOnlyError):
        load.forget(1)


def test_an_error_of_the_function_is_its_own_in_a_read_only_store(base):
    def fail(x):
        raise ReadOnlyError("mine")

    load, calls = memoized(base, fail)
    with pytest.raises(ReadOnlyError, match="mine"):
        load(3)
    assert calls == [3]


def test_an_error_of_the_function_that_says_read_only_is_raised(store):
    def fail(x):
        raise ReadOnlyError("mine")

    load, calls = memoized(store, fail)
    with pytest.raises(ReadOnlyError, match="mine"):
        load(3)
    assert calls == [3]


def test_a_former_name_counts_in_a_read_only_store(base):
    load, calls = memoized(base, name="renamed", was="load")
    assert [load(1), load(3)] == [{"shipped": 1}, {"x": 3}]
    assert calls == [3]


def test_a_batch_on_a_read_only_store_computes(base):
    @base.memoize(name="embed", batch=True)
    def embed(items):
        return [item * 2 for item in items]

    assert embed([1, 2]) == embed([1, 2]) == [2, 4]


def test_an_exception_and_a_stale_copy_are_not_kept_in_a_read_only_store(base):
    def fail(x):
        raise LookupError(x)

    load, calls = memoized(base, fail, cache_exceptions={LookupError: 60}, ttl=60, stale_if_error=60)
    for _ in range(2):
        with pytest.raises(LookupError):
            load(3)
    assert calls == [3, 3]


def test_nothing_is_computed_in_the_background_of_a_read_only_store(shipped, clock, caplog):
    with Store(shipped, clock=clock) as nightly:
        memoized(nightly, ttl=60)[0].refresh(1)
    with Store(shipped, readonly=True, clock=clock) as store:
        load, calls = memoized(store, ttl=60, refresh_before=20)
        clock.advance(45)
        assert load(1) == {"x": 1}
        assert not calls
        assert load.cache_info().failed_refreshes == 0


def test_tasks_on_a_read_only_store_compute(shipped):
    async def main():
        async with AsyncStore(shipped, readonly=True) as store:
            load, calls = async_memoized(store)
            assert [await load(1), await load(3)] == [{"shipped": 1}, {"x": 3}]
            assert await asyncio.gather(load(4), load(4)) == [{"x": 4}] * 2
            assert calls == [3, 4]

    asyncio.run(main())


def test_a_read_only_store_may_have_a_base(base, shipped, tmp_path, clock):
    other = tmp_path / "other.db"
    shutil.copy(shipped, other)
    with Store(other, clock=clock) as made:
        memoized(made)[0].put({"other": 3}, 3)
    with Store(other, readonly=True, clock=clock) as below:
        load, calls = memoized(base, base=below)
        assert [load(1), load(3), load(4)] == [{"shipped": 1}, {"other": 3}, {"x": 4}]
        assert calls == [4]


# -- mappings


def test_a_chain_map_is_layers_of_namespaces(store, base):
    store.ns("memoize")["here"] = 1
    layers = ChainMap(store.ns("memoize"), base.ns("memoize"))
    assert layers["load(1, 0)"] == {"shipped": 1}
    layers["load(1, 0)"] = 5
    assert dict(layers) == {"here": 1, "load(1, 0)": 5, "load(2, 0)": {"shipped": 2}}
    del layers["load(1, 0)"]
    assert layers["load(1, 0)"] == {"shipped": 1}
    with pytest.raises(KeyError):
        del layers["load(1, 0)"]
