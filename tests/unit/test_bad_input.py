"""Every public argument is checked before anything is touched, and the message names it."""

# ruff: noqa: SIM201 - each operator is tested by itself

import sqlite3
from contextlib import closing
from decimal import Decimal
from types import SimpleNamespace

import pytest
import redis.asyncio

from sqlitedict_kv import AsyncStore, Codec, CodecError, Store, TooLargeError, UnsupportedError
from tests.support import ids

NAN, INF = float("nan"), float("inf")
HUGE = 10**5000  # too long for Python to print
SURROGATE = "a\ud800"
NOBODY = "redis://127.0.0.1:1"


def codec(**changes):
    return Codec(**{"content_type": "application/x-test", "encode": bytes, "decode": bytes, **changes})


def fresh(env, *arguments, **options):
    """Open a new file with options; a bad one must not make it."""
    return Store(*(arguments or (env.directory / "new.db",)), **options)


def in_tx(env, verb, *arguments, **options):
    with env.store.atomic() as tx:
        view = tx.ns("users")
        view["first"] = "must not be written"
        getattr(view, verb)(*arguments, **options)


CASES = []


def case(name, call, error, words):
    CASES.append(pytest.param(call, error, words, id=name))


def shown(value):
    return "huge" if value is HUGE else ids.shown(value)[:30]


def option(name, error, *values):
    for value in values:
        case(f"Store({name}={shown(value)})", lambda env, v=value: fresh(env, **{name: v}), error, name)


# -- the store

for bad in (None, 5, b"app.db", ["app.db"], True):
    case(f"Store({bad!r})", lambda env, v=bad: fresh(env, v), TypeError, "path")
for bad in ("", "a\0b", SURROGATE):
    case(f"Store({bad!r})", lambda env, v=bad: fresh(env, v), ValueError, "path")
option("readonly", TypeError, None, 0, 1, "yes")
option("durability", ValueError, None, "fast", "POWER", 1, b"power", ["power"])
option("timeout", TypeError, None, "10", True, [1], Decimal(1))
option("timeout", ValueError, -1, -0.001, NAN, INF, -INF, HUGE)
option("max_bytes", TypeError, 1.5, True, [1], b"1 MB")
option(
    "max_bytes", ValueError, 0, -1, 1000, "", "many", "1 XB", "-1 MB", "1e9", "1,5 GB", "9" * 400 + " GB", HUGE, 2**63
)
option("max_entries", TypeError, 1.5, True, "10", [1])
option("max_entries", ValueError, 0, -1, HUGE)
option("max_value_bytes", TypeError, None, 1.5, True, [1])
option("max_value_bytes", ValueError, 0, -1, "x", 2**40, "9" * 400 + " GB", HUGE)
option("codecs", TypeError, None, 5, "json", [None], ["application/json"], {"a": 1}, [bytes], codec(), [codec(), 5])
option("clock", TypeError, None, 5, 1.5, "time")
option("allow_unsafe_filesystem", TypeError, None, 1, "yes")
case("Store(readonly=True) in memory", lambda env: Store(readonly=True), ValueError, "readonly")
case("Store(unknown option)", lambda env: fresh(env, cache_size=5), TypeError, "cache_size")
case("Store(two positional)", lambda env: Store(env.directory / "new.db", True), TypeError, "positional")

for bad in ("http://host/0", "postgres://host/db", "file:///app.db", "sqlite://app.db", "Redis+tls://host"):
    case(f"Store({bad!r})", lambda env, v=bad: fresh(env, v), ValueError, "valkey://")
option("prefix", TypeError, None, 5, b"kv")
option("prefix", ValueError, "", "x" * 65, "a{b", "a}b", "a b", "a%b", "ä", "kv\n")
option("confirm", TypeError, None, 1.0, "1", True)
option("confirm", ValueError, -1, 101, HUGE)
option("lru_staleness", TypeError, "1", True, [1])
option("lru_staleness", ValueError, 0, -1, NAN, INF, HUGE)
option("prefix", UnsupportedError, "mine")
option("confirm", UnsupportedError, 1)
option("lru_staleness", UnsupportedError, 0.5)
case("Store(confirm=1) in memory", lambda env: Store(confirm=1), UnsupportedError, "confirm")

