"""No adapter pickles or unpickles anything unless it is asked to: watched from outside, in a process of its own."""

from textwrap import dedent

import pytest

from tests.adapters.suites import version_of
from tests.support.processes import Worker

WATCH = """
import pickle
import threading

seen = []

def audit(event, arguments):
    if event.startswith("pickle."):
        seen.append(arguments)

def profile(frame, event, called):
    if event == "c_call":
        owner = getattr(called, "__self__", None)
        if getattr(called, "__module__", None) == "_pickle" or isinstance(owner, (pickle.Pickler, pickle.Unpickler)):
            seen.append(called.__qualname__)
    elif event == "call" and frame.f_code.co_filename == pickle.__file__:
        seen.append(frame.f_code.co_qualname)

sys.addaudithook(audit)
threading.setprofile(profile)
sys.setprofile(profile)
"""

REPORT = """
sys.setprofile(None)
say(seen)
"""

VALUES = """
import datetime, decimal, uuid
VALUES = [None, True, 1, 2**70, 1.5, "é", b"\\0", [1], (1, (2,)), {"a": 1, 2: "b"}, {1}, frozenset({1}),
          datetime.datetime(2030, 1, 1), decimal.Decimal("1.5"), uuid.UUID(int=1), "x" * 100_000]
"""

# What to install, imports, and what to do.
USES = {
    "cachelib": (
        "cachelib",
        "from sqlitedict_kv.adapters.cachelib import SQLiteCache",
        """
        cache = SQLiteCache(path)
        for value in VALUES:
            cache.set("k", value)
            assert cache.get("k") == value
        cache.set_many({"a": (1,), "b": {2}})
        assert (cache.get_many("a", "b"), cache.inc("n")) == ([(1,), {2}], 1)
        """,
    ),
    "flask": (
        "flask-caching",
        """
        import flask, flask_caching, werkzeug
        from markupsafe import Markup
        """,
        """
        app = flask.Flask("app")
        options = {"CACHE_TYPE": "sqlitedict_kv.adapters.flask_caching.SQLiteCache", "CACHE_ARGS": [path]}
        cache = flask_caching.Cache(app, config=options)
        views = {"text": "text", "tuple": ("text", 201), "json": {"a": Markup("<b>")}}
        for name, answer in views.items():
            app.add_url_rule(f"/{name}", name, cache.cached()(lambda answer=answer: answer))
        app.add_url_rule("/made", "made", cache.cached()(lambda: flask.make_response("made")))
        app.add_url_rule("/none", "none", cache.cached()(lambda: flask.abort(404)))
        for name in (*views, "made", "none", *views, "made", "none"):
            app.test_client().get(f"/{name}")
        assert cache.memoize()(lambda number: (number, {number}))(5) == (5, {5})
        """,
    ),
    "dogpile": (
        "dogpile.cache",
        "from dogpile.cache import make_region",
        """
        region = make_region().configure("sqlitedict_kv", expiration_time=60, arguments={"path": path})
        for value in VALUES:
            region.set("k", value)
            assert region.get("k") == value
        assert region.get_or_create("made", lambda: (1, {2})) == (1, {2})
        """,
    ),
    "key_value": (
        "py-key-value-aio",
        """
        import asyncio
        from sqlitedict_kv import AsyncStore
        from sqlitedict_kv.adapters.key_value import SQLiteStore
        """,
        """
        async def main():
            async with AsyncStore(path) as store:
                values = SQLiteStore(store)
                await values.put("k", {"a": [1, (2,), None]}, collection="c" * 300, ttl=60)
                assert await values.get("k", collection="c" * 300) == {"a": [1, (2,), None]}

        asyncio.run(main())
        """,
    ),
    "litestar": (
        "litestar",
        """
        import asyncio
        from sqlitedict_kv import AsyncStore
        from sqlitedict_kv.adapters.litestar import SQLiteStore
        """,
        """
        async def main():
            async with AsyncStore(path) as store:
                values = SQLiteStore(store).with_namespace("n")
                await values.set("k", "text", expires_in=60)
                assert await values.get("k", renew_for=60) == b"text"

        asyncio.run(main())
        """,
    ),
    "langchain": (
        "langchain-core",
        """
        from langchain_core.messages import AIMessage
        from langchain_core.outputs import ChatGeneration
        from sqlitedict_kv import Store
        from sqlitedict_kv.adapters.langchain import SQLiteByteStore, SQLiteCache
        """,
        """
        with Store(path) as store:
            answer = [ChatGeneration(message=AIMessage(content="é"))]
            cache, values = SQLiteCache(store), SQLiteByteStore(store)
            cache.update("prompt", "model", answer)
            assert cache.lookup("prompt", "model") == answer
            values.mset([("k", b"1")])
            assert values.mget(["k"]) == [b"1"]
        """,
    ),
    "diskcache": (
        None,
        "from sqlitedict_kv.adapters import diskcache",
        """
        with diskcache.Cache(path) as cache, diskcache.FanoutCache(path + "f", shards=2) as fanout:
            for value in VALUES:
                cache.set("k", value, tag="t", expire=60)
                assert cache.get("k", tag=True) == (value, "t")
                fanout["k"] = value
                assert fanout["k"] == value
            cache[("a", 1), None] = 1
            assert list(cache) == ["k", (("a", 1), None)]
            assert cache.memoize()(lambda *arguments: arguments)(1, (2, "x" * 5000)) == (1, (2, "x" * 5000))
            with cache.transact():
                cache.push((1,), prefix="q")
            assert cache.pull(prefix="q")[1] == (1,)
            diskcache.Averager(cache, "average").add(1)
            with diskcache.RLock(cache, "lock"), diskcache.BoundedSemaphore(cache, "room"):
                pass
        assert list(diskcache.Deque([(1,), {2}], path + "d")) == [(1,), {2}]
        assert dict(diskcache.Index(path + "i", {(1,): {2}})) == {(1,): {2}}
        """,
    ),
    "sqlitedict": (
        None,
        "from sqlitedict_kv.adapters import sqlitedict",
        """
        with sqlitedict.SqliteDict(path, encode_key=sqlitedict.encode_key, decode_key=sqlitedict.decode_key) as table:
            for value in VALUES:
                table["k", 1] = value
                table.commit()
                assert table["k", 1] == value
        """,
    ),
}


