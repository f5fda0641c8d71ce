"""Export of a store as lines of JSON, and import: exact, at bounded memory, and in words where a file is wrong."""

import json
import sqlite3
from base64 import b64encode
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sqlitedict_kv import Codec, Store
from sqlitedict_kv.tools.exchange import export_lines, import_lines
from tests.support.command_line import run_program, well

on_places = pytest.mark.parametrize("engine", ["file", "valkey"], indirect=True)

VALUES = {
    "json": {"a": [1, 2.5, None, True, "ä\u2028\x9b"], "b": {}},
    "float": 1e16,
    "small": 5e-324,
    "text": "line\nbreak\x00",
    "bytes": bytes(range(256)),
    "empty": b"",
    "tuple": (1, (2, {3})),
    "moment": datetime(2026, 12, 1, tzinfo=UTC),
    "big": 2**80,
    "keyed": {1: "one"},
}


def rows_of(path):
    """Return all that a file holds, as SQLite sees it."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM kv ORDER BY ns, key").fetchall()


def lines_of(store, *arguments):
    return b"".join(export_lines(store, *arguments)).splitlines(keepends=True)


def first(make_store, path):
    store = make_store(path)
    for name in ("n", "näme"):
        store.ns(name).update(VALUES)
        store.ns(name).set("later", 1, ttl=1000)
        store.ns(name).set("plain", "words", content_type="text/plain; charset=utf-8")
    store.ns("n").update(json=1, text=2)
    store.ns("n").set("json", VALUES["json"])
    store.ns("n").delete("big")
    return store


def test_what_is_exported_is_imported_byte_for_byte(make_store, path, tmp_path, clock):
    source, target = first(make_store, path), make_store(tmp_path / "new.db")
    clock.advance(1)  # an entry keeps the time of its update
    report = import_lines(target, lines_of(source))
    assert report == (len(rows_of(path)), 0, ("n", "näme"), True)
    assert rows_of(tmp_path / "new.db") == rows_of(path)
    assert target.check().ok
    assert lines_of(target) == lines_of(source)


def test_lines_can_be_read_by_people_and_programs(make_store, path):
    lines = [json.loads(line) for line in lines_of(first(make_store, path), ["n"])]
    assert lines[0] == {"format": "sqlitedict_kv", "number": 1}
    entries = {line["key"]: line for line in lines if "key" in line}
    assert entries["json"]["value"] == VALUES["json"]
    assert entries["json"]["version"] == 3
    assert entries["plain"]["text"] == "words"
    assert entries["bytes"]["base64"] == b64encode(VALUES["bytes"]).decode()
    assert entries["later"]["expires_at"] - entries["later"]["updated_at"] == 1_000_000
    assert lines[-2:] == [{"namespace": "n", "highest": 3}, {"entries": len(entries)}]


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b"1.0e5", b'{"a":1,"a":2}', b"1\n", b'1,"key":"x"', b"not JSON", b"\xff\xfe", b"[" * 500]
)
def test_a_body_of_json_that_another_program_wrote_is_kept_as_it_is(make_store, path, tmp_path, body):
    with make_store(path) as store:
        store.ns("n")["k"] = 1
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE kv SET value = ?, version = version + 1", (body,))
    with make_store(path) as source, make_store(tmp_path / "new.db") as target:
        lines = lines_of(source)
        assert len(lines) == 4
        import_lines(target, lines)
        record = target._context.engine.read("n", "k")
        assert (record.body, record.version) == (body, 2)


def test_an_entry_whose_codec_or_class_is_unknown_is_carried_along(make_store, path, tmp_path):
    codec = Codec("image/x", lambda value: b"<" + value.encode() + b">", lambda body: body[1:-1].decode())
    with make_store(path, codecs=[codec]) as store:
        store.ns("n").set("k", "picture", content_type="image/x")
    with make_store(path) as source, make_store(tmp_path / "new.db") as target:
        import_lines(target, lines_of(source))
    with make_store(tmp_path / "new.db", codecs=[codec]) as target:
        assert target.ns("n")["k"] == "picture"


def test_a_version_that_was_given_here_before_is_not_given_again(make_store, path, tmp_path):
    source, target = make_store(path), make_store(tmp_path / "new.db")
    source.ns("n").update(a=1, b=2)
    for number in range(5):
        target.ns("n")["a"] = number
    target.ns("n").set("c", 1)
    target.ns("n").delete("c")
    import_lines(target, lines_of(source))
    found = target.ns("n").get_many_with_meta(["a", "b"])
    assert {key: entry.value for key, entry in found.items()} == {"a": 1, "b": 2}
    assert found["a"].meta.version > 5
    assert found["b"].meta.version > 1


def test_a_version_that_the_source_gave_is_not_given_later(make_store, path, tmp_path):
    source, target = make_store(path), make_store(tmp_path / "new.db")
    for number in range(5):
        source.ns("n")["gone"] = number
    source.ns("n").delete("gone")
    source.ns("n").set("stays", 1)
    import_lines(target, lines_of(source))
    assert target.ns("n").set("gone", 1) > 5


def test_what_has_expired_is_left_out(make_store, path, tmp_path, clock):
    source, target = make_store(path), make_store(tmp_path / "new.db")
    source.ns("n").set("short", 1, ttl=10)
    source.ns("n").set("shorter", 1, ttl=1)
    source.ns("n").set("long", 1)
    clock.advance(2)
    lines = lines_of(source)
    clock.advance(10)
    assert import_lines(target, lines) == (1, 1, ("n",), True)
    assert list(target.ns("n")) == ["long"]


def test_namespaces_are_chosen_and_renamed(make_store, path, tmp_path):
    source, target = make_store(path), make_store(tmp_path / "new.db")
    for name in "abc":
        source.ns(name)[name] = name
    lines = lines_of(source)
    import_lines(target, lines, ["a", "c"], {"c": "d"})
    assert {name: dict(target.ns(name)) for name in target.namespaces()} == {"a": {"a": "a"}, "d": {"c": "c"}}


def test_a_file_that_was_cut_off_is_noticed(make_store, path, tmp_path):
    source, target = make_store(path), make_store(tmp_path / "new.db")
    source.ns("n").update(a=1, b=2)
    lines = lines_of(source)
    assert import_lines(target, lines[:-2]).complete is False
    with pytest.raises(ValueError, match="line 4: the export has 2 entries, and 1 were read"):
        import_lines(target, [*lines[:2], *lines[3:]])


GOOD = {"namespace": "n", "key": "k", "version": 1, "content_type": "application/json", "value": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        *(
            json.dumps({**GOOD, **wrong}).encode()
            for wrong in (
                {"key": 1},
                {"key": "k" * 1025},
                {"namespace": ""},
                {"namespace": None},
                {"version": 0},
                {"version": True},
                {"version": 2**63},
                {"expires_at": "soon"},
                {"expires_at": -1},
                {"updated_at": 1.5},
                {"content_type": ""},
                {"content_type": 1},
                {"text": "too"},
                {"value": 0, "base64": ""},
            )
        ),
        json.dumps({key: value for key, value in GOOD.items() if key != "value"}).encode(),
        json.dumps({key: value for key, value in GOOD.items() if key != "value"} | {"base64": "*"}).encode(),
        json.dumps({key: value for key, value in GOOD.items() if key != "value"} | {"text": 7}).encode(),
        json.dumps({"namespace": "n", "highest": -1}).encode(),
    ],
)
def test_a_wrong_line_is_named_and_nothing_of_it_is_written(make_store, line):
    target = make_store()
    beginning = b'{"format":"sqlitedict_kv","number":1}\n'
    with pytest.raises((ValueError, TypeError), match="line 2: "):
        import_lines(target, [beginning, line + b"\n"])
    assert target.namespaces() == []


@pytest.mark.parametrize("line", [b"", b"name,value\n", b'{"format":"sqlitedict_kv","number":2}\n', b"[1]\n"])
def test_a_file_that_is_not_an_export_is_refused(make_store, line):
    with pytest.raises(ValueError, match="line 1: "):
        import_lines(make_store(), [line])


def test_lines_that_a_person_wrote_need_only_namespace_key_and_value(make_store):
    target = make_store()
    import_lines(target, [b'{"format":"sqlitedict_kv","number":1}\n', b'{"namespace":"n","key":"k","value":[1]}\n'])
    entry = target.ns("n").get_with_meta("k")
    assert (entry.value, entry.meta.version) == ([1], 1)
    assert entry.meta.updated_at.timestamp() == target.clock()


# -- the commands


@on_places
def test_a_store_goes_through_the_shell_from_place_to_place(open_store, where, tmp_path):
    import time

    store = open_store(clock=time.time)
    store.ns("n").update(VALUES)
    store.ns("m").set("k", 1, ttl="1 day")
    lines = well("export", where).out
    done = well("import", tmp_path / "new.db", "-", given=lines)
    assert done.out.startswith(f"{len(VALUES) + 1} entries of 2 namespaces imported")
    with Store(tmp_path / "new.db") as new:
        assert dict(new.ns("n")) == VALUES
    lines = well("export", tmp_path / "new.db", "n", "--prefix", "te").out
    well("import", where, "-", "--rename", "n", "renamed", given=lines)
    assert dict(store.ns("renamed")) == {"text": VALUES["text"]}


def test_the_commands_say_what_is_wrong(make_store, path, tmp_path):
    make_store(path).ns("n")["k"] = 1
    lines = tmp_path / "app.jsonl"
    lines.write_text("no export\n")
    done = run_program("import", path, lines)
    assert (done.code, "line 1" in done.err) == (2, True)
    assert run_program("import", path, tmp_path / "none").code == 2
    lines.write_text(well("export", path).out.partition('{"entries"')[0])
    done = run_program("import", path, lines)
    assert (done.code, "cut off" in done.err) == (6, True)
    assert run_program("export", path, "missing").code == 3
    assert run_program("export", tmp_path / "none.db").code == 1
