"""The example sites, asked through HTTP while several processes answer."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from suites import version_of

from tests.conftest import integrity_of
from tests.support.processes import environment

WEB = Path(__file__).parents[2] / "examples" / "web"
NEEDS = {"flask_app.py": ("flask-caching", "flask-session"), "django_site.py": ("django",)}


class Site:
    """An example that runs; a context manager."""

    def __init__(self, name, path):
        for distribution in NEEDS[name]:
            version_of(distribution)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", WEB / name, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(measured=False),  # they are ended by a signal
        )

    def __enter__(self):
        line = self._process.stdout.readline()
        assert line.startswith("3 workers on http://127.0.0.1:"), line
        self.address = line.split()[3].rstrip(",").rstrip("/")
        return self

    def __exit__(self, *_error):
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0

    def visitor(self):
        """Return what asks for a page as one visitor, with cookies of their own."""
        opener = build_opener(HTTPCookieProcessor(CookieJar()))

        def ask(page, method="GET"):
            with opener.open(Request(self.address + page, method=method), timeout=60) as response:
                return response.status, response.read()

        return ask


def asked(visitor, page):
    status, body = visitor(page)
    assert status == 200
    return json.loads(body)


@pytest.fixture(params=NEEDS)
def site(request, path):
    with Site(request.param, path) as running:
        yield running
    assert integrity_of(path) == ["ok"]


def test_visits_are_counted_exactly_whichever_process_answers(site):
    def come(_number):
        visitor = site.visitor()
        return [asked(visitor, "/") for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(come, range(8)))
    assert [[answer["yours"] for answer in visitor] for visitor in answers] == [list(range(1, 11))] * 8
    assert sorted(answer["all"] for visitor in answers for answer in visitor) == list(range(1, 81))


def reports(site):
    """Return what every page of the report was, asked by eight at once until several processes have answered."""
    found, processes = [], set()

    def ask(_number):
        visitor = site.visitor()
        found.append(asked(visitor, "/report"))
        processes.add(asked(visitor, "/")["process"])

    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            list(pool.map(ask, range(40)))
            if len(processes) > 1:
                return found
    raise AssertionError(f"only {processes} answered")


def test_what_one_process_computed_all_serve_until_one_publishes(site):
    first = asked(site.visitor(), "/report")
    assert all(report == first for report in reports(site))
    assert site.visitor()("/publish", "POST")[0] == 204
    second = asked(site.visitor(), "/report")
    assert second != first
    assert all(report == second for report in reports(site))


def test_the_flask_app_memoizes_for_all_processes(path):
    with Site("flask_app.py", path) as site:
        asked(site.visitor(), "/square/3")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _number: asked(site.visitor(), "/square/3"), range(40)))
    assert answers == [{"square": 9, "computed": 1}] * 40


def test_the_django_site_caches_a_fragment_and_cleans_up(path):
    with Site("django_site.py", path) as site:
        site.visitor()("/fragment")
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(lambda _number: site.visitor()("/fragment"), range(40)))
        assert answers == {(200, b"<b>computed 1</b>")}
        done = subprocess.run(
            [sys.executable, "-W", "error", WEB / "manage.py", "sqlite_cache", "--purge"],
            capture_output=True,
            text=True,
            env={**environment(), "SITE_DB": str(path)},
            timeout=60,
            check=True,
        )
    default, kept = done.stdout.splitlines()
    assert default.startswith("default: 2 entries and 0 expired in 2 namespaces")
    assert kept.endswith("0 expired removed")
