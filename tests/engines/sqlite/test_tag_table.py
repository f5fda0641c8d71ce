"""Tags in a file: the table that the first one makes, what it costs those who have none, and what outlives a kill."""

import sqlite3
from contextlib import closing

import pytest

from sqlitedict_kv import NewerFormatError, Store
from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.opening import Opener
from sqlitedict_kv.tools.restore import restore
from tests.support.processes import Worker

LARGE = b"x" * 70_000


def query(path, statement, *values):
    with closing(sqlite3.connect(path)) as raw, raw:
        return raw.execute(statement, values).fetchall()


def tables(path):
    return {name for (name,) in query(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'kv%'")}


def test_the_first_tag_makes_the_table_and_older_releases_refuse_the_file(make_store, path, monkeypatch):
    store = make_store(path)
    ns = store.ns("n")
    ns.set("k", 1)
    ns.set("k", 1, tags=[])
    assert store.forget_tag("t") == 0
    assert query(path, "PRAGMA user_version") == [(2,)]
    assert tables(path) == {"kv", "kv_floor"}

    ns.set("k", 1, tags=["t"])

    assert query(path, "PRAGMA user_version") == [(4,)]
    assert tables(path) == {"kv", "kv_floor", "kv_tag", "kv_tag_entries"}
    store.close()
    monkeypatch.setattr(schema, "NEWEST", 3)  # as a release that knows no tags has it
    with pytest.raises(NewerFormatError, match="format 4"):
        make_store(path)


@pytest.mark.parametrize("order", [("tag", "file"), ("file", "tag")], ids="-".join)
def test_tags_and_values_in_files_go_together_in_either_order(make_store, path, order):
    ns = make_store(path, files_above="64 KiB").ns("n")
    for kind in order:
        ns.set(kind, LARGE, tags=["t"]) if kind == "file" else ns.set(kind, 1, tags=["t"])
        again = make_store(path, files_above="64 KiB")
        assert set(again.ns("n")) == set(ns)
    assert query(path, "PRAGMA user_version") == [(4,)]
    ns.set("untagged", LARGE)
    assert again.forget_tag("t") == 2
    assert again.ns("n")["untagged"] == LARGE
    again.vacuum()
    assert again.stats().files == 1


@pytest.fixture
def statements(monkeypatch):
    """The SQL of all connections that are opened from now on."""
    executed = []
    plain = Opener.open

    def opened(self, *arguments, **options):
        raw = plain(self, *arguments, **options)
        raw.set_trace_callback(executed.append)
        return raw

    monkeypatch.setattr(Opener, "open", opened)
    return executed


def test_without_tags_nothing_looks_at_them(make_store, path, statements):
    store = make_store(path, max_entries=1000)
    ns = store.ns("n")
    memoized = store.memoize(name="f")(lambda number: number + 1)
    statements.clear()
    for number in range(200):
        ns.set(str(number), number, ttl=60)
        assert ns.get(str(number)) == number
        assert memoized(number % 3) == number % 3 + 1
        ns.delete(str(number))
    assert not [sql for sql in statements if "kv_tag" in sql or "user_version" in sql]
    statements.clear()
    ns.set("k", 1)
    ns.get("k")
    assert memoized(1) == 2
    assert len(statements) == 3


def test_stale_tags_are_swept_by_the_writes_that_follow(make_store, path, clock):
    store = make_store(path)
    ns = store.ns("n")
    for number in range(100):
        ns.set(f"gone {number}", 1, tags=["t", "u"], ttl=1)
        ns.set(f"kept {number}", 1, tags=["t"])
    ns.update({f"kept {number}": 1 for number in range(50)})
    clock.advance(2)
    for number in range(400):
        ns.set(f"other {number % 50}", number, tags=["t"])
    assert query(path, "SELECT count(*) FROM kv_tag") == [(100,)]
    assert store.stats().tags == 100
    assert store.forget_tag("u") == 0
    assert store.forget_tag("t") == 100


@pytest.mark.parametrize("how", ["vacuum", "purge_expired"])
def test_stale_tags_of_other_processes_are_swept_on_request(make_store, path, how):
    with Store(path) as other:
        other.ns("n").set_many({str(number): 1 for number in range(2500)}, tags=["t"])
        other.ns("n").set_many({str(number): 1 for number in range(2400)})
    store = make_store(path)
    getattr(store, how)()
    assert store.stats().tags == 100
    assert store.forget_tag("t") == 100


def test_a_tag_of_a_version_that_an_older_release_overwrote_is_not_valid(make_store, path):
    store = make_store(path)
    store.ns("n").set("k", 1, tags=["t"])
    query(path, "UPDATE kv SET value = '2', version = version + 1, checksum = NULL")
    assert store.forget_tag("t") == 0
    assert store.ns("n")["k"] == 2


def test_eviction_leaves_no_tag_to_a_successor(make_store, path):
    store = make_store(path, max_entries=20)
    ns = store.ns("n")
    for number in range(200):
        ns.set(str(number), number, tags=["t"])
    assert store.stats().evicted > 100
    ns.update({str(number): number for number in range(10)})
    before = ns.copy()
    tagged = [key for key in before if int(key) >= 10]
    assert store.forget_tag("t") == len(tagged)
    assert all(int(key) < 10 for key in ns)


@pytest.mark.parametrize("target_has_tags", [True, False])
@pytest.mark.parametrize("backup_has_tags", [True, False])
def test_a_backup_has_the_tags_and_a_restore_brings_those_alone(
    make_store, path, tmp_path, target_has_tags, backup_has_tags
):
    store = make_store(path)
    ns = store.ns("n")
    ns.update(a=1, b=2)
    if backup_has_tags:
        ns.set("a", 1, tags=["t", "u"])
        ns.set("stale", 1, tags=["t"])
        ns["stale"] = 2
    store.backup(tmp_path / "backup.db")
    ns.set("c", 3)
    if target_has_tags:
        ns.set("b", 2, tags=["t", "later"])
    restore(store, tmp_path / "backup.db")
    copy = make_store(tmp_path / "backup.db")
    for each in (store, copy):
        assert each.forget_tag("later") == 0
        assert each.forget_tag("t") == int(backup_has_tags)
        assert each.ns("n").copy() == ({"b": 2, "stale": 2} if backup_has_tags else {"a": 1, "b": 2})
        assert each.check().ok


def test_what_is_salvaged_has_no_tags_and_that_is_said(make_store, path):
    with Store(path) as store:
        store.ns("n").set_many({f"{number:04}": "x" * 500 for number in range(400)}, tags=["t"])
        store.ns("n").set_many({f"{number:04}": "x" * 500 for number in range(200)})
    content = bytearray(path.read_bytes())
    middle = len(content) // 4096 // 4 * 4096
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)
    store = make_store(path, on_corrupt="quarantine")
    assert store.quarantined is not None
    assert any("tags were not saved" in problem for problem in store.quarantined.problems)
    assert store.forget_tag("t") == 0
    store.ns("n").set("new", 1, tags=["t"])
    assert store.forget_tag("t") == 1


WRITER = """
    import random
    chance = random.Random(int(sys.argv[2]))
    store = Store(sys.argv[1])
    ns = store.ns("n")
    def some():
        return sorted(chance.sample(["a", "b", "c"], chance.randrange(4)))
    for round in range(10**9):
        match chance.choice(["set", "many", "atomic", "delete", "forget"]):
            case "set":
                tags = some()
                ns.set(str(chance.randrange(50)), tags, tags=tags) if tags else ns.set(str(chance.randrange(50)), tags)
            case "many":
                tags = some()
                ns.set_many({str(number): tags for number in chance.sample(range(50), 10)}, tags=tags)
            case "atomic":
                with store.atomic() as tx:
                    for number in chance.sample(range(50), 5):
                        tags = some()
                        tx.ns("n").set(str(number), tags, tags=tags)
            case "delete":
                ns.delete(str(chance.randrange(50)))
            case "forget":
                store.forget_tag(chance.choice("abc"))
        if round % 10 == 0:
            say(round)
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_process_that_is_killed_leaves_each_entry_with_its_own_tags(path, seed):
    with Worker(WRITER, path, seed) as first, Worker(WRITER, path, seed + 100) as second:
        for _ in range(1 + 3 * seed):
            first.hear()
            second.hear()
        first.kill()
        second.kill()
    with Store(path) as store:
        engine, ns = store._engine, store.ns("n")
        expected = ns.copy()
        valid = {}
        for key, (version, tags) in engine.tags_of("n", list(expected)).items():
            if version == ns.get_with_meta(key).meta.version:
                valid[key] = [*tags]
        assert valid == {key: tags for key, tags in expected.items() if tags}
        for tag in "abc":
            gone = {key for key, tags in expected.items() if tag in tags}
            assert store.forget_tag(tag) == len(gone)
            expected = {key: tags for key, tags in expected.items() if key not in gone}
            assert ns == expected
