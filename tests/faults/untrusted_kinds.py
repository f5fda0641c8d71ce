"""Bytes from an attacker in the formats that hold objects, arrays and frames: parts of the wrong type, size or place.

An attacker can choose the parts of which a value is made. Reading them gives a value or a DecodeError,
runs no code, and takes an amount of memory that the size of the body bounds: 16 bytes that name a bytearray of a
gigabyte do not make one.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgpack

from sqlitedict_kv import CodecError, Store
from sqlitedict_kv.codecs import builtin_kinds, bundle
from sqlitedict_kv.codecs.registry import BUNDLE, MSGPACK
from sqlitedict_kv.codecs.scientific import ARROW_FILE, ARROW_FILE_PANDAS
from tests import kinds
from tests.faults.campaign import Campaign, Round, UnavailableError
from tests.faults.untrusted import DANGEROUS, LARGEST, feed, limit_memory, mutate

NO_CHECKS = "constructors without checks"
COMPRESSED = "compressed streams accepted"
HURTFUL = "hurtful.json"
OBJECTS = "application/json; as=objects"
GIGABYTE = 10**9
MEMORY = 64 * 2**20  # bytes that an input may take, whatever its size
COPIES = 64  # and what each of its bytes may take on top of that
LEAVES: tuple[Any, ...] = (
    GIGABYTE, -1, 2**40, 2**63, 0, 1, "", "O", "|V99999999999", "<U0", "<f8", "F", "pyarrow", "block", b"", b"x" * 9,
    None, True, 1.5, [], [2**40], [-1], [0], {}, {"": GIGABYTE}, [GIGABYTE] * 9, msgpack.ExtType(32, b"\x00"),
    msgpack.ExtType(32, b"\xff"), msgpack.ExtType(34, b"\x00\x00\x00\x00"), msgpack.ExtType(5, b"1e999999"),
)  # fmt: skip


def run(round_: Round) -> None:
    """Feed inputs to a store in a process of its own, which may die of them."""
    from tests.support.processes import Worker  # noqa: PLC0415 - beside its only use

    code = "from tests.faults import untrusted_kinds; say(untrusted_kinds.fuzz(*sys.argv[1:]))"
    if round_.sabotage == COMPRESSED and kinds.missing("pyarrow"):
        raise UnavailableError("pyarrow is not installed")
    path = round_.directory / "store.db"
    hurtful = [(body.hex(), content_type) for body, content_type in made_to_hurt()]
    (round_.directory / HURTFUL).write_text(json.dumps(hurtful), encoding="ascii")  # making them takes memory, too
    with Worker(code, path, round_.seed, round_.size, round_.sabotage or "", measured=False) as worker:
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
    warnings.simplefilter("ignore")  # of libraries, about the strange things they are given
    generator = random.Random(int(seed_text))
    figures: Counter[str] = Counter()
    seen: list[str] = []
    problem = None
    with ExitStack() as stack:
        store = stack.enter_context(Store(path, types=kinds.allowed()))
        raw = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
        bodies = seeds(store)
        stack.enter_context(broken(sabotage))
        feed(store, raw, bodies, Counter())  # imports
        stack.enter_context(views_of_small_values())
        sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(DANGEROUS) else None)
        limit_memory()
        hurtful = json.loads(Path(path).with_name(HURTFUL).read_text(encoding="ascii"))
        inputs = [(bytes.fromhex(body), content_type) for body, content_type in hurtful]
        while problem is None and figures["inputs"] < int(size_text):
            body, content_type = inputs.pop(0) if inputs else an_input(bodies, generator)
            before = reset_peak()
            problem = feed(store, raw, [(body, content_type)], figures)
            if seen:
                problem = f"{content_type}: {body[:200].hex()} made Python do {seen[0]}"
            elif problem is None and before is not None and resident("VmHWM") - before > MEMORY + len(body) * COPIES:
                problem = f"{content_type}: {body[:200].hex()} took {(resident('VmHWM') - before) >> 20} MB"
    return json.dumps({"figures": figures, "problem": problem})


def reset_peak() -> int | None:
    """Let the peak of memory be what is in use now, and return that in bytes; None where that cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return resident("VmRSS")


