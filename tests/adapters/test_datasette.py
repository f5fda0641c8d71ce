"""The pages of stores in Datasette, by its ASGI application."""

import asyncio
import html
import importlib
import os
import re
import signal
import sqlite3
import subprocess
import tomllib
import urllib.request
from contextlib import closing
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sqlitedict_kv import Store
from tests.support.browsed import HOSTILE, SCRIPT, fill
from tests.support.command_line import PROGRAM, run_program
from tests.support.processes import PATIENCE, environment, take_interrupts

pytest.importorskip("datasette")
pytest.importorskip("pandas")
pytest.importorskip("PIL")

from datasette.app import Datasette
from datasette.plugins import pm

from sqlitedict_kv.adapters.datasette import server
from sqlitedict_kv.adapters.datasette.listing import Wanted, list_calls, list_entries, list_memoized

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ALLOWED = {
    "html", "head", "meta", "title", "link", "body", "nav", "main", "a", "h1", "p", "ul", "li", "figure", "figcaption",
    "svg", "rect", "text", "div", "table", "thead", "tbody", "tr", "th", "td", "code", "form", "input", "label",
    "select", "option", "button", "dl", "dt", "dd", "img", "polyline", "pre", "details", "summary", "b", "span",
}  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page: those that only show, and no address but of these pages."""

    def __init__(self):
        super().__init__()
        self.links, self.images, self.names = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        values = dict(attrs)
        assert not [name for name in values if name.startswith("on") or name == "style"], (tag, attrs)
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values["src"])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("browsed") / "app.db")


@pytest.fixture
def pages(filled):
    return Pages({"app": str(filled)})


class Pages:
    """Pages that are asked for in the process itself."""

    def __init__(self, stores, **options):
        self.datasette = server.make_datasette(stores, **options)

    def answer(self, path, host="localhost"):
        async def ask():
            import httpx

            transport = httpx.ASGITransport(app=self.datasette.app())
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return await client.get(path)

        return asyncio.run(ask())

    def get(self, page="", status=200, **arguments):
        """Return the text of a page of the store, whose elements were looked at."""
        answer = self.answer(f"/-/kv/app{page}?{urlencode(arguments)}")
        assert answer.status_code == status, answer.text
        self.elements = Elements()
        self.elements.feed(answer.text)
        assert self.elements.names <= ALLOWED, self.elements.names - ALLOWED
        assert all(link.startswith("/-/kv") for link in self.elements.links)
        assert all(re.match(r"data:image/(png|jpeg|gif|webp);base64,", image) for image in self.elements.images)
        return answer.text


def test_the_plugin_is_found_by_its_entry_point():
    points = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["datasette"]
    plugin = importlib.import_module(points["sqlitedict_kv"])
    assert pm.is_registered(plugin) or not metadata.entry_points(group="datasette", name="sqlitedict_kv")
    assert plugin.register_routes and plugin.menu_links and plugin.asgi_wrapper


def test_the_page_of_a_store_has_its_namespaces_with_sizes_and_a_chart(pages):
    text = pages.get()
    for name in ("users", "hostile", "values", "sessions", "memoize"):
        assert f">{name}</a>" in text
    assert '<svg class="bars"' in text
    assert "≥" not in text
    assert "in 1h 59min" in text or "in 2h" in text


def test_the_pages_of_a_namespace_have_every_key_once(pages):
    keys, link = [], "/-/kv/app/entries?ns=users"
    while link:
        text = pages.answer(link).text
        keys += re.findall(r">(user-\d+)</a>", text)
        following = re.search(r'class="next" href="([^"]+)"', text)
        link = following and html.unescape(following[1])
    assert keys == [f"user-{number:04}" for number in range(120)]


def test_entries_are_found_by_prefix_type_and_age(pages):
    assert re.findall(r">(user-\d+)</a>", pages.get("/entries", ns="users", prefix="user-011")) == [
        f"user-{number:04}" for number in range(110, 120)
    ]
    text = pages.get("/entries", ns="values", type="application/octet-stream")
    assert "picture.png" in text and ">array</a>" not in text
    assert "No entry fits" in pages.get("/entries", ns="users", older="hour")
    assert "user-0000" in pages.get("/entries", ns="users", newer="hour")


def test_the_largest_entries_come_first(pages):
    text = pages.get("/largest")
    assert text.index(">huge</a>") < text.index(">long</a>") < text.index(">wide</a>")
    assert ">huge</a>" not in pages.get("/largest", ns="hostile")


def test_a_value_of_json_is_a_tree(pages):
    text = pages.get("/entry", ns="users", key="user-0007")
    assert "<b>name</b> <span>&#34;User 7&#34;</span>" in text
    assert "[2 items]" in text


def test_an_array_is_shown_by_shape_dtype_first_items_and_a_plot(pages):
    text = pages.get("/entry", ns="values", key="array")
    assert "float64" in text and "500" in text and "<polyline" in text
    assert 'class="bar"' in pages.get("/entry", ns="values", key="grid")
    text = pages.get("/entry", ns="values", key="not finite")
    assert "1 to 3" in text and "nan" in text


def test_a_frame_is_a_table_and_an_image_is_an_image(pages):
    text = pages.get("/entry", ns="values", key="frame")
    assert "<th>city</th>" in text and "<td>134591</td>" in text
    for key in ("picture.png", "pillow"):
        pages.get("/entry", ns="values", key=key)
        assert len(pages.elements.images) == 1


def test_expiry_is_told_in_words(pages):
    assert re.search(r"<dt>expires</dt><dd>in (2h|1h 59min)</dd>", pages.get("/entry", ns="sessions", key="soon"))
    assert "<dt>expires</dt><dd>never</dd>" in pages.get("/entry", ns="users", key="user-0001")


def test_memoized_functions_are_listed_with_their_keys(pages):
    assert "memoized functions" in pages.get("/entries", ns="memoize")
    text = pages.get("/functions", ns="memoize")
    assert ">app.report</a>" in text and ">2<" in text
    text = pages.get("/calls", ns="memoize", function="app.report", version="2")
    assert "2026-11" in text
    entries = [link for link in pages.elements.links if "/entry?" in link]
    assert len(entries) == 2
    assert all(pages.answer(link).status_code == 200 for link in entries)


@pytest.mark.parametrize("key", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_a_hostile_value_or_key_becomes_html(pages, key):
    text = pages.get("/entry", ns="hostile", key=key)
    assert "<script" not in text
    assert len(text) < 600_000


def test_a_hostile_list_and_its_links_only_lead_to_entries(pages):
    text = pages.get("/entries", ns="hostile")
    assert "<script" not in text and "onerror=alert(3)>" not in text
    links = [link for link in pages.elements.links if "/entry?" in link]
    assert len(links) == len(HOSTILE)
    assert all(pages.answer(link).status_code == 200 for link in links)
    pages.get("/entries", ns=f"odd/{SCRIPT}")
    for argument in ("prefix", "type", "newer", "after"):
        assert "<script" not in pages.get("/entries", **{"ns": "users", argument: SCRIPT})


def test_every_answer_forbids_scripts_frames_and_other_servers(pages):
    for path in ("/-/kv", "/-/kv/app", "/-/kv/app/entry?ns=hostile&key=script", "/-/kv/none", "/-/kv/-/style.css"):
        policy = pages.answer(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert "script" not in policy and "unsafe" not in policy


def test_a_huge_value_is_not_read(pages):
    assert "are not shown" in pages.get("/entry", ns="values", key="huge")


def test_what_is_not_there_is_said(pages):
    assert "no such entry" in pages.get("/entry", status=404, ns="users", key="nobody")
    assert "no such entry" in pages.get("/entry", status=404, ns="users", key="user-000")
    pages.get("/entry", status=404)
    pages.get("/entries", status=404)
    assert pages.answer("/-/kv/other").status_code == 404
    assert "No entry fits" in pages.get("/entries", ns="x" * 300)
    pages.get("/entry", status=404, ns="users", key="\ud800".encode("utf-8", "surrogatepass"))


def test_damaged_and_unknown_bodies_say_so(tmp_path):
    path = tmp_path / "app.db"
    with Store(path) as store:
        store.ns("a").update(broken={"x": 1}, odd=2, fine=3)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE kv SET value = x'ff00' WHERE key = 'broken'")
        connection.execute("UPDATE kv SET content_type = '<script>' WHERE key = 'odd'")
    pages = Pages({"app": str(path)})
    text = pages.get("/entries", ns="a")
    assert "Error" in text and "<script" not in text
    for key in ("broken", "odd"):
        assert "Error" in pages.get("/entry", ns="a", key=key)
    assert ">3<" in pages.get("/entry", ns="a", key="fine")


def test_a_file_that_is_no_store_or_is_missing_is_told(tmp_path):
    (tmp_path / "no.db").write_bytes(b"not a database" * 100)
    pages = Pages({"app": str(tmp_path / "no.db")})
    assert "Error" in pages.get(status=500)
    pages = Pages({"app": str(tmp_path / "missing.db")})
    assert "Error" in pages.get(status=500)
    assert not (tmp_path / "missing.db").exists()


def test_another_host_name_for_this_machine_is_refused(pages, filled):
    assert pages.answer("/-/kv/app", host="127.0.0.1:8001").status_code == 200
    assert pages.answer("/-/kv/app", host="[::1]:8001").status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8001"):
        assert pages.answer("/-/kv/app", host=host).status_code == 403
    shared = Pages({"app": str(filled)}, loopback=False)
    assert shared.answer("/-/kv/app", host="inside.example").status_code == 200


def test_the_server_runs_no_sql(pages):
    assert pages.answer("/").text.count("/-/kv/app") == 1
    assert pages.answer("/_memory.json?sql=select+1").status_code == 403


def test_permissions_of_datasette_hold(filled):
    server.make_datasette({})
    metadata_of = {"allow": {"id": "root"}, "plugins": {"sqlitedict-kv": {"stores": {"app": str(filled)}}}}
    pages = Pages({})
    pages.datasette = Datasette(metadata=metadata_of)
    for path in ("/-/kv", "/-/kv/app", "/-/kv/app/entries?ns=users"):
        assert pages.answer(path).status_code == 403


def test_what_takes_long_stops_and_goes_on(filled):
    with Store(filled, readonly=True) as store:
        keys, after, pages = [], None, 0
        while True:
            listing = list_entries(store, "users", Wanted(after=after), seconds=0)
            keys += [each.key for each in listing.entries]
            after, pages = listing.after, pages + 1
            assert listing.complete == (after is None)
            if after is None:
                break
        assert len(keys) == len(set(keys)) == pages == 120
        assert not list_memoized(store, "memoize", seconds=0).complete
        assert not list_memoized(store, "users", seconds=0).complete  # no key is that of a call
        assert not list_calls(store, "memoize", "app.report", "2", seconds=0).complete


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_serve_answers_on_loopback_until_it_is_interrupted(filled):
    started = subprocess.Popen(
        [*PROGRAM, "serve", str(filled), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        preexec_fn=take_interrupts,  # noqa: PLW1509 - it takes no lock
    )
    try:
        address = started.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/-/kv/app", address)
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            assert b"users" in answer.read()
        started.send_signal(signal.SIGINT)
        out, errors = started.communicate(timeout=PATIENCE)
    finally:
        started.kill()
    assert (started.returncode, out) == (130, "")
    assert "Traceback" not in errors


def test_serve_says_what_is_wrong(tmp_path):
    done = run_program("serve", tmp_path / "missing.db")
    assert done.code == 1 and "there is no file" in done.err
