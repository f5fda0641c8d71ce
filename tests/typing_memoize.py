"""Signatures that users memoize; checked by mypy and pyright and never run.

Each call is one that is right; a line with ``error`` in its comment has one error, which both checkers find.
"""

import functools
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, assert_type

from sqlitedict_kv import AsyncStore, Explanation, Store, file_content, file_mtime, memoize, register_key

store = Store("app.db")
astore = AsyncStore("app.db")
T = TypeVar("T")
N = TypeVar("N", int, float)


# -- plain functions


@store.memoize
def nothing() -> int:
    return 1


@store.memoize()
def one(x: int) -> str:
    return str(x)


@store.memoize
def with_default(x: int, y: str = "") -> list[int]:
    return [x]


@store.memoize()
def keyword_only(x: int, *, unit: str = "m") -> dict[str, int]:
    return {unit: x}


@store.memoize
def positional_only(x: int, /, y: int = 0) -> int:
    return x


@store.memoize()
def variable(*args: int, **kwargs: str) -> int:
    return len(args)


@store.memoize()
def takes_object(x: object, y: int = 0) -> str:
    return str(x)


@store.memoize
def takes_any(x: Any) -> str:
    return str(x)


@store.memoize()
def takes_callable(function: Callable[..., int], x: int) -> int:
    return function(x)


@store.memoize
def takes_callable_bare(function: Callable[[int], int]) -> int:
    return function(1)


@store.memoize()
def takes_class(cls: type[int], x: int) -> int:
    return cls(x)


@store.memoize()
def takes_any_class(cls: type, x: int) -> str:
    return cls.__name__


@store.memoize()
def takes_hashable(x: Hashable, y: int) -> str:
    return str(x)


@store.memoize()
def takes_optional(x: int | None = None) -> int:
    return x or 0


@store.memoize()
def takes_sequence(xs: Sequence[int], more: Mapping[str, int] | None = None) -> int:
    return sum(xs)


@store.memoize()
def generic(x: list[T]) -> list[T]:
    return x


@store.memoize()
def constrained(x: N) -> N:
    return x


@store.memoize()
def gives_none(x: int) -> None:
    return None


@store.memoize()
def unannotated(x, y=1):  # type: ignore[no-untyped-def]
    return x


assert_type(nothing(), int)
assert_type(one(1), str)
one("no")  # type: ignore[arg-type] # an error
assert_type(one(x=1), str)
assert_type(with_default(1), list[int])
assert_type(with_default(1, y="a"), list[int])
with_default(1, 2)  # type: ignore[arg-type] # an error
assert_type(keyword_only(1, unit="cm"), dict[str, int])
keyword_only(1, "cm")  # type: ignore[call-arg] # an error
assert_type(positional_only(1, y=2), int)
assert_type(variable(1, 2, a="b"), int)
assert_type(takes_object("x"), str)
assert_type(takes_object(x=1, y=2), str)
takes_object(1, "no")  # type: ignore[arg-type] # an error
assert_type(takes_object.cache_key(1), str)
assert_type(takes_object.forget(1, y=2), bool)
assert_type(takes_any(1), str)
assert_type(takes_any.refresh(x=1), str)
assert_type(takes_callable(function=int, x=1), int)
assert_type(takes_callable.cache_clear(), int)
assert_type(takes_callable_bare(abs), int)
assert_type(takes_class(bool, 1), int)
assert_type(takes_class(cls=bool, x=1), int)
assert_type(takes_any_class(str, 1), str)
assert_type(takes_hashable("a", y=1), str)
assert_type(takes_optional(), int)
assert_type(takes_sequence([1], more=None), int)
generic([1])
constrained(1)
gives_none(1)
unannotated(1)
unannotated.forget(1, y=2)
assert_type(one.cache_identity(), dict[str, Any])


# -- options


@store.memoize(60)
def by_position(x: int) -> int:
    return x


@store.memoize(ttl="30 min", version=3, ignore=("x",))
def with_text(x: int) -> int:
    return x


@store.memoize(ttl=timedelta(hours=1), refresh_before="1 min", code="deep", was="app.old")
def with_timedelta(x: int) -> int:
    return x


@store.memoize(ttl=lambda rows: "5 s" if rows else None, key={"path": file_content})
def with_function(path: Path) -> list[str]:
    return [str(path)]


@store.memoize(key=lambda path: (file_mtime(path), 1), cache_exceptions={OSError: "5 s"}, was=("a", "b"), code=False)
def with_key(path: str) -> list[str]:
    return [path]


