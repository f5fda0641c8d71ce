"""The commands `memo`, `watch`, `evict` and `bench`, and the tools below them."""

import asyncio
import json
import subprocess
import time

import pytest

from sqlitedict_kv import AsyncStore, Store
from sqlitedict_kv.tools.changes import watch
from sqlitedict_kv.tools.disk_benchmark import measure
from sqlitedict_kv.tools.evict import evict
from tests.support.command_line import PROGRAM, run_program, well
from tests.support.processes import environment

on_places = pytest.mark.parametrize("engine", ["file", "valkey"], indirect=True)

# -- memo


def bodies_of(store):
    """Return two bodies of one function, and another function with a version, decorated."""

    def body(number):
        return number

    first = store.memoize(name="app.report", code=True)(body)

    def body(number):
        return [number, "changed"]

    second = store.memoize(name="app.report", code=True)(body)
    third = store.memoize(name="app.total", version=3, cache_exceptions={ValueError: None})(lambda text: int(text))  # noqa: PLW0108
    return first, second, third


def fill(store, clock=None):
    first, second, third = bodies_of(store)
    first(1)
    if clock is not None:
        clock.advance(100)
    second(1)
    second(2)
    third("7")
    with pytest.raises(ValueError, match="x"):
        third("x(")
    store.ns("memoize")["somebody else's"] = 1
    return first, second, third


def test_results_are_found_and_forgotten_by_a_tag(make_store, path):
    with Store(path) as store:
        tagged = store.memoize(name="app.f", tags=lambda result, number: [f"n:{number % 2}"])(lambda number: number)  # noqa: PLW0108
        for number in range(6):
            tagged(number)
        tagged.put(1, 1)
        store.ns("memoize")["app.f(3)"] = 3  # without the tag
        assert sorted(call.arguments for call in store.memoized().calls(tag="n:1")) == ["1", "5"]
        assert list(store.memoized().calls(tag="n:1", arguments="2")) == []
    listed = json.loads(well("memo", path, "--tag", "n:1", "--json").out)
    assert sorted(call["arguments"] for call in listed) == ["1", "5"]
    assert "2 entries removed" in well("memo", path, "--tag", "n:1", "--forget", "--yes").out
    assert json.loads(well("memo", path, "--tag", "n:1", "--json").out) == []
    assert run_program("memo", path, "--tag", "n:1", "--forget", "--yes").code != 0
    with Store(path) as store:
        assert store.forget_tag("n:0") == 3


def test_functions_are_listed_with_versions_and_former_bodies(make_store, clock):
    store = make_store()
    first, second, _ = fill(store, clock)
    found = list(store.memoized())
    former, current = (function.cache_key(1).partition("@")[2].partition("(")[0] for function in (first, second))
    listed = {(each.function, each.version): (each.former, each.entries) for each in found}
    assert listed == {
        ("app.report", former): (True, 1),
        ("app.report", current): (False, 2),
        ("app.total", "3"): (False, 2),
    }
    assert all(each.size > 0 and each.oldest <= each.newest for each in found)
    assert sorted((call.arguments, call.kind) for call in store.memoized().calls(function="app.total")) == [
        ("'7'", "result"),
        ("'x('", "exception"),
    ]


def test_results_are_forgotten_by_what_they_are(make_store, clock):
    store = make_store()
    first, second, third = fill(store, clock)
    assert store.memoized().forget_calls(store.memoized().calls(function="app.report", arguments="2")) == 1
    assert second.peek(2) is None
    assert second.peek(1) is not None
    assert store.memoized().forget_calls(store.memoized().calls(former=True)) == 1
    assert first.peek(1) is None
    assert list(store.memoized().calls(older_than=0.001)) == []
    clock.advance(1)
    assert store.memoized().forget_calls(store.memoized().calls(version="3", older_than=0.5)) == 2
    assert third.peek("7") is None
    assert list(store.ns("memoize")) == [second.cache_key(1), "somebody else's"]


def test_a_computation_that_is_under_way_is_forgotten_too(make_store):
    store = make_store()

    @store.memoize(name="app.slow")
    def slow(number):
        calls.append(number)
        if len(calls) == 1:
            store.ns("memoize")[slow.cache_key(number)] = "written by another"
            store.memoized().forget_calls(store.memoized().calls(function="app.slow"))
        return number

    calls = []
    assert slow(1) == 1
    assert slow.cache_info().lost == 1
    assert slow.peek(1) is None


