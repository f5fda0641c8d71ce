"""A Litestar store: its interface to the letter, and a real application with sessions, cached responses and limits."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from suites import version_of

from tests.support.processes import Worker

version_of("litestar")

from litestar import Litestar, Request, get, post  # noqa: E402
from litestar.middleware.rate_limit import RateLimitConfig  # noqa: E402
from litestar.middleware.session.server_side import ServerSideSessionConfig  # noqa: E402
from litestar.stores.base import NamespacedStore, Store  # noqa: E402
from litestar.stores.registry import StoreRegistry  # noqa: E402
from litestar.testing import TestClient  # noqa: E402

from sqlitedict_kv import AsyncStore, DamagedEntryError, TooLargeError  # noqa: E402
from sqlitedict_kv.adapters.litestar import SQLiteStore  # noqa: E402

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litestar"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def opened(path, clock):
    async with AsyncStore(path, clock=clock, lru_bytes="1 MB") as store:
        yield store


@pytest.fixture
def store(opened):
    return SQLiteStore(opened)


# -- the interface


async def test_it_is_a_store_with_namespaces(store):
    assert isinstance(store, Store)
    assert isinstance(store, NamespacedStore)
    assert store.namespace == "litestar"


@pytest.mark.parametrize(
    ("value", "found"),
    [(b"", b""), (b"\x00\xff", b"\x00\xff"), ("", b""), ("é", "é".encode()), (b"x" * 100_000, b"x" * 100_000)],
    ids=["no bytes", "bytes", "no text", "text", "many"],
)
async def test_text_and_bytes_go_in_and_bytes_come_out(store, value, found):
    assert await store.set("k", value) is None
    assert await store.get("k") == found
    assert type(await store.get("k")) is bytes
    assert await store.exists("k") is True


@pytest.mark.parametrize("value", [None, 5, ["a"], bytearray(b"x")])
async def test_other_values_are_refused(store, value):
    await store.set("k", b"old")
    with pytest.raises(TypeError):
        await store.set("k", value)
    assert await store.get("k") == b"old"


async def test_what_is_not_there_is_none(store):
    assert await store.get("k") is None
    assert await store.get("k", renew_for=10) is None
    assert await store.exists("k") is False
    assert await store.expires_in("k") is None
    assert await store.delete("k") is None
    assert await store.delete_all() is None


async def test_what_was_deleted_is_gone_and_deleting_it_again_is_fine(store):
    await store.set("k", b"v")
    await store.delete("k")
    await store.delete("k")
    assert await store.get("k") is None


@pytest.mark.parametrize("expires_in", [10, timedelta(seconds=10)])
async def test_an_entry_expires_exactly_at_its_time(store, clock, expires_in):
    await store.set("k", b"v", expires_in=expires_in)
    assert await store.expires_in("k") == 10
    clock.advance(0.5)
    assert await store.expires_in("k") == 9
    clock.advance(9.499)
    assert await store.get("k") == b"v"
    assert await store.expires_in("k") == 0
    clock.advance(0.001)
    assert await store.get("k") is None
    assert await store.exists("k") is False
    assert await store.expires_in("k") is None


@pytest.mark.parametrize("expires_in", [None, 0, timedelta(0), 10**10, timedelta(days=365 * 200)])
async def test_none_and_zero_and_more_than_a_century_are_never(store, clock, expires_in):
    await store.set("k", b"v", expires_in=5)
    await store.set("k", b"w", expires_in=expires_in)
    clock.advance(90 * 365 * 86400)
    assert await store.get("k") == b"w"
    assert await store.expires_in("k") == -1


@pytest.mark.parametrize("expires_in", [-1, timedelta(seconds=-0.5)])
async def test_a_negative_time_has_expired_at_once(store, expires_in):
    await store.set("k", b"old")
    await store.set("k", b"new", expires_in=expires_in)
    assert await store.get("k") is None
    assert await store.exists("k") is False


@pytest.mark.parametrize("renew_for", [10, timedelta(seconds=10)])
async def test_reading_can_renew_what_is_to_expire(store, clock, renew_for):
    await store.set("k", b"v", expires_in=10)
    clock.advance(9)
    assert await store.get("k") == b"v"
    assert await store.expires_in("k") == 1
    assert await store.get("k", renew_for=renew_for) == b"v"
    assert await store.expires_in("k") == 10
    clock.advance(10)
    assert await store.get("k", renew_for=renew_for) is None


@pytest.mark.parametrize("renew_for", [10, 10**10])
async def test_reading_renews_nothing_that_never_expires(store, renew_for):
    await store.set("k", b"v")
    assert await store.get("k", renew_for=renew_for) == b"v"
    assert await store.expires_in("k") == -1


async def test_renewing_for_more_than_a_century_lasts_one(store):
    await store.set("k", b"v", expires_in=10)
    assert await store.get("k", renew_for=10**10) == b"v"
    assert await store.expires_in("k") >= 100 * 365 * 86400


async def test_a_renewal_that_is_overtaken_gives_nothing_away(store, opened, monkeypatch):
    await store.set("k", b"old", expires_in=10)
    engine = opened.sync_store._context.engine
    read = engine.read
    users = opened.sync_store.ns("litestar")
    pending = [lambda: users.set("k", b"new", ttl=5), lambda: users.delete("k")]

    def read_and_be_overtaken(namespace, key):
        record = read(namespace, key)
        while pending:
            pending.pop(0)()
        return record

    monkeypatch.setattr(engine, "read", read_and_be_overtaken)
    assert await store.get("k", renew_for=60) is None
    assert await store.exists("k") is False


@pytest.mark.parametrize("key", ["", "é" * 2000, "/path?" + "q=1&" * 500, "\x01abc", "null\0", "lone \ud800"])
async def test_any_key_is_its_own(store, key):
    await store.set(key, b"this", expires_in=10)
    await store.set(key + "!", b"that")
    assert await store.get(key) == b"this"
    assert await store.get(key, renew_for=20) == b"this"
    assert await store.expires_in(key) == 20
    assert await store.exists(key)
    await store.delete(key)
    assert await store.get(key) is None
    assert await store.get(key + "!") == b"that"


# -- namespaces


async def test_namespaces_are_apart(store):
    child, other = store.with_namespace("child"), store.with_namespace("other")
    for number, each in enumerate((store, child, other, child.with_namespace("child"))):
        await each.set("k", str(number))
    assert [await each.get("k") for each in (store, child, other)] == [b"0", b"1", b"2"]
    assert await store.with_namespace("child").get("k") == b"1"
    assert await child.with_namespace("child").get("k") == b"3"
    await child.delete("k")
    assert await other.get("k") == b"2"


async def test_delete_all_takes_the_children_and_leaves_parent_and_siblings(opened, store):
    child, sibling = store.with_namespace("child"), store.with_namespace("child2")
    grandchild = child.with_namespace("grand")
    await opened.ns("litestar2").set("k", b"mine")
    for each in (store, child, sibling, grandchild):
        await each.set("a", b"v")
        await each.set("b", b"v", expires_in=10)
    await child.delete_all()
    assert [await each.get("a") for each in (store, child, sibling, grandchild)] == [b"v", None, b"v", None]
    await grandchild.delete_all()
    await store.delete_all()
    assert [await each.get("b") for each in (store, child, sibling, grandchild)] == [None] * 4
    assert await opened.namespaces() == ["litestar2"]


async def test_the_name_of_a_child_is_one_name_whatever_is_in_it(store):
    names = ["a/b", "a", "a%2Fb", "a%", "é", "%2F"]
    stores = [store.with_namespace(name) for name in names] + [store.with_namespace("a").with_namespace("b")]
    for number, each in enumerate(stores):
        await each.set("k", str(number))
    assert [await each.get("k") for each in stores] == [str(number).encode() for number in range(len(stores))]
    await store.with_namespace("a").delete_all()
    assert [await each.get("k") for each in stores] == [b"0", None, b"2", b"3", b"4", b"5", None]


async def test_a_name_that_is_empty_or_too_long_is_refused(opened, store):
    with pytest.raises(ValueError, match="namespace"):
        store.with_namespace("")
    with pytest.raises(TooLargeError):
        store.with_namespace("x" * 300)
    with pytest.raises(ValueError, match="name"):
        SQLiteStore(opened, "")


# -- life


async def test_it_works_without_being_entered_and_after_it_was_left(path):
    unopened = AsyncStore(path)
    store = SQLiteStore(unopened)
    await store.set("k", b"v")
    async with store:
        assert await store.get("k") == b"v"
    assert await store.get("k") == b"v"
    await unopened.close()


async def test_a_damaged_entry_is_an_error_and_no_miss(store, path):
    await store.set("k", b"v")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE kv SET value = x'00'")
    with pytest.raises(DamagedEntryError, match="'k'"):
        await store.get("k")


# -- at the same time


async def test_renewals_at_the_same_time_all_find_the_value(store):
    await store.set("k", b"v", expires_in=10)
    assert await asyncio.gather(*(store.get("k", renew_for=10 + turn) for turn in range(50))) == [b"v"] * 50


OTHER = """
    import asyncio
    from sqlitedict_kv.adapters.litestar import SQLiteStore

    async def main():
        async with AsyncStore(sys.argv[1], lru_bytes="1 MB") as opened:
            store = SQLiteStore(opened).with_namespace("sessions")
            while (line := hear()) != "end":
                await store.set("k", line, expires_in=60)
                assert await store.get("k") == line.encode()
                say("done")

    asyncio.run(main())
