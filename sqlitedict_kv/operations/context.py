"""Context that all views of a store share, with the pure steps before and after a call of the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.codecs.file_reference import described
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.display.cell import running_cell
from sqlitedict_kv.display.figures import EARLIEST, LATEST
from sqlitedict_kv.engines.optional import RestingEngine
from sqlitedict_kv.engines.protocol import Check, Engine, KeyRange, Put, Value
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import EntryGoneError, TooLargeError
from sqlitedict_kv.lru import LRU
from sqlitedict_kv.operations.memoize_modes import Modes
from sqlitedict_kv.operations.pagination import KeyBounds
from sqlitedict_kv.operations.type_variables import V
from sqlitedict_kv.validation import NO_TAGS, Default, check_bool, check_content_type, check_key, check_ttl, check_type

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEYS_PER_PAGE = 500
RECORDS_PER_PAGE = 200
HALF_MICROSECOND = 0.0005  # in milliseconds: what a float of today's Unix time may be off by is less


class Meta(NamedTuple):
    """What is known of an entry beside its value.

    Attributes:
        version: a positive int, larger with each write of the key.
        expires_at: when it expires, an aware datetime; None is never.
        updated_at: when its value was written, an aware datetime.
        content_type: how its value is encoded.
        size: the bytes of its encoded value.
    """

    version: int
    expires_at: datetime | None
    updated_at: datetime
    content_type: str
    size: int = 0


class Entry(NamedTuple, Generic[V]):
    """A value with its meta data."""

    value: V
    meta: Meta

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_entry  # noqa: PLC0415 - for notebooks alone

        return show_entry(self.value, self.meta)


# Writes a large value to where it is kept; returns what is to be in its entry, and the content type of that.
Stage = Callable[[bytes | BodyParts, str], tuple[bytes, str]]


class ReadCounters:
    """The reads of this process; approximate where threads run without a global lock."""

    __slots__ = ("hits", "misses")

    def __init__(self) -> None:
        """Begin at zero."""
        self.hits = 0
        self.misses = 0


class Origin(NamedTuple):
    """The address and the options that a store was opened with, by which it is pickled.

    Attributes:
        context: takes the two and returns the context of an open store.
        path: an absolute path or an address; None if it cannot be pickled.
        options: the keyword arguments.
        obstacle: why it cannot be pickled, and what to do; None if it can.
    """

    context: Callable[[str, Any], StoreContext]
    path: str | None
    options: Mapping[str, Any]
    obstacle: str | None = None

    def arguments(self) -> tuple[str, Any]:
        """Return the address and the options; raise TypeError if they cannot be pickled."""
        if self.path is None:
            raise TypeError(self.obstacle)
        return self.path, self.options


# The newest context of each address that can be pickled, as long as its store is there.
NEWEST: WeakValueDictionary[str, StoreContext] = WeakValueDictionary()


def note_newest(address: str, context: StoreContext) -> None:
    """Note the context that was opened last at an address.

    In a notebook a cell is run again and again, and what it showed is kept: so the store before it, which is hardly
    used again, gives back its descriptors until it is.
    """
    older = NEWEST.get(address)
    NEWEST[address] = context
    if older is not None and hasattr(older.engine, "rest") and running_cell() is not None:
        cast("RestingEngine", older.engine).rest()


class StoreContext:
    """The engine, the codecs, the clock and the limits of one store."""

    __slots__ = (
        "__weakref__",
        "at_once",
        "clock",
        "codecs",
        "counters",
        "engine",
        "lru",
        "max_value_bytes",
        "modes",
        "origin",
        "read_value",
        "stage",
    )

    def __init__(
        self,
        engine: Engine,
        codecs: Codecs,
        clock: Callable[[], float],
        max_value_bytes: int,
        lru: LRU | None = None,
        stage: Stage | None = None,
    ) -> None:
        """Put them together.

        Args:
            engine: keeps the entries.
            codecs: encode the values.
            clock: returns the Unix time in seconds.
            max_value_bytes: of a value in an entry itself.
            lru: in front of the engine.
            stage: writes a larger value somewhere else, and returns what is to be in the entry; None refuses it.
        """
        self.engine = engine
        self.codecs = codecs
        self.clock = clock
        self.max_value_bytes = max_value_bytes
        self.lru = lru
        self.stage = stage
        self.at_once: StoreContext | None = None  # what writes large values at once, if this one defers it
        self.counters = ReadCounters()
        self.origin: Origin | None = None
        self.modes = Modes()
        self.read_value: Callable[[str, str], Value | None] = engine.read_value if lru is None else lru.read_value

    def newer(self) -> StoreContext | None:
        """Return the context of a store that was opened later at the same address, None if there is none."""
        newest = None if self.origin is None or self.origin.path is None else NEWEST.get(self.origin.path)
        return None if newest is None or newest.engine is self.engine else newest

    def with_codecs(self, codecs: Codecs) -> StoreContext:
        """Return the same, with other codecs."""
        if codecs is self.codecs:
            return self
        other = StoreContext(self.engine, codecs, self.clock, self.max_value_bytes, self.lru, self.stage)
        other.counters, other.origin, other.modes = self.counters, self.origin, self.modes
        if self.at_once is not None:
            other.at_once = self.at_once.with_codecs(codecs)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the address and the options of the store; raise TypeError where that is not possible."""
        if self.origin is None:
            raise TypeError(f"a view of {self.engine.label} cannot be pickled, for what it is part of cannot be")
        return self.origin.context, self.origin.arguments()

    def now(self) -> int:
        """Return the Unix time in milliseconds, by the store's clock."""
        return int(self.clock() * 1000 + HALF_MICROSECOND)

    def deadline(self, ttl: float | None) -> int | None:
        """Return when something that lives *ttl* seconds from now expires, in milliseconds, rounded up."""
        if ttl is None:
            return None
        return max(math.ceil((self.clock() + ttl) * 1000 - HALF_MICROSECOND), self.now() + 1)

    def put(
        self,
        namespace: str,
        key: object,
        value: Any,
        *,
        ttl: float | None,
        content_type: str | None,
        expected: int | None = None,
        tags: tuple[str, ...] = NO_TAGS,
        alone: bool = False,
    ) -> Put:
        """Return the edit that writes a value, checked and encoded; the options are checked already.

        Args:
            namespace: its namespace.
            key: its key.
            value: the value.
            ttl: after how many seconds it expires.
            content_type: how it is encoded; None is by its type.
            expected: the version that must be there; 0 is absent, None is any.
            tags: those of the entry, checked.
            alone: there is no edit before it in its transaction, so a large value can be refused before it is written.

        Raises:
            CodecError: the value would not come back as it is.
            TooLargeError: it takes more bytes than the store allows.
            ConflictError: a large value is to be written where another version than the expected one is.
        """
        name = check_key(key)
        body, encoded_as = self.codecs.encode_parts(value, content_type)
        if len(body) > self.max_value_bytes:
            if alone and self.at_once is None:  # what defers the file looks when it writes it
                self.demand(namespace, name, expected)
            body, encoded_as = self.put_elsewhere(body, encoded_as)
        assert isinstance(body, bytes)  # parts are larger
        return Put(namespace, name, body, encoded_as, None if ttl is None else self.deadline(ttl), expected, tags)

    def demand(self, namespace: str, key: str, expected: int | None) -> None:
        """Raise ConflictError if a large value that is to be written would be refused, so that it is not in vain."""
        if expected is not None and self.stage is not None:
            self.engine.commit([Check(namespace, key, expected)], self.now())

    def put_elsewhere(self, body: bytes | BodyParts, content_type: str) -> tuple[bytes, str]:
        """Return what stands in its entry for a value over the limit; raise TooLargeError if nothing can."""
        if self.stage is None:
            raise TooLargeError(too_large(len(body), self.max_value_bytes, content_type))
        return self.stage(body, content_type)

    def with_stage(self, stage: Stage) -> StoreContext:
        """Return the same, with another way to write large values; the same if it has none."""
        if self.stage is None:
            return self
        other = StoreContext(self.engine, self.codecs, self.clock, self.max_value_bytes, self.lru, stage)
        other.counters, other.origin, other.modes, other.at_once = self.counters, self.origin, self.modes, self
        return other

    def read(self, namespace: str, key: object) -> Record | None:
        """Return the live record of a key and count the read."""
        record = self.engine.read(namespace, check_key(key))
        if record is None or (record.expires_at is not None and not record.is_live(self.now())):
            self.counters.misses += 1
            return None
        self.counters.hits += 1
        return record

    def last(self, namespace: str) -> list[tuple[str, Record]]:
        """Return the last key of a namespace with its record, or nothing."""
        return self.engine.records(KeyRange(namespace, reverse=True), 1, self.now())

    def keys(self, namespace: str, bounds: KeyBounds, after: str | None, most: int, *, reverse: bool) -> list[str]:
        """Return the first live keys within *bounds* and behind *after*."""
        first = bounds.first(reverse=reverse) if after is None else None
        if bounds.is_behind(first):
            return []
        found = [] if first is None or self.live(namespace, first) is None else [first]
        if after is None:
            after = bounds.stop if reverse else first
        if len(found) < most:
            span = KeyRange(namespace, bounds.prefix, after, reverse)
            found += self.engine.keys(span, most - len(found), self.now())
        return found[: bounds.cut(found, reverse=reverse)]

    def key_pages(self, span: KeyRange) -> Iterator[list[str]]:
        """Yield the keys of a span by pages; no lock is held between them."""
        while keys := self.engine.keys(span, KEYS_PER_PAGE, self.now()):
            yield keys
            span = span._replace(after=keys[-1])

    def pages(self, span: KeyRange) -> Iterator[list[tuple[str, Record]]]:
        """Yield the keys and records of a span by pages; no lock is held between them."""
        while records := self.engine.records(span, RECORDS_PER_PAGE, self.now()):
            yield records
            span = span._replace(after=records[-1][0])

    def pages_within(self, namespace: str, bounds: KeyBounds, *, reverse: bool) -> Iterator[list[tuple[str, Record]]]:
        """Yield the keys and records within *bounds* by pages; no lock is held between them."""
        first = bounds.first(reverse=reverse)
        if bounds.is_behind(first):
            return
        record = None if first is None else self.live(namespace, first)
        if first is not None and record is not None:
            yield [(first, record)]
        for page in self.pages(KeyRange(namespace, bounds.prefix, bounds.stop if reverse else first, reverse)):
            inside = bounds.cut([key for key, _ in page], reverse=reverse)
            yield page[:inside]
            if inside < len(page):
                return

    def live(self, namespace: str, key: str) -> Record | None:
        """Return the live record of a key; it counts as no read."""
        record = self.engine.read(namespace, key)
        return record if record is not None and record.is_live(self.now()) else None

    def entry(self, namespace: str, key: str, record: Record) -> Entry[Any]:
        """Return a record as its reader sees it."""
        value = self.codecs.decode(namespace, key, record.body, record.content_type)
        return Entry(value, meta_of(record))


