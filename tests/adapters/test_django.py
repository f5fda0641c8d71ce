"""The cache backend for Django: its own suite, and what that does not ask."""

# ruff: noqa: E402 - Django is configured before its parts are imported

import asyncio
import io
import json
import os
import pickle
import sys
import threading
from pathlib import Path

import pytest
from suites import Counts, report, run_logged, source_of, version_of

from tests.conftest import VirtualClock
from tests.support.processes import Worker, forked, run

VERSION = version_of("django")

import django
from django.conf import settings

SECRET_KEY = "secret of the tests"
if not settings.configured:
    settings.configure(
        SECRET_KEY=SECRET_KEY,
        INSTALLED_APPS=["django.contrib.sessions", "sqlitedict_kv.adapters.django"],
        ROOT_URLCONF="django_urls",
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": False}],
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
    )
    django.setup()

from django.core.cache import InvalidCacheBackendError, caches
from django.core.management import CommandError, call_command
from django.http import HttpResponse, HttpResponseNotFound, JsonResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.utils.safestring import SafeString, mark_safe

from sqlitedict_kv import Codec, CodecError, DamagedEntryError, DecodeError, Store, StoreBusyError
from sqlitedict_kv.adapters.django import SQLiteCache, culling
from sqlitedict_kv.adapters.django.values import ALLOW_PICKLE, PICKLE, SIGNATURE_BYTES
from sqlitedict_kv.adapters.support import close_shared_stores

HERE = Path(__file__).parent
NEED_PICKLE = {
    "test_add_fail_on_pickleerror",
    "test_cache_read_for_model_instance",
    "test_cache_read_for_model_instance_with_deferred",
    "test_cache_write_for_model_instance_with_deferred",
    "test_data_types (key='class')",
    "test_data_types (key='function')",
    "test_set_fail_on_pickleerror",
}


@pytest.fixture(autouse=True)
def closed_stores():
    yield
    close_shared_stores()


@pytest.fixture
def make_cache(path, clock):
    """Make caches on one file, by the test's clock."""

    def make(pickled=False, options=(), **params):
        chosen = {"clock": clock, **dict(options), **({ALLOW_PICKLE: True} if pickled else {})}
        return SQLiteCache(str(path), {"OPTIONS": chosen, **params})

    return make


@pytest.fixture
def cache(make_cache):
    return make_cache()


def entry_of(cache, key):
    """Return the entry as the file has it; the key is that of the default prefix and version."""
    return cache.store.ns("django").get_with_meta(f":1:{key}")


@pytest.fixture
def site(path):
    """Configure caches.default on the file."""
    with override_settings(
        CACHES={"default": {"BACKEND": "sqlitedict_kv.adapters.django.SQLiteCache", "LOCATION": path}}
    ):
        yield


# -- its own suite


def outcome_of_suite(directory, *, pickled):
    tests = source_of("django", VERSION) / "tests"
    log = run_logged([sys.executable, HERE / "django_suite.py", tests, directory, pickled], directory=directory)
    assert (directory / "outcome.json").exists(), log
    return json.loads((directory / "outcome.json").read_text()), log


def test_djangos_own_suite_passes(tmp_path):
    outcome, log = outcome_of_suite(tmp_path, pickled=True)
    failed = len({name.split(" ")[0] for name in outcome["failed"]})  # of a test with subtests, each is named
    skipped = len(outcome["skipped"])
    report("Django", VERSION, Counts(outcome["run"] - failed - skipped, failed, skipped))
    assert outcome["failed"] == [], log
    assert outcome["skipped"] == []
    assert outcome["run"] >= 54


def test_the_tests_of_djangos_suite_that_need_pickle_are_known(tmp_path):
    outcome, log = outcome_of_suite(tmp_path, pickled=False)
    assert set(outcome["failed"]) == NEED_PICKLE, log


# -- timeouts


@pytest.mark.parametrize(("timeout", "seconds"), [(10, 10), (0.5, 0.5), (3600 * 24 * 400, 3600 * 24 * 400)])
def test_an_entry_ends_exactly_at_its_timeout(cache, clock, timeout, seconds):
    cache.set("k", 1, timeout)
    assert cache.add("k", 2) is False
    clock.advance(seconds - 0.001)
    assert cache.get("k") == 1
    clock.advance(0.001)
    assert cache.get("k", "gone") == "gone"
    assert cache.touch("k", 100) is False
    assert cache.delete("k") is False
    assert cache.add("k", 2) is True


@pytest.mark.parametrize("timeout", [0, -1, -0.5])
def test_a_timeout_that_is_not_positive_is_gone_at_once(cache, timeout):
    cache.set_many({"k": 1, "l": 1, "m": 1}, None)
    cache.set("k", 2, timeout)
    assert "k" not in cache
    assert cache.add("new", 1, timeout) is True
    assert "new" not in cache
    assert cache.add("l", 2, timeout) is False
    assert cache.get("l") == 1
    assert cache.touch("l", timeout) is True
    assert cache.touch("l", timeout) is False
    assert cache.set_many({"m": 2, "n": 2}, timeout) == []
    assert cache.get_many(["l", "m", "n"]) == {}


