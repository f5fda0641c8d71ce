"""Counting is one step, on numbers alone."""

import threading

import pytest

from sqlitedict_kv import CodecError
from tests.contract.conftest import on_whole


def test_incr_counts_from_nought_by_one(store):
    hits = store.ns("hits")
    assert [hits.incr("k"), hits.incr("k"), hits.incr("k", 5), hits.incr("k", -3)] == [1, 2, 7, 4]
    assert hits["k"] == 4
    assert type(hits["k"]) is int


def test_decr_is_the_way_back(store):
    hits = store.ns("hits")
    assert [hits.decr("k"), hits.decr("k", 4), hits.decr("k", -7), hits.decr("f", 0.5)] == [-1, -5, 2, -0.5]
    assert hits.decr("d", 1, default=10) == 9


def test_default_is_what_an_absent_entry_counts_as(store):
    hits = store.ns("hits")
    assert hits.incr("k", 2, default=40) == 42
    assert hits.incr("k", 2, default=1000) == 44
    assert hits.incr("f", default=0.5) == 1.5


@on_whole
def test_without_a_default_there_must_be_an_entry(store, clock):
    hits = store.ns("hits")
    hits.set("old", 1, ttl=1)
    clock.advance(1)
    for key in ("new", "old"):
        with pytest.raises(KeyError, match=key):
            hits.incr(key, default=None)
        with pytest.raises(KeyError, match=key):
            hits.decr(key, default=None)
        with pytest.raises(KeyError, match=key), store.atomic() as tx:
            tx.ns("hits")["other"] = "must not be written"
            tx.ns("hits").incr(key, default=None)
    assert list(hits) == []

    hits.set("k", 1, ttl=100)
    deadline = hits.get_with_meta("k").meta.expires_at
    assert hits.incr("k", default=None) == 2
    assert hits.get_with_meta("k").meta.expires_at == deadline


@pytest.mark.parametrize(
    ("start", "delta", "total"),
    [
        (1, 0.5, 1.5),
        (1.5, 1, 2.5),
        (0.5, 0.5, 1.0),
        (2**64 - 1, 1, 2**64),
        (2**64, 1, 2**64 + 1),
        (-(2**63), -1, -(2**63) - 1),
        (10**30, 1, 10**30 + 1),
        (2**64, -(2**64), 0),
        (5, 0, 5),
    ],
)
def test_sums_are_exact_and_of_the_type_that_python_gives(store, start, delta, total):
    hits = store.ns("hits")
    hits["k"] = start
    result = hits.incr("k", delta)
    assert (type(result), result) == (type(total), total)
    assert (type(hits["k"]), hits["k"]) == (type(total), total)


@pytest.mark.parametrize("value", ["1", None, True, False, [1], {"n": 1}, b"1", (1,), 1j, "secret-text"])
def test_what_is_no_number_raises_and_stays(store, value):
    hits = store.ns("hits")
    hits.set("k", value, ttl=100)
    before = hits.get_with_meta("k")
    for verb in (hits.incr, hits.decr):
        with pytest.raises(TypeError, match="'k'") as caught:
            verb("k")
        assert "secret" not in str(caught.value)
    with pytest.raises(TypeError), store.atomic() as tx:
        tx.ns("hits").incr("k")
    assert hits.get_with_meta("k") == before


def test_a_sum_that_cannot_be_made_leaves_the_entry(store):
    hits = store.ns("hits")
    hits["k"] = 10**400
    before = hits.get_with_meta("k")
    with pytest.raises(OverflowError):
        hits.incr("k", 0.5)
    assert hits.get_with_meta("k") == before


def test_a_sum_that_the_content_type_cannot_keep_leaves_the_entry(store):
    hits = store.ns("hits", content_type="application/json")
    hits["k"] = 2**64 - 1
    before = hits.get_with_meta("k")
    with pytest.raises(CodecError):
        hits.incr("k")
    assert hits.get_with_meta("k") == before
    assert hits.incr("k", -1) == 2**64 - 2, "the store goes on working"


def test_no_count_of_many_threads_is_lost(store, after):
    hits = store.ns("hits")
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        for _ in range(50):
            hits.incr("k")
            hits.decr("down")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (hits["k"], hits["down"]) == (200, -200)
    assert hits.get_with_meta("k").meta.version == after(0, steps=200)
