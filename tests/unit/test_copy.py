"""A copy is exact, goes on where it was interrupted, holds one page at a time, and its versions are new."""

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sqlitedict_kv
from sqlitedict_kv import (
    AsyncStore,
    Codec,
    ConflictError,
    CopyReport,
    DamagedEntryError,
    DecodeError,
    ReadOnlyError,
    Store,
    TooLargeError,
    UnsupportedError,
    copy,
)
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.tools import copy as copying
from tests.conftest import VirtualClock
from tests.engines.sqlite.test_format import make_first
from tests.support.processes import Worker, environment, run

PAGE = 50  # entries of a page, where a test needs many pages


class Place(NamedTuple):
    """What a store is opened with, so that other processes can open it too."""

    path: str
    prefix: str | None = None

    @property
    def options(self):
        return {"prefix": self.prefix} if self.prefix else {}

    @property
    def address(self):
        """The place in a word, for the command line."""
        if self.prefix is None:
            return self.path
        return f"{self.path}{'&' if '?' in self.path else '?'}prefix={self.prefix}"


@pytest.fixture
def new_place(request, tmp_path):
    """Name places of a kind where nothing is yet."""

    def name(kind):
        if kind == "memory":
            return Place(MEMORY)
        if kind == "file":
            return Place(str(tmp_path / f"{secrets.token_hex(4)}.db"))
        return Place(request.getfixturevalue(f"shared_{kind}").url, secrets.token_hex(8))

    return name


@pytest.fixture
def new_store(new_place, make_store):
    def make(kind, **options):
        place = new_place(kind)
        return make_store(place.path, **place.options, **options)

    return make


ALL_PAIRS = ["memory memory", "file file", "file valkey", "valkey file", "valkey valkey", "file cluster"]
ALL_PAIRS += ["cluster redis", "redis memory"]
PAIRS = ["file file", "file valkey", "valkey file"]


@pytest.fixture(params=ALL_PAIRS)
def pair(request, new_store):
    source, target = request.param.split()
    return new_store(source), new_store(target)


@pytest.fixture(params=PAIRS)
def places(request, new_place):
    source, target = request.param.split()
    return new_place(source), new_place(target)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(copying, "ENTRIES_PER_PAGE", PAGE)


def records_of(store, name, now=0):
    """Return all that is in a namespace, below the codecs."""
    found, span = {}, KeyRange(name)
    while page := store._context.engine.records(span, 1000, now):
        found.update(page)
        span = span._replace(after=page[-1][0])
    return found


def bodies_of(store, name, now=0):
    found = records_of(store, name, now)
    return {key: (record.body, record.content_type, record.expires_at) for key, record in found.items()}


def fill(store, name, entries, first=0):
    n = store.ns(name)
    values = {f"k{number:06}": (number, "x" * (number % 50)) for number in range(first, first + entries)}
    n.set_many({key: value for key, value in values.items() if value[0] % 3})
    n.set_many({key: value for key, value in values.items() if not value[0] % 3}, ttl=1000)
    return values


class Pages:
    """Counts what an engine gives and takes."""

    def __init__(self, store):
        self.read, self.written = [], []
        engine = store._context.engine
        records, restore = engine.records, engine.restore

        def count_read(span, limit, now):
            page = records(span, limit, now)
            self.read.append(len(page))
            return page

        def count_written(namespace, edits, above, now):
            self.written.append(len(edits))
            restore(namespace, edits, above, now)

        engine.records, engine.restore = count_read, count_written


class StopError(Exception):
    pass


def stop_at(page):
    """Return a progress that raises at a page."""
    seen = []

    def progress(*_):
        seen.append(1)
        if len(seen) == page:
            raise StopError

    return progress


# -- what is copied


def test_everything_is_there_byte_for_byte(pair, clock):
    source, target = pair
    values = fill(source, "many", 2500)
    odd = {"": b"", "é\0😀": b"\x00\xff" * 3000, "k" * 1024: {"a": [1, None]}, "{}%*[a]\\": (1, {2}), "z": 2**70}
    source.ns("odd {name} % é").set_many(odd)
    before = {name: bodies_of(source, name) for name in ("many", "odd {name} % é")}
    clock.advance(10)

    report = copy(source, target)

    assert report == CopyReport(2505, 0, ("many", "odd {name} % é"))
    assert {name: bodies_of(target, name) for name in before} == before
    assert dict(target.ns("many").items()) == values
    assert target.ns("odd {name} % é").get_many(odd) == odd
    assert target.namespaces() == ["many", "odd {name} % é"]
    assert {name: bodies_of(source, name) for name in before} == before
    assert target.check().ok
    assert {record.updated_at for record in records_of(target, "many").values()} == {int(clock() * 1000)}


