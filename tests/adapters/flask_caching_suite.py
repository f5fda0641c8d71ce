"""A plugin of pytest with which Flask-Caching's tests run on our backend wherever they would on its SimpleCache.

Its class stands in for SimpleCache, with a new file for each cache and the clock that the suite moves.
"""

import tempfile
from itertools import count

import cachelib.simple
import flask_caching.backends
import flask_caching.backends.simplecache

from sqlitedict_kv.adapters.flask_caching import SQLiteCache

directory = tempfile.TemporaryDirectory()
numbers = count()


def now():
    return cachelib.simple.time()  # looked up anew, for the suite replaces it


class SuiteCache(SQLiteCache):
    def __init__(self, *_args, options=None, **kwargs):
        super().__init__(f"{directory.name}/{next(numbers)}.db", **kwargs, options={**(options or {}), "clock": now})

    @classmethod
    def factory(cls, app, config, args, kwargs):
        return super().factory(app, config, ["a new file"], kwargs)


SuiteCache.__name__ = "SimpleCache"
flask_caching.backends.SimpleCache = flask_caching.backends.simplecache.SimpleCache = SuiteCache
