"""What a notebook shows: bounded, without values unless asked, and nothing of a key or a value becomes HTML."""

import os
from html.parser import HTMLParser

import pytest

from sqlitedict_kv import Store, StoreClosedError
from sqlitedict_kv.display import cell
from sqlitedict_kv.operations import showing, usage

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;\u202e'
TAGS = {"div", "strong", "small", "table", "thead", "tbody", "tr", "th", "td"}


class Parsed(HTMLParser):
    """The text of HTML, its cells, and a check that it has no tag and no attribute but ours."""

    def __init__(self, html):
        super().__init__()
        self.text, self.rows = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS
        assert {name for name, _ in attributes} <= {"style", "class"}
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text.append(data)
        if self.rows and self.lasttag in {"td", "th"}:
            self.rows[-1][-1] += data


def show(thing):
    html = thing._repr_html_()
    assert "\u202e" not in html
    return Parsed(html)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """On a busy machine even a few entries take longer than a display waits."""
    monkeypatch.setattr(showing, "SECONDS", 600)


@pytest.fixture
def store(make_store, path):
    return make_store(path)


def test_a_namespace_shows_its_first_keys_and_no_value(store, clock):
    users = store.ns("users")
    users["ada"] = {"secret": "word"}
    users.set("bob", b"12345", ttl=90)
    clock.advance(60)
    shown = show(users)
    assert shown.rows[1:] == [
        ["'ada'", "JSON", "17 B", "1min ago", ""],
        ["'bob'", "bytes", "5 B", "1min ago", "in 30s"],
    ]
    text = " ".join(shown.text)
    assert "2 entries" in text
    assert "22 B" in text
    assert "secret" not in text


def test_a_namespace_never_floods_and_says_where_it_stopped(store, monkeypatch):
    monkeypatch.setattr(usage, "SUMMARIES_PER_PAGE", 50)
    monkeypatch.setattr(showing, "SECONDS", 0)
    users = store.ns("users")
    users.set_many({f"{number:05}": "x" * number for number in range(1000)})
    shown = show(users)
    assert len(shown.rows) == 1 + showing.MOST_ROWS
    assert "≥ 50 entries" in "".join(shown.text)
    assert "ns.usage() counts everything" in "".join(shown.text)


def test_a_store_shows_its_namespaces(store, clock):
    store.ns("users").set("ada", b"x" * 2000, ttl=60)
    store.ns("users")["bob"] = 1
    store.ns("others", keys=int)[5] = 1
    shown = show(store)
    assert shown.rows[2] == ["'users'", "2", "2.0 KiB", "in 1min", "'ada', 2.0 KiB"]
    assert shown.rows[1][:2] == ["'others'", "1"]
    assert "2 namespaces" in "".join(shown.text)


def test_a_store_of_many_namespaces_shows_some(store):
    for number in range(showing.MOST_NAMESPACES + 5):
        store.ns(f"n{number:03}")["k"] = 1
    shown = show(store)
    assert len(shown.rows) == 1 + showing.MOST_NAMESPACES
    assert "5 more namespaces" in "".join(shown.text)


@pytest.mark.parametrize("where", ["key", "value", "namespace"])
def test_nothing_becomes_html(store, where):
    name, key, value = (EVIL if where == each else each for each in ("namespace", "key", "value"))
    space = store.ns(name)
    space[key] = value
    for thing in (store, space, space.preview(), space.get_with_meta(key), space.list()):
        show(thing)


def test_a_key_that_is_no_text_of_unicode_is_shown_as_its_escape():
    assert "\\ud800" in showing.show_keys(["\ud800"], None)


def test_preview_shows_values_and_how_to_change_them(store):
    users = store.ns("users")
    users["ada"] = {"name": "Ada"}
    users["big"] = b"x" * (showing.LARGEST_PREVIEW + 1)
    users["long"] = ["item"] * 5000
    preview = users.preview()
    assert [row[0] for row in preview.rows] == ["'ada'", "'big'", "'long'"]
    assert preview.rows[0][1:] == ("dict, 1", "14 B", "{'name': 'Ada'}")
    assert preview.rows[1][3] == "too large to be shown"
    assert len(preview.rows[2][3]) < 500
    assert "with ns.edit(key) as value" in repr(preview)
    assert "with ns.edit(key) as value" in "".join(show(preview).text)
    assert len(users.preview(1).rows) == 1
    with pytest.raises(ValueError, match="n must"):
        users.preview(0)


def test_preview_names_what_does_not_decode(store, path):
    store.ns("users").set("k", b"x", content_type="application/octet-stream")
    store._engine._database.run(
        lambda cursor: cursor.execute("UPDATE kv SET content_type = 'unknown/type', checksum = NULL")
    )
    assert store.ns("users").preview().rows[0][3].startswith("NotKeptHereError: the entry 'k'")


