"""Places in a store where the results of functions are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlitedict_kv.codecs.annotations import return_annotation
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.concurrency.lease import LeaseSpace
from sqlitedict_kv.engines.protocol import Layout
from sqlitedict_kv.memoization.result_writer import ResultWriter
from sqlitedict_kv.operations.memoize_modes import Switched
from sqlitedict_kv.validation import DEFAULT, check_namespace

if TYPE_CHECKING:
    from sqlitedict_kv.concurrency.cancellation import InThread


PLAIN = (int, float, bool, str, bytes, dict, list, tuple, set)
PLAIN_NAMES = frozenset({cls.__name__ for cls in PLAIN} | {"None", "Any"})
KEYS_PER_STEP = 500
EXCEPTION_MARK, STALE_MARK = "!", "~"  # before the key of a call: its exception, a copy that outlives its result


class ResultSpace(LeaseSpace, Protocol):
    """The part of a namespace that memoize uses."""

    def get(self, key: str, default: Any) -> Any:
        """Return a value."""

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that have one."""

    def list(self, prefix: str, *, limit: int) -> Any:
        """Return a page of keys."""


class NoteSpace(Protocol):
    """The part of a namespace in which memoize keeps notes of functions."""

    def modify(self, key: str, function: Callable[[Any], Any], *, default: Any) -> Any:
        """Replace a value by what a function of it returns, as one step."""


class OffLoop(NamedTuple):
    """A way from tasks to a store that they may only await.

    Attributes:
        get: as that of a namespace, awaited.
        get_with_meta: likewise.
        in_thread: calls a function that may block, and ends only when that has.
    """

    get: Callable[[str, Any], Awaitable[Any]]
    get_with_meta: Callable[[str], Awaitable[Any]]
    in_thread: InThread


class ResultStore(NamedTuple):
    """The namespaces of results and of leases, and what belongs to them.

    Attributes:
        store: the identity of the store in this process.
        results: the namespace of the results.
        leases: the namespace of the leases.
        writer: returns what writes to both in one step; it may open the store.
        clock: returns the Unix time in seconds.
        codecs: encode the results.
        ttl: how long a result lives where memoize is not told.
        content_type: how a result is encoded where memoize is not told.
        off_loop: the way to all this from tasks; None is that a read may be made on the loop.
        recoded: returns the same place for results that other codecs encode.
        notes: the namespace of the notes which bodies of a function were used.
        enroll: takes a function that is to be told its mode; see :class:`.Modes`.
        successor: returns the same place in a store that was opened later at the same address, None if there is none.
        change_mark: takes the key of a lease and returns a function that returns another object once that changed, and
            None while it does not know; or None if there is no such function.
    """

    store: int
    results: ResultSpace
    leases: ResultSpace
    writer: Callable[[], ResultWriter]
    clock: Callable[[], float]
    codecs: Codecs
    ttl: float | None = None
    content_type: str | None = None
    off_loop: OffLoop | None = None
    recoded: Callable[[Codecs], ResultStore] | None = None
    notes: NoteSpace | None = None
    change_mark: Callable[[str], Callable[[], object] | None] = lambda _: None
    successor: Callable[[], ResultStore | None] = lambda: None
    enroll: Callable[[Switched], None] = lambda _: None


def for_results_of(place: ResultStore, function: Callable[..., Any], kind: object, *, mapped: bool) -> ResultStore:
    """Return the place for the results of a function, whose type allows the classes that it names.

    Args:
        place: where they are kept.
        function: the function.
        kind: the type of its results; DEFAULT is its annotation, and None allows nothing more.
        mapped: whether results in files are mapped instead of read.
    """
    annotation, scope = return_annotation(function)
    wanted = annotation if kind is DEFAULT else kind
    is_typed = not (wanted is None or _is_plain(wanted))
    if place.recoded is None or not (is_typed or mapped):
        return place
    codecs = place.codecs.typed(wanted, scope, checked=False) if is_typed else place.codecs
    return place.recoded(codecs.mapping_files() if mapped else codecs)


def _is_plain(annotation: object) -> bool:
    """Return whether a type names no class that would have to be allowed."""
    if isinstance(annotation, str):
        return annotation in PLAIN_NAMES
    return annotation in PLAIN if isinstance(annotation, type) else annotation is Any


def lease_namespace(results: str) -> str:
    """Return the name of the namespace that keeps the leases of a namespace of results."""
    return check_namespace(f"{results}.leases", "ns with .leases")


def note_namespace(results: str) -> str:
    """Return the name of the namespace that keeps the notes of a namespace of results."""
    return f"{results}.code"


def declare_layouts(declare: Callable[[str, Layout], None], results: str, leases: str) -> None:
    """Say what must be kept together, as one transaction writes it: a result, its exception, its copy and its lease."""
    declare(results, Layout(key_marks=EXCEPTION_MARK + STALE_MARK))
    declare(leases, Layout(colocated_with=results))


def clear_prefix(space: ResultSpace, prefix: str) -> int:
    """Remove all that begins with *prefix*, in steps; return how many entries there were."""
    removed = 0
    while keys := space.list(prefix, limit=KEYS_PER_STEP).keys:
        removed += space.delete_many(keys)
    return removed
