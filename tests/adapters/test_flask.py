"""Flask-Caching and Flask-Session on our cache: the suite of the former, and requests through Flask's test client."""

# ruff: noqa: E402 - Flask is imported where it is installed

from pathlib import Path

import pytest
from suites import failures_in, report, run_pytest, source_of, version_of

from tests.conftest import VirtualClock

CACHING = version_of("flask-caching")
SESSION = version_of("flask-session")
version_of("pytest-xprocess")  # the suite's conftest wants it

import flask
import werkzeug.utils
from flask import Flask, abort, jsonify, session
from flask_caching import Cache, CachedResponse
from flask_session import Session
from markupsafe import Markup
from werkzeug.exceptions import MethodNotAllowed, NotFound

from sqlitedict_kv import Codec, CodecError, Store
from sqlitedict_kv.adapters import cachelib
from sqlitedict_kv.adapters.support import close_shared_stores

HERE = Path(__file__).parent
BACKEND = "sqlitedict_kv.adapters.flask_caching.SQLiteCache"

# These look inside of Flask-Caching's SimpleCache, or test its own arguments and serializer.
OF_SIMPLE_CACHE = (
    "test_backend_cache.py::TestSimpleCache::test_purge",
    "test_backend_cache.py::TestSimpleCache::test_deprecated_ignore_errors",
    "test_cachelib.py::test_backend_uses_cachelib_serializer",
    "test_serializer.py::test_default_keeps_the_cachelib_serializer",
    "test_serializer.py::test_values_are_stored_in_the_configured_format",
)
# what Redis does as a backend of its own, if redis-py is installed
OF_REDIS = ("test_basic_app.py::test_init_app_multi_apps", "test_cache.py::test_cache_unlink")


@pytest.fixture(autouse=True)
def closed_stores():
    yield
    close_shared_stores()


def make_app(path, clock, **config):
    app = Flask(__name__)
    options = {"clock": clock, **config.pop("CACHE_OPTIONS", {})}
    app.config.update(CACHE_TYPE=BACKEND, CACHE_ARGS=[path], CACHE_OPTIONS=options, **config)
    app.debug = True  # errors of the cache are raised, not logged
    return app, Cache(app)


def test_flask_cachings_own_suite_passes(tmp_path):
    tests = source_of("flask-caching", CACHING) / "tests"
    counts = run_pytest(
        *("-p", "flask_caching_suite", "-k", "not Redis and not redis and not Memcached", "--rootdir", tests),
        *(f"--deselect={test}" for test in OF_SIMPLE_CACHE + OF_REDIS),
        tests,
        directory=tmp_path,
        path=(HERE,),
    )
    report("Flask-Caching", CACHING, counts)
    log = (tmp_path / "suite.log").read_text()
    assert counts.failed == 0, failures_in(log) or log
    assert counts.passed >= 200


def test_views_and_functions_are_computed_once_until_their_timeout(path, clock):
    app, cache = make_app(path, clock)
    computed = []

    @app.get("/view")
    @cache.cached(timeout=60)
    def view():
        computed.append("view")
        return f"<b>view {len(computed)}</b>"

    @cache.memoize(timeout=60)
    def square(n):
        computed.append(n)
        return n * n

    client = app.test_client()
    assert client.get("/view").data == client.get("/view").data == b"<b>view 1</b>"
    with app.app_context():
        assert square(3) == square(3) == 9
        assert computed == ["view", 3]
        cache.delete_memoized(square)
        assert square(3) == 9
        assert computed == ["view", 3, 3]
    clock.advance(60)
    assert client.get("/view").data == b"<b>view 4</b>"


def plain():
    return flask.Response(b"\x00\xff", status="299 Odd", headers=[("X-A", "1"), ("X-A", "2")], mimetype="image/png")


def with_cookie():
    response = jsonify(a=[1, None])
    response.set_cookie("k", "v", httponly=True)
    return response


def elsewhere():
    return werkzeug.utils.redirect("/elsewhere")  # werkzeug's own response


def with_timeout():
    return CachedResponse(flask.make_response("é"), 30)


@pytest.mark.parametrize(("make", "timeout"), [(plain, 60), (with_cookie, 60), (elsewhere, 60), (with_timeout, 30)])
def test_a_response_is_kept_without_pickle(path, clock, make, timeout):
    app, cache = make_app(path, clock)
    calls = []

    @app.get("/")
    @cache.cached(timeout=60)
    def view():
        calls.append(1)
        return make()

    client = app.test_client()
    first, second = client.get("/"), client.get("/")
    assert len(calls) == 1
    assert (second.status, second.data, list(second.headers)) == (first.status, first.data, list(first.headers))
    clock.advance(timeout - 0.001)
    client.get("/")
    assert len(calls) == 1
    clock.advance(0.001)
    client.get("/")
    assert len(calls) == 2


