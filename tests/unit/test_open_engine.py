"""What a store is opened with decides what keeps it, and what it cannot do is said before anything is touched."""

import asyncio
import sys
import threading
from types import ModuleType

import pytest
import redis

from sqlitedict_kv import AsyncStore, OpenError, Store, StoreClosedError, UnsupportedError, diagnose, open_engine
from sqlitedict_kv import store as store_module
from sqlitedict_kv.adapters.diskcache import Cache
from sqlitedict_kv.adapters.support import close_shared_stores, shared_store
from sqlitedict_kv.engines import registry
from sqlitedict_kv.engines.registry import is_address, names_servers
from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.engines.valkey.schemes import SCHEMES
from sqlitedict_kv.engines.valkey.spec import SPEC as VALKEY
from tests.support.processes import run

ADDRESS = "valkey://ada:s3cret@host:7000/1"


class Servers(SQLiteEngine):
    """Stands for servers: what is declared and asked for is noted, and memory keeps the entries."""

    opened = []

    def __init__(self, link, *, prefix, readonly):
        super().__init__(None)
        self.asked = {**link, "prefix": prefix, "readonly": readonly}
        self.label = "valkey://host:7000/1"
        self.calls = []
        self.opened.append(self)

    def declare(self, namespace, layout):
        self.calls.append(("declare", namespace, layout.shards, layout.ordered))

    def put(self, namespace, *arguments):
        self.calls.append(("put", namespace))
        return super().put(namespace, *arguments)

    def put_at_once(self, edit, now):
        self.calls.append(("put", edit.namespace))
        return super().put_at_once(edit, now)

    def probe(self):
        return [*super().probe(), "maxmemory-policy is allkeys-lru"]

    def figures(self, now):
        return super().figures(now)._replace(durability="servers")


@pytest.fixture
def servers(monkeypatch):
    """Let stores on servers open, without any."""
    address, engine = ModuleType("address"), ModuleType("engine")
    address.connect = lambda target, *, timeout, confirm: {"target": target, "timeout": timeout, "confirm": confirm}
    engine.ValkeyEngine = Servers
    monkeypatch.setitem(sys.modules, "sqlitedict_kv.engines.valkey.client.connect", address)
    monkeypatch.setitem(sys.modules, "sqlitedict_kv.engines.valkey.engine", engine)
    monkeypatch.setattr(Servers, "opened", [])
    return Servers.opened


# -- what is opened


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("written", [str.lower, str.upper])
def test_an_address_opens_servers_with_the_options_of_the_store(servers, scheme, written):
    places = {"unix": "/run/valkey.sock", "sentinel": "host/primary"}
    address = f"{written(scheme)}://{places.get(scheme.rpartition('+')[2], 'host')}"
    with Store(address, timeout=2.5, confirm=2, prefix="shop:1", readonly=True):
        (engine,) = servers
    assert engine.asked == {"target": address, "timeout": 2.5, "confirm": 2, "prefix": "shop:1", "readonly": True}


def test_a_client_object_opens_its_servers(servers):
    client = redis.Redis(host="host", password="s3cret")
    with Store(client) as store:
        store.ns("n")["k"] = 1
    (engine,) = servers
    assert engine.asked["target"] is client
    assert engine.asked["prefix"] == "kv"
    assert engine.asked["confirm"] == 0


@pytest.mark.parametrize("name", ["app.db", "./http:", "redis", "redis:6379", "x/redis://host", "a:b", "valkey:/x"])
def test_what_has_no_scheme_is_a_path(name):
    assert not is_address(name)
    assert not names_servers(name)


def test_a_relative_path_may_hold_colons(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store("redis:6379.db") as store:
        store.ns("n")["k"] = 1
    assert (tmp_path / "redis:6379.db").exists()


@pytest.mark.parametrize(
    "bad", ["http://ada:s3cret@host", "file:///app.db", "redis+tls://host", "c3://x", "valkey+cluster+sentinel://h"]
)
@pytest.mark.parametrize("kind", [Store, AsyncStore])
def test_a_scheme_that_nobody_knows_is_refused_and_its_password_is_not_shown(tmp_path, monkeypatch, kind, bad):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"valkey\+cluster://") as caught:
        kind(bad)
    assert "s3cret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_whoever_keeps_a_file_imports_nothing_of_servers(path):
    program = """
        import asyncio
        from sqlitedict_kv import AsyncStore, Store
        with Store(sys.argv[1], lru_bytes="1 MB") as store:
            store.ns("n", shards=4)["k"] = store.capabilities.ordered
        async def main():
            async with AsyncStore(sys.argv[1]) as store:
                await store.ns("n").get("k")
        asyncio.run(main())
        say(sorted(name for name in sys.modules if name.startswith(("redis", "sqlitedict_kv.engines.valkey"))))
    """
    assert run(program, path) == ["[]"]


