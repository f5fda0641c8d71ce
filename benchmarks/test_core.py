"""The main operations, one by one: `python -m pytest benchmarks`, with pytest-benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from workload import BLOB_BYTES, MANY, entries, key_of, value_of

from sqlitedict_kv import Namespace, Store

ENTRIES = 10_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "store.db"
    with Store(path) as store:
        store.ns("users").set_many(dict(entries(ENTRIES)))
    return path


@pytest.fixture(scope="module")
def store(path: Path) -> Iterator[Store]:
    with Store(path) as store:
        yield store


@pytest.fixture(scope="module")
def users(store: Store) -> Namespace:
    return store.ns("users")


@pytest.fixture
def random() -> Random:
    return Random(1)


def keys_of(random: Random) -> Any:
    """Return a function that gives keys of the whole key space, in turn, at the cost of a list index."""
    keys = [key_of(random.randrange(ENTRIES)) for _ in range(4096)]
    turn = count()
    return lambda: keys[next(turn) & 4095]


def test_get(benchmark, users, random):
    key = keys_of(random)
    assert benchmark(lambda: users.get(key()))


def test_get_missing(benchmark, users):
    assert benchmark(users.get, "absent") is None


def test_get_with_meta(benchmark, users, random):
    key = keys_of(random)
    assert benchmark(lambda: users.get_with_meta(key())).meta.version


def test_contains(benchmark, users, random):
    key = keys_of(random)
    assert benchmark(lambda: key() in users)


def test_get_many_of_1000(benchmark, users, random):
    wanted = [key_of(number) for number in random.sample(range(ENTRIES), MANY)]
    assert len(benchmark(users.get_many, wanted)) == MANY


def test_set_existing(benchmark, users, random):
    key, value = keys_of(random), value_of(7)
    assert benchmark(lambda: users.set(key(), value))


def test_set_new(benchmark, store):
    fresh, turn, value = store.ns("new"), count(), value_of(7)
    assert benchmark(lambda: fresh.set(f"{next(turn):08}", value)) == 1


def test_set_with_ttl(benchmark, store, random):
    sessions, key, value = store.ns("sessions", ttl=3600), keys_of(random), value_of(7)
    assert benchmark(lambda: sessions.set(key(), value))


def test_set_many_of_1000(benchmark, users, random):
    mapping = {key_of(number): value_of(number + 1) for number in random.sample(range(ENTRIES), MANY)}
    assert len(benchmark(users.set_many, mapping)) == MANY


def test_cas_set(benchmark, users):
    def swap(version: int) -> int:
        return users.cas_set("swapped", value_of(version), version)

    benchmark.pedantic(swap, setup=lambda: ((users.set("swapped", 0),), {}), rounds=2000, warmup_rounds=10)
    assert users["swapped"]


def test_delete(benchmark, users):
    def put() -> tuple[tuple[str], dict[str, Any]]:
        users.set("doomed", value_of(7))
        return ("doomed",), {}

    assert benchmark.pedantic(users.delete, setup=put, rounds=2000, warmup_rounds=10)


def test_incr(benchmark, users):
    assert benchmark(users.incr, "count:00") > 0


def test_modify(benchmark, users):
    assert benchmark(users.modify, "modified", lambda number: number + 1, default=0) > 0


def test_atomic_with_two_edits(benchmark, store):
    def transfer() -> None:
        with store.atomic() as transaction:
            accounts = transaction.ns("accounts")
            accounts.incr("a", -1)
            accounts.incr("b", 1)

    benchmark(transfer)
    assert store.ns("accounts")["a"] == -store.ns("accounts")["b"]


def test_list_a_page_of_100(benchmark, users):
    assert len(benchmark(users.list, key_of(5000)[:-2]).keys) == 100


def test_scan_100(benchmark, users):
    prefix = key_of(5000)[:-2]
    assert len(benchmark(lambda: [*users.scan(prefix)])) == 100


def test_set_100_kb(benchmark, store):
    body = Random(2).randbytes(BLOB_BYTES)
    assert benchmark(store.ns("blobs").set, "one", body)


def test_get_100_kb(benchmark, store):
    store.ns("blobs").set("two", bytes(BLOB_BYTES))
    assert len(benchmark(store.ns("blobs").get, "two")) == BLOB_BYTES


def test_open_while_another_store_has_it_open(benchmark, store, path):
    def open_and_close() -> None:
        Store(path).close()

    benchmark(open_and_close)
    assert store.healthcheck().ok
