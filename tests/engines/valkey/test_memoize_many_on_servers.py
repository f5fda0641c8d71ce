"""Batches, put, fresh, explain and tags of memoized functions on a cluster, with threads and tasks."""

import asyncio

import pytest

from sqlitedict_kv import AsyncStore, NotCachedError, Store

pytestmark = pytest.mark.servers


def test_batches_and_tags_work_across_the_shards_of_a_cluster(shared_cluster):
    with Store(f"{shared_cluster.url}?prefix=batches") as store:
        calls = []

        @store.memoize(name="embed", batch=True, ignore=("calls",), tags=lambda _, item: [f"t:{item % 3}"])
        def embed(items):
            calls.append(list(items))
            return [[item] for item in items]

        assert embed(list(range(50))) == [[item] for item in range(50)]
        assert embed(list(range(60))) == [[item] for item in range(60)]
        assert calls == [list(range(50)), list(range(50, 60))]
        embed.put([99], 1)
        assert embed([1]) == [[99]]
        assert embed.explain(1).kept
        assert embed.explain(1000).nearest is not None
        assert store.forget_tag("t:0") == 20


def test_many_calls_work_across_the_shards_of_a_cluster(shared_cluster):
    with Store(f"{shared_cluster.url}?prefix=many") as store:

        @store.memoize(name="one")
        def one(x):
            return [x]

        assert one.many(range(30)) == [[x] for x in range(30)]
        assert one.fresh(max_age=60)(3) == [3]
        with store.memoize.only(), pytest.raises(NotCachedError):
            one.many([1, 99])


def test_tasks_have_all_of_it_on_a_cluster(shared_cluster):
    async def main():
        async with AsyncStore(f"{shared_cluster.url}?prefix=tasks") as store:

            @store.memoize(name="embed", batch=True)
            async def embed(items):
                return [[item] for item in items]

            @store.memoize(name="one")
            async def one(x):
                return [x]

            assert await embed(list(range(50))) == [[item] for item in range(50)]
            assert await one.many(range(30)) == [[x] for x in range(30)]
            await one.put([5], 1)
            assert await one(1) == [5]
            assert (await one.explain(100)).nearest is not None
            assert await one.fresh(max_age=60)(1) == [5]

    asyncio.run(main())