def test_deadlines_stay_as_they_are(pair, clock):
    source, target = pair
    source.ns("n").set("k", 1, ttl=60)
    clock.advance(59.999)
    copy(source, target)
    assert target.ns("n")["k"] == 1
    clock.advance(0.001)
    assert "k" not in target.ns("n")


def test_what_has_expired_is_not_copied(pair, clock):
    source, target = pair
    source.ns("n").set("k", 1)
    source.ns("n").set("expired", 1, ttl=1)
    source.ns("all expired").set("k", 1, ttl=1)
    clock.advance(1)
    assert copy(source, target) == CopyReport(1, 0, ("all expired", "n"))
    assert list(records_of(target, "n")) == ["k"]
    assert list(records_of(target, "all expired")) == []


def test_values_of_an_unknown_type_are_copied_and_read_where_it_is_known(new_store):
    class Point(NamedTuple):
        x: int

    codec = Codec("application/x-point", lambda point: b"%d" % point.x, lambda body: Point(int(body)), (Point,))
    with_codec = new_store("file", codecs=[codec])
    with_codec.ns("n")["k"] = Point(7)
    plain, target = Store(with_codec._context.engine.label), new_store("file")
    with closing(plain):
        copy(plain, target)
    with pytest.raises(DecodeError, match="x-point"):
        target.ns("n")["k"]
    back = new_store("memory", codecs=[codec])
    copy(target, back)
    assert back.ns("n")["k"] == Point(7)


def test_only_the_namespaces_that_are_named_are_copied(pair):
    source, target = pair
    for name in "abc":
        source.ns(name)["k"] = name
    assert copy(source, target, iter(["c", "a", "c", "none"])) == CopyReport(2, 0, ("a", "c", "none"))
    assert target.namespaces() == ["a", "c"]
    assert copy(source, target, []) == CopyReport(0, 0, ())


def test_what_only_the_target_has_stays(pair):
    source, target = pair
    source.ns("n")["both"] = "source"
    target.ns("n").update(both="target", mine=1)
    target.ns("m")["k"] = 2
    version = target.ns("n").get_with_meta("mine").meta.version
    copy(source, target)
    assert target.ns("n").copy() == {"both": "source", "mine": 1}
    assert target.ns("n").get_with_meta("mine").meta.version == version
    assert target.ns("m")["k"] == 2


def test_an_lru_in_front_of_the_target_is_told(new_store):
    source, target = new_store("memory"), new_store("file", lru_bytes="1 MB")
    source.ns("n").update(a=1, b=2)
    target.ns("n").update(a=0, c=3)
    assert target.ns("n").get_many(["a", "c"]) == {"a": 0, "c": 3}
    assert (target.ns("n")["a"], target.ns("n")["c"]) == (0, 3)
    copy(source, target)
    assert (target.ns("n")["a"], target.ns("n")["b"], target.ns("n")["c"]) == (1, 2, 3)


@pytest.mark.parametrize("kind", ["valkey", "cluster"])
def test_a_namespace_is_made_as_the_target_declared_it(new_store, kind):
    source, target = new_store("file"), new_store(kind)
    values = fill(source, "n", 1200)
    target.ns("n", shards=5)
    copy(source, target)
    space = target._context.engine._registry.known("n")
    assert space.layout.shards == 5
    assert dict(target.ns("n").items()) == values
    back = new_store("memory")
    assert copy(target, back).copied == 1200
    assert bodies_of(back, "n") == bodies_of(source, "n")


@pytest.mark.servers
def test_a_namespace_without_order_is_refused_before_anything_is_copied(new_store):
    source, target = new_store("valkey"), new_store("file")
    source.ns("a")["k"] = 1
    source.ns("b", ordered=False)["k"] = 1
    with pytest.raises(UnsupportedError, match="'b'"):
        copy(source, target)
    assert target.namespaces() == []
    assert copy(source, target, ["a"]).copied == 1