@pytest.mark.parametrize("timeout", [None, 10**12])
def test_none_and_what_outlives_everybody_are_for_ever(make_cache, timeout):
    make_cache().set("k", 1, timeout)
    assert entry_of(make_cache(), "k").meta.expires_at is None
    cache = make_cache(TIMEOUT=None)
    cache.set("default", 1)
    assert entry_of(cache, "default").meta.expires_at is None


def test_the_default_timeout_is_five_minutes_or_that_of_the_settings(make_cache, clock):
    make_cache().set("k", 1)
    make_cache(TIMEOUT=600).set("l", 1)
    clock.advance(300)
    assert make_cache().get_many("kl") == {"l": 1}
    clock.advance(300)
    assert make_cache().get_many("kl") == {}


@pytest.mark.parametrize("timeout", ["10", float("nan"), object()])
def test_a_timeout_that_is_no_number_is_refused(cache, timeout):
    cache.set("k", 1)
    for write in (cache.set, cache.add):
        with pytest.raises((TypeError, ValueError)):
            write("k", 2, timeout)
    with pytest.raises((TypeError, ValueError)):
        cache.touch("k", timeout)
    assert cache.get("k") == 1


# -- numbers, versions


def test_incr_keeps_the_timeout_and_demands_a_number(cache, clock):
    cache.set("n", 1, 10)
    clock.advance(5)
    assert cache.incr("n", 4) == 5
    assert cache.decr("n", 2) == 3
    clock.advance(5)
    for verb in (cache.incr, cache.decr):
        with pytest.raises(ValueError, match="'n' not found"):
            verb("n")
    for value in (None, "1", [1], True):
        cache.set("n", value)
        with pytest.raises(TypeError):
            cache.incr("n")
        assert cache.get("n") is value or cache.get("n") == value


def test_incr_version_moves_the_entry_with_its_timeout(cache, clock):
    cache.set("k", [1], 10)
    clock.advance(5)
    assert cache.incr_version("k") == 2
    assert (cache.get("k"), cache.get("k", version=2)) == (None, [1])
    assert cache.decr_version("k", version=2) == 1
    assert cache.incr_version("k", 0) == 1
    clock.advance(4.999)
    assert cache.get("k") == [1]
    clock.advance(0.001)
    with pytest.raises(ValueError, match="'k' not found"):
        cache.incr_version("k")
    cache.set("k", 1, None)
    cache.incr_version("k", 6)
    assert cache.store.ns("django").get_with_meta(":7:k").meta.expires_at is None


def test_incr_version_loses_nothing_that_is_written_meanwhile(cache, monkeypatch):
    cache.set("k", "old")
    read = type(cache._entries).get_with_meta
    writes = iter(["new"])

    def read_slowly(entries, key):
        entry = read(entries, key)
        for value in writes:
            cache.set("k", value)
        return entry

    monkeypatch.setattr(type(cache._entries), "get_with_meta", read_slowly)
    cache.incr_version("k")
    assert cache.get("k", version=2) == "new"


COUNTING = """
import django.conf
django.conf.settings.configure(SECRET_KEY="s")
from sqlitedict_kv.adapters.django import SQLiteCache
cache = SQLiteCache(sys.argv[1], {"OPTIONS": {"lru_bytes": "1 MB"}})
say("ready")
hear()
for _ in range(100):
    cache.incr("n")
say(sum(cache.add(f"first-{number}", os.getpid()) for number in range(100)))
say(cache.get_or_set("one", os.getpid))
"""


def test_no_count_of_several_processes_is_lost_and_one_adds(path):
    cache = SQLiteCache(str(path), {})
    cache.set("n", 0)
    workers = [Worker(COUNTING, path) for _ in range(4)]
    try:
        assert [worker.hear() for worker in workers] == ["ready"] * 4
        for worker in workers:
            worker.say("go")
        answers = [worker.finish() for worker in workers]
    finally:
        for worker in workers:
            worker.__exit__(None, None, None)
    assert cache.get("n") == 400
    assert sum(int(added) for added, _ in answers) == 100
    assert len({one for _, one in answers}) == 1


READING = """
import django.conf
django.conf.settings.configure(SECRET_KEY="s")
from sqlitedict_kv.adapters.django import SQLiteCache
cache = SQLiteCache(sys.argv[1], {"OPTIONS": {"lru_bytes": "1 MB"}})
while (question := hear()) != "end":
    say(cache.get("k"))
say(cache.store.stats().lru.hits)
"""


def test_another_process_with_an_lru_never_reads_what_is_stale(path):
    cache = SQLiteCache(str(path), {"OPTIONS": {"lru_bytes": "1 MB"}})
    with Worker(READING, path) as reader:

        def answer():
            reader.say("what?")
            return reader.hear()

        for number in range(30):
            cache.set("k", number)
            assert answer() == str(number)
            assert answer() == str(number)  # by now from its memory
        cache.delete("k")
        assert answer() == "None"
        cache.set("k", "x")
        assert answer() == "x"
        cache.clear()
        assert answer() == "None"
        reader.say("end")
        (hits,) = reader.finish()
    assert int(hits) >= 30


# -- keys, places, options


