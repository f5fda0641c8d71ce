"""Bytes, keys and cursors from an attacker, and values of every kind.

An attacker can choose bodies and content types. Reading them gives a value or a DecodeError, runs no code,
and takes an amount of memory that the size of the body bounds. What a caller passes as key or cursor works or is a
TypeError or ValueError. And a value comes back equal and of the same types, or is refused when it is written.
"""

from __future__ import annotations

import datetime
import enum
import json
import math
import pickle
import random
import sqlite3
import string
import sys
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch
from zoneinfo import ZoneInfo

import msgpack
import orjson

from sqlitedict_kv import Codec, CodecError, DecodeError, KVError, Store
from sqlitedict_kv.codecs.registry import BYTES, JSON, MSGPACK, TEXT, Codecs
from sqlitedict_kv.codecs.scientific import ARROW, ARROW_PANDAS, NPY
from tests.faults.campaign import Campaign, Round
from tests.support.buffers import own_buffer

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PICKLE = "application/x-python-pickle"
PICKLE_ACCEPTED = "pickle accepted"
NO_ROUND_TRIP_CHECK = "no round-trip check"

BATCH = 500
LARGEST = 2**16  # bytes of an input
# Of 64 kB, headers of nested arrays make the most: some 100 times their size, and Python keeps what it frees.
MEMORY = 96 * 2**20
ADDRESS_SPACE = 4 * 2**30  # beyond what is in use when the inputs begin; more than that fails at once
DANGEROUS = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.")


# -- bytes


def run_fuzz(round_: Round) -> None:
    """Feed inputs to a store in a process of its own, which may die of them."""
    from tests.support.processes import Worker  # noqa: PLC0415 - beside its only use

    code = "from tests.faults import untrusted; say(untrusted.fuzz(*sys.argv[1:]))"
    path = round_.directory / "store.db"
    with Worker(code, path, round_.seed, round_.size, round_.sabotage or "", measured=round_.size < 10_000) as worker:
        try:
            answer = json.loads(worker.hear())
        except AssertionError as death:
            round_.fail(f"the process died of an input: {death}")
    for what, number in answer["figures"].items():
        round_.count(what, number)
    if answer["problem"]:
        round_.fail(answer["problem"])


def fuzz(path: str, seed_text: str, size_text: str, sabotage: str) -> str:
    """Return figures, and what was wrong with the first input that broke a promise, as JSON."""
    generator = random.Random(int(seed_text))
    codecs = [Codec(PICKLE, pickle.dumps, pickle.loads)] if sabotage == PICKLE_ACCEPTED else []
    figures: Counter[str] = Counter()
    seen: list[str] = []
    problem = None
    with Store(path, codecs=codecs) as store, closing(sqlite3.connect(path, isolation_level=None)) as raw:
        corpus = seeds(generator)
        feed(store, raw, [(body, kind) for kind, bodies in corpus.items() for body in bodies], Counter())  # imports
        sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(DANGEROUS) else None)
        before = limit_memory()
        while figures["inputs"] < int(size_text) and problem is None:
            batch = [an_input(corpus, generator) for _ in range(min(BATCH, int(size_text) - figures["inputs"]))]
            problem = feed(store, raw, batch, figures) or ask(store, generator, figures)
            if seen:
                problem = f"an input made Python do {seen[0]}"
            elif before is not None and peak() - before > MEMORY:
                problem = f"a batch of inputs took {(peak() - before) >> 20} MB"
    return json.dumps({"figures": figures, "problem": problem})


def limit_memory() -> int | None:
    """Let no input take much more address space than there is by now; return the peak of memory so far."""
    if resource is None or not sys.platform.startswith("linux"):
        return None
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return peak()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


INSERT = """
    INSERT INTO kv (ns, key, value, content_type, version, updated_at, checksum) VALUES ('n', ?, ?, ?, 1, 0, NULL)
    ON CONFLICT (ns, key) DO UPDATE SET value = excluded.value, content_type = excluded.content_type
"""