@pytest.mark.servers
def test_a_namespace_without_order_can_be_made(new_store):
    source, target = new_store("file"), new_store("valkey")
    values = fill(source, "n", 20)
    target.ns("n", ordered=False)
    copy(source, target)
    assert target.ns("n").get_many(values) == values


def test_a_file_of_the_first_release_can_be_read(new_store, path):
    make_first(path)
    target = new_store("memory")
    with Store(path, readonly=True) as source:
        copied = copy(source, target).copied
        assert copied == sum(len(source.ns(name)) for name in source.namespaces()) > 0
        now = source._context.now()
        assert {name: bodies_of(target, name, now) for name in target.namespaces()} == {
            name: bodies_of(source, name, now) for name in source.namespaces()
        }


# -- what is refused


@pytest.mark.parametrize("kind", ["memory", "file", "valkey"])
def test_a_store_is_not_copied_into_itself(new_place, make_store, kind):
    place = new_place(kind)
    store = make_store(place.path, **place.options)
    store.ns("n")["k"] = 1
    with pytest.raises(ValueError, match="same store"):
        copy(store, store)
    if kind != "memory":
        with pytest.raises(ValueError, match="same store"):
            copy(make_store(place.path, **place.options), store)
    assert store.namespaces() == ["n"]
    assert store.ns("n").get_with_meta("k").value == 1


def test_one_file_under_two_names_is_the_same_store(new_place, make_store, tmp_path):
    place = new_place("file")
    store = make_store(place.path)
    other = tmp_path / "other.db"
    try:
        other.symlink_to(place.path)
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(ValueError, match="same store"):
        copy(make_store(other, readonly=True), store)
    assert store.namespaces() == []


@pytest.mark.servers
def test_two_prefixes_of_one_server_are_two_stores(new_store):
    one, two = new_store("valkey"), new_store("valkey")
    one.ns("n")["k"] = 1
    assert copy(one, two).copied == 1
    assert two.ns("n")["k"] == 1


def test_arguments_are_checked_before_anything_is_touched(new_store):
    source, target = new_store("memory"), new_store("memory")
    source.ns("n")["k"] = 1
    with pytest.raises(TypeError, match="sync_store"):
        copy(AsyncStore(), target)
    with pytest.raises(TypeError, match="target"):
        copy(source, "app.db")
    for names in ("n", b"n", 7, [7], [None]):
        with pytest.raises(TypeError, match="namespaces"):
            copy(source, target, names)
    for names in ([""], ["n", "sqlitedict_kv.copying"], ["\ud800"]):
        with pytest.raises(ValueError, match="namespaces"):
            copy(source, target, names)
    with pytest.raises(TypeError, match="progress"):
        copy(source, target, progress=7)
    with pytest.raises(TypeError, match="afresh"):
        copy(source, target, afresh=1)
    assert target.stats().entries == 0


def test_a_target_that_is_only_read_is_refused(new_place, make_store):
    place = new_place("file")
    make_store(place.path)
    source = make_store()
    source.ns("n")["k"] = 1
    with pytest.raises(ReadOnlyError):
        copy(source, make_store(place.path, readonly=True))


def test_an_entry_over_the_targets_limit_is_named(new_store):
    source, target = new_store("memory"), new_store("memory", max_value_bytes=100)
    source.ns("n")["k"] = b"x" * 101
    with pytest.raises(TooLargeError, match=r"'k' in namespace 'n' takes 101 bytes.* 100"):
        copy(source, target)
    source.ns("n")["k"] = b"x" * 100
    copy(source, target)
    assert target.ns("n")["k"] == b"x" * 100


def test_a_damaged_entry_is_named_and_nothing_is_left_out(new_place, make_store, small_pages):
    place = new_place("file")
    source, target = make_store(place.path), make_store()
    values = fill(source, "n", 3 * PAGE)
    key = f"k{PAGE + 7:06}"
    with closing(sqlite3.connect(place.path)) as raw, raw:
        raw.execute("UPDATE kv SET value = x'00' WHERE key = ?", (key,))
    for _ in range(2):
        with pytest.raises(DamagedEntryError) as caught:
            copy(source, target)
        assert (caught.value.namespace, caught.value.key) == ("n", key)
    assert list(target.ns("n")) == sorted(values)[:PAGE]
    source.ns("n").delete(key)
    report = copy(source, target)
    assert (report.copied, report.resumed) == (2 * PAGE - 1, PAGE)
    del values[key]
    assert dict(target.ns("n").items()) == values


