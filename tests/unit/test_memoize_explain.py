"""Why a call of a memoized function is a miss."""

import asyncio
import os
import textwrap

import pytest

from sqlitedict_kv import AsyncStore, Explanation
from sqlitedict_kv.concurrency.process_identity import describe
from sqlitedict_kv.memoization.explanation import differences


def memoized(store, **options):
    @store.memoize(**{"name": "load", **options})
    def load(x, y=0, *, unit="m"):
        return [x]

    return load


def test_a_result_that_is_kept_is_told_with_its_end(store):
    load = memoized(store, ttl=60)
    load(1)
    told = load.explain(1)
    assert isinstance(told, Explanation)
    assert (told.key, told.kept, told.computing, told.nearest, told.differences) == (
        "load(1, 0, unit='m')", True, False, None, ()
    )  # fmt: skip
    assert told.expires_at == load.peek(1).meta.expires_at
    assert str(told).startswith("load(1, 0, unit='m') is kept until ")
    assert "UTC" in str(told)
    forever = memoized(store, name="other")
    forever(1)
    assert str(forever.explain(1)) == "other(1, 0, unit='m') is kept forever"


def test_a_miss_is_compared_with_the_nearest_call_that_is_kept(store):
    load = memoized(store)
    load("a, b", {"k": (1, "x")})
    load("far", 5, unit="km")
    told = load.explain("a, b", {"k": (2, "x")})
    assert not told.kept
    assert told.nearest == load.cache_key("a, b", {"k": (1, "x")})
    assert told.differences == ("y: {'k': (2, 'x')}, kept with {'k': (1, 'x')}",)
    assert str(told) == textwrap.dedent(
        """\
        load('a, b', {'k': (2, 'x')}, unit='m') is not kept
        the nearest that is kept is load('a, b', {'k': (1, 'x')}, unit='m')
          y: {'k': (2, 'x')}, kept with {'k': (1, 'x')}"""
    )


def test_another_version_and_other_code_are_told(store):
    memoized(store, version=1)(1)
    assert memoized(store, version=2).explain(1).differences == ("version: 2, kept with 1",)
    assert memoized(store).explain(1).differences == ("version: none, kept with 1",)
    assert differences("f@~aa(1)", "f@~bb(1)", ["x"]) == ["code: ~aa, kept with ~bb"]


def test_what_is_closed_over_and_hashed_is_told(store):
    def make(factor):
        @store.memoize(name="scale")
        def scale(x):
            return x * factor

        return scale

    make(2)(1)
    assert make(3).explain(1).differences == ("factor: 3, kept with 2",)
    assert make(3).explain("x" * 300).differences[0].startswith(f"x: '{'x' * 71}'... (302 characters), kept with 1")


def test_more_arguments_than_a_key_shows_are_told_as_one(store):
    @store.memoize(name="total")
    def total(*numbers):
        return sum(numbers)

    total(1)
    assert "arguments, of more than 200 characters: #" in str(total.explain(*range(1000)))


TEXT = "".join(f"{number} " for number in range(2000))


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        (TEXT.replace("1000", "1OOO"), "between characters 2,048 and 4,096"),
        (f"{TEXT}more", "between characters 8,192 and 16,384"),
        (TEXT[:8191], "between characters 8,192 and 16,384"),
        (f"!{TEXT}", "between characters 0 and 64"),
    ],
)
def test_it_is_told_where_long_texts_differ(store, asked, difference):
    load = memoized(store)
    load(TEXT, 1)
    (told,) = load.explain(asked, 1).differences
    assert told.startswith("x: '")
    assert f"{len(asked) + 2:,} characters), kept with '0 1 2 3" in told
    assert f"{len(TEXT) + 2:,} characters); they differ first {difference}" in told


def test_of_calls_that_differ_in_as_many_arguments_the_most_similar_is_the_nearest(store):
    load = memoized(store)
    load("short")
    load(TEXT)
    load("other")
    assert load.explain(f"{TEXT}more").nearest == load.cache_key(TEXT)


def test_other_arguments_stay_readable_beside_a_long_one(store):
    load = memoized(store)
    load(TEXT, 1)
    assert load.explain(TEXT, 2).differences == ("y: 2, kept with 1",)
    assert load.explain(TEXT, 1, unit="km").differences == ("unit: 'km', kept with 'm'",)


@pytest.mark.frameworks
def test_arrays_and_frames_are_told_by_type_shape_and_columns(store):
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    load = memoized(store)
    load(np.zeros((100, 20)))
    (told,) = load.explain(np.zeros((100, 20), np.float32)).differences
    assert told.startswith("x: ndarray(<f4, (100, 20), ")
    assert ", kept with ndarray(<f8, (100, 20), " in told
    load(pd.DataFrame({"a": range(500), "b": "x"}), 1)
    (told,) = load.explain(pd.DataFrame({"a": range(499), "b": "x"}), 1).differences
    assert told.startswith("x: 'DataFrame((499, 2)")
    assert ", kept with 'DataFrame((500, 2)" in told


@pytest.mark.parametrize("hostile", ["', #", '"...5.aa', "\\'", "(((", "x=1, y=2", "\n\ud800", "é" * 500])
def test_what_a_long_text_holds_does_not_change_what_is_told(store, hostile):
    @store.memoize(name="load")
    def load(x, y):
        return [len(x), y]

    load(hostile + TEXT, 1)
    (told,) = load.explain(hostile + TEXT, 2).differences
    assert told == "y: 2, kept with 1"
    (told,) = load.explain(f"{hostile}{TEXT}.", 1).differences
    assert "they differ first between characters" in told
    assert load.explain(hostile + TEXT, 1).kept


def test_nothing_kept_is_told_and_nothing_is_computed(store):
    load = memoized(store)
    assert str(load.explain(1)) == "load(1, 0, unit='m') is not kept\nno result of this function is kept here"
    assert load.cache_info().computed == 0


def test_a_computation_under_way_is_told(store):
    told = []

    @store.memoize(name="load", ignore=("told", "load"))
    def load(x):
        told.append(load.explain(x))
        return x

    load(1)
    assert told[0].computing
    assert "it is being computed now" in str(told[0])
    assert told[0].holder == f"process {os.getpid()}"
    assert str(told[0]).splitlines()[1] == f"it is being computed now by process {os.getpid()}"
    assert load.explain(1).holder is None
    assert describe("00000000.5.6") == "process 5 of another machine"


@pytest.mark.parametrize("batch", [True, False])
def test_tasks_ask_too(path, batch):
    async def main():
        async with AsyncStore(path) as store:

            @store.memoize(name="load", batch=batch)
            async def load(x):
                return x

            await load([1])
            return await load.explain(2)

    told = asyncio.run(main())
    assert told.differences == ("x: 2, kept with " + ("1" if batch else "[1]"),)
