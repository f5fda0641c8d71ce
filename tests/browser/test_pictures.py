"""Pictures of the guide's pages on notebooks and services, of what a notebook and a scrape show."""

from pathlib import Path

import pytest

from sqlitedict_kv import Store
from tests.browser.test_pages_in_chromium import PICTURES, chromium  # noqa: F401 - a fixture
from tests.support.browsed import SCRIPT

pytestmark = pytest.mark.browser

PAGE = "<style>body {{ font: 15px system-ui, sans-serif; margin: 1rem }} td, th {{ padding: .2rem .8rem }}</style>{}"


def shown_in(browser, html, name):
    """Return the text that the browser shows of HTML, and take its picture if pictures are wanted."""
    page = browser.new_page(viewport={"width": 900, "height": 420})
    faults = []
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content(PAGE.format(html))
    text = page.inner_text("body")
    if PICTURES and name is not None:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")
    page.close()
    assert faults == []
    return text


def test_a_notebook_shows_a_store_and_a_namespace(chromium, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    with Store("app.db") as store:
        users = store.ns("users")
        users.update(ada={"name": "Ada", "born": 1815}, bob=[1, 2, 3], eve="a text")
        store.ns("sessions").set("token", b"\0secret", ttl="1 day")
        html = "<br>".join((store._repr_html_(), users._repr_html_(), users.preview()._repr_html_()))
        text = shown_in(chromium, html, "notebook")
        assert "sessions" in text and "'ada'" in text and "1815" in text
        users[SCRIPT] = SCRIPT
        assert SCRIPT in shown_in(chromium, users.preview()._repr_html_(), None)


def test_a_scrape_shows_the_figures_of_a_store(chromium, tmp_path):  # noqa: F811
    prometheus = pytest.importorskip("prometheus_client")
    from sqlitedict_kv.adapters.prometheus import StoreCollector
    from sqlitedict_kv.display.html import escape

    with Store(tmp_path / "app.db") as store:
        store.ns("users").update(ada=1, bob=2)
        assert store.ns("users")["ada"] == 1
        registry = prometheus.CollectorRegistry()
        registry.register(StoreCollector({"app": store}))
        lines = prometheus.generate_latest(registry).decode().splitlines()
    shown = "\n".join(line for line in lines if not line.startswith("#"))
    text = shown_in(chromium, f"<pre>{escape(shown)}</pre>", "service")
    assert 'sqlitedict_kv_entries{store="app"} 2.0' in text