# -- by pages


def test_one_page_is_held_at_a_time_and_reported(new_store, small_pages):
    source, target = new_store("file"), new_store("file")
    fill(source, "a", 4 * PAGE + 1)
    source.ns("b")["k"] = 1
    reading, writing = Pages(source), Pages(target)
    seen = []
    copy(source, target, progress=lambda *report: seen.append(report))
    total = 4 * PAGE + 1
    assert seen == [("a", done, total) for done in (PAGE, 2 * PAGE, 3 * PAGE, 4 * PAGE, total)] + [("b", 1, 1)]
    assert reading.read == [PAGE] * 4 + [1, 0] + [1, 0]
    assert writing.written == [0] + [PAGE] * 4 + [1] + [0, 1]


def test_large_values_make_small_pages(pair):
    source, target = pair
    n = source.ns("n")
    for number in range(12):
        n[f"{number:02}"] = bytes([number]) * 2**20
    pages = Pages(target)
    assert copy(source, target).copied == 12
    assert max(pages.written) <= 5
    assert bodies_of(target, "n") == bodies_of(source, "n")


def test_the_default_page_holds_a_thousand_entries(pair):
    source, target = pair
    fill(source, "n", 3500)
    reading, writing = Pages(source), Pages(target)
    copy(source, target)
    assert max(reading.read) <= 1000
    assert max(writing.written) <= 1000
    assert len(target.ns("n")) == 3500


# -- again


def test_what_progress_raises_stops_the_copy_and_it_goes_on(pair, small_pages):
    source, target = pair
    for name in "ab":
        fill(source, name, 4 * PAGE)
    with pytest.raises(StopError):
        copy(source, target, progress=stop_at(6))
    assert (len(target.ns("a")), len(target.ns("b"))) == (4 * PAGE, 2 * PAGE)
    lasting = source._context.engine.label != MEMORY
    done = 6 * PAGE if lasting else 0
    seen = []
    reading = Pages(source)
    report = copy(source, target, progress=lambda *report: seen.append(report))
    assert report == CopyReport(8 * PAGE - done, done, ("a", "b"))
    assert sum(reading.read) == 8 * PAGE - done
    assert seen[-2:] == [("b", 3 * PAGE, 4 * PAGE), ("b", 4 * PAGE, 4 * PAGE)]
    for name in "ab":
        assert bodies_of(target, name) == bodies_of(source, name)
    assert target.namespaces() == ["a", "b"]


def test_a_copy_that_has_ended_is_made_anew(pair):
    source, target = pair
    source.ns("n").update(a=1, b=2)
    copy(source, target)
    source.ns("n")["a"] = 3
    target.ns("n")["b"] = 4
    versions = {key: record.version for key, record in records_of(target, "n").items()}
    assert copy(source, target) == CopyReport(2, 0, ("n",))
    assert target.ns("n").copy() == {"a": 3, "b": 2}
    assert all(record.version > versions[key] for key, record in records_of(target, "n").items())


def test_a_copy_of_other_namespaces_or_of_another_store_does_not_go_on(new_store, small_pages):
    source, target, other = new_store("file"), new_store("file"), new_store("file")
    for store in (source, other):
        fill(store, "n", 3 * PAGE)
    with pytest.raises(StopError):
        copy(source, target, progress=stop_at(2))
    with pytest.raises(StopError):
        copy(source, target, ["n"], progress=stop_at(1))
    assert copy(other, target).resumed == 0
    assert copy(source, new_store("file")).resumed == 0
    assert copy(source, target, ["n"]).resumed == PAGE
    assert copy(source, target).resumed == 2 * PAGE
    assert copy(source, target).resumed == 0


def test_another_store_in_memory_does_not_go_on(new_store, small_pages):
    target = new_store("file")
    for _ in range(2):
        source = new_store("memory")
        values = fill(source, "n", 3 * PAGE)
        with pytest.raises(StopError):
            copy(source, target, progress=stop_at(2))
    copy(source, target)
    assert dict(target.ns("n").items()) == values
    assert target.namespaces() == ["n"]


