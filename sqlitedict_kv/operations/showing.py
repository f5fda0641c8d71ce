"""Views of stores, namespaces and entries for a notebook: bounded in rows and time, and never a value unasked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlitedict_kv.display.figures import ago, counted, date, from_now, number, size
from sqlitedict_kv.display.html import fact_table, table
from sqlitedict_kv.display.short import brief_key, brief_value, kind_of, shorten, type_of
from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import StoreContext, moment
from sqlitedict_kv.operations.usage import FOREVER, EntrySummary, StoreUsage, Usage, survey

SECONDS = 0.04  # for what needs a walk through all entries
MOST_ROWS = 10
MOST_NAMESPACES = 30
LOOKED_AT = 100  # entries, for those that have not expired
LARGEST_PREVIEW = 64 * 2**10  # bytes of a value that is decoded to be shown
PREVIEW_HELP = (
    "A value that is read is a new object: to change it and keep the change, use "
    "with ns.edit(key) as value: ..., or ns[key] = value."
)


def show_store(context: StoreContext) -> str:
    """Return a store's namespaces, with entries, bytes, the next expiry and the largest entry of each, as HTML."""
    try:
        names = context.engine.namespaces(FOREVER)
        found = survey(context, names[:MOST_NAMESPACES], deadline=SECONDS, lenient=True)
    except KVError as error:
        return table(f"Store {context.engine.label}", (), (), notes=[f"{type(error).__name__}: {error}"])
    now = _now(context)
    rows = [
        (brief_key(name), *_cells(usage, now), _biggest(found.biggest.get(name)))
        for name, usage in found.namespaces.items()
    ]
    facts = [counted(len(names), "namespace", "namespaces")]
    if len(names) <= MOST_NAMESPACES:
        facts += _facts(found.total, now)
    more = [f"and {len(names) - MOST_NAMESPACES:,} more namespaces"] if len(names) > MOST_NAMESPACES else []
    columns = ("namespace", "entries", "bytes", "next expiry", "largest")
    notes = [*more, *([] if found.total.complete else ["≥: not all was looked at; store.usage() counts everything"])]
    return table(f"Store {context.engine.label}", columns, rows, facts=facts, notes=notes)


def show_namespace(context: StoreContext, name: str, key_of: Callable[[str], Any]) -> str:
    """Return the first keys of a namespace, with type, size, age and expiry, as HTML."""
    title = f"Namespace {brief_key(name)} of {context.engine.label}"
    try:
        found = survey(context, [name], deadline=SECONDS, lenient=True).total
        first = first_entries(context, name, MOST_ROWS)
    except KVError as error:
        return table(title, (), (), notes=[f"{type(error).__name__}: {error}"])
    now = _now(context)
    rows = [(brief_key(_decoded(key_of, each.key)), *_summary_cells(each, now)) for each in first]
    notes = []
    if first and (len(first) < found.entries or not found.complete):
        notes.append("the first keys; ns.list() has the others, and ns.largest() the largest")
    if first:
        notes.append("ns.preview() shows values")
    if not found.complete:
        notes.append("≥: not all was looked at; ns.usage() counts everything")
    return table(title, ("key", "type", "size", "written", "expires"), rows, facts=_facts(found, now), notes=notes)


def first_entries(context: StoreContext, name: str, most: int) -> list[RecordSummary]:
    """Return the first live entries of a namespace, of so many that are looked at."""
    now = context.now()
    page = optional.summaries(context.engine, KeyRange(name), max(LOOKED_AT, most))
    return [each for each in page if each.is_live(now)][:most]


def _facts(found: Usage | StoreUsage, now: datetime) -> list[str]:
    least = not found.complete
    facts = [
        f"{number(found.entries, at_least=least)} {'entry' if found.entries == 1 and not least else 'entries'}",
        size(found.bytes, at_least=least),
    ]
    if found.files:
        facts.append(f"{size(found.file_bytes, at_least=least)} of them in {counted(found.files, 'file', 'files')}")
    if found.expired:
        facts.append(f"{number(found.expired, at_least=least)} expired")
    if found.next_expiry is not None:
        facts.append(f"next expiry {from_now(found.next_expiry, now)}")
    return facts


def _cells(found: Usage, now: datetime) -> tuple[str, str, str]:
    least = not found.complete
    expiry = "" if found.next_expiry is None else from_now(found.next_expiry, now)
    return number(found.entries, at_least=least), size(found.bytes, at_least=least), expiry


def _biggest(found: EntrySummary[Any] | None) -> str:
    return "" if found is None else f"{brief_key(found.key)}, {size(found.size)}"


