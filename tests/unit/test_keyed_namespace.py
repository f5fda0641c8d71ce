"""Keys of a declared type, in transactions, exclusive blocks, by age and beside memoize."""

import asyncio
from datetime import date

import pytest

from sqlitedict_kv import AsyncStore, ConflictError, Store

DAY, NEXT = date(2026, 1, 1), date(2026, 1, 2)


def test_a_transaction_takes_them_and_names_them(store):
    days = store.ns("days", keys=date)
    with store.atomic() as tx:
        recorded = tx.ns("days", keys=date)
        recorded.check(DAY, 0)
        recorded.set(DAY, 1)
        recorded.incr(NEXT, 5)
        recorded[date(2026, 1, 3)] = 3
    assert days.copy() == {DAY: 1, NEXT: 5, date(2026, 1, 3): 3}
    assert tx.versions["days", DAY] == days.get_with_meta(DAY).meta.version
    assert set(tx.versions) == {("days", DAY), ("days", NEXT), ("days", date(2026, 1, 3))}

    with pytest.raises(ConflictError, match="datetime.date") as conflict, store.atomic() as tx:
        tx.ns("days", keys=date).add(DAY, 2)
    assert conflict.value.key == DAY
    with pytest.raises(KeyError) as missing, store.atomic() as tx:
        del tx.ns("days", keys=date)[date(2000, 1, 1)]
    assert missing.value.args == (date(2000, 1, 1),)
    with store.atomic() as tx:
        tx.ns("days", keys=date).delete(DAY)
        tx.ns("days", keys=date).touch(NEXT, 60)
    assert DAY not in days
    with pytest.raises(TypeError, match="keys=date"), store.atomic() as tx:
        tx.ns("days", keys=date).set("2026-01-01", 1)


def test_a_key_of_a_str_namespace_keeps_its_name_in_the_same_transaction(store):
    with pytest.raises(KeyError) as missing, store.atomic() as tx:
        tx.ns("days", keys=date).set(DAY, 1)
        del tx.ns("users")["ada"]
    assert missing.value.args == ("ada",)


def test_an_exclusive_block_takes_them(path, clock):
    with Store(path, clock=clock) as store:
        with store.exclusive() as held:
            held.ns("days", keys=date)[DAY] = 1
            assert held.ns("days", keys=date)[DAY] == 1
        assert store.ns("days", keys=date).copy() == {DAY: 1}


def test_pages_by_age_have_them(store):
    days = store.ns("days", keys=date)
    days[NEXT], days[DAY] = 1, 2
    assert days.by_age().keys == (NEXT, DAY)


def test_memoize_keeps_its_own_keys(store):
    numbers = store.ns("numbers", keys=int)

    @numbers.memoize()
    def double(x):
        return 2 * x

    assert double(2) == double(2) == 4
    assert double.cache_info().hits == 1


@pytest.fixture
def store(make_store):
    return make_store()


def test_tasks_take_them_in_transactions_and_memoize(path):
    async def main():
        async with AsyncStore(path) as store:
            days = store.ns("days", keys=date)
            async with store.atomic() as tx:
                tx.ns("days", keys=date).set(DAY, 1)
            assert await days.get(DAY) == 1
            assert await days.copy() == {DAY: 1}
            with pytest.raises(ConflictError, match="datetime.date"):
                async with store.atomic() as tx:
                    tx.ns("days", keys=date).add(DAY, 1)
            assert days.sync_namespace[DAY] == 1

            @days.memoize()
            async def double(x):
                return 2 * x

            assert await double(2) == await double(2) == 4
            await days.modify(DAY, lambda value: value + 1)
            with pytest.raises(KeyError) as missing:
                await days.pop(NEXT)
            assert missing.value.args == (NEXT,)

    asyncio.run(main())