def test_forget_takes_what_calls_takes(make_store, clock):
    store = make_store()
    _, second, third = fill(store, clock)
    assert store.memoized().forget(function="app.report", arguments="2") == 1
    assert second.peek(2) is None
    assert store.memoized().forget(former=True) == 1
    assert store.memoized().forget(version="3", older_than="1 hour") == 0
    assert third.peek("7").value == 7
    clock.advance(3601)
    assert store.memoized().forget(version="3", older_than="1 hour") == 2
    with pytest.raises(TypeError, match="say what to forget"):
        store.memoized().forget()
    with pytest.raises(TypeError, match="say what to forget"):
        store.memoized().forget(former=False)
    with pytest.raises(ValueError, match="older_than"):
        store.memoized().forget(older_than="yesterday")


@on_places
def test_forget_by_a_tag_leaves_other_namespaces_and_calls(store):
    @store.memoize(name="app.page", tags=lambda result, user: [f"user:{user}", "page"])
    def page(user):
        return user

    page(7), page(8)
    other = store.ns("other")
    other.set("k", 1, tags=["user:7"])
    assert [call.arguments for call in store.memoized().calls(tag="user:7")] == ["7"]
    assert store.memoized().forget(tag="user:7") == 1
    assert store.memoized().forget(tag="user:7") == 0
    assert (page.peek(7), page.peek(8).value, other["k"]) == (None, 8, 1)
    assert store.memoized().forget(tag="page", function="app.page") == 1


def test_results_in_another_namespace_and_in_one_of_the_longest_name(make_store):
    store = make_store()
    store.memoize(name="app.f", ns="results")(len)("abc")
    assert [each.function for each in store.memoized("results")] == ["app.f"]
    assert list(store.memoized()) == []
    longest = "n" * 255
    store.ns(longest)["app.f(1)"] = 1
    assert store.memoized(longest).forget(function="app.f") == 1
    with pytest.raises(ValueError, match="namespace"):
        store.memoized("")


def test_tasks_list_and_forget_results(tmp_path):
    async def main():
        async with AsyncStore(tmp_path / "own.db") as store:

            @store.memoize(name="app.f", tags=["all"])
            async def f(x):
                return x

            await f(1), await f(2)
            results = store.memoized()
            assert [(each.function, each.entries) for each in await results.functions()] == [("app.f", 2)]
            assert [call.arguments for call in await results.calls(function="app.f")] == ["1", "2"]
            assert await results.forget(arguments="1") == 1
            assert await results.forget(tag="all") == 1
            assert await results.functions() == []

    asyncio.run(main())


@on_places
def test_memo_lists_and_forgets(open_store, where):
    store = open_store(clock=time.time)
    _, second, _ = fill(store)
    functions = well("memo", where, "--json").json
    assert [(each["function"], each["entries"]) for each in functions if each["function"] == "app.total"] == [
        ("app.total", 2)
    ]
    assert len(well("memo", where).rows) == 3
    calls = well("memo", where, "--function", "app.report", "--json").json
    assert {call["arguments"] for call in calls} == {"1", "2"}
    assert len(well("memo", where, "--calls").rows) == 5
    assert well("memo", where, "--function", "app.report", "--arguments", "2", "--forget").out == "1 entry removed\n"
    assert second.peek(2) is None
    assert well("memo", where, "--function", "app.total", "--forget", "--yes").out == "2 entries removed\n"
    store.memoize(name="app.tagged", tags=["red"])(len)("abc")
    assert well("memo", where, "--tag", "red", "--forget").out == "1 entry removed\n"
    assert "entries removed" in well("memo", where, "--older-than", "0.001s", "--forget", "-y").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("missing",), 3, "memoize"),
        (("--forget",), 2, "say what to forget"),
        (("--function", "app.report", "--forget"), 2, "--yes"),
        (("--function", "app.nothing", "--forget"), 3, "nothing"),
        (("--older-than", "yesterday", "--forget"), 2, "older-than"),
    ],
)
def test_memo_says_what_is_wrong(path, arguments, code, said):
    with Store(path) as store:
        fill(store)
    done = run_program("memo", path, *arguments)
    assert (done.code, said in done.err) == (code, True), done


# -- watch