@pytest.mark.parametrize("key", ["a" * 5000, "é" * 1000, "lone \ud800", "", "\x01begins as a hash does", 5, None])
@pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
def test_any_key_is_a_key(cache, key):
    assert cache.add(key, 1) is True
    assert cache.add(key, 2) is False
    assert cache.incr(key) == 2
    assert cache.get_many([key]) == {key: 2}
    assert cache.get(f"{key}x") is None
    cache.delete_many([key])
    assert key not in cache


def test_clear_removes_all_prefixes_and_versions_and_nothing_else_in_the_file(make_cache, path):
    with Store(path) as store:
        store.ns("mine")["k"] = 1
    other = make_cache(options={"namespace": "other"})
    cache, prefixed = make_cache(), make_cache(KEY_PREFIX="p", VERSION=2)
    for one in (other, cache, prefixed):
        one.set("k", 1)
    cache.clear()
    assert (cache.get("k"), prefixed.get("k"), other.get("k"), cache.store.ns("mine")["k"]) == (None, None, 1, 1)


def test_instances_share_one_store_that_close_leaves_open(make_cache):
    first, second = make_cache(), make_cache(KEY_PREFIX="p")
    assert first.store is second.store
    first.close()
    first.set("k", 1)
    assert first.get("k") == 1
    assert make_cache(options={"lru_bytes": "1 MB"}).store is not first.store
    assert make_cache(pickled=True).store is not first.store


def test_threads_that_come_at_once_share_one_store(path):
    barrier = threading.Barrier(8)
    stores = []

    def work():
        barrier.wait()
        stores.append(SQLiteCache(str(path), {}).store)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, stores))) == 1
    stores[0].ns("django")["k"] = 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_cache_made_before_a_fork_works_on_both_sides(cache):
    cache.set("n", 0)

    def child():
        assert cache.incr("n") == 1

    assert forked(child) == 0
    assert cache.incr("n") == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_entires": 5}, "max_entires.*max_entries"),
        ({"MAX_ENTRIES": 5, "max_entries": 5}, "both"),
        ({"CULL_FREQUENCY": 3, "MAX_ENTRIES": 5, "max_entries": 5}, "both"),
        ({"CULL_FREQUENY": 3}, "CULL_FREQUENY.*CULL_FREQUENCY"),
    ],
)
def test_options_that_are_unknown_are_refused_before_a_file_is_made(path, options, words):
    with pytest.raises(InvalidCacheBackendError, match=words):
        SQLiteCache(str(path), {"OPTIONS": options})
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_entries": "many"}, TypeError),
        ({"max_bytes": []}, TypeError),
        ({"max_bytes": 1}, ValueError),
        ({ALLOW_PICKLE: "yes"}, TypeError),
        *(({"CULL_FREQUENCY": value}, TypeError) for value in (None, "3", 3.0, True)),
        ({"CULL_FREQUENCY": -1}, ValueError),
        *(({"CULL_FREQUENCY": 3, "MAX_ENTRIES": value}, TypeError) for value in (None, "300", 3e2)),
        *(({"CULL_FREQUENCY": 3, "MAX_ENTRIES": value}, ValueError) for value in (0, -1)),
    ],
)
def test_options_of_a_wrong_kind_are_refused_before_a_file_is_made(path, options, error):
    with pytest.raises(error):
        SQLiteCache(str(path), {"OPTIONS": options})
    assert not path.exists()


def test_there_must_be_a_location():
    with pytest.raises(InvalidCacheBackendError, match="LOCATION"):
        SQLiteCache("", {})


def test_there_is_no_limit_unless_it_is_asked_for(make_cache):
    cache = make_cache()
    for number in range(0, 1000, 100):
        cache.set_many({f"k{n}": n for n in range(number, number + 100)})
    assert len(cache.store.ns("django")) == 1000

    limited = make_cache(options={"MAX_ENTRIES": 100})
    for number in range(200):
        limited.set(f"l{number}", number)
    assert len(cache.store.ns("django")) <= 110
    assert limited.get("l199") == 199


# -- the file


def test_the_file_is_opened_at_its_first_use_not_by_the_checks_of_the_system(site, path):
    call_command("check")
    cache = caches["default"]
    assert not path.exists()
    assert cache.get("k") is None
    assert path.exists()


@pytest.mark.parametrize("options", [{}, {"lru_bytes": "1 MB"}, {"MAX_ENTRIES": 10}], ids=str)
def test_a_cache_whose_file_was_deleted_while_serving_goes_on_with_a_new_one(path, options):
    backend = SQLiteCache(str(path), {"OPTIONS": options})

    def delete():
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()

    async def awaited():
        delete()
        await backend.aset("a", 1)
        assert await backend.aget("a") == 1
        delete()
        await backend.aset_many({"a": 2})
        assert await backend.aget_many(["a"]) == {"a": 2}

    for write in (
        lambda: backend.set("k", 1),
        lambda: backend.set_many({"k": 1}),
        lambda: (backend.close(), backend.add("k", 1)),
        lambda: (backend.close(), backend.get_or_set("k", 1)),
    ):
        backend.set("old", 1)
        delete()
        write()
        assert backend.get("k") == 1
        assert backend.get("old") is None
        assert path.exists()
    delete()
    backend.close()  # as Django does after each request
    assert backend.get("k") is None
    assert asyncio.run(backend.aget("k")) is None
    delete()
    assert not backend.delete("k")
    backend.set("n", 1)
    delete()
    with pytest.raises(ValueError, match="not found"):
        backend.incr("n")
    asyncio.run(awaited())
    with SQLiteCache(str(path), {}).store as store:
        assert store.check().ok