def watched(imports, body, *arguments):
    """Return what was pickled and unpickled while *body* ran."""
    code = "\n".join([dedent(imports), VALUES, WATCH, "path = sys.argv[1]", dedent(body), REPORT])
    return Worker(code, *arguments).finish()[-1]


@pytest.mark.parametrize("name", USES)
def test_nothing_is_pickled_by_default(tmp_path, name):
    package, imports, body = USES[name]
    if package:
        version_of(package)
    assert watched(imports, body, tmp_path / "values") == "[]"


def test_the_watch_sees_pickles_where_they_are_asked_for(tmp_path):
    imports, path = "from sqlitedict_kv.adapters import diskcache", tmp_path / "values"
    written = watched(imports, "diskcache.Cache(path, dangerously_allow_pickle=True)['k'] = OSError", path)
    assert "dumps" in written
    read = watched(imports, "diskcache.Cache(path, dangerously_allow_pickle=True)['k']", path)
    assert "loads" in read
    assert "'OSError'" in read


def test_a_pickle_that_somebody_wrote_is_not_read_by_default(tmp_path):
    imports, path = "from sqlitedict_kv.adapters import diskcache", tmp_path / "values"
    watched(imports, "diskcache.Cache(path, dangerously_allow_pickle=True)['k'] = OSError", path)
    read = """
    from sqlitedict_kv import DecodeError
    try:
        diskcache.Cache(path)["k"]
    except DecodeError:
        seen.append("refused")
    """
    assert watched(imports, read, path) == "['refused']"
