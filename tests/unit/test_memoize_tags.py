"""Results have tags that a function of them and of the arguments makes, and forget_tag removes them."""

import asyncio
import warnings

import pytest

from sqlitedict_kv import AsyncStore, Store, TagError, UnsupportedError

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def report(store, calls):
    @store.memoize(tags=lambda result, user, **_: [f"user:{user}", *result["products"]])
    def report(user, day="monday"):
        calls.append((user, day))
        return {"products": [f"product:{user % 2}"]}

    return report


def test_results_are_forgotten_by_their_tags(store, report, calls):
    for user in (7, 8, 9):
        report(user)
        report(user, day="tuesday")
    assert len(calls) == 6
    assert store.forget_tag("user:7") == 2
    report(7)
    report(8)
    assert len(calls) == 7
    assert store.forget_tag("product:1") == 3
    assert store.forget_tag("user:7") == 0
    report(8)
    assert len(calls) == 7


def test_refresh_put_and_fresh_give_tags(store, report):
    report.refresh(7)
    report.put({"products": ["p"]}, 8)
    report.fresh(max_age=60)(9)
    assert store.forget_tag("user:7") == store.forget_tag("user:8") == store.forget_tag("product:1") == 1
    assert report.peek(7) is report.peek(8) is report.peek(9) is None


def test_tags_may_be_those_of_all_results(store):
    @store.memoize(tags=["reports"], stale_if_error=60, ttl=60)
    def f(number):
        return number

    f(1)
    f(2)
    assert store.forget_tag("reports") == 4  # with the copies that stale_if_error keeps
    assert f.peek(1) is None
    with pytest.raises(TypeError, match="list of str"):
        store.memoize(tags="reports")
    with pytest.raises(ValueError, match="empty"):
        store.memoize(tags=[""])


def test_each_item_of_a_batch_has_its_tags(store, calls):
    @store.memoize(batch=True, tags=lambda result, item, factor: [f"item:{item}", f"factor:{factor}"])
    def times(items, factor):
        calls.append(items)
        return [item * factor for item in items]

    assert times([1, 2, 3], 10) == [10, 20, 30]
    assert store.forget_tag("item:2") == 1
    assert times([1, 2, 3], 10) == [10, 20, 30]
    assert calls == [[1, 2, 3], [2]]
    times.put(7, 4, 10)
    assert store.forget_tag("factor:10") == 4


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        (lambda result: "user:7", "TypeError: tags must be a list of str"),
        (lambda result: [7], "TypeError: a tag must be a str"),
        (lambda result: ["x" * 256], "TooLargeError"),
        (lambda result: [result["user"]], "TypeError"),
        (lambda: ["t"], "TypeError"),
    ],
    ids=["text", "number", "long", "raises", "takes nothing"],
)
@pytest.mark.parametrize("batch", [False, True])
def test_a_result_whose_tags_are_none_is_returned_and_not_kept(store, calls, tags, says, batch):
    def f(given):
        calls.append(given)
        return given

    lenient = store.memoize(name="f", batch=batch, tags=lambda result, _: tags(result) if result != 0 else [])(f)
    given = [1] if batch else 1
    with pytest.warns(UserWarning, match=says):
        assert lenient(given) == given
    assert lenient(given) == given
    assert len(calls) == 2
    assert store.ns("memoize") == {}
    assert store.ns("memoize.leases") == {}
    strict = store.memoize(name="g", batch=batch, unstorable="raise", tags=lambda result, _: tags(result))(f)
    with pytest.raises(TagError, match=says):
        strict(given)
    with pytest.raises(TagError):
        strict.put(1, 1)
    assert store.ns("memoize") == {}


def test_on_an_engine_without_tags_results_are_returned(toy_engine, calls):
    with Store("toy://") as store:

        @store.memoize(tags=["t"])
        def f(number):
            calls.append(number)
            return number

        with pytest.warns(UserWarning, match="tags"):
            assert f(1) == 1
        assert f(1) == 1
        with pytest.raises(UnsupportedError, match="tags"):
            store.forget_tag("t")


def test_a_result_that_is_carried_over_keeps_its_tags(store):
    def old(number):
        return number

    store.memoize(name="app.old", tags=lambda result, number: [f"n:{number}"])(old)(7)
    new = store.memoize(name="app.new", was="app.old", tags=["other"])(old)
    assert new(7) == 7
    assert new.cache_info().computed == 0
    assert store.forget_tag("n:7") == 1


def test_tasks_have_tags_too(tmp_path):
    async def main():
        async with AsyncStore(tmp_path / "a.db") as store:

            @store.memoize(tags=lambda result, number: [f"n:{number}"])
            async def f(number):
                return number

            @store.memoize(batch=True, tags=lambda result, number: [f"n:{number}"])
            async def g(numbers):
                return numbers

            assert await f.many([1, 2, 3]) == [1, 2, 3]
            assert await g([1, 2, 3]) == [1, 2, 3]
            await f.put(4, 4)
            assert await store.forget_tag("n:2") == 2
            assert await store.forget_tag("n:4") == 1
            assert await f.peek(2) is None
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert await f(2) == 2

    asyncio.run(main())