# -- culling


def test_max_entries_alone_culls_a_third_as_djangos_own_backends_do(make_cache):
    cache = make_cache(options={"MAX_ENTRIES": 10})
    for number in range(11):
        cache.set(str(number), number)
    assert numbers_in(cache) == list(range(3, 11))


class Slow:
    """A value that looks, while it is pickled, whether others can write."""

    def __init__(self, look):
        self.look = look

    def __reduce__(self):
        self.look()
        return Slow, (None,)


@pytest.mark.parametrize("verb", ["set", "add", "set_many", "aset", "aadd", "aset_many"])
def test_a_value_is_encoded_before_others_have_to_wait(make_cache, verb):
    cache = make_cache(pickled=True, options={"CULL_FREQUENCY": 3})
    other = make_cache(pickled=True, options={"timeout": 0})
    seen = []

    def look():
        other.set("other", len(seen))
        seen.append(other.get("other"))

    verbs(cache)[verb]("k", Slow(look))
    assert seen == [0]
    assert type(cache.get("k")) is Slow
    assert type(other.get("k")) is Slow
    assert type(asyncio.run(cache.aget("k"))) is Slow


def test_what_was_encoded_early_comes_back_as_it_was(make_cache):
    codec = Codec("application/x-own", lambda value: b"", lambda body: Own(), types=(Own,))
    cache = make_cache(options={"CULL_FREQUENCY": 3, "codecs": [codec]})
    values = {"a": (1, {2}), "b": b"\x00", "c": "text", "d": {"x": [None]}, "n": 1, "none": None}
    cache.set_many(values)
    cache.set("own", Own())
    cache.set("safe", mark_safe("s"))
    assert cache.get_many(values) == values
    assert type(cache.get("own")) is Own
    assert type(cache.get("safe")) is SafeString
    assert cache.incr("n") == 2
    assert cache.store is make_cache(options={"CULL_FREQUENCY": 3, "codecs": [codec]}).store
    with pytest.raises(CodecError, match=ALLOW_PICKLE):
        cache.set("k", object())


def numbers_in(cache):
    return [int(key.rpartition(":")[2]) for key in cache.store.ns(cache._namespace).by_age(limit=10_000).keys]


def verbs(cache):
    """Return the ways to write one entry."""
    return {
        "set": cache.set,
        "add": cache.add,
        "set_many": lambda key, value: cache.set_many({key: value}),
        "aset": lambda key, value: asyncio.run(cache.aset(key, value)),
        "aadd": lambda key, value: asyncio.run(cache.aadd(key, value)),
        "aset_many": lambda key, value: asyncio.run(cache.aset_many({key: value})),
        "get_or_set": cache.get_or_set,
    }


@pytest.mark.parametrize("verb", ["set", "add", "set_many", "aset", "aadd", "aset_many", "get_or_set"])
@pytest.mark.parametrize(
    ("frequency", "left"), [(1, []), (2, range(5, 10)), (3, range(3, 10)), (11, range(10)), (0, [])]
)
def test_a_new_entry_that_finds_no_room_has_a_share_of_the_oldest_removed(make_cache, verb, frequency, left):
    cache = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": frequency})
    write = verbs(cache)[verb]
    for number in range(10):
        write(str(number), number)
    assert numbers_in(cache) == list(range(10))
    write("10", 10)
    assert numbers_in(cache) == [*left, 10]
    assert cache.get("10") == 10


@pytest.mark.parametrize("verb", ["set", "add", "set_many", "aset", "aadd", "aset_many", "get_or_set"])
def test_what_is_written_again_removes_nothing(make_cache, verb):
    cache = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 0})
    cache.set_many({str(number): number for number in range(10)})
    verbs(cache)[verb]("5", "again")
    assert numbers_in(cache) == list(range(10))
    assert cache.get("5") == (5 if verb in ("add", "aadd", "get_or_set") else "again")
    cache.incr("4")
    cache.incr_version("3")
    cache.touch("2", 10)
    assert len(numbers_in(cache)) == 10


def test_what_has_expired_counts_neither_as_an_entry_nor_as_one_that_is_there(make_cache, clock):
    cache = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 2})
    cache.set_many({str(number): number for number in range(4)}, 10)
    cache.set_many({str(number): number for number in range(4, 10)}, None)
    clock.advance(10)
    for number in range(10, 14):
        cache.set(str(number), number, None)
    assert numbers_in(cache) == list(range(4, 14))
    assert cache.add("3", 3) is True
    assert sorted(numbers_in(cache)) == [3, *range(9, 14)]


