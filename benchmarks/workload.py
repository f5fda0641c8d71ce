"""What is stored, and which keys and values each operation meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from peers import Peer

PAGE_KEYS = 100
MANY = 1000
COUNTERS = 64
BLOBS = 16
BLOB_BYTES = 100_000
VALUES = 256
DIGITS = 8

Call = tuple[Any, ...]


def key_of(number: int) -> str:
    """Return the key of the entry of that number."""
    return f"user:{number:0{DIGITS}}"


def value_of(number: int) -> dict[str, Any]:
    """Return a dict that takes about 100 bytes as JSON."""
    return {
        "id": number % 1_000_000,
        "name": "Ada Lovelace",
        "mail": f"ada.{number % 1_000_000}@example.org",
        "tags": ["admin", "beta"],
        "score": 0.75,
        "active": number % 2 == 0,
    }


def counter_of(number: int) -> str:
    """Return the key of a counter."""
    return f"count:{number:02}"


def blob_of(number: int) -> str:
    """Return the key of a value of 100 kB."""
    return f"blob:{number:02}"


def entries(count: int) -> Iterator[tuple[str, Any]]:
    """Yield what is stored before anything is measured."""
    for number in range(count):
        yield key_of(number), value_of(number)
    for number in range(COUNTERS):
        yield counter_of(number), 0


class Draw:
    """The random choices of one round: the same for every peer."""

    def __init__(self, operation: str, number: int, count: int) -> None:
        """Begin the round of that number over *count* entries."""
        self._random = Random(f"{operation} {number}")
        self._count = count
        self._number = number

    def key(self) -> str:
        """Return one key of the whole key space."""
        return key_of(self._random.randrange(self._count))

    def keys(self, many: int) -> list[str]:
        """Return keys of the whole key space, each once."""
        return [key_of(number) for number in self._random.sample(range(self._count), many)]

    def neighbours(self, many: int) -> list[str]:
        """Return keys that follow one another."""
        start = self._random.randrange(self._count - many + 1)
        return [key_of(number) for number in range(start, start + many)]

    def absent(self, calls: int) -> list[str]:
        """Return distinct keys that are not there, from all over the key space."""
        return [f"{self.key()}+{self._number}.{position}" for position in range(calls)]

    def prefix(self) -> str:
        """Return a prefix of a hundred keys."""
        return key_of(self._random.randrange(self._count // PAGE_KEYS) * PAGE_KEYS)[:-2]

    def value(self) -> dict[str, Any]:
        """Return a value."""
        return value_of(self._random.randrange(10**6))

    def blob(self) -> tuple[str, bytes]:
        """Return the key of a value of 100 kB, and a value for it."""
        return blob_of(self._random.randrange(BLOBS)), self._random.randbytes(BLOB_BYTES)


@dataclass(frozen=True)
class Operation:
    """One row of the table: a verb, and what it is called with."""

    slug: str
    title: str
    verb: str
    calls: int  # of one round
    arguments: Callable[[Draw, int], list[Call]]
    before: Callable[[Peer, list[Call]], object] | None = None  # not measured
    after: Callable[[Peer, list[Call]], object] | None = None  # likewise
    small: bool = False  # whether it runs on the store of 10,000 entries beside the large one


def _with_values(keys: list[str], draw: Draw) -> list[Call]:
    return [(key, draw.value()) for key in keys]


def _remove(peer: Peer, calls: list[Call]) -> None:
    for key, *_ in calls:
        peer.delete(key)


def _put(peer: Peer, calls: list[Call]) -> None:
    for (key,) in calls:
        peer.set(key, value_of(0))


def _put_blobs(peer: Peer, calls: list[Call]) -> None:
    for key in {key for (key,) in calls}:
        peer.set(key, Random(key).randbytes(BLOB_BYTES))


OPERATIONS = (
    Operation(
        "set-new",
        "set, new key",
        "set",
        100,
        lambda draw, calls: _with_values(draw.absent(calls), draw),
        after=_remove,
    ),
    Operation(
        "set", "set, existing key", "set", 100, lambda draw, calls: [(draw.key(), draw.value()) for _ in range(calls)]
    ),
    Operation("get", "get", "get", 200, lambda draw, calls: [(draw.key(),) for _ in range(calls)]),
    Operation(
        "get-small",
        "get, among 10,000 entries",
        "get",
        200,
        lambda draw, calls: [(draw.key(),) for _ in range(calls)],
        small=True,
    ),
    Operation("missing", "get, missing", "missing", 200, lambda draw, calls: [(key,) for key in draw.absent(calls)]),
    Operation(
        "get-many", "get_many of 1,000", "get_many", 2, lambda draw, calls: [(draw.keys(MANY),) for _ in range(calls)]
    ),
    Operation(
        "set-many",
        "set_many of 1,000",
        "set_many",
        2,
        lambda draw, calls: [(dict(_with_values(draw.keys(MANY), draw)),) for _ in range(calls)],
    ),
    Operation(
        "set-many-row",
        "set_many of 1,000 in a row",
        "set_many",
        2,
        lambda draw, calls: [(dict(_with_values(draw.neighbours(MANY), draw)),) for _ in range(calls)],
    ),
    Operation(
        "list", "list, a page of 100 keys", "page", 10, lambda draw, calls: [(draw.prefix(),) for _ in range(calls)]
    ),
    Operation(
        "delete", "delete", "delete", 100, lambda draw, calls: [(key,) for key in draw.absent(calls)], before=_put
    ),
    Operation(
        "incr",
        "incr",
        "incr",
        100,
        lambda _, calls: [(counter_of(position % COUNTERS),) for position in range(calls)],
    ),
    Operation("set-100kb", "set, 100 kB of bytes", "set", 8, lambda draw, calls: [draw.blob() for _ in range(calls)]),
    Operation(
        "get-100kb",
        "get, 100 kB of bytes",
        "get_bytes",
        16,
        lambda _, calls: [(blob_of(position % BLOBS),) for position in range(calls)],
        before=_put_blobs,
    ),
)
