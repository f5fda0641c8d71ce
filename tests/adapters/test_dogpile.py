"""The backend for dogpile.cache: its own suite, and what that does not ask."""

# ruff: noqa: E402 - dogpile is imported where it is installed

import logging
import pickle
import shutil
import threading
from importlib import metadata
from pathlib import Path

import pytest
from suites import failures_in, report, run_pytest, version_of

from tests.support.processes import Worker

VERSION = version_of("dogpile.cache")

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE

from sqlitedict_kv import CodecError, DecodeError, Store
from sqlitedict_kv.adapters.dogpile import SQLiteBackend
from sqlitedict_kv.adapters.support import close_shared_stores

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def closed_stores():
    yield
    close_shared_stores()


@pytest.fixture
def make_region_on(path, clock):
    def make(expiration_time=None, region=(), **arguments):
        arguments = {"path": path, "clock": clock, **arguments}
        return make_region(**dict(region)).configure(
            "sqlitedict_kv", expiration_time=expiration_time, arguments=arguments
        )

    return make


def test_dogpiles_own_suite_passes(tmp_path):
    shutil.copy(HERE / "dogpile_suite.py", tmp_path / "test_suite.py")
    # The tests that sleep run once: those of threads say nothing new about serializers and proxies.
    once = "not ((Serializer or Proxy or WithinTheProcess) and (threaded or expire))"
    arguments = ["test_suite.py", "-k", once, "-W", "ignore::pytest.PytestUnknownMarkWarning"]
    counts = run_pytest(*arguments, directory=tmp_path, SUITE_DIRECTORY=tmp_path)
    report("dogpile.cache", VERSION, counts)
    log = (tmp_path / "suite.log").read_text()
    assert counts.failed == counts.skipped == 0, failures_in(log) or log
    assert counts.passed >= 90


def test_the_backend_is_found_by_its_name():
    (point,) = metadata.entry_points(group="dogpile.cache", name="sqlitedict_kv")
    assert point.load() is SQLiteBackend


def test_a_stale_value_can_be_read_until_the_ttl_of_the_file(make_region_on, clock):
    region = make_region_on(expiration_time=0.000001, ttl=100)
    region.set("k", "value")
    region.set_multi({"l": 1, "m": None})
    clock.advance(99.999)
    assert region.get("k") is NO_VALUE
    assert region.get("k", ignore_expiration=True) == "value"
    assert region.get_multi(["l", "m", "n"], ignore_expiration=True) == [1, None, NO_VALUE]
    clock.advance(0.001)
    assert region.get("k", ignore_expiration=True) is NO_VALUE
    assert region.get_multi(["l"], ignore_expiration=True) == [NO_VALUE]


def test_values_come_back_as_what_they_were_and_are_never_pickled(make_region_on, path, clock):
    region = make_region_on()
    values = {"a": (1, {2}), "b": {3: b"\x00"}, "c": None, "d": "é"}
    region.set_multi(values)
    assert region.get_multi(list(values)) == list(values.values())
    assert [type(value) for value in region.get_multi(list(values))] == [tuple, dict, type(None), str]
    with pytest.raises(CodecError):
        region.set("k", len)
    with Store(path, clock=clock) as store:
        assert {entry.meta.content_type for _, entry in store.ns("dogpile").scan()} == {"application/octet-stream"}


def test_what_another_serializer_wrote_is_an_error_and_no_miss(make_region_on):
    pickling = make_region_on(region={"serializer": pickle.dumps, "deserializer": pickle.loads})
    pickling.set("k", len)
    assert pickling.get("k") is len
    with pytest.raises(DecodeError, match="serializer"):
        make_region_on().get("k")


@pytest.mark.parametrize("key", ["a" * 5000, "lone \ud800", ""])
def test_any_key_is_a_key(make_region_on, key):
    region = make_region_on()
    assert region.get_or_create(key, lambda: 1) == 1
    assert region.get_multi([key, "other"]) == [1, NO_VALUE]
    region.delete_multi([key, "other"])
    assert region.get(key) is NO_VALUE


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"max_bytes": "lots"}, ValueError, "max_bytes"),
        ({"ttl": 0}, ValueError, "ttl"),
        ({"lock_ttl": -1}, ValueError, "ttl"),
        ({"lock_ttl": None}, TypeError, "ttl"),
        ({"distributed_lock": "yes"}, TypeError, "distributed_lock"),
    ],
)
def test_wrong_arguments_are_refused(path, arguments, error, words):
    with pytest.raises(error, match=words):
        SQLiteBackend({"path": path, **arguments})


def test_there_must_be_a_path():
    with pytest.raises(TypeError, match="path"):
        SQLiteBackend({"unknown": 1})


# -- locks


