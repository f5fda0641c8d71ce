"""Nothing is unpickled, nothing but SQLite opens the file, links are not followed, and no message shows a value."""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import os
import pickle
import sqlite3
import stat
import sys
import traceback
from contextlib import closing
from decimal import Decimal

import pytest

import sqlitedict_kv
from sqlitedict_kv import Codec, CodecError, DecodeError, KVError, LocationError, Store, diagnose
from sqlitedict_kv.locks import Lock, RLock, Semaphore, Throttle
from tests.support.processes import run

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and links of POSIX")
CANARY = "canary7f3a"

SESSION = """
    import asyncio, threading
    from sqlitedict_kv.locks import Lock, Throttle
    path = sys.argv[1]
    seen, opened, watching = [], [], []

    def hook(event, arguments):
        if not watching:
            return
        if event.startswith(("pickle.", "os.system", "os.exec", "os.spawn", "subprocess.", "socket.connect")):
            seen.append(event)
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            name = os.fsdecode(arguments[0])
            making = arguments[1] is None and arguments[2] & os.O_CREAT and arguments[2] & os.O_EXCL
            if name in {path, path + "-wal", path + "-journal"} and not making:
                opened.append(name)
            if name == path + "-shm" and arguments[1] is not None:  # the mark opens it by os.open, and keeps it
                opened.append(name)

    sys.addaudithook(hook)
    watching.append(True)
    store = Store(path, lru_bytes="1 MB")
    n = store.ns("n")
    for value in (1, "text", b"bytes", (1, 2), {1, 2}, {"a": [None]}, 2**90, 1j):
        n["k"] = value
        n["k"]; n.get("k"); n.get_with_meta("k"); n.get_many(["k"]); list(n.items()); n.copy()
    n.set_many({str(i): i for i in range(500)})
    n.incr("1"); n.modify("2", str); n.touch("3", 60); n.pop("4"); n.popitem(); n.setdefault("5", 1); n.add("x", 1)
    with store.atomic() as tx:
        tx.ns("n")["a"] = 1
        tx.ns("n").incr("1")

    @store.memoize(ttl=60)
    def square(number):
        return number * number, {"root": number}

    @store.memoize(ttl=60)
    async def cube(number):
        return number ** 3

    square(3); square(3); square.forget(3); square.refresh(3)
    asyncio.run(cube(3))
    with Lock(store.ns("locks"), "job", ttl=60):
        Throttle(store.ns("locks"), "t", count=5, seconds=1).acquire()
    threads = [threading.Thread(target=lambda: (n.incr("c"), list(n))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.stats(); store.check(); store.healthcheck(); store.vacuum(); store.sync(); store.backup(path + ".copy")
    diagnose(path)
    store.drop("n"); n.clear(); store.purge_expired(); store.close()
    for options in ({"readonly": True}, {"on_corrupt": "quarantine"}, {"durability": "power"}):
        with Store(path, **options) as again:
            again.ns("n").get("k")
    diagnose(path)
    watching.clear()
    say(seen)
    say(opened)
    watching.append(True)
    import pickle
    pickle.loads(pickle.dumps(Store))
    say(sorted(set(seen)))
"""


def test_a_whole_session_unpickles_nothing_and_opens_the_file_through_sqlite_alone(tmp_path):
    lines = run(SESSION, tmp_path / "app.db")
    assert lines[0] == "[]"
    assert lines[1] == "[]"
    assert "pickle.find_class" in lines[2], "the hook would have seen it"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-python-pickle",
        "application/json",
        "application/msgpack",
        "application/x-npy",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.arrow.stream; as=pandas",
        "text/plain; charset=utf-8",
    ],
)
def test_a_pickle_under_any_content_type_is_not_run(tmp_path, content_type):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "reached"),)

    path = tmp_path / "app.db"
    with Store(path) as store:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with closing(sqlite3.connect(path)) as raw:
                raw.execute(
                    "INSERT OR REPLACE INTO kv (ns, key, value, content_type, updated_at) VALUES ('n', 'k', ?, ?, 0)",
                    (pickle.dumps(Payload(), protocol), content_type),
                )
                raw.commit()
            try:
                value = store.ns("n")["k"]
            except DecodeError:
                continue
            assert content_type.startswith("text/")  # the oldest ones are text, and come back as that
            assert type(value) is str
    assert not (tmp_path / "reached").exists()