def test_figures_entries_and_pages_are_tables(store, clock):
    users = store.ns("users")
    users.set_many({f"{number:03}": number for number in range(150)}, ttl=60)
    assert ["entries", "150"] in show(store.stats()).rows
    assert ["entries", "150"] in show(users.stats()).rows
    assert show(store.healthcheck()).rows[0] == ["ok", "True"]
    assert show(users.usage()).rows == [["type", "entries", "bytes"], ["JSON", "150", "340 B"]]
    assert show(store.usage()).rows[1][:3] == ["'users'", "150", "340 B"]
    page = show(users.list(limit=120))
    assert len(page.rows) == 1 + showing.LOOKED_AT
    assert "cursor=page.cursor" in "".join(page.text)
    entry = show(users.get_with_meta("007")).rows
    assert ["value", "7"] in entry
    assert ["type", "int; JSON, 1 B"] in entry


def test_a_memoized_function_shows_its_calls_and_its_key(store):
    factor = 3

    @store.memoize
    def triple(number):
        return number * factor

    triple(1)
    triple(1)
    rows = show(triple).rows
    assert ["hits", "1"] in rows
    assert ["computed", "1"] in rows
    assert any(name.startswith("in the key: factor") for name, _ in rows)
    assert ["hits", "1"] in show(triple.cache_info()).rows


def test_the_text_of_a_namespace_in_ipython_counts_nothing(store, monkeypatch):
    shown = []
    printer = type("Printer", (), {"text": lambda _, text: shown.append(text)})()
    monkeypatch.setattr(type(store._engine), "count", None)
    store.ns("users")._repr_pretty_(printer, False)
    assert shown == [f"<Namespace 'users' of {store._engine.label!r}>"]


def test_keys_complete(store):
    store.ns("users").set_many({"ada": 1, "bob": 2})
    store.ns("numbers", keys=int)[5] = 1
    assert store.ns("users")._ipython_key_completions_() == ["ada", "bob"]
    assert store.ns("numbers", keys=int)._ipython_key_completions_() == [5]


# -- mistakes


@pytest.mark.parametrize(
    "mistake",
    [lambda store: store["users"], lambda store: "users" in store, len, list],
    ids=["[]", "in", "len", "iter"],
)
def test_a_store_used_as_a_mapping_says_what_to_write(store, mistake):
    with pytest.raises(TypeError, match=r"store\.ns\(['\"]users['\"]\)"):
        mistake(store)
    assert store


def test_a_tilde_is_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(tmp_path))
    with Store("~/x.db") as store:
        store.ns("users")["k"] = 1
    assert (tmp_path / "x.db").exists()


def test_a_tilde_elsewhere_is_part_of_a_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Store("~x.db").close()
    Store("x~.db").close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"~x.db", "x~.db"}


def test_a_closed_store_says_which_cell_opened_it(monkeypatch, path):
    shell = type("Shell", (), {"execution_count": 7})()
    monkeypatch.setitem(cell.sys.modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda: shell)}))
    store = Store(path)
    store.close()
    with pytest.raises(StoreClosedError, match=r"is closed; run cell \[7\] again, which opened it"):
        store.ns("users")["k"]
    assert "run cell [7] again" in "".join(Parsed(store._repr_html_()).text)
    assert "run cell [7] again" in "".join(Parsed(store.ns("users")._repr_html_()).text)


# -- cells that are run again


@pytest.fixture
def in_notebook(monkeypatch):
    shell = type("Shell", (), {"execution_count": 7})()
    monkeypatch.setitem(cell.sys.modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda: shell)}))


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted on Linux")
def test_stores_that_a_notebook_holds_keep_no_descriptors(in_notebook, make_store, path):
    def run_cell(times):
        for number in range(times):
            make_store(path).ns("users")["k"] = number  # and the fixture holds it
        return open_files()

    few = run_cell(2)
    assert run_cell(20) < few + 20, "each held three"


@pytest.mark.parametrize("options", [{}, {"lru_bytes": "1 MB"}], ids=["plain", "lru"])
def test_a_store_that_rests_goes_on_with_its_next_call(in_notebook, make_store, path, options):
    older = make_store(path, **options)
    users = older.ns("users")
    users["k"] = 1
    assert users["k"] == 1
    newer = make_store(path)
    newer.ns("users")["k"] = 2
    assert users["k"] == 2
    users["k"] = 3
    assert newer.ns("users")["k"] == 3
    assert older.check().ok


def test_a_store_in_the_middle_of_a_call_does_not_rest(in_notebook, make_store, path):
    older = make_store(path)
    seen = []

    def change(value):
        with make_store(path) as newer:
            seen.append(newer.ns("users").get("k"))
        return value + 1

    older.ns("users")["k"] = 1
    assert older.ns("users").modify("k", change) == 2
    for key, _ in older.ns("users").scan():
        make_store(path)
        seen.append(key)
    assert seen == [1, "k"]
    with older.exclusive() as alone:
        alone.ns("users")["k"] = 5
        make_store(path)
        alone.ns("users")["k"] = 6
    assert older.ns("users")["k"] == 6