def test_what_abort_raises_is_kept_and_what_streams_is_refused(path, clock):
    app, cache = make_app(path, clock)
    calls = []

    @app.get("/missing")
    @cache.cached()
    def missing():
        calls.append(1)
        abort(404, "no such thing")

    client = app.test_client()
    first, second = client.get("/missing"), client.get("/missing")
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert b"no such thing" in second.data
    assert len(calls) == 1

    with app.app_context():
        cache.set("k", MethodNotAllowed(["GET"], response=flask.Response("own", 405)))
        error = cache.get("k")
        assert (type(error), error.valid_methods, error.get_response().data) == (MethodNotAllowed, ["GET"], b"own")
        assert type(error.response) is flask.Response
        cache.set("k", NotFound())
        assert cache.get("k").description == NotFound.description
        with pytest.raises(CodecError):
            cache.set("k", flask.Response(iter(["streams"])))


def test_fragments_of_templates_stay_markup(path, clock):
    app, _ = make_app(path, clock)
    calls = []

    def expensive():
        calls.append(1)
        return len(calls)

    with app.test_request_context():
        template = '{% cache 60, "side" %}<b>{{ expensive() }}</b>{% endcache %}'
        for _ in range(2):
            assert flask.render_template_string(template, expensive=expensive) == "<b>1</b>"


def test_apps_share_a_file_by_their_prefix(path, clock):
    (one, first), (two, second) = (make_app(path, clock, CACHE_KEY_PREFIX=prefix) for prefix in ("one", "two"))
    with one.app_context():
        first.set("k", 1)
    with two.app_context():
        assert second.get("k") is None
        second.clear()
    with one.app_context():
        assert first.get("k") == 1
    with Store(path, clock=clock) as store:
        assert store.namespaces() == ["one"]


def test_options_reach_the_store_and_wrong_ones_are_refused(path, clock):
    app, cache = make_app(path, clock, CACHE_DEFAULT_TIMEOUT=7, CACHE_OPTIONS={"lru_bytes": "1 MB"})
    backend = app.extensions["cache"][cache]
    assert isinstance(backend, cachelib.SQLiteCache)
    assert backend.default_timeout == 7
    with app.app_context():
        cache.set("k", 1)
    clock.advance(7)
    assert backend.get("k") is None
    with pytest.raises(TypeError, match="colour"):
        make_app(path, clock, CACHE_OPTIONS={"colour": "red"})
    app = Flask(__name__)
    app.config.update(CACHE_TYPE=BACKEND)
    with pytest.raises(TypeError, match="CACHE_ARGS"):
        Cache(app)


# -- Flask-Session


def test_sessions_live_on_the_server_and_end(path):
    clock = VirtualClock()
    app = Flask(__name__)
    app.config.update(
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=cachelib.SQLiteCache(path, namespace="sessions", options={"clock": clock}),
        PERMANENT_SESSION_LIFETIME=600,
    )
    Session(app)

    @app.get("/visits")
    def visits():
        session["visits"] = session.get("visits", 0) + 1
        session["seen"] = {*session.get("seen", ()), session["visits"]}
        flask.flash("hello", "greeting")  # a tuple in a list
        return str(session["visits"])

    @app.get("/end")
    def end():
        session.clear()
        return "bye"

    client, other = app.test_client(), app.test_client()
    assert [client.get("/visits").text for _ in range(3)] == ["1", "2", "3"]
    assert other.get("/visits").text == "1"
    with Store(path, clock=clock) as store:
        sessions = store.ns("sessions")
        assert len(sessions) == 2
        assert max((value for value in sessions.values()), key=lambda value: value["visits"]) == {
            "_permanent": True,
            "visits": 3,
            "seen": {1, 2, 3},
            "_flashes": [("greeting", "hello")] * 3,
        }
        client.get("/end")
        assert len(sessions) == 1
        clock.advance(600)
        assert other.get("/visits").text == "1"


def test_a_flashed_message_may_be_markup(path):
    app = Flask(__name__)
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cachelib.SQLiteCache(path))
    Session(app)

    @app.get("/flash")
    def say():
        flask.flash(Markup("<b>saved</b>"), "info")
        flask.flash("<b>typed</b>")
        session["parts"] = {"list": [Markup("&amp;"), "&", {1}], ("a", 1): Markup("x")}
        return "ok"

    @app.get("/show")
    def show():
        assert session["parts"] == {"list": [Markup("&amp;"), "&", {1}], ("a", 1): Markup("x")}
        kinds = [type(part) for part in (*session["parts"]["list"], session["parts"]["a", 1])]
        assert kinds == [Markup, str, set, Markup]
        return flask.render_template_string("{% for text in get_flashed_messages() %}{{ text }} {% endfor %}")

    client = app.test_client()
    assert client.get("/flash").text == "ok"
    assert client.get("/show").text == "<b>saved</b> &lt;b&gt;typed&lt;/b&gt; "


def test_what_is_neither_markup_nor_kept_is_refused_as_ever(path):
    cache = cachelib.SQLiteCache(path)
    with pytest.raises(CodecError, match="object"):
        cache.set("k", {"html": Markup("<b>"), "thing": object()})
    assert not cache.has("k")
    mine = Codec("application/x-mine", lambda value: repr(value).encode(), bytes.decode, (object,))
    with_mine = cachelib.SQLiteCache(path, namespace="mine", options={"codecs": (mine,)})
    with_mine.set("k", [Markup("<b>")])
    assert with_mine.get("k") == "[Markup('<b>')]"