@pytest.mark.frameworks
def test_a_pickled_object_in_an_array_is_refused(tmp_path):
    np = pytest.importorskip("numpy")
    path = tmp_path / "app.db"
    with Store(path) as store:
        array = np.array([object()], dtype=object)
        with pytest.raises(CodecError):
            store.ns("n")["k"] = array
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        with closing(sqlite3.connect(path)) as raw:
            raw.execute(
                "INSERT INTO kv (ns, key, value, content_type, updated_at) VALUES ('n', 'k', ?, ?, 0)",
                (buffer.getvalue(), "application/x-npy"),
            )
            raw.commit()
        with pytest.raises(DecodeError):
            store.ns("n")["k"]


# -- links


@posix
def test_a_file_is_made_exclusively_and_without_following_links(tmp_path, monkeypatch):
    seen = []
    genuine = os.open

    def watched(name, flags, *rest, **options):
        seen.append((os.fspath(name), flags, *rest))
        return genuine(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", watched)
    path = os.path.realpath(tmp_path / "app.db")
    with Store(path) as store:
        store.backup(f"{path}.copy")
    made = [flags for name, flags, *_ in seen if name.startswith(path) and flags & os.O_CREAT]
    assert len(made) == 2
    assert all(flags & os.O_EXCL for flags in made)
    assert made[0] & os.O_NOFOLLOW
    assert [rest for name, flags, *rest in seen if name == path and flags & os.O_CREAT] == [[0o600]]


@posix
@pytest.mark.parametrize("name", ["app.db", "copy.db"])
def test_a_planted_link_is_not_written_through(tmp_path, name):
    target = tmp_path / "precious"
    (tmp_path / name).symlink_to(target)
    if name == "app.db":
        with pytest.raises(LocationError):
            Store(tmp_path / name)
    else:
        with Store(tmp_path / "app.db") as store, pytest.raises(KVError):
            store.backup(tmp_path / name)
    assert not target.exists()
    assert stat.S_ISLNK((tmp_path / name).lstat().st_mode)


@posix
def test_a_link_planted_at_the_last_moment_is_not_followed(tmp_path, monkeypatch):
    """Between the look at the path and the making of the file."""
    path, target = tmp_path / "app.db", tmp_path / "precious"
    genuine = os.open

    def late(name, flags, *rest, **options):
        if os.fspath(name) == os.path.realpath(path) and flags & os.O_CREAT and not path.is_symlink():
            path.symlink_to(target)
        return genuine(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", late)
    with contextlib.suppress(KVError):
        Store(path).close()
    assert not target.exists()


# -- what is shown


class Exploding:
    """Cannot be encoded, and would show itself."""

    def __repr__(self):
        return CANARY


def fail_with(value):
    raise ValueError(f"cannot take {value!r}")


FUSSY = Codec("x/fussy", lambda value: fail_with(CANARY), fail_with, (complex,))
LAZY = Codec("x/lazy", lambda value: CANARY.encode(), fail_with, (Decimal,))


def errors_of(store, path, directory):
    """Provoke all the errors that have to do with values; yield what raises."""
    n = store.ns("n")
    n.update(text=CANARY, number=5, items=[CANARY], packed=(CANARY, 1), body=CANARY.encode(), lazy=Decimal(1))
    deep = CANARY
    for _ in range(3000):
        deep = (deep,)
    for value in (
        Exploding(), [Exploding()], {CANARY: Exploding()}, {Exploding(): 1}, bytearray(CANARY.encode()), deep,
        f"{CANARY}\ud800", {f"{CANARY}\ud800": 1}, 1j, datetime.datetime(2020, 1, 1, tzinfo=Zone()), CANARY * 10**5,
    ):  # fmt: skip
        yield lambda value=value: n.set("k", value)
        yield lambda value=value: n.add("new", value)
        yield lambda value=value: n.set_many({"k": value})
        yield lambda value=value: n.modify("number", lambda _: value)
        yield lambda value=value: n.setdefault("other", value)
        yield lambda value=value: n.cas_set("number", value, 1)
    yield lambda: n.set("k", CANARY, content_type="application/octet-stream")
    yield lambda: n.set("k", (CANARY,), content_type="application/json")
    yield lambda: n.set("k", [CANARY], content_type="text/plain; charset=utf-8")
    yield lambda: n.incr("text")
    yield lambda: n.cas_set("text", CANARY, 99)
    yield lambda: n.delete("text", version=99)
    yield lambda: n["lazy"]
    yield lambda: dict(n.items())
    yield lambda: Lock(n, "text", ttl=5).acquire(timeout=0)
    yield lambda: RLock(n, "items", ttl=5).acquire(timeout=0)
    yield lambda: Semaphore(n, "packed", value=2, ttl=5).acquire(timeout=0)
    yield lambda: Throttle(n, "text", count=2, seconds=5).acquire(timeout=0)

    def memoized():
        @store.memoize(ttl=5)
        def function():
            return [Exploding(), CANARY]

        return function()

    yield memoized

    def transaction():
        with store.atomic() as tx:
            tx.ns("n").set("text", CANARY)
            tx.ns("n").check("text", 99)

    yield transaction
    for change in (
        "value = value || 'x'", "value = CAST(value || x'ff' AS TEXT)", "content_type = 'x/unknown'", "checksum = 1",
        "content_type = 'application/json', checksum = NULL", "content_type = 'application/msgpack', checksum = NULL",
        "content_type = 'application/x-npy', checksum = NULL", "value = substr(value, 1, 8), checksum = NULL",
        "content_type = 'application/vnd.apache.arrow.stream', checksum = NULL", "version = 'x'", "expires_at = 'x'",
    ):  # fmt: skip
        for key in ("text", "items", "packed", "body"):
            n.set(key, {"text": CANARY, "items": [CANARY], "packed": (CANARY, 1), "body": CANARY.encode()}[key])
            with closing(sqlite3.connect(path)) as raw:
                raw.execute(f"UPDATE kv SET {change} WHERE key = ?", (key,))
                raw.commit()
            yield lambda key=key: n[key]
            yield lambda key=key: n.get_many([key])
            yield lambda key=key: n.pop(key)
            yield lambda key=key: n.modify(key, str)
            yield lambda: dict(n.scan())
            yield lambda: list(n.values())
            yield lambda: raise_problems(store.check())
            n.delete(key)
    yield lambda: raise_problems(diagnose(path))
    n["text"] = CANARY
    yield lambda: store.backup(directory)
    store.close()
    yield lambda: n.set("k", CANARY)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    yield lambda: Store(path).ns("n")["text"]
    yield lambda: raise_problems(diagnose(path))
    yield lambda: raise_quarantine(Store(path, on_corrupt="quarantine"))


class Zone(datetime.tzinfo):
    def utcoffset(self, moment):
        return datetime.timedelta(0)

    def __repr__(self):
        return CANARY


def raise_problems(report):
    raise AssertionError(f"{report} {report!r}")


def raise_quarantine(store):
    with store:
        raise AssertionError(f"{store.quarantined}")


def texts_of(error):
    """Everything that is printed of an error, with its causes and notes, but not the lines of this file."""
    seen = traceback.TracebackException.from_exception(error, compact=False)
    while seen is not None:
        yield "".join(seen.format_exception_only())
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    yield repr(error)
    yield str(vars(error)) if hasattr(error, "__dict__") else ""


def test_no_error_no_log_and_no_repr_shows_a_value(tmp_path, caplog):
    path = tmp_path / "app.db"
    caplog.set_level(logging.DEBUG)
    raised = quiet = 0
    store = Store(path, codecs=[FUSSY, LAZY], max_value_bytes=500_000)
    for call in errors_of(store, path, tmp_path):
        try:
            call()
        except Exception as error:
            raised += 1
            for text in texts_of(error):
                assert CANARY not in text, text
        else:
            quiet += 1
    assert raised > 250
    assert quiet < raised / 2
    assert CANARY not in caplog.text

    with Store(lru_bytes="1 MB") as other:
        n = other.ns("n")
        n["k"] = CANARY
        entry = n.get_with_meta("k")
        shown = [
            repr(thing)
            for thing in (
                other, n, n.keys(), n.stats(), other.stats(), other.healthcheck(), other.check(), n.list(), entry.meta,
                other.atomic(), Lock(n, "l"), Semaphore(n, "s", value=2), Throttle(n, "t", count=1, seconds=1), FUSSY,
            )
        ]  # fmt: skip
        assert not any(CANARY in text for text in shown)
        # What holds values by its nature shows them: an Entry, values() and items(), as those of a dict do.
        assert CANARY in repr(entry)


def test_no_module_of_the_core_imports_pickle_or_shelve_or_marshal():
    root = os.path.dirname(sqlitedict_kv.__file__)
    for directory, _, names in os.walk(root):
        if "adapters" in directory:  # frameworks that pickle by contract; never without being asked by name
            continue
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    text = file.read()
                for module in ("pickle", "shelve", "marshal", "dill", "cloudpickle"):
                    assert f"import {module}" not in text, f"{name} imports {module}"
