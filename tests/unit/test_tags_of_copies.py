"""Tags go along with their entries: in a copy, a merge, an export and an import."""

import json

import pytest

from sqlitedict_kv import Store, copy
from sqlitedict_kv.operations.whole_entries import read_tags
from sqlitedict_kv.tools.exchange import export_lines, import_lines
from tests.conftest import on_shared

TAGS = {"plain": [], "one": ["t"], "two": ["t", "u"], "ü\0": ["t", "é\0"], "large": ["u"], "stale": []}


def fill(store):
    ns = store.ns("n")
    for key, tags in TAGS.items():
        ns.set(key, "x" * 70_000 if key == "large" else key, tags=tags)
    ns.set("stale", 1, tags=["t"])
    ns.set("stale", "stale")
    ns.set("gone", 1, tags=["t"])
    ns.delete("gone")


def tags_in(store):
    page = [(key, store._engine.read("n", key)) for key in store.ns("n")]
    _, tags = read_tags(store._context, "n", page)
    return {key: [*tags.get(key, ())] for key, _ in page}


def moved(source, target, how):
    if how == "copy":
        copy(source, target)
    elif how == "merge":
        target.merge(source)
    else:
        import_lines(target, b"".join(export_lines(source)).splitlines(keepends=True))


@on_shared
@pytest.mark.parametrize("how", ["copy", "merge", "export"])
@pytest.mark.parametrize("to_servers", [False, True], ids=["out", "in"])
def test_tags_go_along(store, make_store, tmp_path, how, to_servers):
    other = make_store(tmp_path / "other.db", files_above="64 KiB")
    source, target = (other, store) if to_servers else (store, other)
    fill(source)
    target.ns("n").set("plain", "old", tags=["t", "old"])
    source.ns("n").set("plain", "plain")
    target.clock.advance(1)
    source.ns("n").set("plain", "plain")
    moved(source, target, how)
    assert tags_in(target) == tags_in(source) == TAGS
    assert target.forget_tag("old") == 0
    assert target.forget_tag("t") == 3
    assert target.forget_tag("u") == 1
    assert set(target.ns("n")) == {"plain", "stale"}


def test_a_line_has_the_tags_of_its_entry(make_store, path):
    store = make_store(path)
    fill(store)
    lines = [json.loads(line) for line in b"".join(export_lines(store)).splitlines()]
    assert {line["key"]: line.get("tags", []) for line in lines if "key" in line} == TAGS
    bad = json.dumps({"namespace": "n", "key": "k", "value": 1, "tags": [7]}).encode()
    with pytest.raises(TypeError, match="line 2: a tag must be a str"):
        import_lines(store, [json.dumps(lines[0]).encode(), bad])


def test_an_entry_that_is_written_while_it_is_copied_has_its_own_tags(make_store, path):
    store = make_store(path)
    ns = store.ns("n")
    ns.set("a", 1, tags=["old"])
    ns.set("b", 1, tags=["old"])
    page = [(key, store._engine.read("n", key)) for key in "ab"]
    ns.set("a", 2, tags=["new"])
    ns.set("b", 2)
    entries, tags = read_tags(store._context, "n", page)
    assert tags == {"a": ("new",), "b": ("old",)}  # of b both are as they were
    assert [record.version for _, record in entries] == [2, 1]


def test_a_copy_out_of_an_engine_without_tags_looks_for_none(make_store, path, toy_engine):
    target = make_store(path)
    with Store("toy://") as source:
        source.ns("n")["k"] = 1
        target.merge(source)
    assert target.ns("n")["k"] == 1
    assert target.stats().tags == 0