def test_many_values_cull_as_one_after_the_other_would(make_cache):
    one = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 3, "namespace": "one"})
    many = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 3, "namespace": "many"})
    awaited = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 3, "namespace": "awaited"})
    values = {str(number): number for number in range(35)}
    for key, value in values.items():
        one.set(key, value)
    many.set_many(values)
    asyncio.run(awaited.aset_many(values))
    assert numbers_in(one) == numbers_in(many) == numbers_in(awaited) == list(range(27, 35))


def test_a_value_that_cannot_be_kept_culls_nothing(make_cache):
    cache = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 0})
    cache.set_many({str(number): number for number in range(10)})
    for write in verbs(cache).values():
        with pytest.raises(CodecError, match=ALLOW_PICKLE):
            write("10", len if write != cache.get_or_set else lambda: len)
    with pytest.raises(CodecError):
        cache.set_many({"11": 11, "12": len})
    assert numbers_in(cache) == list(range(10))


def test_the_count_is_of_the_namespace_with_all_prefixes_and_versions(make_cache):
    options = {"MAX_ENTRIES": 10, "CULL_FREQUENCY": 0}
    cache, other = make_cache(options=options), make_cache(options={"namespace": "other"})
    prefixed = make_cache(options=options, KEY_PREFIX="p", VERSION=2)
    other.set_many({str(number): number for number in range(20)})
    cache.set_many({str(number): number for number in range(5)})
    prefixed.set_many({str(number): number for number in range(5, 10)})
    assert numbers_in(cache) == list(range(10))
    cache.set("10", 10)
    assert numbers_in(cache) == [10]
    assert sorted(numbers_in(other)) == list(range(20))


def test_without_max_entries_the_limit_is_djangos_and_either_name_of_it_is_taken(make_cache):
    values = {str(number): number for number in range(301)}
    cache = make_cache(options={"CULL_FREQUENCY": 3})
    cache.set_many(values)
    assert numbers_in(cache) == list(range(100, 301))
    same = make_cache(options={"CULL_FREQUENCY": 3, "max_entries": 150, "namespace": "same"})
    same.set_many(values)
    assert numbers_in(same)[0] == 200
    assert cache.store is same.store  # which has no limit of its own


@pytest.mark.parametrize("location", [":memory:", "valkey://127.0.0.1:1"])
def test_culling_where_there_is_no_file_is_refused(location):
    with pytest.raises(InvalidCacheBackendError, match="CULL_FREQUENCY.*file"):
        SQLiteCache(location, {"OPTIONS": {"CULL_FREQUENCY": 3}})


CULLING = """
import django.conf
django.conf.settings.configure(SECRET_KEY="s")
from sqlitedict_kv.adapters.django import SQLiteCache
cache = SQLiteCache(sys.argv[1], {"OPTIONS": {"MAX_ENTRIES": 40, "CULL_FREQUENCY": int(sys.argv[2])}})
say("ready")
hear()
smallest, largest = 40, 0
for number in range(40):
    cache.set(f"{sys.argv[3]}-{number}", number)
    count = len(cache.store.ns("django"))
    smallest, largest = min(smallest, count), max(largest, count)
say(smallest)
say(largest)
"""


@pytest.mark.parametrize(("frequency", "fewest"), [(4, 31), (0, 1)])
def test_processes_that_cull_at_once_remove_one_share_and_never_exceed_the_limit(path, frequency, fewest):
    cache = SQLiteCache(str(path), {"OPTIONS": {"MAX_ENTRIES": 40, "CULL_FREQUENCY": frequency}})
    cache.set_many({f"old-{number}": number for number in range(40)})
    workers = [Worker(CULLING, path, frequency, number) for number in range(4)]
    try:
        assert [worker.hear() for worker in workers] == ["ready"] * 4
        for worker in workers:
            worker.say("go")
        answers = [worker.finish() for worker in workers]
    finally:
        for worker in workers:
            worker.__exit__(None, None, None)
    # A cull of 40 leaves 30, or none, and the entry that it was for. The 160 entries, one by one, make 16 culls, or 4,
    # so there are 40 again: with one more or one less there would not be.
    assert min(int(smallest) for smallest, _ in answers) >= fewest
    assert max(int(largest) for _, largest in answers) == 40
    assert len(cache.store.ns("django")) == 40
    assert not cache.get_many(f"old-{number}" for number in range(40))


def test_threads_and_tasks_that_cull_at_once_keep_the_limit(make_cache):
    cache = make_cache(options={"MAX_ENTRIES": 10, "CULL_FREQUENCY": 5})
    barrier = threading.Barrier(4)

    async def tasks():
        await asyncio.gather(*[cache.aset(f"task-{number}", number) for number in range(50)])

    def work(thread):
        barrier.wait()
        for number in range(50):
            cache.set(f"{thread}-{number}", number)

    def work_in_tasks():
        barrier.wait()
        asyncio.run(tasks())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=work_in_tasks))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.store.ns("django")) == 10  # each cull removes 2: of an even number of writes, the last fills it


