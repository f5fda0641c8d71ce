"""Many calls of a memoized function at once, results that are put, and results that are fresh enough."""

import asyncio
import multiprocessing
import threading

import pytest

from sqlitedict_kv import AsyncStore, CodecError, DecodeError, NotCachedError, Store, StoreClosedError
from tests.support.memoizing import WAIT, Counted


def memoized(place, **options):
    counted = Counted()
    return place.memoize(name="load", ignore=("self",), **options)(counted.function), counted.calls


def batched(place, work=lambda item: {"item": item}, **options):
    calls = []

    @place.memoize(name="embed", ignore=("calls", "work"), batch=True, **options)
    def embed(items, model="small"):
        calls.append(list(items))
        return [work(item) for item in items]

    return embed, calls


# -- many


def test_many_looks_all_up_in_one_step_and_calls_the_function_for_the_missing(store):
    load, calls = memoized(store)
    load(2)
    assert load.many([1, 2, 3, 1]) == [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 1}]
    assert calls == [2, 1, 3]
    assert load.many([1, 2, 3], y=5) == load.many([1, 2, 3], [5, 5, 5])
    assert calls == [2, 1, 3, 1, 2, 3]
    assert load.many([]) == []


def test_equal_calls_of_many_do_not_share_an_object(store):
    load, _ = memoized(store)
    load(1)
    first, second = load.many([1, 1])
    first["changed"] = True
    assert second == {"x": 1}


def test_many_refuses_columns_of_different_lengths_and_none(store):
    load, _ = memoized(store)
    with pytest.raises(ValueError, match="shorter"):
        load.many([1, 2], [1])
    with pytest.raises(TypeError, match=r"as map\(\) does"):
        load.many()


def test_many_in_the_modes(store):
    load, calls = memoized(store)
    load(1)
    with store.memoize.only():
        assert load.many([1]) == [{"x": 1}]
        with pytest.raises(NotCachedError):
            load.many([1, 2])
    with store.memoize.disabled():
        load.many([1, 2])
    assert calls == [1, 1, 2]
    assert load.peek(2) is None


def test_an_entry_that_does_not_decode_is_one_that_many_computes(store):
    load, calls = memoized(store)
    load.many([1, 2])
    with Store() as other:
        del other
    store.ns("memoize")._engine.put("memoize", "load(1, 0)", b"{", "application/json", None, 1)
    assert load.many([1, 2]) == [{"x": 1}, {"x": 2}]
    assert calls == [1, 2, 1]


# -- batch=True


def test_a_function_in_batches_gets_the_items_that_have_no_result_once_each(store):
    embed, calls = batched(store)
    assert embed(["a", "b", "a"]) == [{"item": "a"}, {"item": "b"}, {"item": "a"}]
    assert embed(iter(["c", "b"])) == [{"item": "c"}, {"item": "b"}]
    assert embed([]) == []
    assert calls == [["a", "b"], ["c"]]
    assert embed(["a"], "large") == embed(["a"], model="large") == [{"item": "a"}]
    assert calls == [["a", "b"], ["c"], ["a"]]
    assert embed.cache_info()[:3] == (2, 4, 3)
    assert not store.ns("memoize.leases"), "each lease is given back"


def test_the_verbs_of_a_function_in_batches_take_an_item(store):
    embed, calls = batched(store, ttl=60)
    assert embed.cache_key("a") == "embed('a', 'small')"
    embed(["a", "b"])
    assert embed.peek("a").value == {"item": "a"}
    assert embed.forget("a")
    embed.put("put", "c")
    assert embed(["a", "b", "c"]) == [{"item": "a"}, {"item": "b"}, "put"]
    assert embed.refresh(["b", "c"]) == [{"item": "b"}, {"item": "c"}]
    assert calls == [["a", "b"], ["a"], ["b", "c"]]
    assert embed.cache_clear() == 3


def test_results_in_batches_obey_the_options(store):
    embed, calls = batched(store, condition=lambda result: result["item"] != "no")
    embed(["yes", "no"])
    embed(["yes", "no"])
    assert calls == [["yes", "no"], ["no"]]
    embed, calls = batched(store, version=2, ttl=lambda result: 0 if result["item"] == "no" else 60)
    embed(["yes", "no"])
    embed(["yes", "no"])
    assert calls == [["yes", "no"], ["no"]]


