"""How users write; checked by mypy and never run."""

from collections.abc import MutableMapping
from datetime import date
from typing import Any, assert_type

from redis import Redis, RedisCluster

from sqlitedict_kv import (
    AsyncNamespace,
    AsyncStore,
    Capabilities,
    CopyReport,
    Entry,
    Health,
    Namespace,
    Page,
    Store,
    StoreStats,
    Transaction,
    copy,
)
from sqlitedict_kv.locks import Lock, Throttle, single_run

store = Store("app.db", durability="power", max_bytes="1 GB")
by_day = store.ns("by day", keys=date)
assert_type(by_day, Namespace[date])
assert_type(by_day.list(start=date(2026, 1, 1), stop=date(2026, 2, 1)), Page[date])
assert_type(by_day.copy(), dict[date, Any])
assert_type(by_day.set_many({date(2026, 1, 1): 1}), dict[date, int])
assert_type(next(by_day.scan()), tuple[date, Entry[Any]])
assert_type(by_day.popitem(), tuple[date, Any])
for day in by_day:
    assert_type(day, date)
by_day["2026-01-01"]  # type: ignore[index] # keys are dates
by_day.get(5)  # type: ignore[call-overload] # likewise
pairs = store.ns("pairs", keys=tuple[str, int])
assert_type(pairs, Namespace[tuple[str, int]])
assert_type(pairs.get_many([("a", 1)]), dict[tuple[str, int], Any])
assert_type(store.ns("numbers", keys=int, ttl=60, shards=4), Namespace[int])
assert_type(store.ns("either", keys=int | str), Namespace[Any])
anything: Namespace[str, list[int]] = store.ns("lists")
assert_type(anything["a"], list[int])
assert_type(anything.get("a"), list[int] | None)
assert_type(anything.get("a", "none"), list[int] | str)
assert_type(anything.pop("a"), list[int])
assert_type(anything.modify("a", lambda value: [*value, 1]), list[int])
assert_type(anything.get_with_meta("a"), Entry[list[int]] | None)
anything["a"] = 5  # type: ignore[assignment] # values are lists of ints
users = store.ns("users", ttl=60)
assert_type(users, Namespace)
assert_type(copy(store, Store(), ["users"], print), CopyReport)
assert_type(users.set("k", 1, ttl=None), int)
assert_type(users.add("k", 1), int | None)
assert_type(users.list("a", limit=3), Page)
assert_type(users.by_age(limit=3, reverse=True), Page)
assert_type(users.get_many(["a"]), dict[str, Any])
assert_type(users.get_many_with_meta(["a"]), dict[str, Entry[Any]])
assert_type(store.clock(), float)
assert_type(store.stats(), StoreStats)
mapping: MutableMapping[str, Any] = users
served = Store("valkey://host:6379/0", prefix="shop", confirm=1, lru_bytes="64 MB", lru_staleness=0.5)
assert_type(served.capabilities, Capabilities)
assert_type(served.capabilities.ordered, bool)
assert_type(served.healthcheck(), Health)
assert_type(served.healthcheck().warnings, tuple[str, ...])
assert_type(served.stats().engine_version, str)
assert_type(served.ns("users", shards=16, ordered=False), Namespace)
Store(Redis(host="host"), confirm=1)
Store(RedisCluster(host="host"))
AsyncStore(Redis(host="host"))
Store(5)  # type: ignore[arg-type] # neither a path nor a client
with store.exclusive() as held:
    assert_type(held.ns("users"), Namespace)
assert_type(Lock(users, "k").acquire(timeout=1), bool)


@single_run(users)
def report(day: int) -> str:
    return str(day)


@Throttle(users, "t", count=1)
async def call(day: int) -> str:
    return str(day)


assert_type(report(1), str)


@store.memoize(ttl=5)
def square(number: int, unit: str = "m") -> list[int]:
    return [number * number]


@store.memoize(ttl=5)
async def fetched(number: int) -> str:
    return str(number)


assert_type(square(1, unit="cm"), list[int])
assert_type(square.cache_key(1), str)
square("no")  # type: ignore[arg-type] # the parameters are seen


async def main() -> None:
    assert_type(await fetched(1), str)


class Shop:
    @store.memoize(ignore=("self",))
    def price(self, item: int) -> int:
        return item


assert_type(Shop().price(3), int)


astore = AsyncStore("app.db", lru_bytes="1 MB")
ausers = astore.ns("users", ttl=60)
assert_type(ausers, AsyncNamespace)


@astore.memoize(ttl=5)
async def rate(currency: str, day: int = 0) -> float:
    return float(day)


@ausers.memoize()  # type: ignore[arg-type] # an AsyncStore memoizes what is awaited
def blocking() -> int:
    return 1


async def doubled(value: int) -> int:
    return value * 2


async def asynchronous() -> None:
    async with astore as opened:
        assert_type(opened, AsyncStore)
    assert_type(await ausers.set("k", 1, ttl=None), int)
    assert_type(await ausers.add("k", 1), int | None)
    assert_type(await ausers.list("a", limit=3), Page)
    assert_type(await ausers.get_many(["a"]), dict[str, Any])
    assert_type(await astore.stats(), StoreStats)
    assert_type(await astore.capabilities(), Capabilities)
    assert_type(astore.ns("users", shards=16, ordered=True), AsyncNamespace)
    assert_type(await ausers.contains("k"), bool)
    await ausers.modify("k", doubled)
    await ausers.modify("k", lambda value: value + 1, default=0)
    async for key in ausers:
        assert_type(key, str)
    async for key, entry in ausers.scan("k"):
        assert_type(key, str)
        assert_type(entry, Entry[Any])
    async with astore.atomic() as tx:
        assert_type(tx, Transaction)
        tx.ns("users").incr("n")
    assert_type(await rate("EUR", day=1), float)
    assert_type(await rate.forget("EUR"), bool)
    assert_type(rate.cache_key("EUR"), str)
    await rate(1)  # type: ignore[arg-type] # the parameters are seen
    assert_type(await Lock(ausers, "k").acquire_async(), bool)
    assert_type(AsyncStore.over(store).sync_store, Store)
    await ausers.sit("k", 1)  # type: ignore[attr-defined] # a slip