@pytest.mark.parametrize("engine", ["memory", "file", "valkey"], indirect=True)
def test_changes_are_told_in_order(open_store, clock):
    store = open_store()
    entries = store.ns("n")
    entries.update(a=1, b=2)
    entries.set("c", 3, ttl=10)
    found = watch(store, interval=0, sleep=lambda _: None)
    assert next(found) is None

    def told():
        return [(change.kind, change.namespace, change.key) for change in iter(lambda: next(found), None)]

    entries["a"] = 10
    entries.touch("b", 100)
    entries["d"] = 4
    store.ns("other")["k"] = 1
    assert told() == [("written", "n", "a"), ("touched", "n", "b"), ("created", "n", "d"), ("created", "other", "k")]
    del entries["a"]
    assert told() == [("removed", "n", "a")]
    clock.advance(11)
    assert told() == [("expired", "n", "c")]


def test_only_what_is_watched_is_told(make_store):
    store = make_store()
    found = watch(store, ["n"], "a", interval=0, sleep=lambda _: None)
    assert next(found) is None
    store.ns("n").update(a1=1, b1=1)
    store.ns("other")["a1"] = 1
    assert next(found).key == "a1"
    assert next(found) is None


@on_places
def test_watch_prints_changes_as_they_happen(open_store, where):
    store = open_store(clock=time.time)
    store.ns("n")["old"] = 1
    program = subprocess.Popen(
        [*PROGRAM, "watch", where, "n", "--json", "--count", "2", "--interval", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert program.stderr.readline() == f"watching {where}\n"
    store.ns("n")["old"] = 2
    assert json.loads(program.stdout.readline())["change"] == "written"
    store.ns("n")["new\x1b[2J"] = 2
    line = program.stdout.readline()
    assert json.loads(line)["key"] == "new\x1b[2J"
    assert "\x1b" not in line
    assert program.communicate(timeout=60) == ("", "")
    assert program.returncode == 0


# -- evict


def test_entries_are_evicted_down_to_a_number(make_store, path, clock):
    store = make_store(path)
    entries = store.ns("n")
    for number in range(1500):
        entries[f"k{number:04}"] = number
    entries.set("short", 1, ttl=1)
    clock.advance(2)
    assert evict(store, max_entries=100) == 1400
    assert len(entries) == 100
    assert "k1499" in entries
    assert evict(store, max_entries=100) == 0


def test_entries_are_evicted_down_to_a_size(make_store, path):
    store = make_store(path)
    store.ns("n").set_many({f"k{number:04}": "x" * 1000 for number in range(2000)})
    assert evict(store, max_bytes="1 MB") > 0
    figures = store.stats()
    assert 800_000 < figures.bytes_on_disk - figures.free_bytes <= 1_000_000


def test_evict_in_a_shell(path):
    with Store(path) as store:
        store.ns("n").set_many({f"k{number:04}": number for number in range(200)})
    assert run_program("evict", path, "--max-entries", "100").code == 2
    assert well("evict", path, "--max-entries", "100", "--yes").out == "100 entries removed\n"
    assert run_program("evict", path, "--yes").code == 2
    assert run_program("evict", path, "--yes", "--max-bytes", "much").code == 2


@pytest.mark.parametrize("engine", ["valkey"], indirect=True)
def test_evict_is_not_for_servers(open_store, where):
    open_store().ns("n")["k"] = 1
    assert run_program("evict", where, "--max-entries", "1", "--yes").code == 2


# -- bench


def test_bench_measures_and_leaves_nothing_behind(tmp_path):
    rows = well("bench", tmp_path / "app.db", "--seconds", "0.2").rows
    assert [row[0] for row in rows][:2] == ["get", "set"]
    assert len(rows) == 6
    assert list(tmp_path.iterdir()) == []
    assert run_program("bench", tmp_path / "none" / "app.db").code == 1


@pytest.mark.parametrize("engine", ["valkey"], indirect=True)
def test_bench_measures_servers(where, open_store):
    timings = well("bench", where, "--seconds", "0.1", "--json").json
    assert all(timing["per_second"] > 0 for timing in timings)
    assert open_store().namespaces() == []


def test_a_timing_tells_what_it_says(tmp_path):
    for timing in measure(str(tmp_path), 0.1):
        assert timing.runs >= 20
        assert 0 < timing.median <= timing.slowest