def feed(store: Store, raw: sqlite3.Connection, inputs: list[tuple[bytes, str]], figures: Counter[str]) -> str | None:
    """Write rows as another program does, read them, and view them over their own memory; return what was wrong."""
    raw.execute("BEGIN")
    raw.executemany(INSERT, [(str(number), body, kind) for number, (body, kind) in enumerate(inputs)])
    raw.execute("COMMIT")
    get, view = store.ns("n").get, store._context.codecs.view
    for number, (body, kind) in enumerate(inputs):
        figures["inputs"] += 1
        try:
            worked = works(get, str(number))
            alike = works(view, "n", str(number), own_buffer(body), kind) == worked
        except BaseException as error:
            return f"{kind}: {type(error).__name__} instead of a DecodeError, of {body[:200].hex()}"
        if not alike:
            return f"{kind}: {'refused' if worked else 'taken'} over memory of its own alone, {body[:200].hex()}"
        figures["inputs that worked" if worked else "inputs that were refused"] += 1
    return None


def works(read: Callable[..., Any], *arguments: object) -> bool:
    """Return whether something is read, and not refused with the error for that."""
    try:
        read(*arguments)
    except DecodeError:
        return False
    return True


def ask(store: Store, generator: random.Random, figures: Counter[str]) -> str | None:
    """Pass keys, prefixes and cursors that are made up or tampered with."""
    n = store.ns("n")
    for _ in range(BATCH // 10):
        text = "".join(generator.choice(CHARACTERS) for _ in range(generator.choice((0, 1, 3, 30, 1100))))
        cursor = n.list(limit=1, reverse=generator.random() < 0.5).cursor or ""
        place = generator.randrange(len(cursor) + 1)
        cursor = generator.choice([cursor[:place] + text[:2] + cursor[place + 1 :], cursor + text, text, cursor])
        for call in (
            lambda text=text: n.get(text),
            lambda text=text: n.list(text),
            lambda text=text: text in n,
            lambda cursor=cursor: n.list(cursor=cursor, limit=3),
            lambda cursor=cursor, text=text: n.list(text[:1], cursor=cursor, reverse=True, limit=3),
        ):
            figures["inputs"] += 1
            try:
                call()
            except (ValueError, TypeError) as error:
                if not isinstance(error, KVError) and type(error) not in (ValueError, TypeError):
                    return f"{type(error).__name__} of {text[:80]!r} or {cursor[:80]!r}"
                figures["inputs that were refused"] += 1
            except BaseException as error:
                return f"{type(error).__name__} of {text[:80]!r} or {cursor[:80]!r}"
            else:
                figures["inputs that worked"] += 1
    return None


CHARACTERS = string.printable + "\0é\ud800\udfff\uffff\U0010ffff☃"


class Payload:
    """What an attacker would pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("reached = True",))


def seeds(generator: random.Random) -> dict[str, list[bytes]]:
    """Return bodies that decode, by content type, and some that are made to hurt."""
    values = [a_value(generator, 3) for _ in range(300)]
    bodies: dict[str, list[bytes]] = {kind: [] for kind in (JSON, MSGPACK, NPY, ARROW, ARROW_PANDAS, TEXT, BYTES)}
    codecs = Codecs()
    for value in values:
        for kind in (None, MSGPACK):
            try:
                body, chosen = codecs.encode(value, kind)
            except CodecError:
                continue
            bodies[chosen].append(body)
    bodies[JSON] += [b"[" * 50_000, b'{"":' * 9000, b"1" * 60_000, b"-1e999", b'"\\ud800"', b"[" + b"0," * 9000 + b"0]"]
    bodies[MSGPACK] += [b"\xdc\xff\xff" * 5000, b"\x91" * 50_000, b"\xdd\xff\xff\xff\xff", b"\xdf\x7f\xff\xff\xff"]
    bodies[MSGPACK] += [nested_extensions(code) for code in range(13)]
    bodies[MSGPACK] += [msgpack.packb(msgpack.ExtType(5, text)) for text in (b"1e999999999", b"sNaN", b"1" * 60_000)]
    bodies[MSGPACK] += [
        zone(text) for text in ("../../etc/passwd", "/etc/passwd", "a\0b", "America", "UTC", "x" * 5000)
    ]
    bodies[TEXT] += [b"text", "ünïcode ☃".encode(), b"\xff"]
    bodies[PICKLE] = [pickle.dumps(Payload()), pickle.dumps({"a": 1})]
    bodies["x/unknown"] = [b""]
    try:
        import numpy as np  # noqa: PLC0415
        import pandas as pd  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415
    except ImportError:
        return bodies
    for value in (np.arange(9.0).reshape(3, 3), np.array(["a", "bcd"]), np.zeros(3, [("a", "i4"), ("b", "S3")])):
        bodies[NPY].append(codecs.encode(value)[0])
    huge = codecs.encode(np.arange(3))[0]
    bodies[NPY] += [huge.replace(b"(3,), }", b"(%d,)}" % 10**9), huge.replace(b"'<i8'", b"'|O' ")]
    table = pa.table({"a": [1, None, 3], "b": ["x", "y", None], "c": [[1], [], None]})
    bodies[ARROW].append(codecs.encode(table)[0])
    bodies[ARROW_PANDAS].append(codecs.encode(pd.DataFrame({"a": [1, 2], "b": ["x", None]}))[0])
    return bodies


def nested_extensions(code: int) -> bytes:
    body = b"\x01"
    while len(body) < 12_000:
        body = msgpack.packb(msgpack.ExtType(code, b"\x91" + body))
    return body


def zone(name: str) -> bytes:
    return msgpack.packb(msgpack.ExtType(7, msgpack.packb(["2020-01-01T00:00:00", 0, name])))


WEIGHTS = {MSGPACK: 50, JSON: 30, NPY: 5, ARROW: 3, ARROW_PANDAS: 1, TEXT: 4, BYTES: 2, PICKLE: 3, "x/unknown": 2}


def an_input(corpus: dict[str, list[bytes]], generator: random.Random) -> tuple[bytes, str]:
    (kind,) = generator.choices(list(WEIGHTS), WEIGHTS.values())
    if not corpus[kind]:
        kind = MSGPACK
    if kind == MSGPACK and generator.random() < 0.3:
        return made_up(generator), kind
    body = bytearray(generator.choice(corpus[kind]))
    if kind == PICKLE and generator.random() < 0.5:
        return bytes(body), kind
    for _ in range(generator.choice((1, 1, 1, 1, 2, 8))):
        mutate(body, corpus[kind], generator)
    if generator.random() < 0.01:
        kind = generator.choice(list(WEIGHTS))
    return bytes(body[:LARGEST]), kind


def made_up(generator: random.Random) -> bytes:
    """Return headers of MessagePack that promise this and that."""
    heads = bytes.fromhex("80818f90919fa0a5c0c1c2c4c5c6c7c8c9cacbcccfd3d4d8d9dadbdcdddedf")
    parts = [bytes([generator.choice(heads)]) + generator.randbytes(generator.randrange(5)) for _ in range(9)]
    return b"".join(parts[: generator.randrange(1, 10)])


def mutate(body: bytearray, others: list[bytes], generator: random.Random) -> None:
    place = generator.randrange(len(body) + 1)
    match generator.randrange(8):
        case 0 if body:
            body[place % len(body)] ^= 1 << generator.randrange(8)
        case 1:
            body[place:place] = generator.randbytes(generator.randrange(1, 5))
        case 2:
            del body[place : place + generator.randrange(1, 9)]
        case 3:
            del body[place:]
        case 4:
            other = generator.choice(others)
            start = generator.randrange(len(other) + 1)
            body[place:] = other[start : start + 4000]
        case 5:
            piece = bytes(body[place : place + generator.randrange(1, 9)])
            body[place:place] = piece * generator.choice((1, 2, 100, 2000))
        case 6:
            body[place : place + 4] = generator.choice(
                (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0")
            )
        case _ if body:
            body[place % len(body)] = generator.randrange(256)


# -- values


class Color(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: int


ZONES = (None, datetime.UTC, datetime.timezone(datetime.timedelta(minutes=-90), "odd"), ZoneInfo("Europe/Paris"))
LEAVES: tuple[Callable[[random.Random], Any], ...] = (
    lambda g: None,
    lambda g: g.random() < 0.5,
    lambda g: g.choice((0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**90))),
    lambda g: g.getrandbits(g.randrange(1, 200)) * g.choice((1, -1)),
    lambda g: g.choice((0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, 1e308, 5e-324, 0.1)),
    lambda g: g.random() * 10 ** g.randrange(-300, 300),
    lambda g: "".join(g.choice('ab\0é☃\U0001f600\u2028"\\/\n') for _ in range(g.randrange(8))),
    lambda g: "".join(g.choice(CHARACTERS) for _ in range(g.randrange(40))),
    lambda g: g.randbytes(g.randrange(12)),
    lambda g: complex(g.choice((0.0, -0.0, math.nan, 1.5)), g.random()),
    lambda g: Decimal(g.choice(("0", "-0", "1.10", "1E+5", "NaN", "sNaN", "Infinity", "0.1", "NaN123"))),
    lambda g: uuid.UUID(int=g.getrandbits(128)),
    lambda g: datetime.datetime(2020, 10, 25, g.randrange(24), fold=g.randrange(2), tzinfo=g.choice(ZONES)),
    lambda g: datetime.date.fromordinal(g.randrange(1, 3_000_000)),
    lambda g: datetime.time(g.randrange(24), 59, 1, g.randrange(10**6), fold=g.randrange(2), tzinfo=g.choice(ZONES)),
    lambda g: datetime.timedelta(g.randrange(-999, 999), g.randrange(86_400), g.randrange(10**6)),
    lambda g: g.choice((Color.RED, Word("word"), Point(1, 2), OrderedDict(a=1), bytearray(b"x"), range(3), ..., int)),
)  # fmt: skip


def a_value(generator: random.Random, depth: int) -> Any:
    """Return a value of any kind, one that may be refused too."""
    pick = generator.random()
    if depth == 0 or pick < 0.45:
        return generator.choice(LEAVES)(generator)
    items = [a_value(generator, depth - 1) for _ in range(generator.choice((0, 1, 2, 3, 5)))]
    if pick < 0.6:
        return items
    if pick < 0.7:
        return tuple(items)
    try:
        if pick < 0.76:
            return set(items)
        if pick < 0.82:
            return frozenset(items)
        if pick < 0.9:
            return {generator.choice(LEAVES)(generator): item for item in items}
    except TypeError:  # not hashable
        return items
    return {f"key {number}": item for number, item in enumerate(items)}


def run_values(round_: Round) -> None:
    """Write and read values; what comes back is what was given, or the write was refused."""
    from tests.unit.test_msgpack import picture  # noqa: PLC0415 - it needs pytest and hypothesis

    generator = random.Random(round_.seed)
    lenient = patch.object(Codecs, "encode_parts", lambda _, value, content_type=None: (json_of(value), JSON))
    with Store(round_.directory / "values.db") as store:
        n = store.ns("n")
        for _ in range(round_.size):
            value = a_value(generator, generator.choice((0, 1, 2, 4)))
            wanted = picture(value)
            round_.count("values")
            try:
                if round_.sabotage == NO_ROUND_TRIP_CHECK:
                    with lenient:
                        n["k"] = value
                else:
                    n["k"] = value
            except CodecError:
                round_.count("values that were refused")
                continue
            got = n["k"]
            if picture(got) != wanted or picture(value) != wanted:
                round_.fail(f"{value!r:.300} came back as {got!r:.300}")
            round_.count("values that came back")


def json_of(value: Any) -> bytes:
    """Encode as libraries do that do not look back."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise CodecError("cannot be encoded") from error


CAMPAIGNS = (
    Campaign(
        name="fuzz",
        promise="Bytes, keys and cursors of an attacker give a value or a typed error, run no code, take little memory",
        unit="inputs",
        run=run_fuzz,
        ci=40_000,
        nightly=500_000,
        release=2_000_000,
        twins=(PICKLE_ACCEPTED,),
        twin=2_000,
    ),
    Campaign(
        name="values",
        promise="What you put in is what you get out, equal and of the same types, or an error at the write",
        unit="values",
        run=run_values,
        ci=20_000,
        nightly=500_000,
        release=2_000_000,
        twins=(NO_ROUND_TRIP_CHECK,),
        twin=500,
    ),
)