def test_a_file_that_took_the_place_of_another_is_copied_from_its_beginning(new_place, make_store, small_pages):
    place, new, target = new_place("file"), new_place("file"), make_store()
    with Store(place.path) as source:
        fill(source, "n", 3 * PAGE)
        with pytest.raises(StopError):
            copy(source, target, progress=stop_at(2))
    with Store(new.path) as source:
        values = fill(source, "n", 3 * PAGE, first=7)
    os.replace(new.path, place.path)
    with Store(place.path) as source:
        assert copy(source, target) == CopyReport(3 * PAGE, 0, ("n",))
    assert target.ns("n").get_many(values) == values


def test_afresh_begins_anew(new_store, small_pages):
    source, target = new_store("file"), new_store("file")
    fill(source, "n", 3 * PAGE)
    with pytest.raises(StopError):
        copy(source, target, progress=stop_at(2))
    source.ns("n")["k000000"] = "changed"
    assert copy(source, target, afresh=True) == CopyReport(3 * PAGE, 0, ("n",))
    assert target.ns("n")["k000000"] == "changed"


def test_a_store_with_half_a_copy_can_be_copied(new_store, small_pages):
    one, two, three = new_store("file"), new_store("file"), new_store("file")
    fill(one, "n", 3 * PAGE)
    with pytest.raises(StopError):
        copy(one, two, progress=stop_at(2))
    assert copy(two, three) == CopyReport(2 * PAGE, 0, ("n",))
    assert three.namespaces() == ["n"]
    assert copy(one, two).resumed == 2 * PAGE


def test_keys_that_come_and_go_meanwhile_disturb_no_other(pair, small_pages):
    source, target = pair
    values = fill(source, "n", 4 * PAGE)
    n = source.ns("n")

    last = iter(sorted(values)[PAGE - 1 :: PAGE])  # of each page, as long as nothing comes in between
    gone = {"k000060", "k000111", "k000162"}

    def disturb(*_):
        key = next(last, None)
        if key is not None:
            n[f"a{key}"], n[f"{key}x"], n[f"{key}y"] = "behind the copy", "ahead of it", "likewise"
            for each in gone:
                n.delete(each)

    copy(source, target, progress=disturb)
    found = dict(target.ns("n").items())
    assert {key: found.get(key) for key in values} == {key: None if key in gone else values[key] for key in values}
    assert found.keys() - values.keys() == {f"k{number:06}{end}" for number in (49, 99, 149, 199) for end in "xy"}


def test_a_namespace_that_vanishes_meanwhile_is_empty(new_store, small_pages):
    source, target = new_store("file"), new_store("file")
    for name in "abc":
        fill(source, name, 2 * PAGE)
    copy(source, target, progress=lambda *_: source.drop("b"))
    assert target.namespaces() == ["a", "c"]


# -- kill -9

KILLED = """
    import json, signal
    from sqlitedict_kv.tools import copy as copying
    source, target, page, verb, number, when = json.loads(sys.argv[1])
    copying.ENTRIES_PER_PAGE = page
    source, target = (Store(path, clock=lambda: 1_700_000_000, **options) for path, options in (source, target))
    engine = target._context.engine
    plain = getattr(engine, verb)
    left = number

    def struck(*arguments):
        global left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*arguments)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(engine, verb, struck)
    copy(source, target)
    say("not killed")
"""

# How many of the four pages are known to be copied, if the copy is killed around a call: the first restore() writes no
# entries, the first put() the bookmark of a copy that begins, commit() removes the bookmark.
MOMENTS = [
    ("put", 1, "before", 0),
    ("put", 1, "after", 0),
    ("restore", 1, "before", 0),
    ("restore", 2, "before", 0),
    ("restore", 2, "after", 0),
    ("put", 2, "after", 1),
    ("restore", 4, "before", 2),
    ("restore", 4, "after", 2),
    ("put", 4, "after", 3),
    ("commit", 1, "before", 4),
    ("commit", 1, "after", 0),
]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process that ends itself at once")
@pytest.mark.parametrize(("verb", "number", "when", "pages"), MOMENTS)
def test_a_copy_that_is_killed_goes_on_and_is_exact(places, make_store, small_pages, verb, number, when, pages):
    source, target = (make_store(place.path, **place.options) for place in places)
    for _ in range(3):
        fill(source, "n", 4 * PAGE)
    highest = source._context.engine.highest("n")
    (old, old_options), (new, new_options) = ((place.path, place.options) for place in places)
    job = [[old, old_options], [new, new_options], PAGE, verb, number, when]
    with (
        Worker(KILLED, json.dumps(job), measured=False) as worker,
        pytest.raises(AssertionError, match=f"worker ended \\({-signal.SIGKILL}\\)"),
    ):
        worker.hear()
    reading = Pages(source)

    report = copy(source, target)

    assert report == CopyReport((4 - pages) * PAGE, pages * PAGE, ("n",))
    assert sum(reading.read) == (4 - pages) * PAGE
    assert bodies_of(target, "n") == bodies_of(source, "n")
    assert all(record.version > highest for record in records_of(target, "n").values())
    assert target.namespaces() == ["n"]
    assert target.check().ok