def test_nobody_writes_between_the_count_and_the_write_that_it_is_for(make_cache, monkeypatch):
    options = {"MAX_ENTRIES": 10, "CULL_FREQUENCY": 3}
    cache = make_cache(options=options)
    others = [make_cache(options={"timeout": 0}), make_cache(options={**options, "timeout": 0})]
    cache.set_many({str(number): number for number in range(10)})
    cull = culling._cull

    def cull_slowly(entries, frequency):
        for other in others:
            with pytest.raises(StoreBusyError):
                other.set("theirs", 1)
            assert other.get("0") == 0
        cull(entries, frequency)
        assert others[0].get("0") == 0  # until all of it is there

    monkeypatch.setattr(culling, "_cull", cull_slowly)
    cache.set("10", 10)
    assert numbers_in(cache) == list(range(3, 11))
    assert others[0].get("0") is None


def test_options_reach_the_store(make_cache):
    cache = make_cache(options={"durability": "power", "lru_bytes": "1 MB"})
    cache.set("k", 1)
    assert cache.get("k") == cache.get("k") == 1
    assert cache.store.stats().durability == "power"
    assert cache.store.stats().lru.hits == 1


# -- values


def content(body, **headers):
    return HttpResponse(body, headers=headers)


def test_a_cookie_that_is_deleted_stays_deleted(cache):
    response = HttpResponse("bye")
    response.delete_cookie("session", path="/", domain="example.com")
    response.set_cookie("safe", "v", secure=True, max_age=0)
    cache.set("page", response)
    kept = cache.get("page")
    assert kept.cookies.output() == response.cookies.output()
    assert kept.cookies["session"]["max-age"] == 0
    assert "Max-Age=0" in kept.cookies["session"].OutputString()
    assert type(kept.cookies["safe"]["secure"]) is bool


def with_cookie(response):
    response.set_cookie("k", "v;1", max_age=60, httponly=True, samesite="Lax")
    response.status_code = 418
    response.reason_phrase = "I'm a teapot"
    return response


def rendered():
    response = TemplateResponse(
        RequestFactory().get("/"), engines["django"].from_string("Hello {{ who }}"), {"who": "é"}
    )
    return response.render()


@pytest.mark.parametrize(
    "make",
    [
        lambda: content(b"\x00\xff", **{"X-Two": "2", "Vary": "Cookie, Accept"}),
        lambda: with_cookie(content("é")),
        lambda: JsonResponse({"a": [1, None]}),
        lambda: HttpResponse("é", content_type="text/plain; charset=latin-1"),
        lambda: HttpResponse(["a", b"b"], status=204),
        rendered,
    ],
)
def test_a_response_is_kept_as_pickle_would_keep_it_and_without_pickle(cache, make):
    response = make()
    expected = pickle.loads(pickle.dumps(make()))
    cache.set("r", response)
    found = cache.get("r")
    assert type(found) is type(expected)
    assert found.serialize() == expected.serialize()
    assert found.content == expected.content
    assert (found.status_code, found.reason_phrase) == (expected.status_code, expected.reason_phrase)
    assert found.cookies == expected.cookies
    assert vars(found).keys() == vars(expected).keys()
    assert b"pickle" not in entry_of(cache, "r").meta.content_type.encode()
    assert found.headers is not cache.get("r").headers


def test_what_a_middleware_put_on_a_response_is_kept_or_refused(cache):
    response = HttpResponse("x")
    response._csp = {"img-src": ("self",)}
    cache.set("r", response)
    assert cache.get("r")._csp == {"img-src": ("self",)}
    response._log = io.StringIO()
    with pytest.raises(CodecError):
        cache.set("r", response)
    with pytest.raises(CodecError):
        cache.set("r", TemplateResponse(RequestFactory().get("/"), "not rendered"))


def test_a_safe_string_stays_safe(cache):
    cache.set_many({"safe": mark_safe("<b>é</b>"), "unsafe": "<b>"})
    assert type(cache.get("safe")) is SafeString
    assert type(cache.get("unsafe")) is str
    assert entry_of(cache, "safe").meta.content_type == "text/html; charset=utf-8"


def test_the_message_names_the_type_inside_of_a_value(cache):
    for write in (cache.set, cache.add, lambda key, value: asyncio.run(cache.aset(key, value))):
        with pytest.raises(CodecError, match=r"Own") as caught:
            write("k", [1, {"deep": (Own(),)}])
        assert "builtins.list" not in str(caught.value)
        assert ALLOW_PICKLE in str(caught.value)


class Own:
    """A class that no codec keeps."""


def test_what_no_codec_keeps_is_refused_and_the_message_names_the_option(cache):
    for value in (len, HttpResponseNotFound("other class"), {"deep": [object()]}):
        for write in (
            lambda v: cache.set("k", v),
            lambda v: cache.add("k", v),
            lambda v: cache.set_many({"a": 1, "k": v}),
        ):
            with pytest.raises(CodecError, match=ALLOW_PICKLE):
                write(value)
    assert cache.get_many("ak") == {}


def test_what_the_codecs_keep_is_never_pickled(make_cache):
    cache = make_cache(pickled=True)
    values = {"a": (1, {2}), "b": b"\x00", "c": "text", "d": {"x": [None]}, "e": mark_safe("s"), "f": HttpResponse("r")}
    cache.set_many(values)
    assert {entry_of(cache, key).meta.content_type for key in values} == {
        "application/msgpack",
        "application/octet-stream",
        "application/json",
        "text/html; charset=utf-8",
        "application/x-django-response",
    }
    cache.set("g", {"a": len})
    assert cache.get("g") == {"a": len}
    assert entry_of(cache, "g").meta.content_type == PICKLE