# On servers: nobody listens there, and nobody must be asked.
for name, bad in (
    ("durability", "power"),
    ("max_bytes", "1 GB"),
    ("max_entries", 10),
    ("allow_unsafe_filesystem", True),
    ("on_corrupt", "quarantine"),
):
    for kind in (Store, AsyncStore):
        case(
            f"{kind.__name__}(servers, {name}={bad!r})",
            lambda env, k=kind, o={name: bad}: k(NOBODY, **o),
            UnsupportedError,
            name,
        )
case("Store(lru_staleness=1) without an LRU", lambda env: Store(NOBODY, lru_staleness=1), ValueError, "lru_bytes")
case("Store(an asynchronous client)", lambda env: Store(redis.asyncio.Redis()), TypeError, "redis.asyncio")
case("Store(a pool)", lambda env: Store(redis.ConnectionPool()), TypeError, "ConnectionPool")

for changes in (
    {"encode": None},
    {"encode": "bytes"},
    {"decode": None},
    {"decode": 5},
    {"types": [int]},
    {"types": int},
    {"types": ("int",)},
    {"types": None},
):
    case(f"Codec({changes})", lambda env, c=changes: fresh(env, codecs=[codec(**c)]), TypeError, "codecs")
for changes in ({"content_type": ""}, {"content_type": None}, {"content_type": 5}, {"content_type": SURROGATE}):
    case(f"Codec({changes!r})", lambda env, c=changes: fresh(env, codecs=[codec(**c)]), ValueError, "codecs")
case("Codec() without decode", lambda env: Codec("a/b", bytes), TypeError, "decode")

# -- namespaces by name

for where, make in (
    ("store.ns", lambda env, *a, **o: env.store.ns(*a, **o)),
    ("tx.ns", lambda env, *a, **o: env.store.atomic().ns(*a, **o)),
):
    for bad in (None, 5, b"users", ["users"], True):
        case(f"{where}({bad!r})", lambda env, m=make, v=bad: m(env, v), TypeError, "name")
    for bad in ("", SURROGATE):
        case(f"{where}({bad!r})", lambda env, m=make, v=bad: m(env, v), ValueError, "name")
    case(f"{where}(too long)", lambda env, m=make: m(env, "x" * 256), TooLargeError, "name")
    case(f"{where}(too many bytes)", lambda env, m=make: m(env, "é" * 128), TooLargeError, "name")
    for bad in ("5", True, [5], Decimal(5), b"5"):
        case(f"{where}(ttl={bad!r})", lambda env, m=make, v=bad: m(env, "n", ttl=v), TypeError, "ttl")
    for bad in (0, -1, 0.0, -0.5, NAN, INF, 1e300, HUGE):
        case(f"{where}(ttl={shown(bad)})", lambda env, m=make, v=bad: m(env, "n", ttl=v), ValueError, "ttl")
    for bad in (5, b"application/json", True, ["application/json"]):
        case(
            f"{where}(content_type={bad!r})",
            lambda env, m=make, v=bad: m(env, "n", content_type=v),
            TypeError,
            "content_type",
        )
    for bad in ("", "image/png", "JSON", SURROGATE):
        case(
            f"{where}(content_type={bad!r})",
            lambda env, m=make, v=bad: m(env, "n", content_type=v),
            ValueError,
            "content_type",
        )
    case(f"{where}(unknown option)", lambda env, m=make: m(env, "n", version=1), TypeError, "version")

for where, make in (
    ("store.ns", lambda env, **o: env.store.ns("n", **o)),
    ("AsyncStore.ns", lambda env, **o: AsyncStore(env.directory / "new.db").ns("n", **o)),
):
    for bad in ("1", 1.0, True, [1]):
        case(f"{where}(shards={bad!r})", lambda env, m=make, v=bad: m(env, shards=v), TypeError, "shards")
    for bad in (0, -1, 1025, HUGE):
        case(f"{where}(shards={shown(bad)})", lambda env, m=make, v=bad: m(env, shards=v), ValueError, "shards")
    for bad in (0, 1, "yes"):
        case(f"{where}(ordered={bad!r})", lambda env, m=make, v=bad: m(env, ordered=v), TypeError, "ordered")

for bad, error in (
    (None, TypeError),
    (5, TypeError),
    ("", ValueError),
    (SURROGATE, ValueError),
    ("x" * 256, ValueError),
):
    case(f"drop({bad!r:.20})", lambda env, v=bad: env.store.drop(v), error, "name")

