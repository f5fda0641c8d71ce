"""A Flask app whose cache, sessions and counters are in one file, shared by all its processes.

Run it with ``pip install "sqlitedict-kv[flask-caching,flask-session]"`` and ``python examples/web/flask_app.py
site.db``; it prints its address.
"""

import os
import sys

from flask import Flask, jsonify, session
from flask_caching import Cache
from flask_session import Session
from workers import serve

from sqlitedict_kv.adapters.cachelib import SQLiteCache


def make_app(path):
    app = Flask(__name__)
    app.config.update(
        CACHE_TYPE="sqlitedict_kv.adapters.flask_caching.SQLiteCache",
        CACHE_ARGS=[path],
        CACHE_OPTIONS={"lru_bytes": "16 MB"},
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=SQLiteCache(path, namespace="sessions"),
    )
    cache = Cache(app)
    Session(app)
    counters = SQLiteCache(path, default_timeout=0, namespace="counters")

    @app.get("/")
    def visit():
        """Count all visits, and those of this visitor, whichever process answers."""
        session["visits"] = session.get("visits", 0) + 1
        return jsonify(all=counters.inc("visits"), yours=session["visits"], process=os.getpid())

    @app.get("/report")
    @cache.cached(timeout=60)
    def report():
        """Take long, once a minute."""
        return jsonify(computed=counters.inc("reports"), process=os.getpid())

    @app.get("/square/<int:number>")
    def square(number):
        return jsonify(square=squared(number), computed=counters.get("squares"))

    @cache.memoize(timeout=60)
    def squared(number):
        counters.inc("squares")
        return number * number

    @app.post("/publish")
    def publish():
        """Make what is cached stale, for all processes at once."""
        cache.clear()
        return "", 204

    return app


if __name__ == "__main__":
    serve(make_app, sys.argv[1] if len(sys.argv) > 1 else "site.db")