class Defaults(NamedTuple):
    """What a namespace does where a call does not say."""

    ttl: float | None  # seconds
    content_type: str | None
    codecs: Codecs | None = None  # those of values of one type, or that map files; None is the store's
    mapped: bool = False

    @classmethod
    def of(
        cls,
        codecs: Codecs,
        ttl: object,
        content_type: object,
        kind: object = None,
        mapped: object = False,  # noqa: FBT002 - by position where a view is unpickled
    ) -> Defaults:
        """Return those of a view whose arguments are not checked yet; *kind* is the type of its values, if any."""
        chosen = check_content_type(content_type, codecs)
        own = None if kind is None else codecs.typed(check_type(kind), checked=True)
        if check_bool(mapped, "mapped"):
            own = (own or codecs).mapping_files()
        return cls(check_ttl(ttl), chosen, own, bool(mapped))

    def as_arguments(self) -> tuple[float | None, str | None, Any, bool]:
        """Return what :meth:`of` makes the same of, given the codecs of the store: codecs do not pickle."""
        return self.ttl, self.content_type, None if self.codecs is None else self.codecs.annotation, self.mapped

    def apply(self, context: StoreContext) -> StoreContext:
        """Return the context of the view."""
        return context if self.codecs is None else context.with_codecs(self.codecs)

    def choose(self, ttl: object, content_type: object, codecs: Codecs) -> tuple[float | None, str | None]:
        """Return the time to live and the content type of a write."""
        chosen = self.ttl if isinstance(ttl, Default) else check_ttl(ttl)
        return chosen, check_content_type(content_type, codecs) or self.content_type


def still_there(page: Iterable[tuple[Any, Record]], read: Callable[[Any, Record], T]) -> Iterator[tuple[Any, T]]:
    """Yield keys with what *read* makes of their records, without those that were removed since the page was read."""
    for key, record in page:
        try:
            found = read(key, record)
        except EntryGoneError:
            continue
        yield key, found


def meta_of(record: Record) -> Meta:
    """Return the meta data of a record."""
    expires_at = None if record.expires_at is None else moment(record.expires_at)
    encoded_as, size = described(record.body, record.content_type)
    return Meta(record.version, expires_at, moment(record.updated_at), encoded_as, size)


def moment(milliseconds: int) -> datetime:
    """Return a Unix time as an aware datetime; integers only, for a float would round.

    A time that a datetime cannot hold, as a hostile file may have it, is the earliest or the latest that there is.
    """
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return LATEST if milliseconds > 0 else EARLIEST
