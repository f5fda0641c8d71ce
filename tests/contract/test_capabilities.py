"""What an engine says that it can do works; what it says it cannot do is refused clearly, and nothing is touched."""

from contextlib import contextmanager

import pytest

from sqlitedict_kv import AsyncStore, ConflictError, Store, UnsupportedError, copy
from tests.conftest import keep_beside
from tests.contract.conftest import SQLITE
from tests.support.awaited import AwaitedStore


@contextmanager
def refused(*, unless, says):
    """Run a block, which must raise UnsupportedError exactly if the engine is not able to do what is in it."""
    if unless:
        yield
    else:
        with pytest.raises(UnsupportedError, match=says):
            yield


@pytest.fixture
def some(store):
    users = store.ns("users")
    users.update(a=1, b=2)
    before = dict(users.scan())
    yield users
    assert dict(users.scan()) == before, "an entry was touched"


def test_capabilities_are_those_of_the_engine(store, engine):
    able = store.capabilities
    assert all(type(capability) is bool for capability in able)
    assert able.exact_len
    assert able.ordered
    assert able.durable == (engine in SQLITE and engine != "memory")
    assert able.by_age == able.limits == able.backup == (engine in SQLITE)
    assert able.exclusive == (engine in SQLITE and engine != "memory")
    assert able.atomic_across_namespaces == (not engine.endswith("cluster"))


def test_by_age(store, some):
    for reverse in (False, True):
        with refused(unless=store.capabilities.by_age, says="by_age"):
            assert some.by_age(limit=1, reverse=reverse).keys == (("b" if reverse else "a"),)


def test_vacuum(store, some):
    with refused(unless=store.capabilities.backup, says="vacuum"):
        store.vacuum()


def test_backup(store, some, tmp_path):
    with refused(unless=store.capabilities.backup, says="backup"):
        store.backup(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").exists() == store.capabilities.backup


@pytest.mark.parametrize("option", [{"max_bytes": "1 MB"}, {"max_entries": 100}], ids=str)
def test_limits(store, open_store, option):
    with refused(unless=store.capabilities.limits, says=next(iter(option))):
        open_store(**option).ns("users")["k"] = 1


def test_durability_is_the_business_of_servers(open_store, engine):
    with refused(unless=engine in SQLITE, says="durability"):
        open_store(durability="power").ns("users")["k"] = 1


def test_sync(store, some, engine):
    with refused(unless=engine in SQLITE, says="sync"):
        store.sync()


def test_exclusive(store, some):
    if isinstance(store, AwaitedStore):  # the other face has none at all
        assert not hasattr(AsyncStore, "exclusive")
        return
    with refused(unless=store.capabilities.exclusive, says="exclusive"), store.exclusive() as alone:
        assert alone.ns("users")["a"] == 1


def test_what_can_be_copied_into_is_a_capability_of_the_engine(store, some, engine):
    source = Store()
    source.ns("users")["c"] = 3
    target = store.store.sync_store if isinstance(store, AwaitedStore) else store
    before = dict(some.scan())
    with refused(unless=engine != "toy", says="copy"):
        copy(source, target)
    source.close()
    assert some.pop("c", None) == (None if engine == "toy" else 3)
    assert dict(some.scan()) == before


def test_anything_can_be_copied_out_of_and_verified(store, some):
    source = store.store.sync_store if isinstance(store, AwaitedStore) else store
    with Store() as target:
        assert copy(source, target, namespaces=["users"]).copied == 2
        assert target.ns("users") == {"a": 1, "b": 2}
    assert store.check().ok
    assert store.check().entries == 2
    assert store.healthcheck().ok


@pytest.mark.parametrize("second", ["elsewhere", "users2"])
def test_atomic_across_namespaces(store, some, second):
    able = store.capabilities.atomic_across_namespaces
    elsewhere = store.ns(second)
    elsewhere["x"] = "old"
    with refused(unless=able, says="cluster"), store.atomic() as tx:
        tx.ns("users").check("a", some.get_with_meta("a").meta.version)
        tx.ns(second)["x"] = "new"
    assert elsewhere["x"] == ("new" if able else "old")


def test_a_namespace_and_what_is_kept_beside_it_are_one_place_everywhere(store, some):
    keep_beside(store, "users.leases", "users")
    leases = store.ns("users.leases")
    version = leases.set("a", "mine")
    with store.atomic() as tx:
        tx.ns("users.leases").check("a", version)
        tx.ns("users").check("a", some.get_with_meta("a").meta.version)
        tx.ns("users.leases")["a"] = "next"
    assert leases == {"a": "next"}
    with pytest.raises(ConflictError), store.atomic() as tx:
        tx.ns("users")["a"] = "must not be written"
        tx.ns("users.leases").check("a", version)


def test_atomic_in_several_shards(store, engine, some):
    before = dict(some.scan())
    with refused(unless=not engine.startswith("sharded"), says="shard"), store.atomic() as tx:
        for number in range(20):
            tx.ns("users")[f"new{number}"] = number
    assert some.delete_many([f"new{number}" for number in range(20)]) == (0 if engine.startswith("sharded") else 20)
    assert dict(some.scan()) == before
    with store.atomic() as tx:  # what holds of each key by itself needs no common step
        for number in range(20):
            tx.ns("users").delete(f"new{number}")


def test_the_other_face_says_the_same(store):
    if isinstance(store, AwaitedStore):
        assert store.capabilities == store.store.sync_store.capabilities
    else:
        assert isinstance(store, Store)