def test_a_result_in_a_batch_that_cannot_be_kept_costs_the_others_nothing(store):
    embed, calls = batched(store, work=lambda item: object() if item == "no" else item)
    with pytest.warns(UserWarning, match="returned and not kept"):
        assert embed(["a", "no", "b"])[::2] == ["a", "b"]
    assert embed(["a", "b"]) == ["a", "b"]
    assert calls == [["a", "no", "b"]]
    assert embed.cache_info().unstorable == 1
    assert not store.ns("memoize.leases")


def test_a_batch_that_raises_keeps_nothing_and_is_free_for_the_next(store):
    answers = [RuntimeError("no"), None]

    def work(item):
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return item

    embed, calls = batched(store, work)
    with pytest.raises(RuntimeError, match="no"):
        embed(["a"])
    assert embed(["a"]) == ["a"]
    assert calls == [["a"], ["a"]]


@pytest.mark.parametrize(
    ("returned", "message"), [([1], "got 2 items and returned 1 results"), ("ab", "must return a list"), (None, "list")]
)
def test_a_batch_must_return_a_result_for_each_item(store, returned, message):
    @store.memoize(batch=True, name="f", ignore=("returned",))
    def embed(items):
        return returned

    with pytest.raises((TypeError, ValueError), match=message):
        embed(["a", "b"])
    assert not store.ns("memoize.leases")


def test_a_batch_takes_a_list_of_items_and_no_options_of_single_calls(store):
    embed, _ = batched(store)
    for wrong in ("text", 3, {"a": 1}):
        with pytest.raises(TypeError, match="takes a list of items as its first argument"):
            embed(wrong)
    for options in ({"refresh_before": 1}, {"stale_if_error": 1}, {"cache_exceptions": {LookupError: 1}}):
        with pytest.raises(ValueError, match="batch goes with none of"):
            store.memoize(ttl=60, batch=True, **options)
    with pytest.raises(TypeError, match="batch must be True or False"):
        store.memoize(batch=1)


def test_batches_in_the_modes(store):
    embed, calls = batched(store)
    embed(["a"])
    with store.memoize.only():
        assert embed(["a"]) == [{"item": "a"}]
        with pytest.raises(NotCachedError):
            embed(["a", "b"])
    with store.memoize.disabled():
        embed(["a", "b"])
    assert calls == [["a"], ["a", "b"]]
    assert embed.peek("b") is None


def test_two_batches_at_once_compute_each_item_once_and_wait_for_each_other(store):
    begun, go_on = threading.Event(), threading.Event()

    def work(item):
        if item == "b":
            begun.set()
            assert go_on.wait(WAIT)
        return item

    embed, calls = batched(store, work)
    results = {}
    first = threading.Thread(target=lambda: results.update(first=embed(["a", "b"])))
    first.start()
    assert begun.wait(WAIT)
    second = threading.Thread(target=lambda: results.update(second=embed(["b", "c", "a"])))
    second.start()
    while ["c"] not in calls:
        second.join(0.01)
    go_on.set()
    first.join(WAIT)
    second.join(WAIT)
    assert results == {"first": ["a", "b"], "second": ["b", "c", "a"]}
    assert calls == [["a", "b"], ["c"]]


def _embed_in_a_process(path, barrier, counts, items):
    with Store(path) as store:

        @store.memoize(batch=True, name="embed", ignore=("counts",))
        def embed(items):
            for item in items:
                counts[item] += 1
            return list(items)

        barrier.wait(WAIT)
        assert embed(items) == items


def test_processes_compute_each_item_once(path):
    context = multiprocessing.get_context("spawn")
    with Store(path):
        pass
    barrier, counts = context.Barrier(2), context.Array("i", 60)
    orders = list(range(40)), list(range(59, 19, -1))
    workers = [context.Process(target=_embed_in_a_process, args=(path, barrier, counts, order)) for order in orders]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert list(counts) == [1] * 60


# -- put


