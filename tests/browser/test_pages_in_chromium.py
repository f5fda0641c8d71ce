"""The pages of stores in a real browser: they can be clicked through, log no error, and run nothing of a value.

`.ci/run browser` runs these; nothing else does. `PICTURES=docs/pictures` takes the pictures of the guide.
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.browsed import HOSTILE, fill
from tests.support.command_line import PROGRAM
from tests.support.processes import PATIENCE, environment, take_interrupts

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("PICTURES")
DESK, PHONE = {"width": 1100, "height": 760}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = fill(tmp_path_factory.mktemp("browsed") / "app.db")
    started = subprocess.Popen(
        [*PROGRAM, "serve", str(path), "--port", "0"],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
        preexec_fn=take_interrupts,  # noqa: PLW1509 - it takes no lock
    )
    try:
        yield started.stdout.readline().strip()
    finally:
        started.send_signal(signal.SIGINT)
        started.wait(PATIENCE)
        started.stdout.close()


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; CHROMIUM names one")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A tab that notes what a page must not do: log errors, open dialogs, or ask other servers."""

    def __init__(self, chromium, address, viewport=DESK, scheme="light"):
        self.address, self.faults = address, []
        self.context = chromium.new_context(viewport=viewport, color_scheme=scheme)
        self.page = page = self.context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self.faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", self._note)

    def _dismiss(self, dialog):
        self.faults.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _note(self, request):
        if not request.url.startswith((self.address.partition("/-/")[0], "data:")):
            self.faults.append(f"a request: {request.url}")

    def open(self, page="", **arguments):
        answer = self.page.goto(f"{self.address}{page}?{urlencode(arguments)}")
        assert answer.ok, answer.status

    def overflow(self):
        """Return by how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def picture(self, name):
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.fixture
def open_tab(chromium, address):
    tabs = []

    def make(**options):
        tabs.append(Tab(chromium, address, **options))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.context.close()
        assert tab.faults == []


def test_one_clicks_from_the_store_to_a_value_and_back(open_tab):
    tab = open_tab()
    tab.open()
    tab.picture("browser-store")
    tab.page.click("table >> text=users")
    tab.page.wait_for_selector("h1:text-is('users')")
    tab.page.fill("input[name=prefix]", "user-011")
    tab.page.select_option("select[name=newer]", "hour")
    tab.page.click("button")
    assert tab.page.locator("td.key").count() == 10
    tab.picture("browser-entries")
    tab.page.click("text=user-0113")
    tab.page.wait_for_selector(".tree")
    assert tab.page.locator(".leaf", has_text="User 113").is_visible()
    inner = tab.page.locator("summary", has_text="logins")
    assert not tab.page.locator(".leaf", has_text="113").nth(1).is_visible()
    inner.click()
    assert tab.page.locator(".leaf", has_text="113").nth(1).is_visible()
    tab.page.click("nav >> text=users")
    tab.page.click("nav >> text=app")
    tab.page.click("text=the largest entries")
    assert tab.page.locator("td.key").first.text_content() == "huge"


def test_the_second_page_of_a_namespace_is_a_click_away(open_tab):
    tab = open_tab()
    tab.open("/entries", ns="users")
    tab.page.click("text=Next page")
    tab.page.wait_for_url(re.compile("after=user-0049"))
    assert tab.page.locator("td.key").first.text_content() == "user-0050"


def test_arrays_frames_and_images_are_to_be_seen(open_tab):
    tab = open_tab()
    for key, selector in (
        ("array", "svg.plot polyline"),
        ("grid", "svg.plot rect"),
        ("frame", "td:text-is('Bern')"),
        ("pillow", "img.picture"),
        ("picture.png", "img.picture"),
    ):
        tab.open("/entry", ns="values", key=key)
        shown = tab.page.locator(selector).first
        shown.wait_for(state="visible")
        assert shown.bounding_box()["width"] > 0
        if selector.startswith("img"):
            assert tab.page.evaluate("document.querySelector('img.picture').naturalWidth") == 160
        tab.picture(f"browser-{key.replace('.', '-')}")


def test_memoized_functions_lead_to_their_results(open_tab):
    tab = open_tab()
    tab.open("/entries", ns="memoize")
    tab.page.click("text=memoized functions")
    tab.page.click("text=app.report")
    tab.picture("browser-calls")
    tab.page.click("td >> text=2026-11")
    assert tab.page.locator(".leaf", has_text="2026-11").is_visible()


@pytest.mark.parametrize("key", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_does_nothing(open_tab, key):
    tab = open_tab()
    tab.open("/entry", ns="hostile", key=key)
    assert tab.page.locator("script").count() == 0
    for summary in tab.page.locator("summary").all()[1:5]:  # the first is open
        summary.click()
    tab.page.mouse.move(200, 200)


def test_a_script_that_got_into_a_page_would_not_run(chromium, address):
    """The second line of defence: Content-Security-Policy."""
    tab = Tab(chromium, address)
    tab.open()
    tab.page.evaluate("document.body.innerHTML += '<img src=none: onerror=\"window.ran = 1\">'")
    tab.page.wait_for_timeout(100)
    assert tab.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in fault for fault in tab.faults)
    tab.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(open_tab, scheme):
    tab = open_tab(viewport=PHONE, scheme=scheme)
    for page, arguments in (
        ("", {}),
        ("/entries", {"ns": "hostile"}),
        ("/largest", {}),
        ("/entry", {"ns": "hostile", "key": "long"}),
        ("/entry", {"ns": "values", "key": "array"}),
        ("/functions", {"ns": "memoize"}),
    ):
        tab.open(page, **arguments)
        assert tab.overflow() <= 0, (page, arguments)
    tab.open()
    tab.picture(f"browser-phone-{scheme}")


def test_dark_mode_has_light_text_on_a_dark_page(open_tab):
    found = {}
    for scheme in ("light", "dark"):
        tab = open_tab(scheme=scheme)
        tab.open("/entry", ns="values", key="array")
        style = "getComputedStyle(document.body)"
        found[scheme] = [
            sum(map(int, re.findall(r"\d+", tab.page.evaluate(f"{style}.{name}"))[:3]))
            for name in ("color", "backgroundColor")
        ]
        tab.picture(f"browser-array-{scheme}")
    assert found["light"][0] + 400 < found["light"][1]
    assert found["dark"][0] > found["dark"][1] + 400
