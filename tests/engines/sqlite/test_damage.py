"""Damage in the file: a wrong value is never returned."""

from __future__ import annotations

import itertools
import random
import sqlite3
from dataclasses import dataclass

import pytest

from sqlitedict_kv import CorruptStoreError, DamagedEntryError, KVError, Store
from sqlitedict_kv.engines.sqlite.checksum import VERSION_MASK, checksum, crc, is_checked, record_of, seal

NOW = 1_700_000_000_000
PAGE = 4096


def values():
    generator = random.Random(1)
    entries = {}
    for number in range(120):
        match number % 4:
            case 0:
                entries[f"key {number}"] = generator.randbytes(generator.randrange(20, 400))
            case 1:
                entries[f"key {number}"] = {"name": f"name {number}", "tags": list(range(number % 30))}
            case 2:
                entries[f"key {number}"] = "text " * generator.randrange(5, 50)
            case 3:
                entries[f"key {number}"] = generator.randbytes(6000)  # over several pages
    return entries


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a checkpointed file, and what is in it."""
    path = tmp_path_factory.mktemp("good") / "store.db"
    entries = values()
    with Store(path) as store:
        store.ns("n").set_many(entries)
        for number in range(0, 120, 7):
            store.ns("n").touch(f"key {number}", 1e6)
    return path.read_bytes(), entries


class Findings:
    """What one look at a damaged file gave."""

    def __init__(self, path, expected, clock=lambda: NOW / 1000):
        self.wrong, self.raised, self.missing, self.problems = [], 0, [], None
        try:
            store = Store(path, clock=clock)
        except KVError:
            self.raised = len(expected)
            return
        with store:
            for key, value in expected.items():
                try:
                    found = store.ns("n")[key]
                except KeyError:
                    self.missing.append(key)
                except KVError:
                    self.raised += 1
                else:
                    if found != value or type(found) is not type(value):
                        self.wrong.append(key)
        with Store(path, clock=clock) as store:
            try:
                report = store.check()
            except KVError:
                self.problems = ["raised"]
            else:
                self.problems = list(report.problems)
                assert report.ok == (not report.problems)

    @property
    def silent(self):
        """Keys that were lost or raised, with nothing in the report."""
        return bool(self.wrong or self.missing or self.raised) and self.problems == []


def offsets_of_values(content, entries):
    """Where bytes of values lie in the file."""
    places = []
    for value in entries.values():
        if isinstance(value, bytes):
            start = content.find(value[:20])
            assert start > 0
            places += range(start, start + min(len(value), 200))
    return places


def test_a_flipped_bit_in_a_value_is_never_returned(tmp_path, good):
    content, entries = good
    generator = random.Random(2)
    path = tmp_path / "store.db"
    raised = 0
    for place in generator.sample(offsets_of_values(content, entries), 60):
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        findings = Findings(path, entries)
        assert findings.wrong == []
        assert findings.missing == []
        assert findings.raised == 1, "just one value lies there"
        assert findings.problems
        raised += findings.raised
    assert raised == 60


def test_a_flipped_bit_anywhere_is_never_a_wrong_value(tmp_path, good):
    content, entries = good
    generator = random.Random(3)
    path = tmp_path / "store.db"
    raised = 0
    for _ in range(100):
        damaged = bytearray(content)
        damaged[generator.randrange(100, len(content))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        findings = Findings(path, entries)
        assert findings.wrong == []
        assert not findings.silent
        raised += bool(findings.raised)
    assert raised > 20


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_a_lost_sector_is_never_a_wrong_value(tmp_path, good, fill):
    content, entries = good
    generator = random.Random(4)
    path = tmp_path / "store.db"
    raised = 0
    for _ in range(40):
        start = generator.randrange(PAGE // 512, len(content) // 512) * 512
        path.write_bytes(content[:start] + fill * 512 + content[start + 512 :])
        findings = Findings(path, entries)
        assert findings.wrong == []
        assert not findings.silent
        raised += bool(findings.raised or findings.missing)
    assert raised > 20


def test_a_swapped_page_is_never_a_wrong_value(tmp_path, good):
    """As a disk does that writes to the wrong place: each page is whole in itself."""
    content, entries = good
    generator = random.Random(5)
    path = tmp_path / "store.db"
    for _ in range(30):
        first, second = (generator.randrange(1, len(content) // PAGE) * PAGE for _ in range(2))
        damaged = bytearray(content)
        damaged[first : first + PAGE], damaged[second : second + PAGE] = (
            content[second : second + PAGE],
            content[first : first + PAGE],
        )
        path.write_bytes(damaged)
        findings = Findings(path, entries)
        assert findings.wrong == []
        assert first == second or not findings.silent


@pytest.mark.timeout(120)
def test_walks_and_checks_of_a_file_with_swapped_pages_come_to_an_end(tmp_path):
    """Each step of a walk starts behind the last one's end, which in an index out of order may lead back."""
    path = tmp_path / "store.db"
    with Store(path) as store:
        for name in "abc":
            store.ns(name).set_many({f"key {number:04}": "x" * 60 for number in range(450)})
    content = path.read_bytes()
    pages = range(2, min(30, len(content) // PAGE))
    ended = raised = 0
    for first, second in itertools.combinations(pages, 2):
        damaged = bytearray(content)
        for place, page in ((first, second), (second, first)):
            damaged[place * PAGE : (place + 1) * PAGE] = content[page * PAGE : (page + 1) * PAGE]
        path.write_bytes(damaged)
        with Store(path) as store:
            for walk in (
                store.namespaces,
                lambda store=store: list(store.ns("a")),
                lambda store=store: list(reversed(store.ns("b"))),
                lambda store=store: dict(store.ns("c").scan()),
            ):
                try:
                    walk()
                except CorruptStoreError:
                    raised += 1
        with Store(path) as store:
            store.check()  # some of the pages are free, and may be swapped
        ended += 1
    assert ended > 200
    assert raised > 50


def test_the_undamaged_file_is_in_order(tmp_path, good):
    content, entries = good
    (tmp_path / "store.db").write_bytes(content)
    findings = Findings(tmp_path / "store.db", entries)
    assert (findings.wrong, findings.raised, findings.missing, findings.problems) == ([], 0, [], [])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def execute(path, sql, *arguments):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(sql, arguments)
    connection.close()


def test_a_damaged_entry_leaves_the_others_alone(path):
    with Store(path) as store:
        n = store.ns("n")
        n.update(a=1, b=2, c=3)
        execute(path, "UPDATE kv SET value = x'39' WHERE key = 'b'")
        for read in (
            lambda: n["b"],
            lambda: n.get("b"),
            lambda: n.get_with_meta("b"),
            lambda: n.get_many(["a", "b"]),
            lambda: n.setdefault("b", 5),
            lambda: n.pop("b"),
            lambda: n.incr("b"),
            lambda: n.modify("b", lambda value: value),
            lambda: n.touch("b", 5),
            lambda: list(n.items()),
            lambda: list(n.scan()),
            n.copy,
        ):
            with pytest.raises(DamagedEntryError) as caught:
                read()
            assert (caught.value.namespace, caught.value.key) == ("n", "b")
        assert (n["a"], n["c"]) == (1, 3)
        assert list(n) == ["a", "b", "c"]
        assert len(store.check().problems) == 1
        assert store.healthcheck().ok

        assert n.set("b", 7) == 2  # what the message advises
        assert n["b"] == 7
        assert store.check().ok


def test_a_damaged_entry_can_be_deleted(path):
    with Store(path) as store:
        n = store.ns("n")
        n.update(a=1, b=2)
        execute(path, "UPDATE kv SET value = x'39' WHERE key = 'b'")
        assert n.delete("b")
        assert n.copy() == {"a": 1}


@pytest.mark.parametrize(
    "change",
    [
        "value = 5",
        "value = 1.5",
        "value = 'text'",
        "value = ''",
        "content_type = x'00'",
        "content_type = ''",
        "version = 'one'",
        "version = 1.5",
        "version = 0",
        "version = -3",
        "version = x'01'",
        "expires_at = 'never'",
        "expires_at = 9e15 + 0.5",
        "expires_at = x'39'",
        "updated_at = 'now'",
        "updated_at = x''",
        "checksum = 'sum'",
        "checksum = 1.5",
        "checksum = x'00'",
        "checksum = -1",
        "checksum = 1",
        "checksum = 9223372036854775807",
    ],
)
@pytest.mark.parametrize("how", ["get", "get_many", "scan", "items", "touch", "modify", "check"])
def test_a_column_of_the_wrong_type_is_damage(path, change, how):
    with Store(path) as store:
        n = store.ns("n")
        n["k"] = "secret value"
        n["l"] = 2
        execute(path, f"UPDATE kv SET {change} WHERE key = 'k'")
        if how == "check":
            report = store.check()
            assert not report.ok
            assert any("'k'" in problem for problem in report.problems)
            assert not any("secret" in problem for problem in report.problems)
        elif (how, change) == ("get", "version = 1.5"):  # a reader of the value alone need not look at the version
            assert n.get("k") == "secret value"
        else:
            with pytest.raises(DamagedEntryError) as caught:
                match how:
                    case "get":
                        n.get("k")
                    case "get_many":
                        n.get_many(["l", "k"])
                    case "scan":
                        list(n.scan())
                    case "items":
                        dict(n.items())
                    case "touch":
                        n.touch("k", 5)
                    case "modify":
                        n.modify("k", str)
            assert "secret" not in str(caught.value)
        assert n["l"] == 2


@pytest.mark.parametrize("column", ["value", "content_type", "key"])
def test_text_that_is_no_utf_8_is_reported_by_the_check_and_shows_no_value(path, column):
    with Store(path) as store:
        n = store.ns("n")
        n["k"] = 1
        n["l"] = 2
        execute(path, f"UPDATE kv SET {column} = CAST(x'736563726574ff' AS TEXT) WHERE key = 'k'")
        report = store.check()
        assert not report.ok
        assert not any("secret" in problem for problem in report.problems if column == "value")
    with Store(path) as store:
        if column != "key":
            with pytest.raises(CorruptStoreError) as caught:
                store.ns("n")["k"]
            assert column != "value" or "secret" not in str(caught.value)
        assert store.ns("n")["l"] == 2


def test_a_file_that_is_overwritten_under_an_open_store_stops_it(path):
    with Store(path) as store:
        store.ns("n").set_many({str(number): "x" * 300 for number in range(500)})
    with Store(path) as store:
        with open(path, "r+b") as file:
            file.seek(PAGE)
            file.write(b"\xa5" * 40 * PAGE)
        with pytest.raises(CorruptStoreError):
            for number in range(500):
                store.ns("n")[str(number)]
        with pytest.raises(CorruptStoreError):
            store.ns("n")["new"] = 1
        assert not store.healthcheck().ok


@pytest.mark.parametrize("verb", ["check", "stats", "backup", "vacuum", "sync", "namespaces", "drop", "clear"])
def test_no_error_of_the_driver_reaches_the_user_from_a_broken_file(tmp_path, path, verb):
    with Store(path) as store:
        store.ns("n").set_many({str(number): "x" * 300 for number in range(500)})
    content = path.read_bytes()
    path.write_bytes(content[: 2 * PAGE] + b"\xa5" * (len(content) - 2 * PAGE))
    try:
        store = Store(path)
    except KVError:
        return
    try:
        match verb:
            case "check":
                assert not store.check().ok
            case "backup":
                store.backup(tmp_path / "copy.db")
            case "drop":
                store.drop("n")
            case "clear":
                store.ns("n").clear()
            case _:
                getattr(store, verb)()
    except KVError:
        pass
    finally:
        store.close()


# -- rows.py


def row(body=b"1", content_type="application/json", version=3, expires_at=None, updated_at=NOW, **options):
    check = checksum(version, seal(crc("n", "k", body, content_type, expires_at), updated_at))
    return (body, content_type, version, expires_at, updated_at, options.get("stored", check))


def test_a_row_with_its_checksum_is_a_record():
    assert record_of("n", "k", row()) == (b"1", "application/json", 3, None, NOW)
    assert is_checked(row())


@pytest.mark.parametrize("index", range(5))
def test_every_column_is_part_of_the_checksum(index):
    columns = list(row(expires_at=NOW + 5))
    columns[index] = [b"2", "text/plain; charset=utf-8", 2, NOW + 6, NOW + 1][index]
    with pytest.raises(DamagedEntryError):
        record_of("n", "k", tuple(columns))


def test_namespace_and_key_are_part_of_the_checksum():
    for namespace, key in (("m", "k"), ("n", "l"), ("nk", ""), ("", "nk")):
        with pytest.raises(DamagedEntryError, match="checksum does not match"):
            record_of(namespace, key, row())


def test_no_expiry_differs_from_any_expiry():
    columns = list(row(expires_at=None))
    for other in (0, 1, NOW):
        columns[3] = other
        with pytest.raises(DamagedEntryError):
            record_of("n", "k", tuple(columns))


def test_a_row_without_checksum_is_taken_as_it_is():
    assert record_of("n", "k", row(stored=None)).body == b"1"
    assert not is_checked(row(stored=None))


def test_a_text_without_checksum_was_typed_by_a_person():
    assert record_of("n", "k", ("ü", "text/plain; charset=utf-8", 1, None, 5, None)).body == "ü".encode()


def test_a_text_with_a_checksum_is_damage():
    check = row()[5]
    with pytest.raises(DamagedEntryError, match="value holds str"):
        record_of("n", "k", ("1", "application/json", 3, None, NOW, check))


@pytest.mark.parametrize("ahead", [1, 2, 1000, 2**30 - 1])
def test_a_checksum_of_an_earlier_version_was_left_behind_by_another_program(ahead):
    earlier = row(version=3)[5]
    columns = (b"other", "application/json", 3 + ahead, None, NOW, earlier)
    assert record_of("n", "k", columns).body == b"other"
    assert not is_checked(columns)


@pytest.mark.parametrize("behind", [1, 2])
def test_a_version_below_that_of_the_checksum_is_damage(behind):
    later = row(version=3)[5]
    with pytest.raises(DamagedEntryError, match="below"):
        record_of("n", "k", (b"1", "application/json", 3 - behind, None, NOW, later))


@pytest.mark.parametrize("stored", [0, 1, 0xFFFF_FFFF, -1, -(2**63)])
def test_a_checksum_of_no_version_is_damage(stored):
    with pytest.raises(DamagedEntryError):
        record_of("n", "k", row(stored=stored))


@pytest.mark.parametrize("version", [0, -1, -(2**40)])
def test_a_version_that_nobody_gives_is_damage(version):
    with pytest.raises(DamagedEntryError, match="version is"):
        record_of("n", "k", (b"1", "application/json", version, None, NOW, None))


@pytest.mark.parametrize("version", [VERSION_MASK - 1, VERSION_MASK, VERSION_MASK + 1, VERSION_MASK + 2, 2**62])
def test_versions_above_the_bits_of_the_checksum_work(path, version):
    columns = row(version=version)
    assert record_of("n", "k", columns).version == version
    assert is_checked(columns)
    with Store(path) as store:
        store.ns("n")["k"] = 1
        execute(path, "UPDATE kv SET version = ?", version - 1)
        store.ns("n")["k"] = 2
        assert store.ns("n").get_with_meta("k").meta.version == version
        assert store.ns("n")["k"] == 2
        report = store.check()
        assert (report.ok, report.unchecked) == (True, 0)


@dataclass
class Kept:
    x: int


def test_an_entry_of_a_class_that_this_program_does_not_allow_is_no_damage(make_store, path):
    with Store(path, types=[Kept]) as store:
        store.ns("n")["k"] = Kept(1)
    assert make_store(path).check() == (True, 1, 0, (), 0, 0)