def test_regions_configured_apart_share_a_lock(make_region_on):
    one, two = make_region_on(), make_region_on()
    mutex = one.backend.get_mutex("k")
    assert mutex.acquire()
    assert two.key_is_locked("k")
    assert not two.backend.get_mutex("k").acquire(False)
    assert two.backend.get_mutex("other").acquire(False)
    mutex.release()
    assert not two.key_is_locked("k")
    assert make_region_on(distributed_lock=False).backend.get_mutex("k") is None


def test_what_a_dead_owner_held_is_free_when_its_lease_ends(make_region_on, clock, caplog):
    region = make_region_on(lock_ttl=5)
    mutex, other = region.backend.get_mutex("k"), region.backend.get_mutex("k")
    assert mutex.acquire()
    clock.advance(5)
    assert other.acquire(False)
    with caplog.at_level(logging.WARNING):
        mutex.release()  # late, and it must not free what is the other's
    assert "'k' took longer" in caplog.text
    assert region.key_is_locked("k")
    other.release()
    assert not region.key_is_locked("k")
    with pytest.raises(RuntimeError, match="not held"):
        other.release()


def test_a_late_release_of_a_shared_mutex_frees_its_own_lease_alone(make_region_on, clock):
    mutex = make_region_on(lock_ttl=5).backend.get_mutex("k")
    assert mutex.acquire()
    clock.advance(5)
    acquired = threading.Event()
    release = threading.Event()

    def other():
        assert mutex.acquire(False)
        acquired.set()
        release.wait(60)
        mutex.release()

    thread = threading.Thread(target=other)
    thread.start()
    assert acquired.wait(60)
    mutex.release()
    assert mutex.locked(), "the other thread's lease"
    release.set()
    thread.join()
    assert not mutex.locked()


def test_a_value_is_made_in_the_background_and_its_lock_released_there(path):
    threads = []

    def runner(region, key, creator, mutex):
        def work():
            try:
                region.set(key, creator())
            finally:
                mutex.release()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    region = make_region(async_creation_runner=runner).configure(
        "sqlitedict_kv", expiration_time=0.000001, arguments={"path": path}
    )
    assert region.get_or_create("k", lambda: "first") == "first"
    assert region.get_or_create("k", lambda: "second") == "first"
    for thread in threads:
        thread.join()
    assert region.get("k", ignore_expiration=True) == "second"
    assert not region.key_is_locked("k")


CREATING = """
import time
from dogpile.cache import make_region
region = make_region().configure("sqlitedict_kv", arguments={"path": sys.argv[1], "lru_bytes": "1 MB"})
made = []

def create():
    made.append(1)
    say("making")
    hear()
    return os.getpid()

say("ready")
hear()
value = region.get_or_create("k", create)
say(f"{len(made)} {value}")
"""


def test_one_of_many_processes_makes_a_value_while_the_others_wait(path):
    workers = [Worker(CREATING, path) for _ in range(3)]
    try:
        assert [worker.hear() for worker in workers] == ["ready"] * 3
        maker, *others = workers
        maker.say("go")
        assert maker.hear() == "making"
        for worker in others:
            worker.say("go")
        maker.say("made")
        counts, values = zip(*(worker.finish()[-1].split() for worker in workers), strict=True)
    finally:
        for worker in workers:
            worker.__exit__(None, None, None)
    assert sorted(counts) == ["0", "0", "1"]
    assert len(set(values)) == 1


def test_when_the_maker_is_killed_another_process_makes_the_value(path, clock, make_region_on):
    region = make_region_on(lock_ttl=10)
    code = CREATING.replace('"lru_bytes"', '"clock": lambda: float(sys.argv[2]), "lru_bytes"')
    with Worker(code, path, clock(), measured=False) as worker:
        assert worker.hear() == "ready"
        worker.say("go")
        assert worker.hear() == "making"
        worker.kill()
    assert region.key_is_locked("k")
    clock.advance(60)
    assert region.get_or_create("k", lambda: "mine") == "mine"


READING = """
from dogpile.cache import make_region
region = make_region().configure("sqlitedict_kv", arguments={"path": sys.argv[1], "lru_bytes": "1 MB"})
while hear() != "end":
    say(region.get("k"))
"""


def test_another_process_with_an_lru_never_reads_what_is_stale(path):
    region = make_region().configure("sqlitedict_kv", arguments={"path": path, "lru_bytes": "1 MB"})
    with Worker(READING, path) as reader:
        for number in range(20):
            region.set("k", number)
            for _ in range(2):
                reader.say("what?")
                assert reader.hear() == str(number)
        region.delete("k")
        reader.say("what?")
        assert reader.hear() == str(NO_VALUE)
        reader.say("end")
        reader.finish()
