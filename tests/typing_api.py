"""How users write; checked by mypy and pyright, and never run."""

from collections.abc import MutableMapping
from datetime import date
from typing import Any, NamedTuple, assert_type

from redis import Redis, RedisCluster

from sqlitedict_kv import (
    AsyncNamespace,
    AsyncStore,
    Capabilities,
    CopyReport,
    Entry,
    EntrySummary,
    Health,
    Kind,
    Namespace,
    Page,
    Store,
    StoreStats,
    StoreUsage,
    Transaction,
    Usage,
    copy,
)
from sqlitedict_kv.locks import Lock, Throttle, single_run
from sqlitedict_kv.memoization.inventory import FunctionResults, KeptCall

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
assert_type(anything.get("a", mapped=True), list[int] | None)
assert_type(anything.open("a").read(5), bytes)
assert_type(anything.open("a", "wb", ttl=5).write(b"x"), int)
assert_type(anything.open("a", "wb").version, int | None)
anything.open("a", "r")  # type: ignore[call-overload] # bytes alone
anything.open("a", ttl=5)  # type: ignore[call-overload] # of what is written
assert_type(anything.set_file("a", "path", progress=True), int)
assert_type(anything.get_file("a", "path"), int)
assert_type(anything.get("a", 1, mapped=True), list[int] | int)
assert_type(store.ns("mapped", type=bytes, mapped=True)["a"], bytes)
store.ns("mapped", mapped=1)  # type: ignore[call-overload] # is True or False
assert_type(anything.get_with_meta("a"), Entry[list[int]] | None)
anything["a"] = 5  # type: ignore[assignment] # values are lists of ints
assert_type(anything.usage(deadline=1), Usage)
assert_type(anything.usage().by_content_type["application/json"].bytes, int)
assert_type(by_day.largest(3, progress=True), list[EntrySummary[date]])
assert_type(by_day.largest()[0].key, date)
assert_type(store.largest(), list[EntrySummary])
assert_type(store.usage(progress=print), StoreUsage)
assert_type(store.usage().namespaces["users"], Usage)
assert_type(store.backup("copy.db", progress=True), None)
assert_type(list(store.memoized()), list[FunctionResults])
assert_type(next(store.memoized("results").calls(function="app.f", older_than="30 days")), KeptCall)
assert_type(store.memoized().forget(tag="user:7", former=True), int)
assert_type(store.merge(Store("other.db"), ["users"], progress=lambda done, total: None), int)
with anything.edit("a", default=[]) as edited:
    assert_type(edited, list[int])
    edited.append("text")  # type: ignore[arg-type] # values are lists of ints
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
    assert_type(await ausers.usage(), Usage)
    assert_type(await ausers.largest(), list[EntrySummary])
    assert_type(await astore.usage(deadline=1), StoreUsage)
    async with ausers.edit("k", default=[]) as awaited:
        awaited.append(1)
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


# -- values of one type


class User:
    name: str


class Team(NamedTuple):
    users: list[User]


members = store.ns("members", type=User, ttl="1h")
assert_type(members, Namespace[str, User])
assert_type(members["a"], User)
assert_type(members.get("a"), User | None)
assert_type(members.get("a", 3), User | int)
assert_type(members.get_with_meta("a"), Entry[User] | None)
assert_type(members.get_many(["a"]), dict[str, User])
assert_type(members.get_many_with_meta(["a"]), dict[str, Entry[User]])
assert_type(members.pop("a"), User)
assert_type(members.pop("a", None), User | None)
assert_type(members.popitem(), tuple[str, User])
assert_type(members.setdefault("a", User()), User)
assert_type(members.modify("a", lambda user: user, default=User()), User)
assert_type(members.copy(), dict[str, User])
assert_type(list(members), list[str])
assert_type(list(members.values()), list[User])
assert_type(list(members.items()), list[tuple[str, User]])
assert_type(members.list("a").keys, tuple[str, ...])
for name, found in members.scan("a"):
    assert_type(name, str)
    assert_type(found.value, User)