@store.memoize(base=Store("shipped.db", readonly=True))
def with_base(x: int) -> list[int]:
    return [x]


@store.ns("results").memoize(base=store.ns("shipped"), ttl=5)
def with_namespace(x: int) -> str:
    return str(x)


@astore.memoize(base=astore.ns("shipped"))
async def with_async_base(x: int) -> bytes:
    return b"x" * x


@astore.memoize(batch=True, base=store)
async def batch_with_base(items: list[int]) -> list[str]:
    return [str(item) for item in items]


@memoize(base=store)
def default_with_base(x: int) -> str:
    return str(x)


@store.memoize(max_entries=1000, max_bytes="64 MB")
def with_limits(x: int) -> int:
    return x


@astore.memoize(max_entries=1000, max_bytes=2**20)
async def with_async_limits(x: int) -> int:
    return x


assert_type(with_limits(1), int)
store.memoize(max_entries="many")  # type: ignore[call-overload] # an error
store.memoize(base="shipped.db")  # type: ignore[call-overload] # an error


assert_type(with_base(1), list[int])
assert_type(with_base.many([1, 2]), list[list[int]])
assert_type(with_base.cache_info().base_hits, int)
assert_type(with_base.explain(1).in_base, bool)
assert_type(with_namespace(1), str)
assert_type(default_with_base(1), str)
assert_type(by_position(1), int)
assert_type(with_text(1), int)
assert_type(with_timedelta(1), int)
assert_type(with_function(Path("a")), list[str])
assert_type(with_key("a"), list[str])
assert_type(store.memoize(ttl=5)(len)([1]), int)
assert_type(store.memoize(abs)(1), int)
assert_type(store.memoize(functools.partial(one, 1))(), str)
register_key(Path, lambda path: path.name)


# -- methods


@dataclass(frozen=True)
class Shop:
    item: int

    @store.memoize
    def price(self, number: int, unit: str = "") -> int:
        return number

    @store.memoize()
    def given(self, other: object) -> str:
        return str(other)

    @classmethod
    @store.memoize()
    def named(cls, name: str) -> list[str]:
        return [name]

    @store.memoize()
    @classmethod
    def named_above(cls, name: str) -> list[str]:
        return [name]

    @staticmethod
    @store.memoize
    def fixed(number: int) -> float:
        return number

    @store.memoize()
    @staticmethod
    def fixed_above(number: int) -> float:
        return number

    @property
    @store.memoize
    def size(self) -> int:
        return 1

    @store.memoize
    async def fetch(self, number: int) -> bytes:
        return b""


@dataclass(frozen=True)
class Box(Generic[T]):
    item: T

    @store.memoize
    def get(self, number: int) -> list[T]:
        return [self.item] * number


shop = Shop(1)
assert_type(Box("a").get(1), list[str])
assert_type(shop.price(3), int)
assert_type(shop.price(number=3, unit="a"), int)
assert_type(Shop.price(shop, 3), int)
assert_type(Shop.price.forget(shop, 3), bool)
assert_type(shop.given(object()), str)
shop.price("no")  # type: ignore[call-overload] # an error
assert_type(Shop.named("a"), list[str])
assert_type(shop.named("a"), list[str])
assert_type(Shop.named_above("a"), list[str])
assert_type(shop.named_above(name="a"), list[str])
assert_type(Shop.fixed(1), float)
assert_type(shop.fixed(1), float)
assert_type(Shop.fixed_above(1), float)
assert_type(shop.fixed_above(1), float)
assert_type(shop.size, int)
assert_type(store.memoize()(shop.price)(1), int)


# -- async


@store.memoize
async def fetched(number: int, unit: str = "m") -> str:
    return unit


@astore.memoize
async def rate(currency: object, day: int = 0) -> float:
    return day


@astore.memoize(ttl="1h")
async def takes_function(function: Callable[[], Awaitable[int]]) -> int:
    return await function()


@astore.ns("x").memoize()
async def in_namespace(names: Iterable[str]) -> int:
    return 1


@astore.memoize()  # type: ignore[arg-type] # an error: an AsyncStore memoizes what is awaited
def blocking() -> int:
    return 1


class Service:
    @astore.memoize(ignore=("self",))
    async def get(self, path: str) -> bytes:
        return path.encode()

    @classmethod
    @astore.memoize()
    async def make(cls, path: str) -> bytes:
        return path.encode()