def test_a_copy_may_be_killed_again_and_again(places, make_store, small_pages):
    source, target = (make_store(place.path, **place.options) for place in places)
    for name in ("a", "b"):
        fill(source, name, 10 * PAGE)
    code = f"""
        import json
        from sqlitedict_kv.tools import copy as copying
        copying.ENTRIES_PER_PAGE = {PAGE}
        source, target = (
            Store(path, clock=lambda: 1_700_000_000, **options) for path, options in json.loads(sys.argv[1])
        )
        say("done", copy(source, target, progress=lambda *report: say(report)).copied)
    """.replace('say("done", ', 'say("done %d" % ').replace("say(report)", "say(json.dumps(report))")
    job = json.dumps([[place.path, place.options] for place in places])
    come = 0
    while True:
        with Worker(code, job, measured=False) as worker:
            lines = [worker.hear()]
            for _ in range(3):
                if not lines[-1].startswith("done"):
                    lines.append(worker.hear())
            lines += worker.kill()  # at any moment behind the fourth page of this run
        if any(line.startswith("done") for line in lines):
            break
        name, done, _ = json.loads(lines[-1])
        done += 10 * PAGE * (name == "b")
        assert done >= come + 4 * PAGE
        if done == 20 * PAGE:  # it may have ended, and only not have said so
            break
        come = done - PAGE  # the last page may have to be copied again
    for name in ("a", "b"):
        assert bodies_of(target, name) == bodies_of(source, name)


# -- failing servers


def test_a_copy_goes_on_when_the_server_that_failed_is_there_again(new_store, make_store, start_server, small_pages):
    server = start_server("--appendonly", "yes", "--appendfsync", "always")
    source, target = new_store("file"), make_store(server.url, timeout=0.5)
    fill(source, "n", 4 * PAGE)

    def kill(_, done, __):
        if done == 2 * PAGE:
            server.kill()

    with pytest.raises(ConnectionError):
        copy(source, target, progress=kill)
    server.start()
    assert copy(source, target) == CopyReport(2 * PAGE, 2 * PAGE, ("n",))
    assert bodies_of(target, "n") == bodies_of(source, "n")
    back = new_store("memory")
    with pytest.raises(ConnectionError):
        copy(target, back, progress=kill)
    server.start()
    assert copy(target, back) == CopyReport(2 * PAGE, 2 * PAGE, ("n",))
    assert bodies_of(back, "n") == bodies_of(source, "n")


# -- versions


def test_versions_of_before_match_nothing(pair):
    source, target = pair
    n = source.ns("n")
    held = {key: n.set(key, value) for value in range(5) for key in ("kept", "removed", "kept")}
    high = n.set("high", 0)
    for _ in range(20):
        high = n.set("high", 0)
    n.delete("removed")
    n.delete("high")
    theirs = target.ns("n").set("kept", 0)
    copy(source, target)
    copied = target.ns("n")
    assert copied.get_with_meta("kept").meta.version > max(high, theirs)
    for key, version in [*held.items(), ("kept", theirs), ("high", high)]:
        with pytest.raises(ConflictError):
            copied.cas_set(key, "stale", version)
    assert copied.set("removed", 1) > high
    assert copied.add("high", 1) > high


def test_versions_of_a_namespace_without_entries_are_kept_if_it_is_named(pair):
    source, target = pair
    for _ in range(9):
        version = source.ns("n").set("k", 0)
    source.ns("n").clear()
    copy(source, target, ["n"])
    assert target.ns("n").set("k", 0) > version