def test_put_keeps_what_was_computed_elsewhere(store):
    load, calls = memoized(store, ttl=60)
    load.put({"x": "put"}, 1)
    assert load(1) == {"x": "put"}
    assert load.peek(1).meta.expires_at is not None
    load.put({"x": "again"}, x=1)
    assert load(1) == {"x": "again"}
    assert calls == []
    with pytest.raises(CodecError):
        load.put(object(), 1)
    assert load(1) == {"x": "again"}


def test_put_wins_over_a_computation_that_is_under_way(store):
    def work(x):
        load.put("put", x)
        return "computed"

    counted = Counted(work)
    load = store.memoize(name="load", ignore=("self",))(counted.function)
    assert load(1) == "computed"
    assert load(1) == "put"
    assert load.cache_info().lost == 1


# -- fresh


@pytest.mark.parametrize("options", [{}, {"ttl": 1000, "refresh_before": 1}])
def test_fresh_takes_a_result_that_is_young_enough_and_computes_it_again_else(path, options):
    now = [1_000_000.0]
    with Store(path, clock=lambda: now[0]) as store:
        load, calls = memoized(store, **options)
        assert load.fresh(max_age=60)(1) == {"x": 1}
        now[0] += 60
        assert load.fresh(max_age=60)(1) == {"x": 1}
        assert calls == [1]
        now[0] += 1
        assert load.fresh(max_age="1 min")(x=1) == {"x": 1}
        assert calls == [1, 1]
        assert load.fresh(max_age=1)(1) == {"x": 1}
        assert calls == [1, 1], "it was kept"
        now[0] += 100
        with store.memoize.only(), pytest.raises(NotCachedError):
            load.fresh(max_age=60)(1)
        with store.memoize.disabled():
            load.fresh(max_age=600)(1)
        assert calls == [1, 1, 1]
    with pytest.raises(ValueError, match="max_age"):
        load.fresh(max_age=-1)
    with pytest.raises(StoreClosedError):
        load.fresh(max_age=1)(1)


# -- tasks


@pytest.mark.parametrize("awaited", [True, False])
def test_tasks_have_all_of_it(path, awaited):
    calls, batches = [], []

    async def main():
        async with AsyncStore(path) as store:
            chosen = store if awaited else store.sync_store

            @chosen.memoize(name="load", ignore=("calls",))
            async def load(x):
                calls.append(x)
                await asyncio.sleep(0)
                return [x]

            @chosen.memoize(name="embed", batch=True, ignore=("batches",))
            async def embed(items):
                batches.append(items)
                return [[item] for item in items]

            assert await load(2) == [2]
            assert await load.many([1, 2, 3, 1]) == [[1], [2], [3], [1]]
            assert sorted(calls) == [1, 2, 3]
            assert await load.fresh(max_age=1000)(3) == [3]
            for put, key in ((load.put([0], 7), 7), (embed.put([0], 7), 7)):
                assert (await put if awaited else put) is None, key
            assert await load(7) == [0]
            assert await embed([1, 7, 2, 1]) == [[1], [0], [2], [1]]
            assert await asyncio.gather(embed([1, 3]), embed([3, 4])) == [[[1], [3]], [[3], [4]]]
            assert sorted(sum(batches, [])) == [1, 2, 3, 4]
            assert await embed.refresh([1]) == [[1]]
            with chosen.memoize.disabled():
                assert await load.many([1]) == [[1]]
                assert await embed([1]) == [[1]]
            with chosen.memoize.only(), pytest.raises(NotCachedError):
                await embed([9])

    asyncio.run(main())


def test_a_damaged_result_raises_in_a_batch_if_that_is_wanted(store):
    embed, _ = batched(store, undecodable="raise")
    embed(["a"])
    store.ns("memoize")._engine.put("memoize", embed.cache_key("a"), b"{", "application/json", None, 1)
    with pytest.raises(DecodeError):
        embed(["a"])


def test_a_function_in_batches_may_use_up_its_list(store):
    @store.memoize(batch=True)
    def doubled(items):
        results = []
        while items:
            results.append(items.pop(0) * 2)
        return results

    assert doubled([1, 2]) == [2, 4]
    assert doubled([2, 3]) == [4, 6]
