"""The page of recipes tells the truth: each program runs and prints what it says, and backends pass their suites."""

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from suites import report, run_pytest, source_of, version_of

from tests.support.processes import Worker, environment
from tests.support.programs import blocks, promised_output

PAGE = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text(encoding="utf-8")
RECIPES = {
    title: blocks("python", text)
    for title, text in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
DISTRIBUTIONS = {
    "FastMCP": "fastmcp",
    "FastAPI": "fastapi",
    "starsessions": "starsessions",
    "aiocache": "aiocache",
    "requests-cache": "requests-cache",
    "LangGraph": "langgraph",
}


@pytest.fixture
def recipe(request, tmp_path):
    """Write the classes of a recipe to recipe.py, in the directory of the test, and return the directory."""
    directory = tmp_path / "recipe"
    directory.mkdir()
    (directory / "recipe.py").write_text(RECIPES[request.param][0], encoding="utf-8")
    return directory


def test_the_page_has_the_recipes_that_it_lists():
    assert list(RECIPES) == re.findall(r"^- \[(\S+)\]", PAGE, re.MULTILINE) == list(DISTRIBUTIONS)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_runs_and_prints_what_it_says(title, tmp_path):
    version = version_of(DISTRIBUTIONS[title])
    program = "\n".join(RECIPES[title])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(measured=False) | {"FASTMCP_LOG_LEVEL": "ERROR", "FASTMCP_CHECK_FOR_UPDATES": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised_output(program)
    assert list(tmp_path.glob("*.db"))
    print(f"{title} {version}")  # noqa: T201 # seen with pytest -s


# -- aiocache's own tests

AIOCACHE_CONFTEST = """
import pytest
from aiocache import caches
from aiocache.serializers import NullSerializer
from recipe import NamespaceCache
from sqlitedict_kv import AsyncStore


@pytest.fixture
async def memory_cache(tmp_path):
    caches.set_config({"default": {"cache": "aiocache.SimpleMemoryCache"}})
    async with AsyncStore(tmp_path / "cache.db", lru_bytes="1 MB") as store:
        yield NamespaceCache(store.ns("aiocache"), serializer=NullSerializer(), namespace="test")


@pytest.fixture
def cache(memory_cache):
    return memory_cache
"""
# `raw` passes commands to the client of a server, of which there is none. The tests of plugins put values into the
# dict of the memory backend by its private name.
AIOCACHE_LEFT_OUT = "test_raw"


@pytest.mark.timeout(600)  # of a whole suite
@pytest.mark.parametrize("recipe", ["aiocache"], indirect=True)
def test_the_backend_for_aiocache_passes_its_acceptance_tests(recipe):
    version = version_of("aiocache")
    source = source_of("aiocache", version)
    tests = recipe / "tests"
    tests.mkdir()
    (tests / "acceptance").mkdir()
    for name in ("__init__.py", "utils.py", "acceptance/__init__.py"):
        shutil.copy(source / "tests" / name, tests / name)
    for name in ("test_base.py", "test_lock.py", "test_decorators.py"):
        shutil.copy(source / "tests" / "acceptance" / name, tests / "acceptance" / name)
    (tests / "acceptance" / "conftest.py").write_text(AIOCACHE_CONFTEST)
    (recipe / "suite.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "markers =\n  memcached\n  redis\n"
    )
    options = ["-c", "suite.ini", "-m", "not redis and not memcached", "-k", f"not {AIOCACHE_LEFT_OUT}"]
    counts = run_pytest(*options, "tests", directory=recipe, path=(recipe,), coroutines=True)
    report("aiocache", version, counts)
    assert counts.failed == counts.skipped == 0, (recipe / "suite.log").read_text(encoding="utf-8")
    assert counts.passed >= 50


# -- requests-cache's own tests

REQUESTS_CACHE_TESTS = """
import pytest
from recipe import NamespaceCache, NamespaceStorage
from requests_cache.serializers import json_serializer
from sqlitedict_kv import Store
from tests.integration.base_storage_test import BaseStorageTest


@pytest.fixture(autouse=True)
def store(tmp_path):
    with Store(tmp_path / "http.db", lru_bytes="1 MB") as TestStorage.store:
        yield


class TestStorage(BaseStorageTest):
    store = None

    def init_cache(self, clear=True, index=0, connection=None, serializer=json_serializer, **kwargs):
        storage = NamespaceStorage(self.store.ns(f"table {index}"), serializer, **kwargs)
        if clear:
            storage.clear()
        return storage

    def teardown_class(cls):
        pass
"""


@pytest.mark.timeout(600)  # of a whole suite
@pytest.mark.parametrize("recipe", ["requests-cache"], indirect=True)
def test_the_storage_for_requests_cache_passes_its_tests_of_storages(recipe):
    version = version_of("requests-cache")
    source = source_of("requests_cache", version)
    shutil.copytree(source / "tests", recipe / "tests")
    (recipe / "tests" / "integration" / "test_recipe.py").write_text(REQUESTS_CACHE_TESTS)
    (recipe / "suite.ini").write_text("[pytest]\n")
    suite = "tests/integration/test_recipe.py"
    counts = run_pytest("-c", "suite.ini", suite, directory=recipe, path=(recipe,))
    report("requests-cache", version, counts)
    assert counts.failed == counts.skipped == 0, (recipe / "suite.log").read_text(encoding="utf-8")
    assert counts.passed >= 17


# -- beyond the suites: another process writes, the LRU is on


def loaded(recipe, names):
    """Return the names that the classes of a recipe define."""
    namespace = {"__name__": "recipe"}
    exec(compile((recipe / "recipe.py").read_text(encoding="utf-8"), "recipe.py", "exec"), namespace)
    return [namespace[name] for name in names]


IMPORT = "sys.path.insert(0, sys.argv[2])\n"
WRITERS = {
    "aiocache": """
        import asyncio
        from recipe import NamespaceCache

        async def main():
            async with AsyncStore(sys.argv[1], lru_bytes="1 MB") as store:
                cache = NamespaceCache(store.ns("shared"))
                while (line := hear()) != "end":
                    await cache.set("k", line)
                    await cache.increment("n")
                    say("done")

        asyncio.run(main())
    """,
    "starsessions": """
        import asyncio
        from recipe import NamespaceStore

        async def main():
            async with AsyncStore(sys.argv[1], lru_bytes="1 MB") as store:
                sessions = NamespaceStore(store.ns("shared"))
                while (line := hear()) != "end":
                    await sessions.write("k", line.encode(), 60, 60)
                    say("done")

        asyncio.run(main())
    """,
    "LangGraph": """
        from recipe import StoreCache

        with Store(sys.argv[1], lru_bytes="1 MB") as store:
            cache = StoreCache(store)
            while (line := hear()) != "end":
                cache.set({(("a", "b"), "k"): (line, 60)})
                say("done")
    """,
    "requests-cache": """
        from recipe import NamespaceStorage

        with Store(sys.argv[1], lru_bytes="1 MB") as store:
            storage = NamespaceStorage(store.ns("shared"))
            while (line := hear()) != "end":
                storage["k"] = line
                say("done")
    """,
}
READERS = {
    "aiocache": """
        import asyncio
        from recipe import NamespaceCache

        async def main():
            async with AsyncStore(sys.argv[1], lru_bytes="1 MB") as store:
                cache = NamespaceCache(store.ns("shared"))
                while hear() != "end":
                    found = [await cache.get("k") for _ in range(3)]
                    say(found[0] if len(set(found)) == 1 else found)

        asyncio.run(main())
    """,
    "starsessions": """
        import asyncio
        from recipe import NamespaceStore

        async def main():
            async with AsyncStore(sys.argv[1], lru_bytes="1 MB") as store:
                sessions = NamespaceStore(store.ns("shared"))
                while hear() != "end":
                    found = [(await sessions.read("k", 60)).decode() for _ in range(3)]
                    say(found[0] if len(set(found)) == 1 else found)

        asyncio.run(main())
    """,
    "LangGraph": """
        from recipe import StoreCache

        with Store(sys.argv[1], lru_bytes="1 MB") as store:
            cache = StoreCache(store)
            while hear() != "end":
                say(cache.get([(("a", "b"), "k"), (("a",), "k"), (("a,b",), "k")])[(("a", "b"), "k")])
    """,
    "requests-cache": """
        from recipe import NamespaceStorage

        with Store(sys.argv[1], lru_bytes="1 MB") as store:
            storage = NamespaceStorage(store.ns("shared"))
            while hear() != "end":
                found = [storage["k"] for _ in range(3)]
                say(found[0] if len(set(found)) == 1 else found)
    """,
}


@pytest.mark.parametrize("recipe", WRITERS, indirect=True)
def test_what_one_process_wrote_another_one_sees_at_its_next_read(recipe, path, request):
    title = request.node.callspec.params["recipe"]
    version_of(DISTRIBUTIONS[title])
    writer, reader = (IMPORT + re.sub(r"^        ", "", code[title], flags=re.MULTILINE) for code in (WRITERS, READERS))
    with Worker(writer, path, recipe) as one, Worker(reader, path, recipe) as other:
        for turn in range(20):
            one.say(f"turn {turn}")
            assert one.hear() == "done"
            other.say()
            assert other.hear() == f"turn {turn}"
        one.say("end")
        other.say("end")
        assert one.finish() == other.finish() == []


# -- what the recipes promise beside


@pytest.mark.parametrize("recipe", ["LangGraph"], indirect=True)
def test_the_namespaces_of_langgraph_never_meet_and_times_to_live_are_kept(recipe, make_store, clock, path):
    version_of("langgraph")
    (cache_class,) = loaded(recipe, ["StoreCache"])
    cache = cache_class(make_store(path))
    spaces = [("a", "b"), ("a,b",), ('a", "b',), ("a",), (), ("a", "b", "c"), ("ab",)]
    cache.set({(space, "k"): (number, None) for number, space in enumerate(spaces)})
    assert cache.get([(space, "k") for space in spaces]) == {(space, "k"): n for n, space in enumerate(spaces)}
    cache.clear([("a", "b"), ()])
    assert [space for space, _ in cache.get([(space, "k") for space in spaces])] == [
        space for space in spaces if space not in {("a", "b"), ()}
    ]
    value = {"list": [1, 2], "set": {3}, "bytes": b"\x00"}
    cache.set({(("t",), "k"): (value, 60), (("t",), "gone"): (1, 0), (("a",), "k"): (1, -1)})
    assert cache.get([(("t",), "k"), (("t",), "gone"), (("a",), "k")]) == {(("t",), "k"): value}
    clock.advance(60)
    assert cache.get([(("t",), "k")]) == {}
    cache.clear()
    assert cache.get([(space, "k") for space in spaces]) == {}


@pytest.mark.parametrize("recipe", ["requests-cache"], indirect=True)
def test_responses_leave_the_store_when_they_can_be_of_no_more_use(recipe, make_store, clock, path):
    version_of("requests-cache")
    from requests_cache import CachedResponse  # noqa: PLC0415 # only if it is installed

    (storage_class,) = loaded(recipe, ["NamespaceStorage"])
    entries = make_store(path).ns("requests")
    storage = storage_class(entries)
    storage["for ever"] = CachedResponse(status_code=200)
    storage["soon"] = CachedResponse(expires=datetime.now(UTC) + timedelta(seconds=60))
    storage["past"] = CachedResponse(expires=datetime.now(UTC) - timedelta(days=60))
    assert json.loads(entries["for ever"])["status_code"] == 200
    lives = [entries.get_with_meta(key).meta.expires_at for key in ("for ever", "soon", "past")]
    now = datetime.fromtimestamp(clock(), UTC)
    assert lives[0] is None
    assert timedelta(hours=1, seconds=1) <= lives[1] - now <= timedelta(hours=1, seconds=60)
    assert lives[2] - now == timedelta(hours=1)
    clock.advance(3600)
    assert set(storage) == {"for ever", "soon"}


@pytest.mark.parametrize("recipe", ["starsessions"], indirect=True)
def test_sessions_end_when_they_should(recipe, path, clock):
    version_of("starsessions")
    run = """
        import asyncio
        from recipe import NamespaceStore

        now = [1_000_000.0]

        async def main():
            async with AsyncStore(sys.argv[1], clock=lambda: now[0]) as store:
                sessions = NamespaceStore(store.ns("sessions"))
                assert await sessions.read("a", 60) == b""
                assert await sessions.write("a", b"A", 60, 60) == "a"
                await sessions.write("b", b"B", 0, 60)
                await sessions.write("c", b"C", 60, 0)
                now[0] += 59
                assert [await sessions.read(key, 60) for key in "abc"] == [b"A", b"B", b""]
                now[0] += 1
                assert [await sessions.read(key, 60) for key in "ab"] == [b"", b"B"]
                await sessions.remove("b")
                await sessions.remove("b")
                assert await sessions.read("b", 60) == b""

        asyncio.run(main())
    """
    with Worker(IMPORT + re.sub(r"^        ", "", run, flags=re.MULTILINE), path, recipe) as worker:
        assert worker.finish() == []
