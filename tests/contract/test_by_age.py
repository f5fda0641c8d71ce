"""The order of creation."""

import pytest

from tests.contract.conftest import on_sqlite


def walk(namespace, **options):
    keys, page = [], namespace.by_age(**options)
    while True:
        keys += page.keys
        if page.cursor is None:
            return keys
        page = namespace.by_age(**{**options, "cursor": page.cursor})


@on_sqlite
def test_keys_come_in_the_order_of_their_creation(store):
    n = store.ns("n")
    for key in "dacbe":
        n[key] = key
        store.ns("other")[key] = key
    n["a"] = "written again"
    n.touch("c", 60)
    del n["b"]
    n["b"] = "created again"
    for limit in (1, 2, 3, 100):
        assert walk(n, limit=limit) == list("daceb")
        assert walk(n, limit=limit, reverse=True) == list("becad")
    assert walk(store.ns("empty")) == []
    assert walk(store.ns("empty"), reverse=True) == []


@on_sqlite
def test_a_walk_leaves_out_what_is_created_after_its_first_page(store):
    n = store.ns("n")
    n.update(dict.fromkeys("abc", 1))
    page = n.by_age(limit=1)
    n["d"] = 1
    del n["b"]
    assert n.by_age(cursor=page.cursor).keys == ("c",)


@on_sqlite
def test_an_expired_entry_is_absent(store, clock):
    n = store.ns("n")
    n.set("a", 1, ttl=1)
    n["b"] = 2
    n.set("c", 3, ttl=1)
    clock.advance(1)
    assert walk(n) == walk(n, reverse=True) == ["b"]


def test_the_order_survives_vacuum_and_another_opening(make_store, path):
    store = make_store(path)
    for key in "dacbe":
        store.ns("n")[key] = key
    del store.ns("n")["a"]
    store.vacuum()
    store.close()
    assert walk(make_store(path).ns("n")) == list("dcbe")


@on_sqlite
def test_a_cursor_that_is_none_of_ours_is_refused(store):
    n = store.ns("n")
    n.update(dict.fromkeys("abc", 1))
    for cursor in ("", "age", "age:f:1", n.list(limit=1).cursor):
        with pytest.raises(ValueError, match="cursor"):
            n.by_age(cursor=cursor)
    with pytest.raises(TypeError, match="cursor"):
        n.by_age(cursor=7)
    with pytest.raises(ValueError, match="direction"):
        n.by_age(cursor=n.by_age(limit=1).cursor, reverse=True)
    with pytest.raises(ValueError, match="limit"):
        n.by_age(limit=0)
