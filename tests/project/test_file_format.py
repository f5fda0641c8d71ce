"""The page on the file format is enough to read and write a store without the library."""

import json
import re
import sqlite3
import subprocess
import sys
from array import array
from collections import OrderedDict, deque
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest

from sqlitedict_kv import DamagedEntryError, Kind, Store
from sqlitedict_kv.codecs import tags
from sqlitedict_kv.codecs.key_encoding import encode_key
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.valkey import value_format

PAGE = (Path(__file__).parents[2] / "docs" / "design" / "file-format.md").read_text(encoding="utf-8")
NOW = 1_700_000_000.5  # Unix time in seconds
MILLISECONDS = 1_700_000_000_500


def program_of(language, number=0):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[number]


def table_under(heading):
    """Return the cells of the first table below a heading, without its head."""
    text = re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def reader():
    names = {}
    exec(program_of("python"), names)
    return names["read"]


def opened(path):
    return Store(path, clock=lambda: NOW)


def execute(path, sql, *values):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, values).fetchall()


def test_the_reader_of_the_page_knows_nothing_of_the_library():
    assert "sqlitedict_kv" not in program_of("python")


def test_the_reader_of_the_page_reads_what_the_library_wrote(path):
    values = {"a": {"b": [1, 2.5, None]}, "ü": "ünïcode", "empty": b"", "raw": bytes(range(256)), "t": (1, {2})}
    with opened(path) as store:
        for name, value in values.items():
            for ttl in (None, 3600):
                store.ns("n").set(f"{name} {ttl}", value, ttl=ttl)
        store.ns("n").set("short", 1, ttl=1)
        store.ns("n").set("text", "plain", content_type="text/plain; charset=utf-8")
    read = reader()
    for name, value in values.items():
        for ttl in (None, 3600):
            body, content_type = read(path, "n", f"{name} {ttl}", MILLISECONDS)
            if content_type == "application/json":
                assert json.loads(body) == value
            elif content_type == "application/octet-stream":
                assert body == value
            else:
                assert content_type == "application/msgpack"
                assert body == execute(path, "SELECT value FROM kv WHERE key = ?", f"{name} {ttl}")[0][0]
    assert read(path, "n", "text", MILLISECONDS) == (b"plain", "text/plain; charset=utf-8")
    assert read(path, "n", "short", MILLISECONDS + 999) == (b"1", "application/json")
    assert read(path, "n", "short", MILLISECONDS + 1000) is None
    assert read(path, "n", "nothing", MILLISECONDS) is None


@pytest.mark.parametrize(
    "change",
    ["value = x'32'", "content_type = 'text/plain'", "expires_at = 9999999999999", "updated_at = 5", "key = 'k2'"],
)
def test_the_reader_of_the_page_finds_the_damage_that_the_library_finds(path, change):
    with opened(path) as store:
        store.ns("n")["k"] = 1
    execute(path, f"UPDATE kv SET {change}")
    key = "k2" if "key" in change else "k"

    with pytest.raises(ValueError, match="damaged"):
        reader()(path, "n", key, MILLISECONDS)
    with opened(path) as store, pytest.raises(DamagedEntryError):
        store.ns("n")[key]


def test_the_reader_of_the_page_reads_values_in_files_and_finds_their_damage(path):
    value = bytes(range(256)) * 10_000
    with Store(path, clock=lambda: NOW, files_above="64 KiB") as store:
        store.ns("n")["k"] = value
    names = {}
    exec(program_of("python", 2), names)
    assert "sqlitedict_kv" not in program_of("python", 2)

    body, content_type = reader()(path, "n", "k", MILLISECONDS)

    assert content_type == "application/vnd.sqlitedict-kv.file"
    assert names["read_file"](path, body) == (value, "application/octet-stream")
    assert list(json.loads(body)) == [name.strip("`") for name, _ in table_under("Values in files")]
    ((name,),) = execute(path, "SELECT name FROM kv_file WHERE name <> ''")
    with open(f"{path}-values/{name}", "r+b") as file:
        file.seek(2_000_000)
        file.write(b"?")
    with pytest.raises(ValueError, match="damaged"):
        names["read_file"](path, body)