"""


async def test_what_another_process_wrote_is_seen_at_the_next_read_whatever_the_lru_holds(path):
    with Worker(OTHER, path) as other:
        async with AsyncStore(path, lru_bytes="1 MB") as opened:
            store = SQLiteStore(opened).with_namespace("sessions")
            for turn in range(50):
                other.say(turn)
                assert other.hear() == "done"
                assert [await store.get("k") for _ in range(3)] == [str(turn).encode()] * 3
                assert await store.get("k", renew_for=60) == str(turn).encode()
            assert (await opened.stats()).lru.hits >= 50
        other.say("end")
        assert other.finish() == []


# -- an application

CALLS = []


@post("/login", sync_to_thread=False)
def login(request: Request, name: str) -> None:
    request.set_session({"name": name})


@get("/whoami", sync_to_thread=False)
def whoami(request: Request) -> str:
    return request.session.get("name", "nobody")


@post("/logout", sync_to_thread=False)
def logout(request: Request) -> None:
    request.clear_session()


@get("/report", cache=60, sync_to_thread=False)
def calls(day: str) -> str:
    CALLS.append(day)
    return f"{day}: {len(CALLS)}"


@get("/limited", sync_to_thread=False)
def limited() -> str:
    return "fine"


def application(store):
    root = SQLiteStore(store)
    limit = RateLimitConfig(rate_limit=("minute", 2), exclude=["/login", "/whoami", "/logout", "/report"])
    return Litestar(
        [login, whoami, logout, calls, limited],
        middleware=[ServerSideSessionConfig(max_age=30, renew_on_access=True).middleware, limit.middleware],
        stores=StoreRegistry(default_factory=root.with_namespace),
        on_shutdown=[store.close],
    )


def client(path, clock):
    return TestClient(application(AsyncStore(path, clock=clock, lru_bytes="1 MB")))


def test_sessions_live_in_the_store_slide_when_read_and_survive_a_restart(path, clock):
    with client(path, clock) as first:
        assert first.get("/whoami").text == "nobody"
        assert first.post("/login", params={"name": "Ada"}).status_code == 201
        assert first.get("/whoami").text == "Ada"
        cookies = first.cookies
    with client(path, clock) as second:  # as after a deployment
        second.cookies = cookies
        for _ in range(3):
            clock.advance(20)
            assert second.get("/whoami").text == "Ada"
        clock.advance(31)
        assert second.get("/whoami").text == "nobody"
        second.post("/login", params={"name": "Grace"})
        assert second.get("/whoami").text == "Grace"
        second.post("/logout")
        assert second.get("/whoami").text == "nobody"


def test_responses_are_cached_in_the_store_whatever_their_query(path, clock):
    CALLS.clear()
    long = "x" * 3000
    with client(path, clock) as first:
        assert [first.get("/report", params={"day": day}).text for day in ("a", long, "a", long)] == [
            "a: 1",
            f"{long}: 2",
            "a: 1",
            f"{long}: 2",
        ]
    with client(path, clock) as second:
        assert second.get("/report", params={"day": "a"}).text == "a: 1"
        clock.advance(60)
        assert second.get("/report", params={"day": "a"}).text == "a: 3"


def test_a_rate_limit_holds_over_two_applications_on_one_file(path, clock):
    with client(path, clock) as first, client(path, clock) as second:
        answers = [each.get("/limited").status_code for each in (first, second, first, second)]
    assert answers == [200, 200, 429, 429]


def test_the_parts_of_an_application_do_not_meet_in_the_store(path, clock, make_store):
    with client(path, clock) as one:
        one.post("/login", params={"name": "Ada"})
        one.get("/report", params={"day": "a"})
        one.get("/limited")
    assert make_store(path).namespaces() == ["litestar/rate_limit", "litestar/response_cache", "litestar/sessions"]