# -- keys

KEY_VERBS = {
    "__getitem__": (),
    "get": (),
    "get_with_meta": (),
    "__contains__": (),
    "__setitem__": (1,),
    "set": (1,),
    "add": (1,),
    "cas_set": (1, 0),
    "setdefault": (1,),
    "incr": (),
    "decr": (),
    "modify": (str,),
    "touch": (5,),
    "renew": (5,),
    "__delitem__": (),
    "delete": (),
    "pop": ("default",),
}
for verb, rest in KEY_VERBS.items():
    if verb != "__contains__":  # as in a dict, a key of another type is not there; see contract/test_typed_keys.py
        case(f"{verb}(5)", lambda env, n=verb, r=rest: getattr(env.users, n)(5, *r), TypeError, "key")
        case(f"{verb}(None)", lambda env, n=verb, r=rest: getattr(env.users, n)(None, *r), TypeError, "key")
    case(f"{verb}(surrogate)", lambda env, n=verb, r=rest: getattr(env.users, n)(SURROGATE, *r), ValueError, "key")
    case(f"{verb}(too long)", lambda env, n=verb, r=rest: getattr(env.users, n)("é" * 513, *r), TooLargeError, "key")
for verb in ("get_many", "get_many_with_meta", "delete_many"):
    for bad in (None, 5, "abc", b"abc", [5], [None], ["k", 5], [b"k"], [["k"]]):
        case(f"{verb}({bad!r})", lambda env, n=verb, v=bad: getattr(env.users, n)(v), TypeError, "keys")
    for bad in ([SURROGATE], ["k", "x" * 1025]):
        case(f"{verb}({bad!r:.12})", lambda env, n=verb, v=bad: getattr(env.users, n)(v), ValueError, "keys")
for bad, error, words in (
    (None, TypeError, "mapping"),
    (5, TypeError, "mapping"),
    ([("a", 1)], TypeError, "mapping"),
    ("ab", TypeError, "mapping"),
    ({"a": 1, 5: 2}, TypeError, "key"),
    ({"a": 1, SURROGATE: 2}, ValueError, "key"),
    ({"a": 1, "x" * 1025: 2}, ValueError, "key"),
    ({"a": 1, "b": object()}, CodecError, "object"),
):
    case(f"set_many({bad!r:.20})", lambda env, v=bad: env.users.set_many(v), error, words)
    if isinstance(bad, dict):
        case(f"update({bad!r:.20})", lambda env, v=bad: env.users.update(v), error, words)
        case(f"|= {bad!r:.20}", lambda env, v=bad: env.users.__ior__(v), error, words)
# These are dict's own words, for the same mistakes.
for bad, error, words in (
    (5, TypeError, "int"),
    (None, TypeError, "None"),
    ([1], TypeError, "update"),
    (["abc"], ValueError, "update"),
):
    case(f"update({bad!r})", lambda env, v=bad: env.users.update(v), error, words)

# -- values

for value, words in (
    (object(), "object"),
    (len, "builtin_function"),
    (iter([]), "list_iterator"),
    (memoryview(b"x"), "memoryview"),
    (type, "type"),
    (SURROGATE, "str"),
    ([object()], "object"),
    ({"deep": [{"er": {1, len}}]}, "builtin_function"),
):
    case(f"set(value={shown(value)})", lambda env, v=value: env.users.set("k", v), CodecError, words)
    case(f"tx.set(value={shown(value)})", lambda env, v=value: in_tx(env, "set", "k", v), CodecError, words)
case("set(value too large)", lambda env: env.users.set("k", bytes(10_001)), TooLargeError, "value")
case("modify(result too large)", lambda env: env.users.modify("k", lambda _: bytes(10_001)), TooLargeError, "value")
case("modify(result)", lambda env: env.users.modify("k", lambda _: object()), CodecError, "object")
case("modify(default)", lambda env: env.users.modify("new", str, default=object()), CodecError, "object")

# -- options of the writing verbs