def test_without_redis_py_the_error_says_what_to_install():
    program = """
        from sqlitedict_kv import AsyncStore, Store
        sys.modules["redis"] = None
        AsyncStore("valkey://ada:s3cret@host")  # to describe a store takes nothing
        try:
            Store("valkey://ada:s3cret@host")
        except ImportError as error:
            say(error)
    """
    (words,) = run(program)
    assert "sqlitedict-kv[valkey]" in words
    assert "s3cret" not in words


# -- options in the address


def test_an_address_may_carry_options_of_the_store(servers):
    with Store("valkey://host:7000?db=1&confirm=2&timeout=2.5&prefix=shop%3A1"):
        (engine,) = servers
    assert engine.asked == {
        "target": "valkey://host:7000?db=1",
        "timeout": 2.5,
        "confirm": 2,
        "prefix": "shop:1",
        "readonly": False,
    }


def test_an_address_may_carry_the_options_of_the_lru(monkeypatch):
    class SeenError(Exception):
        """Says that the options were checked, and gives them."""

    def seen(settings):
        raise SeenError(settings)

    monkeypatch.setattr(store_module, "open_engine", seen)
    with pytest.raises(SeenError) as caught:
        Store("valkey://host?lru_bytes=1%20MB&lru_staleness=0.5")
    (settings,) = caught.value.args
    assert (settings.target, settings.lru_bytes, settings.engine_options["lru_staleness"]) == (
        "valkey://host",
        10**6,
        0.5,
    )


@pytest.mark.parametrize(
    ("address", "options", "words"),
    [
        ("valkey://host?confirm=1", {"confirm": 2}, "confirm is given twice"),
        ("valkey://host?confirm=one", {}, "confirm in the address"),
        ("valkey://host?confirm=101", {}, "confirm must be from 0 to 100"),
        ("valkey://host?timeout=-1", {}, "timeout"),
        ("valkey://host?prefix=a%7Bb", {}, "prefix"),
        ("valkey://host?lru_bytes=much", {}, "lru_bytes"),
        ("valkey://host?lru_staleness=nan&lru_bytes=1", {}, "lru_staleness"),
        ("valkey://host?confirm=1&confirm=2", {}, "confirm"),
    ],
)
def test_an_option_in_the_address_is_checked_as_one_beside_it(servers, address, options, words):
    with pytest.raises(ValueError, match=words):
        Store(address, **options)
    assert not servers