def resident(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


def broken(sabotage: str) -> Any:
    """Break what must be noticed."""
    if sabotage == NO_CHECKS:
        name = "bytearray"
        kind = builtin_kinds.BY_NAME[name]._replace(build=lambda parts: bytearray(*parts))
        return patch.dict(builtin_kinds.BY_NAME, {name: kind})
    if sabotage == COMPRESSED:
        return patch("sqlitedict_kv.codecs.arrow_kinds.require_plain", lambda _: None)
    return ExitStack()


@contextmanager
def views_of_small_values() -> Iterator[None]:
    """Let arrays and columns of any size be views of their buffer; the inputs are small."""
    with ExitStack() as stack:
        for module in ("numpy_kinds", "pandas_columns"):
            if f"sqlitedict_kv.codecs.{module}" in sys.modules:
                stack.enter_context(patch(f"sqlitedict_kv.codecs.{module}.SMALLEST_VIEW", 0))
        if "sqlitedict_kv.codecs.pandas_columns" in sys.modules:
            stack.enter_context(patch("sqlitedict_kv.codecs.pandas_columns.SMALL", 0))
        yield


def seeds(store: Store) -> list[tuple[bytes, str]]:
    """Return small bodies of all the kinds of values whose libraries are installed."""
    bodies = []
    for section in kinds.SECTIONS:
        if kinds.missing(section):
            continue
        for sample in kinds.samples(section):
            value = sample.make()
            for content_type in (None, MSGPACK, BUNDLE, ARROW_FILE, ARROW_FILE_PANDAS):
                try:
                    body, chosen = store._context.codecs.encode(value, content_type)
                except CodecError:
                    continue
                if len(body) < LARGEST:
                    bodies.append((body, chosen))
    return bodies


def table(*rows: list[str]) -> bytes:
    return msgpack.packb(msgpack.ExtType(33, msgpack.packb(rows)))


def made_to_hurt() -> list[tuple[bytes, str]]:
    """Return inputs each of which took a gigabyte, or ran out of it, in something that was once written."""
    mark = msgpack.ExtType(32, b"\x00")
    of_kinds: dict[str, list[Any]] = {
        "bytearray": [GIGABYTE],
        "range": [0, 2**62, 1],
        "numpy.ndarray": ["|V1000000000", [1], "C", b""],
        "pandas.RangeIndex": [0, 2**62, 1, None],
        "PIL.Image": ["RGB", [30_000, 30_000], b"", None, {}],
    }
    inputs = [
        (b"\x92" + table([name]) + msgpack.packb([mark, *parts], strict_types=True), MSGPACK)
        for name, parts in of_kinds.items()
    ]
    inputs += [(b"\x92" + table(["tuple"]) + b"\x92" * 9000 + msgpack.packb(mark), MSGPACK)]
    inputs += [(b'{"=":"' + name + b'","__dict__":{}}', OBJECTS) for name in (b"os.system", b"builtins.object", b"")]
    inputs += [(b"KVB1" + b"\xff" * 8 + b"x" * 40, BUNDLE), (b"KVB1\x01\0\0\0\0\0\0\0" + b"\xff" * 8, BUNDLE)]
    body = msgpack.packb(b"x" * LARGEST)
    for _ in range(450):
        body = msgpack.packb(msgpack.ExtType(1, b"\x91" + body))
    return [*inputs, (body, MSGPACK), *streams_made_to_hurt()]


def streams_made_to_hurt() -> list[tuple[bytes, str]]:
    try:
        import pyarrow as pa  # noqa: PLC0415
    except ImportError:
        return []
    from sqlitedict_kv.codecs.scientific import ARROW, ARROW_PANDAS  # noqa: PLC0415

    tables = [
        (pa.table({"a": pa.repeat(0, 5 * 10**7)}), "zstd"),
        (pa.table({"a": pa.nulls(10**8)}), None),
        (pa.table({"a": pa.FixedSizeListArray.from_arrays(pa.nulls(10**8), 10**8)}), None),
    ]
    inputs = []
    for one, compression in tables:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, one.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_table(one)
        body = sink.getvalue().to_pybytes()
        inputs.append((body, ARROW_PANDAS))
        if compression:
            inputs.append((body, ARROW))
    return inputs


def an_input(bodies: list[tuple[bytes, str]], generator: random.Random) -> tuple[bytes, str]:
    body, content_type = generator.choice(bodies)
    if content_type in (MSGPACK, BUNDLE) and generator.random() < 0.7:
        return with_other_parts(body, content_type, generator), content_type
    if generator.random() < 0.05:
        content_type = generator.choice(bodies)[1]
    changed = bytearray(body)
    for _ in range(generator.choice((1, 1, 2, 8))):
        mutate(changed, [body], generator)
    return bytes(changed[:LARGEST]), content_type


def with_other_parts(body: bytes, content_type: str, generator: random.Random) -> bytes:
    """Return a body in which some parts of its values are others: what random bits would not hit."""
    head, buffers = bundle.unpack(body) if content_type == BUNDLE else (body, [])
    unpacker = msgpack.Unpacker(strict_map_key=False, ext_hook=msgpack.ExtType, max_buffer_size=LARGEST)
    unpacker.feed(head)
    tree = unpacker.unpack()
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        tree = changed(tree, generator)
    head = msgpack.packb(tree, use_bin_type=True)
    if content_type == MSGPACK:
        return head
    cut = [one[: generator.choice((len(one), len(one), 1, len(one) - 1))] for one in buffers]
    return bundle.pack(head, cut)


def changed(tree: Any, generator: random.Random) -> Any:
    """Return a tree of which one node is another."""
    items = list(tree.values()) if isinstance(tree, dict) else tree
    if not isinstance(items, list) or not items or generator.random() < 0.15:
        return tree if isinstance(tree, dict) else deepcopy(generator.choice(LEAVES))
    place = generator.randrange(len(items))
    items[place] = changed(items[place], generator)
    if generator.random() < 0.1:
        items = [*items, deepcopy(generator.choice(LEAVES))] if isinstance(tree, list) else items
    return dict(zip(tree, items, strict=False)) if isinstance(tree, dict) else items


CAMPAIGN = Campaign(
    name="kinds",
    promise="Parts of objects, arrays and frames that an attacker chose give a value or an error, take little memory",
    unit="inputs",
    run=run,
    ci=4_000,
    nightly=200_000,
    release=1_000_000,
    twins=(NO_CHECKS, COMPRESSED),
    twin=100,
)