def test_a_pickle_is_read_only_by_a_cache_that_allows_it(make_cache, path, clock):
    make_cache(pickled=True).set("k", len)
    assert make_cache(pickled=True).get("k") is len
    assert make_cache().get("k", "a miss") == "a miss"
    with pytest.raises(DecodeError, match="PermissionError"):
        make_cache().store.ns("django").get(":1:k")
    with Store(path, clock=clock) as store, pytest.raises(DecodeError, match="no codec"):
        store.ns("django").get(":1:k")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


RAW = Codec(PICKLE, bytes, bytes)  # writes and reads what is in the file as it is


@pytest.mark.parametrize("forge", ["none", "zeros", "other key", "changed"])
def test_a_pickle_that_the_site_has_not_signed_is_not_run(make_cache, path, clock, tmp_path, forge):
    cache = make_cache(pickled=True)
    trap = tmp_path / "trap"
    body = pickle.dumps(Trap(trap))
    if forge == "zeros":
        body = bytes(SIGNATURE_BYTES) + body
    elif forge in ("other key", "changed"):
        with override_settings(SECRET_KEY=SECRET_KEY if forge == "changed" else "attacker's"):
            cache.set("k", Trap(trap))
        with Store(path, codecs=[RAW], clock=clock) as store:
            body = store.ns("django").get(":1:k")
        if forge == "changed":
            body = body[:-1] + b" " + body[-1:]
    with Store(path, codecs=[RAW], clock=clock) as store:
        store.ns("django").set(":1:k", body, content_type=PICKLE)
    with pytest.raises(DecodeError):
        cache.store.ns("django").get(":1:k")
    assert cache.get("k", "a miss") == "a miss"
    assert cache.get_many(["k"]) == {}
    assert not trap.exists()


def test_a_signed_pickle_is_run_so_the_trap_would_have_sprung(make_cache, tmp_path):
    cache = make_cache(pickled=True)
    cache.set("k", Trap(tmp_path / "trap"))
    cache.get("k").close()
    assert (tmp_path / "trap").exists()


def test_a_pickle_outlives_its_key_among_the_fallbacks_only(make_cache):
    cache = make_cache(pickled=True)
    with override_settings(SECRET_KEY="old"):
        cache.set("k", len)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"]):
        assert cache.get("k") is len
    with override_settings(SECRET_KEY="new"):
        with pytest.raises(DecodeError, match="BadSignature"):
            cache.store.ns("django").get(":1:k")
        assert cache.get("k") is None


@pytest.mark.parametrize("options", [{}, {"MAX_ENTRIES": 10}])
def test_what_cannot_be_read_any_more_is_a_miss_and_makes_room(make_cache, options):
    cache = make_cache(pickled=True, options=options)
    with override_settings(SECRET_KEY="old"):
        for key in ("k", "set", "n", "moved", "added"):
            cache.set(key, len)
    cache.set("kept", 1)
    with override_settings(SECRET_KEY="new"):
        assert cache.get("k", "a miss") == "a miss"
        assert cache.get_many(["k", "kept", "absent"]) == {"kept": 1}
        assert cache.get_or_set("k", lambda: "computed") == "computed"
        assert cache.get_or_set("k", lambda: "computed again") == "computed"
        cache.set("set", 2)
        assert cache.get("set") == 2
        with pytest.raises(ValueError, match="not found"):
            cache.incr("n")
        with pytest.raises(ValueError, match="not found"):
            cache.incr_version("moved")
        assert cache.add("added", 3)
        assert not cache.add("added", 4)
        assert cache.get("added") == 3

        async def awaited():
            assert await cache.aget("n", "a miss") == "a miss"
            assert await cache.aget_many(["n", "kept"]) == {"kept": 1}
            with pytest.raises(ValueError, match="not found"):
                await cache.aincr("n")
            with pytest.raises(ValueError, match="not found"):
                await cache.aincr_version("moved")
            assert await cache.aadd("n", 5)
            assert not await cache.aadd("n", 6)
            assert await cache.aget("n") == 5

        asyncio.run(awaited())


def test_a_damaged_entry_is_no_miss(make_cache, path):
    make_cache().set("k", "value to damage")
    close_shared_stores()
    path.write_bytes(path.read_bytes().replace(b"value to damage", b"value to dAmage"))
    cache = make_cache()
    for read in (lambda: cache.get("k"), lambda: cache.get_many(["k"]), lambda: asyncio.run(cache.aget("k"))):
        with pytest.raises(DamagedEntryError):
            read()


def test_what_pickle_cannot_keep_either_raises_a_pickle_error_and_shows_no_value(make_cache):
    cache = make_cache(pickled=True)
    for value in (lambda: "secret-value", {"secret-value": threading.Lock()}):
        with pytest.raises(pickle.PickleError) as caught:
            cache.set("k", value)
        assert isinstance(caught.value, CodecError)
        assert "secret-value" not in str(caught.value)


def test_a_value_that_is_read_is_a_new_object_each_time(cache):
    cache.set("k", [1])
    cache.get("k").append(2)
    assert cache.get("k") == [1]


