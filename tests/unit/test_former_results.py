"""Results under former names of a function, and of its former bodies, wherever they are kept."""

import pytest

from sqlitedict_kv.memoization.former_results import BODIES_KEPT
from tests.support.cells import run_cell, session


def memoized_cell(store, body, name="f"):
    notebook = session("store = None")
    notebook["store"] = store
    run_cell(notebook, f"@store.memoize()\ndef {name}(x): return {body}")
    return notebook[name]


def test_the_bodies_used_last_are_kept_and_the_rest_goes(store, clock):
    for edit in range(10):
        function = memoized_cell(store, f"x + {edit}")
        assert [function(x) for x in range(20)] == [x + edit for x in range(20)]
        clock.advance(1)
    assert len(store.ns("memoize")) == BODIES_KEPT * 20
    assert memoized_cell(store, "x + 7")(5) == 12
    assert memoized_cell(store, "x + 7").cache_info().computed == 0
    again = memoized_cell(store, "x + 7")
    assert again(5) == 12
    assert again.cache_info().computed == 0
    assert again.cache_clear() == BODIES_KEPT * 20
    assert len(store.ns("memoize")) == 0


def test_two_notebooks_with_one_name_clear_nothing_of_each_other(store, clock):
    for _ in range(3):
        one, other = memoized_cell(store, "x + 1"), memoized_cell(store, "x + 2")
        assert (one(1), other(1)) == (2, 3)
        clock.advance(1)
    assert len(store.ns("memoize")) == 2
    assert store.ns("memoize.code").get("__main__.f") is not None


def test_results_from_before_code_counted_are_the_oldest_body(store, clock):
    old = session("store = None")
    old["store"] = store
    run_cell(old, "@store.memoize(code=False)\ndef f(x): return x")
    old["f"](1)
    for edit in range(BODIES_KEPT - 1):
        memoized_cell(store, f"x + {edit}")(1)
        clock.advance(1)
    assert "__main__.f(1)" in store.ns("memoize")
    memoized_cell(store, "x + 9")(1)
    assert "__main__.f(1)" not in store.ns("memoize")
    assert len(store.ns("memoize")) == BODIES_KEPT


def renamed(store, **options):
    @store.memoize(name="app.new", ttl=60, **options)
    def new(x):
        return "computed"

    return new


def test_a_renamed_function_finds_its_results_with_what_is_left_of_their_life(store, clock):
    @store.memoize(name="app.old", ttl=60)
    def old(x):
        return "old"

    old(1)
    clock.advance(20)
    new = renamed(store, was=("app.older", "app.old"))
    assert new(1) == "old"
    assert new.peek(1).meta.expires_at.timestamp() == pytest.approx(clock() + 40, abs=0.01)
    assert old.peek(1) is None
    assert new(2) == "computed"
    assert new.cache_info().computed == 1


def test_a_result_under_the_new_name_is_newer_and_one_that_has_gone_is_computed(store, clock):
    @store.memoize(name="app.old", version=2, ttl=10)
    def old(x):
        return "old"

    renamed(store)(1)
    old(1), old(2)
    new = renamed(store, was="app.old@2")
    assert new(1) == "computed"
    clock.advance(10)
    assert new(2) == "computed"


@pytest.mark.parametrize(("was", "error"), [("", ValueError), ("f(1)", ValueError), ((1,), TypeError)])
def test_a_bad_former_name_is_refused(store, was, error):
    with pytest.raises(error, match="was must hold former names"):
        renamed(store, was=was)