WRITERS = {
    "set": lambda env, **o: env.users.set("k", 1, **o),
    "add": lambda env, **o: env.users.add("new", 1, **o),
    "cas_set": lambda env, **o: env.users.cas_set("k", 1, 1, **o),
    "set_many": lambda env, **o: env.users.set_many({"k": 1}, **o),
    "modify": lambda env, **o: env.users.modify("k", lambda _: 1, **o),
    "tx.set": lambda env, **o: in_tx(env, "set", "k", 1, **o),
    "tx.add": lambda env, **o: in_tx(env, "add", "new", 1, **o),
    "touch": lambda env, **o: env.users.touch("k", **o),
    "tx.touch": lambda env, **o: in_tx(env, "touch", "k", **o),
    "renew": lambda env, **o: env.users.renew("k", **o),
}
for verb, call in WRITERS.items():
    for bad in ("5", True, [5]):
        case(f"{verb}(ttl={bad!r})", lambda env, c=call, v=bad: c(env, ttl=v), TypeError, "ttl")
    for bad in (0, -1, NAN, INF, -INF, 1e300, HUGE):
        case(f"{verb}(ttl={shown(bad)})", lambda env, c=call, v=bad: c(env, ttl=v), ValueError, "ttl")
    if verb in ("set", "add", "cas_set", "tx.set", "tx.add"):
        for bad in (5, b"x", True):
            case(
                f"{verb}(content_type={bad!r})",
                lambda env, c=call, v=bad: c(env, content_type=v),
                TypeError,
                "content_type",
            )
        for bad in ("", "image/png"):
            case(
                f"{verb}(content_type={bad!r})",
                lambda env, c=call, v=bad: c(env, content_type=v),
                ValueError,
                "content_type",
            )
    case(f"{verb}(unknown option)", lambda env, c=call: c(env, expire=5), TypeError, "expire")
case("renew(ttl=None)", lambda env: env.users.renew("k", None), TypeError, "ttl")
for bad, error in ((5, TypeError), (b"x", TypeError), ("", ValueError), ("image/png", ValueError)):
    case(f"get(content_type={bad!r})", lambda env, v=bad: env.users.get("k", content_type=v), error, "content_type")

VERSIONS = {
    "cas_set": lambda env, v: env.users.cas_set("k", 1, v),
    "delete": lambda env, v: env.users.delete("k", version=v),
    "tx.check": lambda env, v: in_tx(env, "check", "k", v),
}
for verb, call in VERSIONS.items():
    for bad in ("1", 1.0, True, [1], b"1", Decimal(1)):
        case(f"{verb}(version={bad!r})", lambda env, c=call, v=bad: c(env, v), TypeError, "version")
    for bad in (-1, 2**63, HUGE):
        case(f"{verb}(version={shown(bad)})", lambda env, c=call, v=bad: c(env, v), ValueError, "version")
case("cas_set(version=None)", lambda env: env.users.cas_set("k", 1, None), TypeError, "version")
case("cas_set() without version", lambda env: env.users.cas_set("k", 1), TypeError, "version")
case("tx.check(version=None)", lambda env: in_tx(env, "check", "k", None), TypeError, "version")
case("delete(version=0)", lambda env: env.users.delete("k", version=0), ValueError, "version")

for name, others in (("delta", [None]), ("default", [])):  # default=None demands that there is an entry
    for bad in ("1", True, [1], 1j, Decimal(1), *others):
        for verb in ("incr", "decr"):
            case(
                f"{verb}({name}={bad!r})",
                lambda env, n=name, v=bad, w=verb: getattr(env.users, w)("k", **{n: v}),
                TypeError,
                name,
            )
        case(f"tx.incr({name}={bad!r})", lambda env, n=name, v=bad: in_tx(env, "incr", "k", **{n: v}), TypeError, name)
    for bad in (NAN, INF, -INF):
        case(f"incr({name}={bad!r})", lambda env, n=name, v=bad: env.users.incr("k", **{n: v}), ValueError, name)
for bad in (None, 5, "upper"):
    case(f"modify(function={bad!r})", lambda env, v=bad: env.users.modify("k", v), TypeError, "function")

# -- transactions

for verb, rest in {
    "check": (1,),
    "set": (1,),
    "add": (1,),
    "delete": (),
    "touch": (5,),
    "incr": (),
    "__delitem__": (),
    "__setitem__": (1,),
}.items():
    case(f"tx.{verb}(5)", lambda env, n=verb, r=rest: in_tx(env, n, 5, *r), TypeError, "key")
    case(f"tx.{verb}(surrogate)", lambda env, n=verb, r=rest: in_tx(env, n, SURROGATE, *r), ValueError, "key")
    case(f"tx.{verb}(too long)", lambda env, n=verb, r=rest: in_tx(env, n, "x" * 1025, *r), TooLargeError, "key")