def test_what_is_written_to_the_source_meanwhile_is_copied_above_its_version(new_store, small_pages):
    source, target = new_store("file"), new_store("file")
    fill(source, "n", 2 * PAGE)
    last = f"k{2 * PAGE - 1:06}"

    def write(*_):
        for _ in range(100):
            source.ns("n")[last] = "written"

    copy(source, target, progress=write)
    assert target.ns("n")[last] == "written"
    assert target.ns("n").get_with_meta(last).meta.version > source._context.engine.read("n", last).version - 100 >= 100


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "expiring", "delete", "clear", "drop", "wait", "back"]),
        st.sampled_from("abc"),
        st.booleans(),
    ),
    max_size=40,
)


@given(steps=STEPS, resume=st.booleans())
@settings(deadline=None)
def test_no_version_that_was_ever_given_comes_again(steps, resume):
    clock = VirtualClock()
    with Store(clock=clock) as source, Store(clock=clock) as target:
        every = {0}
        for verb, key, here in steps:
            ours, theirs = (source, target) if here else (target, source)
            do = {
                "set": lambda n, key=key: n.set(key, 0),
                "expiring": lambda n, key=key: n.set(key, 0, ttl=1),
                "delete": lambda n, key=key: n.delete(key),
                "clear": lambda n: n.clear(),
                "drop": lambda _, store=ours: store.drop("n"),
                "wait": lambda _: clock.advance(1),
                "back": lambda _, theirs=theirs, ours=ours: copy(theirs, ours, ["n"]),
            }[verb]
            do(ours.ns("n"))
            every |= {record.version for store in (ours, theirs) for record in records_of(store, "n").values()}
        live = set(source.ns("n"))
        if resume and live:
            with pytest.raises(StopError):
                copy(source, target, ["n"], stop_at(1))
        copy(source, target, ["n"])
        for key in live:
            assert target.ns("n").get_with_meta(key).meta.version > max(every)
        for key in {"a", "b", "c"} - set(records_of(target, "n")):
            assert target.ns("n").set(key, 0) > max(every)
        assert target.check().ok


# -- the command


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "sqlitedict_kv", "copy", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


@pytest.mark.parametrize("kinds", ["file file", "file valkey", "valkey file", "valkey valkey"])
def test_the_command_copies(new_place, make_store, kinds):
    old, new = (new_place(kind) for kind in kinds.split())
    source, target = make_store(old.path, **old.options), make_store(new.path, **new.options)
    for name in "abc":
        source.ns(name)["k"] = name
    done = command(old.address, new.address, "--namespace", "a", "--namespace", "c")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 entries were copied from ")
    assert target.namespaces() == ["a", "c"]
    done = command(old.address, new.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert target.namespaces() == ["a", "b", "c"]


def test_the_command_goes_on_where_a_copy_was_interrupted(new_place, make_store, small_pages):
    old, new = new_place("file"), new_place("file")
    source, target = make_store(old.path), make_store(new.path)
    source.ns("n").set_many({f"k{number:06}": number for number in range(3 * PAGE)})
    for options, said in (([], f"{2 * PAGE} entries were copied"), (["--afresh"], f"{3 * PAGE} entries were copied")):
        with pytest.raises(StopError):
            copy(source, target, progress=stop_at(1))
        done = command(old.path, new.path, *options)
        assert done.stdout.startswith(said)


def test_the_command_says_what_is_wrong(new_place, make_store, tmp_path):
    old, new = new_place("file"), new_place("file")
    make_store(old.path).ns("n")["k"] = 1
    for code, arguments in (
        (1, (tmp_path / "none.db", new.path)),
        (2, (old.path, old.path)),
        (2, (old.path, ":memory:")),
        (2, (old.path, new.path, "--namespace", "")),
        (2, (old.path,)),
        (2, (old.path, new.path, "--unknown")),
    ):
        done = command(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_it_is_imported_only_when_it_is_asked_for():
    assert run("say('sqlitedict_kv.tools.copy' in sys.modules)", measured=False) == ["True"]  # by the star import
    code = "import sys, sqlitedict_kv; sys.exit('sqlitedict_kv.tools.copy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
    assert sqlitedict_kv.copy is copying.copy