# -- through requests


def test_pages_fragments_and_sessions_are_cached_without_pickle(site):
    import django_urls

    client = Client()
    django_urls.computed.clear()
    first, second = client.get("/page"), client.get("/page")
    assert (first.content, second.content) == (b"page 1", b"page 1")
    assert client.get("/page?other").content == b"page 2"
    assert client.get("/fragment").content == client.get("/fragment").content == b"<b>fragment 1</b>"
    assert [client.get("/visits").content for _ in range(3)] == [b"1", b"2", b"3"]
    assert Client().get("/visits").content == b"1"
    kinds = {entry.meta.content_type for _, entry in caches["default"].store.ns("django").scan()}
    assert kinds >= {"application/x-django-response", "text/html; charset=utf-8"}
    assert not any("pickle" in kind for kind in kinds)


def test_asynchronous_views_use_the_same_cache(site):
    async def visit():
        client = AsyncClient()
        return await asyncio.gather(*[client.get("/acount") for _ in range(20)])

    caches["default"].set("acount", 0)
    numbers = sorted(int(response.content) for response in asyncio.run(visit()))
    assert numbers == list(range(1, 21))


def test_every_verb_can_be_awaited(make_cache, clock):
    cache = make_cache()

    async def use():
        assert await cache.aadd("k", 1) is True
        assert await cache.aadd("k", 2) is False
        assert await cache.aget("k") == 1
        assert await cache.aget("nothing", "default") == "default"
        assert await cache.aincr("k", 2) == 3
        assert await cache.adecr("k") == 2
        with pytest.raises(ValueError, match="'nothing' not found"):
            await cache.aincr("nothing")
        assert await cache.atouch("k", 10) is True
        assert await cache.atouch("nothing", 10) is False
        await cache.aset("none", None, 10)
        assert await cache.aget("none", "default") is None
        assert await cache.ahas_key("none") is True
        assert await cache.aset_many({"a": 1, "b": 2}, 10) == []
        assert await cache.aget_many(iter(["a", "b", "c"])) == {"a": 1, "b": 2}
        assert await cache.aincr_version("a") == 2
        assert await cache.aget("a", version=2) == 1
        assert await cache.adecr_version("a", version=2) == 1
        assert await cache.aget_or_set("new", lambda: 5) == 5
        assert await cache.adelete("b") is True
        assert await cache.adelete("b") is False
        await cache.adelete_many(["a", "b"])
        for timeout in (0, -1):
            await cache.aset("new", 6, timeout)
            assert await cache.ahas_key("new") is False
            assert await cache.aadd("new", 6, timeout) is True
            assert await cache.aset_many({"new": 7}, timeout) == []
            assert await cache.atouch("new", timeout) is False
        with pytest.raises(CodecError):
            await cache.aset("k", len)
        await cache.aclose()
        assert sorted(cache.store.ns("django")) == [":1:k", ":1:none"]
        clock.advance(10)
        assert await cache.aget_many(["k", "none"]) == {}
        await cache.aset("k", 1)
        await cache.aclear()

    asyncio.run(use())
    assert list(cache.store.ns("django")) == []


def test_tasks_at_the_same_time_each_get_their_own_result(cache):
    async def use():
        await cache.aset("n", 0)
        calls = [
            call for number in range(20) for call in (cache.aincr("n"), cache.aincr("none"), cache.aadd("k", number))
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(use())
    assert sorted(results[0::3]) == list(range(1, 21))
    assert {type(result) for result in results[1::3]} == {ValueError}
    assert sorted(results[2::3]) == [False] * 19 + [True]


def test_event_loops_of_several_threads_use_one_cache(cache):
    cache.set("n", 0)

    async def use():
        await asyncio.gather(*[cache.aincr("n") for _ in range(50)])

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 200


# -- the command


def command(*arguments):
    out = io.StringIO()
    call_command("sqlite_cache", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_purges_and_shows_statistics(path, tmp_path):
    clock = VirtualClock()
    backend = "sqlitedict_kv.adapters.django.SQLiteCache"
    options = {"OPTIONS": {"clock": clock}}
    with override_settings(
        CACHES={
            "default": {"BACKEND": backend, "LOCATION": path, **options},
            "other": {"BACKEND": backend, "LOCATION": tmp_path / "other.db"},
            "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        }
    ):
        caches["default"].set_many({"a": 1, "b": 2}, 10)
        caches["default"].set("c", 3, None)
        clock.advance(10)
        first, second = command()
        assert first.startswith("default: 1 entries and 2 expired in 1 namespaces, ")
        assert second.startswith("other: 0 entries")
        (line,) = command("default", "--purge", "--vacuum")
        assert line.startswith("default: 1 entries and 0 expired")
        assert line.endswith("2 expired removed")
        for alias in ("memory", "missing"):
            with pytest.raises(CommandError, match=alias):
                command(alias)
        caches["other"].store.close()
        with pytest.raises(CommandError, match="other: .*closed"):
            command("other")


def test_importing_the_library_imports_no_framework():
    (line,) = run("say([name for name in ('django', 'cachelib', 'flask', 'dogpile') if name in sys.modules])")
    assert line == "[]"
