"""Runs Django's BaseCacheTests on the SQLite cache: python django_suite.py DJANGO'S_TESTS DIRECTORY PICKLED.

It writes the outcome to DIRECTORY/outcome.json. A process of its own, for Django has one configuration per process.
"""

import json
import sys
from pathlib import Path

import django
from django.conf import settings
from django.test.runner import DiscoverRunner

TESTS, DIRECTORY, PICKLED = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True"
BACKEND = {"BACKEND": "sqlitedict_kv.adapters.django.SQLiteCache", "LOCATION": str(DIRECTORY / "cache.db")}
OPTIONS = {"allow_pickle_signed_with_secret_key": True} if PICKLED else {}


def with_options(aliases):
    """Return the suite's caches with our options added to those that the suite itself gives."""
    for alias in aliases.values():
        alias["OPTIONS"] = {**OPTIONS, **alias.get("OPTIONS", {})}
    return aliases


class Runner(DiscoverRunner):
    """Runs tests and writes down what became of each."""

    def suite_result(self, suite, result, **kwargs):
        outcome = {
            "run": result.testsRun,
            "failed": sorted(test.id().rsplit(".")[-1] for test, _ in (*result.failures, *result.errors)),
            "skipped": sorted(test.id().rsplit(".")[-1] for test, _ in result.skipped),
        }
        (DIRECTORY / "outcome.json").write_text(json.dumps(outcome))
        return super().suite_result(suite, result, **kwargs)


def main():
    sys.path.insert(0, TESTS)
    settings.configure(
        SECRET_KEY="secret of the suite",
        INSTALLED_APPS=["cache", "sqlitedict_kv.adapters.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={"default": {**BACKEND, "OPTIONS": OPTIONS}},
        MIDDLEWARE=[],
        USE_TZ=False,
    )
    django.setup()

    from cache.tests import BaseCacheTests, caches_setting_for_tests
    from django.test import TestCase, override_settings

    base = override_settings(CACHES=with_options(caches_setting_for_tests(**BACKEND)))
    suite = type("SQLiteCacheTests", (BaseCacheTests, TestCase), {"__module__": "__main__"})
    sys.modules["__main__"].SQLiteCacheTests = base(suite)
    Runner(verbosity=2, interactive=False).run_tests(["__main__.SQLiteCacheTests"])


if __name__ == "__main__":
    main()