def test_the_tables_of_the_page_are_those_of_the_file(path):
    with Store(path, files_above="64 KiB") as store:
        store.ns("n")["k"] = bytes(100_000)
    made = {schema.canonical(sql) for (sql,) in execute(path, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    told = program_of("sql") + program_of("sql", 2)
    assert made == {schema.canonical(sql) for sql in told.split(";") if sql.strip()}


def test_the_checksum_of_the_page_is_that_of_the_file(path):
    names = {}
    with opened(path) as store:
        for number in range(3):
            store.ns("n").set("k", "x" * number, ttl=60 * number or None)
            row = execute(path, "SELECT value, content_type, version, expires_at, updated_at, checksum FROM kv")[0]
            names.update(zip(("value", "content_type", "version", "expires_at", "updated_at"), row, strict=False))
            exec(
                "import zlib\n"
                "crc = zlib.crc32(f'n\\0k\\0{content_type}\\0{expires_at}'.encode() + value)\n"
                "seal = (crc + updated_at + (updated_at >> 32)) & 0xFFFFFFFF\n"
                "checksum = (version & 0x7FFFFFFF) << 32 | seal\n",
                names,
            )
            assert names["checksum"] == row[-1]
    for formula in ("seal     = (crc + updated_at + (updated_at >> 32)) & 0xFFFFFFFF", "(version & 0x7FFFFFFF) << 32"):
        assert formula in PAGE


def test_a_program_that_writes_by_the_rules_of_the_page_is_read(path):
    with opened(path) as store:
        notes = store.ns("notes")
        notes["changed"], notes["removed"] = "ours", 1
        for _ in range(6):
            notes["removed"] = 1
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute(
                "UPDATE kv SET value = ?, version = version + 1, updated_at = ? WHERE ns = 'notes' AND key = 'changed'",
                (b'"theirs"', MILLISECONDS),
            )
            ((version,),) = other.execute("DELETE FROM kv WHERE key = 'removed' RETURNING version").fetchall()
            other.execute(program_of("sql", 1), {"ns": "notes", "version": version})
            other.execute("COMMIT")
        ((floor,),) = execute(path, "SELECT version FROM kv_floor WHERE ns = 'notes'")
        execute(
            path,
            "INSERT INTO kv (ns, key, value, content_type, version, updated_at) VALUES ('notes', 'new', ?, ?, ?, ?)",
            b"[1]",
            "application/json",
            floor + 1,
            MILLISECONDS,
        )

        assert (notes["changed"], notes["new"]) == ("theirs", [1])
        assert "removed" not in notes
        assert notes.set("removed", 2) == notes.set("later", 3) == 8
        assert store.check().ok
    assert reader()(path, "notes", "changed", MILLISECONDS) == (b'"theirs"', "application/json")


def test_the_schema_of_the_page_is_that_of_a_file(path):
    opened(path).close()
    on_page = [schema.canonical(one) for one in program_of("sql").split(";") if one.strip()]
    in_file = [schema.canonical(sql) for (sql,) in execute(path, "SELECT sql FROM sqlite_schema WHERE sql NOT NULL")]
    assert sorted(on_page) == sorted(in_file)
    assert execute(path, "PRAGMA application_id") == [(1396984662,)]
    assert "| `PRAGMA application_id` | 1396984662 (`0x53444B56`" in PAGE
    assert f"| `PRAGMA user_version` | {execute(path, 'PRAGMA user_version')[0][0]} |" in PAGE


def test_a_program_of_the_page_runs_without_the_library(path, tmp_path):
    with opened(path) as store:
        store.ns("users")["ada"] = {"name": "Ada"}
    program = program_of("python") + f"\nprint(read({str(path)!r}, 'users', 'ada', {MILLISECONDS}))\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "(b'{\"name\":\"Ada\"}', 'application/json')\n"


def text_of(moment, fold=0, zone=None):
    return msgpack.packb([moment, fold, zone])


@pytest.mark.parametrize(
    ("value", "code", "data"),
    [
        ((1, "a"), 1, msgpack.packb([1, "a"])),
        ({1, 2, 3}, 2, msgpack.packb([1, 2, 3])),
        (frozenset({b"x"}), 3, msgpack.packb([b"x"])),
        (1.5 - 2j, 4, bytes.fromhex("3ff8000000000000c000000000000000")),
        (Decimal("1.50"), 5, b"1.50"),
        (UUID(int=1), 6, bytes(15) + b"\1"),
        (datetime(2026, 1, 2, 3, 4, 5, 6), 7, text_of("2026-01-02T03:04:05.000006")),
        (datetime(2026, 1, 2, fold=1, tzinfo=UTC), 7, text_of("2026-01-02T00:00:00", 1, [])),
        (datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Paris")), 7, text_of("2026-01-02T00:00:00", 0, "Europe/Paris")),
        (
            datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1), "here")),
            7,
            text_of("2026-01-02T00:00:00", 0, [msgpack.packb([0, 3600, 0]), "here"]),
        ),
        (date(2026, 1, 2), 8, b"2026-01-02"),
        (time(3, 4), 9, text_of("03:04:00")),
        (timedelta(1, 2, 3), 10, msgpack.packb([1, 2, 3])),
        (-(2**70), 11, (-(2**70)).to_bytes(9, "big", signed=True)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_extension_that_is_made_by_the_page_is_read_by_the_library(path, value, code, data):
    opened(path).close()
    execute(
        path,
        "INSERT INTO kv (ns, key, value, content_type, updated_at) VALUES ('n', 'k', ?, 'application/msgpack', 1)",
        msgpack.packb([msgpack.ExtType(code, data)]),
    )
    with opened(path) as store:
        (read,) = store.ns("n")["k"]
    assert (read, type(read), repr(read)) == (value, type(value), repr(value))


def test_the_table_of_extensions_has_every_code():
    listed = [int(code) for row in table_under("MessagePack") for code in row[0].split(", ")]
    assert listed == [*range(1, 12), tags.OBJECT, tags.TABLE, tags.BUFFER]


class Mark(int):
    """The number of a kind in the table."""


def by_the_page(body, buffers=()):
    """Unpack a body by the page alone; a tagged array is a tuple of its kind and its parts."""
    names = []

    def extension(code, data):
        if code == 33:
            names.extend(row[0] for row in msgpack.unpackb(data))
            return "table"
        if code == 32:
            return Mark.from_bytes(data, "big")
        if code == 34:
            return buffers[int.from_bytes(data, "big")]
        return code, data

    def built(items):
        return (names[items[0]], *items[1:]) if items and type(items[0]) is Mark else items

    value = msgpack.unpackb(body, ext_hook=extension, list_hook=built, strict_map_key=False)
    return value[1] if names else value


def parts_of_bundle(body):
    assert body[:4] == b"KVB1"
    count, length = (int.from_bytes(body[at : at + 4], "little") for at in (4, 8))
    sizes = [int.from_bytes(body[at : at + 8], "little") for at in range(12, 12 + 8 * count, 8)]
    end = 12 + 8 * count
    head, end = body[end : end + length], end + length
    buffers = []
    for size in sizes:
        assert not any(body[end : end + -end % 64])
        end += -end % 64
        buffers.append(body[end : end + size])
        end += size
    assert end == len(body)
    return head, buffers


def body_of(path, value):
    with opened(path) as store:
        store.ns("n")["k"] = value
    return reader()(path, "n", "k", MILLISECONDS)


def test_the_example_of_a_tagged_array_is_what_the_library_writes(path):
    lines = [line[:26] for line in program_of("text", 1).splitlines()]
    by_hand = "".join(re.sub(r'"(\w+)"', lambda match: match[1].encode().hex(), line) for line in lines)
    assert body_of(path, (1, "a")) == (bytes.fromhex(by_hand), "application/msgpack")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (((1,), [{2}]), ("tuple", ("tuple", 1), [("set", 2)])),
        ({"a": {(1, 2): 3}}, {"a": ("dict", ("tuple", 1, 2), 3)}),
        (frozenset({"b", "a"}), ("frozenset", "a", "b")),
        (bytearray(b"xy"), ("bytearray", b"xy")),
        (range(1, 9, 2), ("range", 1, 9, 2)),
        (..., ("Ellipsis",)),
        (OrderedDict(a=1), ("collections.OrderedDict", "a", 1)),
        (deque([1], 5), ("collections.deque", 5, 1)),
        (Fraction(1, 3), ("fractions.Fraction", 1, 3)),
        (PurePosixPath("/a"), ("pathlib.PurePosixPath", "/a")),
        (IPv4Address("10.0.0.1"), ("ipaddress.IPv4Address", "10.0.0.1")),
        (array("h", [1, 256]), ("array.array", "h", 2, b"\1\0\0\1")),
        ([ZoneInfo("Europe/Paris")], [("zoneinfo.ZoneInfo", "Europe/Paris")]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_tagged_array_is_as_the_page_says(path, value, parts):
    body, content_type = body_of(path, value)
    assert content_type == "application/msgpack"
    assert by_the_page(body) == parts
    kind = parts[0] if type(parts) is tuple else parts[0][0] if type(parts) is list else "dict"
    assert f"`{kind}" in PAGE


@pytest.mark.frameworks
def test_a_bundle_is_as_the_page_says(path):
    import numpy

    body, content_type = body_of(path, {"x": numpy.arange(300, dtype="<i8"), "y": (numpy.zeros((2, 3), "<f4"), "z")})
    assert content_type == "application/vnd.sqlitedict-kv.bundle"
    head, buffers = parts_of_bundle(body)
    assert buffers == [numpy.arange(300, dtype="<i8").tobytes()]
    x, (kind, small, z) = by_the_page(head, buffers).values()
    assert x == ("numpy.ndarray", "<i8", [300], "C", buffers[0])
    assert (kind, small, z) == ("tuple", ("numpy.ndarray", "<f4", [2, 3], "C", bytes(24)), "z")


@dataclass
class Address:
    zip: object


class Color(Enum):
    RED = 1


def test_objects_are_as_the_page_says(path):
    address, color = "tests.Address", "tests.Color"
    kinds = [Kind(Address, name=address), Kind(Color, name=color)]
    with Store(path, types=kinds, clock=lambda: NOW) as store:
        store.ns("n")["json"] = [Address("1"), Color.RED]
        store.ns("n")["packed"] = Address((1, Color.RED))

    body, content_type = reader()(path, "n", "json", MILLISECONDS)
    assert content_type == "application/json; as=objects"
    assert json.loads(body) == [{"=": address, "zip": "1"}, {"=": color, "name": "RED"}]
    body, content_type = reader()(path, "n", "packed", MILLISECONDS)
    assert content_type == "application/msgpack"
    assert by_the_page(body) == (address, ("tuple", 1, (color, "RED")))
    assert ["tests.Address", "zip"] in msgpack.unpackb(msgpack.unpackb(body)[0].data)


def test_every_built_in_content_type_is_on_the_page():
    for content_type in Codecs().decoders:
        assert f"`{content_type.partition('; as=pandas')[0]}`" in PAGE


def test_the_examples_of_keys_are_what_the_library_writes():
    names = {"date": date, "time": time, "datetime": datetime}
    examples = re.findall(
        r"`([^`]+)`(?:: | is )`([^`|]+)`((?: U\+0001(?: `[^`]+`)?)*)", PAGE.partition("### Keys of")[2]
    )
    assert len(examples) >= 14
    for key, text, rest in examples:
        expected = text + rest.replace(" U+0001", "\x01").replace(" ", "").replace("`", "")
        assert encode_key(eval(key, names)) == expected, key
    kinds = [row[0].strip("`") for row in table_under("Keys of other types")]
    assert "".join(kinds) == "!#$%&(*+/@A~"


def test_the_header_on_servers_is_that_of_the_code():
    sizes = [
        int(row[0]) for row in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.partition("## On servers")[2], re.MULTILINE)
    ]
    assert sum(sizes) == value_format.HEADER_SIZE