class Fetcher(Protocol):
    def __call__(self, number: int, unit: str = ...) -> Awaitable[str]: ...


async def main() -> None:
    assert_type(await fetched(1, unit="cm"), str)
    assert_type(await rate("EUR", day=1), float)
    assert_type(await rate.forget("EUR"), bool)
    assert_type(rate.cache_key(1), str)
    assert_type(await in_namespace(["a"]), int)
    assert_type(await Service().get("a"), bytes)
    assert_type(await Service.make("a"), bytes)
    assert_type(await Service().make("a"), bytes)
    assert_type(await shop.fetch(1), bytes)
    fetcher: Fetcher = fetched
    await fetcher(1)
    await fetched("no")  # type: ignore[arg-type] # an error
    await rate("EUR", "no")  # type: ignore[arg-type] # an error


function: Callable[[int], str] = one


# -- modes, and without a store


with store.memoize.disabled(), store.ns("n").memoize.only(), astore.memoize.only():
    assert_type(one(1), str)


@memoize(ttl=60)
def without_store(x: int) -> list[str]:
    return [str(x)]


@memoize
async def awaited_without_store(x: int) -> bytes:
    return bytes(x)


assert_type(without_store(1), list[str])
assert_type(without_store.forget(1), bool)
without_store("x")  # type: ignore[arg-type] # an error


async def call_without_store() -> None:
    assert_type(await awaited_without_store(3), bytes)


# -- many calls


@store.memoize(ttl=60, batch=True)
def embed(texts: list[str], model: str = "small") -> list[list[float]]:
    return [[1.0] for _ in texts]


@astore.memoize(batch=True)
async def prices(symbols: list[int]) -> list[float]:
    return [float(symbol) for symbol in symbols]


@store.memoize
async def awaited(x: int) -> str:
    return str(x)


@astore.memoize
async def awaited_twice(x: int) -> str:
    return str(x)


assert_type(one.many([1, 2]), list[str])
assert_type(one.put("1", 1), None)
assert_type(one.explain(1), Explanation)
assert_type(one.explain(1).differences, tuple[str, ...])
assert_type(one.fresh(max_age=60)(1), str)
one.fresh(max_age=60)("x")  # type: ignore[arg-type] # an error
one.put("1", "x")  # type: ignore[arg-type] # an error
assert_type(embed(["a"]), list[list[float]])
assert_type(embed(["a"], "large"), list[list[float]])
assert_type(embed.refresh(["a"], model="large"), list[list[float]])
assert_type(embed.cache_key("a", "large"), str)
assert_type(embed.forget("a"), bool)
assert_type(embed.put([1.0], "a"), None)
embed([1])  # type: ignore[list-item] # an error
embed.put("no", "a")  # type: ignore[arg-type] # an error


async def call_many() -> None:
    assert_type(await awaited.many([1]), list[str])
    assert_type(await awaited_twice.many([1]), list[str])
    assert_type(await awaited_twice.fresh(max_age="1 min")(1), str)
    assert_type(await awaited_twice.put("1", 1), None)
    assert_type(await prices([1]), list[float])
    assert_type(await prices.refresh([1]), list[float])
    await prices(["x"])  # type: ignore[list-item] # an error
    assert_type(await awaited_twice.explain(1), Explanation)
    assert_type((await awaited_twice.explain(1)).holder, str | None)
    assert_type(await awaited.fresh(max_age=timedelta(minutes=1))(1), str)
    assert_type(await awaited.refresh(1), str)
    assert_type(await awaited_twice.forget(1), bool)
    assert_type(awaited_twice.cache_key(1), str)
    await awaited_twice.explain("x")  # type: ignore[arg-type] # an error
    await awaited_twice.fresh(max_age=60)("x")  # type: ignore[arg-type] # an error
    await prices.put("x", 1)  # type: ignore[arg-type] # an error


told = one.explain(1)
assert_type(told.key, str)
assert_type(told.kept, bool)
assert_type(told.expires_at, datetime | None)
assert_type(told.computing, bool)
assert_type(told.nearest, str | None)
assert_type(told.holder, str | None)
assert_type(embed.explain("a", "large"), Explanation)
assert_type(one.many(iter([1])), list[str])
one.explain("x")  # type: ignore[arg-type] # an error
one.fresh(60)  # type: ignore[call-arg] # an error
one.many(1)  # type: ignore[arg-type] # an error
embed.explain(1)  # type: ignore[arg-type] # an error