def _summary_cells(each: RecordSummary, now: datetime) -> tuple[str, str, str, str]:
    expires = "" if each.expires_at is None else from_now(moment(each.expires_at), now)
    return kind_of(each.content_type), size(each.size), ago(moment(each.updated_at), now), expires


def _decoded(key_of: Callable[[str], Any], text: str) -> Any:
    try:
        return key_of(text)
    except KVError:  # of another type than the view's
        return text


def _now(context: StoreContext) -> datetime:
    return moment(context.now())


class Preview(NamedTuple):
    """The first entries of a namespace with the beginnings of their values, for a notebook or a terminal.

    Attributes:
        title: of which namespace.
        rows: of each entry its key, the type of its value, its size, and the beginning of the value, in short text.
    """

    title: str
    rows: tuple[tuple[str, str, str, str], ...]

    def _repr_html_(self) -> str:
        return table(self.title, ("key", "type", "size", "value"), self.rows, notes=[PREVIEW_HELP])

    def __repr__(self) -> str:
        """Return the rows as lines of text."""
        lines = [f"{key}: {value}  ({kind}, {taken})" for key, kind, taken, value in self.rows]
        return "\n".join([self.title, *lines, PREVIEW_HELP])


def preview(context: StoreContext, name: str, key_of: Callable[[str], Any], most: int) -> Preview:
    """Return the first entries of a namespace with the beginnings of their values."""
    found = first_entries(context, name, most)
    small = [each.key for each in found if each.size <= LARGEST_PREVIEW]
    records = context.engine.read_many(name, small)
    rows = []
    for each in found:
        kind, shown = kind_of(each.content_type), "too large to be shown"
        record = records.get(each.key)
        if record is not None:
            try:
                value = context.codecs.decode(name, each.key, record.body, record.content_type)
                kind, shown = type_of(value), brief_value(value)
            except KVError as error:
                shown = shorten(f"{type(error).__name__}: {error}")
        rows.append((brief_key(_decoded(key_of, each.key)), kind, size(each.size), shown))
    return Preview(f"Namespace {brief_key(name)} of {context.engine.label}", tuple(rows))


def show_entry(value: Any, meta: Any) -> str:
    """Return a value with its meta data, as HTML."""
    now = datetime.now(UTC)
    rows = [
        ("value", brief_value(value)),
        ("type", f"{type_of(value)}; {kind_of(meta.content_type)}, {size(meta.size)}"),
        ("version", str(meta.version)),
        ("written", date(meta.updated_at)),
        ("expires", "never" if meta.expires_at is None else from_now(meta.expires_at, now)),
    ]
    return fact_table("Entry", rows)


def show_keys(keys: Sequence[Any], cursor: str | None) -> str:
    """Return a page of keys as HTML."""
    notes = [] if cursor is None else ["there are more: pass cursor=page.cursor"]
    if len(keys) > LOOKED_AT:
        notes.insert(0, f"the first {LOOKED_AT} of {len(keys):,}")
    return table(
        "Page",
        ("key",),
        [(brief_key(key),) for key in keys[:LOOKED_AT]],
        facts=[counted(len(keys), "key", "keys")],
        notes=notes,
    )


def show_usage(found: Usage) -> str:
    """Return the size of a namespace by type of value, as HTML."""
    rows = [
        (kind_of(name), number(each.entries), size(each.bytes, at_least=not found.complete))
        for name, each in found.by_content_type.items()
    ]
    return table("Usage", ("type", "entries", "bytes"), rows, facts=_facts(found, datetime.now(UTC)))


def show_store_usage(found: StoreUsage) -> str:
    """Return the size of a store by namespace, as HTML."""
    now = datetime.now(UTC)
    rows = [(brief_key(name), *_cells(usage, now)) for name, usage in list(found.namespaces.items())[:LOOKED_AT]]
    hidden = len(found.namespaces) - len(rows)
    notes = [f"and {hidden:,} more namespaces"] if hidden > 0 else []
    return table("Usage", ("namespace", "entries", "bytes", "next expiry"), rows, facts=_facts(found, now), notes=notes)


def show_figures(title: str, figures: Mapping[str, Any]) -> str:
    """Return figures by name as HTML."""
    return fact_table(title, [(name.replace("_", " "), _figure(name, value)) for name, value in figures.items()])


def _figure(name: str, value: Any) -> str:
    if type(value) is int:
        return size(value) if "bytes" in name else number(value)
    if isinstance(value, datetime):
        return date(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return ", ".join(f"{part.replace('_', ' ')} {_figure(part, each)}" for part, each in value._asdict().items())
    return "none" if value is None else shorten(str(value))