members["b"] = User()
members["b"] = 3  # type: ignore[assignment] # pyright: ignore[reportArgumentType]
members.set("b", "no")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
members[1]  # type: ignore[index] # pyright: ignore[reportArgumentType]
members.set_many({"a": User()})
teams = store.ns("teams", type=dict[str, list[User]])
assert_type(teams, Namespace[str, dict[str, list[User]]])
assert_type(teams["a"]["b"], list[User])
assert_type(store.ns("tuples", type=tuple[User, ...])["a"], tuple[User, ...])
assert_type(store.ns("named", type=Team)["a"].users, list[User])
maybe = store.ns("maybe", type=User | None)  # a union is not a type[T] yet (PEP 747)
assert_type(maybe, Namespace[str, Any])
birthdays = store.ns("by day", keys=date, type=User)
assert_type(birthdays, Namespace[date, User])
assert_type(birthdays[date(2026, 1, 1)], User)
assert_type(birthdays.list().keys, tuple[date, ...])
birthdays["today"]  # type: ignore[index] # pyright: ignore[reportArgumentType]
assert_type(store.ns("n", keys=tuple[str, int], type=User), Namespace[tuple[str, int], User])
assert_type(store.ns("n", keys=int), Namespace[int, Any])
untyped: Namespace = store.ns("untyped")
untyped["a"] = untyped["b"]
Store(types=[User, Kind(Team, name="team", was=["old.Team"])])
Store(types=[Kind(User, encode=lambda user: user.name, decode=lambda name: User())])
Store(types=User)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
with store.atomic() as recorded:
    recorded.ns("members", type=User)["a"] = User()
    recorded.ns("members", type=User)["a"] = 3  # type: ignore[assignment] # pyright: ignore[reportArgumentType]
with store.exclusive() as holding:
    assert_type(holding.ns("members", type=User)["a"], User)


@store.memoize(type=list[User])
def users_of(team: str) -> list[User]:
    return []


assert_type(users_of("a"), list[User])
amembers = astore.ns("members", type=User)
assert_type(amembers, AsyncNamespace[str, User])


async def typed() -> None:
    assert_type(await amembers.get("a"), User | None)
    assert_type(await amembers.get_with_meta("a"), Entry[User] | None)
    assert_type(await amembers.get_many(["a"]), dict[str, User])
    assert_type(await amembers.pop("a"), User)
    assert_type(await amembers.modify("a", lambda user: user), User)
    await amembers.set("a", User())
    await amembers.set("a", 3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    async for key, user in amembers.items():
        assert_type(key, str)
        assert_type(user, User)
    async with astore.atomic() as tx:
        tx.ns("members", type=User).set("a", User())


# -- tags

assert_type(users.set("ada", 1, tags=["user:7"]), int)
assert_type(users.set("ada", 1, ttl=60, tags=("user:7", "admin")), int)
assert_type(users.add("ada", 1, tags={"user:7"}), int | None)
assert_type(users.cas_set("ada", 1, 0, tags=(f"user:{number}" for number in range(3))), int)
assert_type(users.set_many({"ada": 1}, tags=["user:7"]), dict[str, int])
assert_type(by_day.set(date(2026, 1, 1), 1, tags=["day"]), int)
assert_type(store.forget_tag("user:7"), int)
users.set("ada", 1, tags=[7])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
users.set("ada", 1, tags=None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
store.forget_tag(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
with store.atomic() as tagging:
    tagging.ns("users").set("ada", 1, tags=["user:7"])
    tagging.ns("users").add("bob", 1, tags=["user:8"])
with store.exclusive() as holding:
    assert_type(holding.forget_tag("user:7"), int)


@store.memoize(ttl=60, tags=lambda result, user: [f"user:{user}", *result])
def orders_of(user: int) -> list[str]:
    return []


@store.memoize(tags=["reports"])
def report_of(user: int) -> str:
    return ""


assert_type(orders_of(7), list[str])
assert_type(report_of(7), str)


async def tagged() -> None:
    assert_type(await ausers.set("ada", 1, tags=["user:7"]), int)
    assert_type(await ausers.add("ada", 1, tags=["user:7"]), int | None)
    assert_type(await ausers.set_many({"ada": 1}, tags=["user:7"]), dict[str, int])
    assert_type(await astore.forget_tag("user:7"), int)