# -- listing

for verb in ("list", "scan"):
    for bad in (None, 5, b"a"):
        case(f"{verb}(prefix={bad!r})", lambda env, n=verb, v=bad: getattr(env.users, n)(v), TypeError, "prefix")
    for bad in (SURROGATE, "x" * 1025):
        case(f"{verb}(prefix={bad!r:.10})", lambda env, n=verb, v=bad: getattr(env.users, n)(v), ValueError, "prefix")
    for bad in (None, 1, "yes"):
        case(
            f"{verb}(reverse={bad!r})",
            lambda env, n=verb, v=bad: getattr(env.users, n)(reverse=v),
            TypeError,
            "reverse",
        )
for bad in (None, 1.0, "10", True):
    case(f"list(limit={bad!r})", lambda env, v=bad: env.users.list(limit=v), TypeError, "limit")
for bad in (0, -1, 10**7, HUGE):
    case(f"list(limit={shown(bad)})", lambda env, v=bad: env.users.list(limit=v), ValueError, "limit")
for bad in (5, b"Zms=", ["Zms="], True):
    case(f"list(cursor={bad!r})", lambda env, v=bad: env.users.list(cursor=v), TypeError, "cursor")
for bad in ("", "k", "Zms", "Zms=Zms=", "é", SURROGATE, "eGs=", "Z" * 1001, "cms="):
    case(f"list(cursor={bad!r:.10})", lambda env, v=bad: env.users.list(cursor=v), ValueError, "cursor")
case("list(cursor of another prefix)", lambda env: env.users.list("x", cursor="Zms="), ValueError, "cursor")
case("list(a positional limit)", lambda env: env.users.list("", 5), TypeError, "positional")

# -- upkeep

for where, purge in (
    ("store", lambda env, v: env.store.purge_expired(v)),
    ("ns", lambda env, v: env.users.purge_expired(v)),
):
    for bad in (1.0, "5", True, [1]):
        case(f"{where}.purge_expired({bad!r})", lambda env, p=purge, v=bad: p(env, v), TypeError, "limit")
    for bad in (0, -1, HUGE):
        case(f"{where}.purge_expired({shown(bad)})", lambda env, p=purge, v=bad: p(env, v), ValueError, "limit")
for bad in (None, 5, b"copy.db", True):
    case(f"backup({bad!r})", lambda env, v=bad: env.store.backup(v), TypeError, "path")
for bad in ("", "a\0b", SURROGATE, ":memory:"):
    case(f"backup({bad!r})", lambda env, v=bad: env.store.backup(v), ValueError, "path")


def dump(path):
    """Return everything in a file: schema, marks, entries with versions and times, floors."""
    with closing(sqlite3.connect(path)) as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("user_version", "application_id", "schema_version")
        ]
        tables = ("sqlite_schema", "kv", "kv_floor")
        return pragmas, [connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables]


@pytest.fixture
def env(make_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # so that a file made by mistake is found
    path = tmp_path / "app.db"
    store = make_store(path, max_value_bytes=10_000)
    users = store.ns("users")
    users.set("k", 5)
    users.set("text", ("a", 1), ttl=1000)
    users.set("gone", 1)
    users.delete("gone")
    store.ns("others")["k"] = b"bytes"
    return SimpleNamespace(store=store, users=users, path=path, directory=tmp_path)


@pytest.mark.parametrize(("call", "error", "words"), CASES)
def test_bad_input_raises_names_its_argument_and_changes_nothing(env, call, error, words):
    before, files = dump(env.path), sorted(file.name for file in env.directory.iterdir())
    with pytest.raises(error) as caught:
        call(env)
    assert words in str(caught.value)
    assert dump(env.path) == before
    assert sorted(file.name for file in env.directory.iterdir()) == files
    assert env.users.set("k", 6) == 2, "the store goes on working"


def test_the_table_is_long():
    assert len(CASES) >= 150
    assert len({parameter.id for parameter in CASES}) > 0.98 * len(CASES)


def test_a_view_of_no_key_is_no_reason_to_fail_in_a_comparison(env):
    assert env.users != {5: 1}
    assert env.users.keys() != {5}
    assert not (env.users.keys() == [5])