def test_connections_are_closed_if_the_lru_cannot_be_made(servers, monkeypatch):
    def broken(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(open_engine, "ValidatingLRU", broken)  # for those stand-ins are of SQLite
    with pytest.raises(MemoryError):
        Store(ADDRESS, lru_bytes="1 MB")
    with pytest.raises(StoreClosedError):
        servers[0].read("n", "k")


# -- what is shown


@pytest.mark.parametrize(
    "address",
    [
        "valkey://ada:s3cret@host:1/2?confirm=1",
        "valkey+cluster://:s3@cret@h1:1,h2:2",
        "valkey://host?password=s3cret&db=1",
        "unix:///run/a.sock?password=s3cret",
    ],
)
def test_a_password_is_never_shown(servers, address):
    with pytest.raises(UnsupportedError) as caught:
        AsyncStore(address, durability="power")
    for shown in (str(caught.value), repr(AsyncStore(address)), repr(AsyncStore(address).ns("n"))):
        assert "s3" not in shown
        assert "cret" not in shown


@pytest.mark.parametrize("bad", ["valkey://", "valkey://h1,h2", "valkey://host/x", "valkey://host?colour=red"])
@pytest.mark.parametrize("kind", [Store, AsyncStore])
def test_an_address_that_is_not_well_formed_is_refused_before_anybody_is_asked(servers, kind, bad):
    with pytest.raises(ValueError, match="valkey://"):
        kind(bad)
    assert not servers


def test_a_store_that_is_not_open_shows_no_password_either(servers):
    assert "s3cret" not in repr(AsyncStore(ADDRESS))
    assert "s3cret" not in repr(AsyncStore(ADDRESS).ns("n"))
    assert "s3cret" not in repr(AsyncStore(redis.Redis(password="s3cret")))
    assert not servers
    with Store(ADDRESS) as store:
        assert repr(store) == "<Store 'valkey://host:7000/1'>"


# -- what it can do


def test_a_file_can_do_everything(path):
    with Store(path) as store:
        assert all(store.capabilities)


def test_memory_can_do_what_needs_no_file(tmp_path):
    with Store() as store:
        assert {name for name, able in store.capabilities._asdict().items() if not able} == {
            "durable",
            "exclusive",
            "files",
        }
        with pytest.raises(UnsupportedError, match="file"), store.exclusive():
            pass
        store.backup(tmp_path / "copy.db")
        store.vacuum()


def test_the_asynchronous_face_opens_the_store_to_say_what_it_can_do(path):
    async def main():
        async with AsyncStore(path) as store:
            return await store.capabilities()

    assert all(asyncio.run(main()))


def test_a_danger_is_a_warning_and_no_problem(servers, path):
    with Store(ADDRESS) as store:
        health = store.healthcheck()
        assert (health.ok, health.problem) == (True, None)
        assert health.warnings == ("maxmemory-policy is allkeys-lru",)
        assert store.stats().durability == "servers"
        assert store.quarantined is None
    assert not store.healthcheck().ok
    assert store.healthcheck().warnings == ()
    with Store(path) as store:
        assert store.healthcheck().warnings == ()


# -- how a namespace is to be made


def test_a_layout_is_declared_and_nothing_else_is_asked(servers):
    with Store(ADDRESS) as store:
        (engine,) = servers
        store.ns("plain")
        store.ns("wide", shards=16, ttl=60)
        store.ns("flat", ordered=False)
        assert engine.calls == [("declare", "wide", 16, None), ("declare", "flat", None, False)]


@pytest.mark.parametrize("engine", ["file", "memory"], indirect=True)
def test_a_file_takes_any_layout(store):
    users = store.ns("users", shards=1024, ordered=False)
    users.update(b=1, a=2)
    assert list(users) == ["a", "b"]
    assert store.ns("users", shards=2)["a"] == 2


def test_a_layout_that_is_asked_for_before_a_store_is_open_is_declared_before_its_first_use(servers):
    async def main():
        store = AsyncStore(ADDRESS)
        users = store.ns("users", shards=16)
        assert not servers, "it was opened"
        await store.ns("users").set("k", 1)  # by a view that says nothing of it
        store.ns("later", ordered=True)
        await users.set("k", 2)
        await store.close()

    asyncio.run(main())
    (engine,) = servers
    assert engine.calls == [
        ("declare", "users", 16, None),
        ("put", "users"),
        ("declare", "later", None, True),
        ("put", "users"),
    ]


def test_a_layout_is_noted_without_waiting_for_who_opens_the_store(servers, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(target, options):
        begun.set()
        assert go_on.wait(60)
        return VALKEY.open(target, options)

    monkeypatch.setitem(registry._BY_SCHEME, "valkey", VALKEY._replace(open=slow))

    async def main():
        store = AsyncStore(ADDRESS)
        entering = asyncio.create_task(store.__aenter__())
        assert await asyncio.to_thread(begun.wait, 60)
        store.ns("users", shards=16)
        go_on.set()
        await entering
        await store.close()

    asyncio.run(main())
    assert servers[0].calls == [("declare", "users", 16, None)]


# -- where a path is taken elsewhere


def test_servers_are_shared_by_their_address(servers):
    try:
        first = shared_store(ADDRESS, {"timeout": 1.0})
        assert shared_store(ADDRESS, {"timeout": 1.0}) is first
        assert shared_store(ADDRESS, {"timeout": 2.0}) is not first
        assert [engine.asked["target"] for engine in servers] == [ADDRESS, ADDRESS]
    finally:
        close_shared_stores()


def test_what_needs_a_file_refuses_an_address_and_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="healthcheck"):
        diagnose(ADDRESS)
    with pytest.raises(ValueError, match="not an address"):
        Cache(ADDRESS)
    with pytest.raises(OpenError), Store() as store:
        store.backup(ADDRESS)
    assert list(tmp_path.iterdir()) == []


def test_a_timeout_on_servers_is_no_longer_than_they_know_what_they_executed(servers):
    from sqlitedict_kv.engines.valkey.scripts import SESSION_SECONDS
    from sqlitedict_kv.engines.valkey.spec import LONGEST_TIMEOUT

    assert LONGEST_TIMEOUT <= SESSION_SECONDS
    with pytest.raises(ValueError, match="at most 600 seconds"):
        Store(ADDRESS, timeout=601)
    Store(":memory:", timeout=601).close()
