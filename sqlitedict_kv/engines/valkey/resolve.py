"""Resolution of edits into plain ones: a server cannot call a function of the client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from sqlitedict_kv.engines.protocol import Change, Delete, Edit, Put, Touch
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import ConflictError, DamagedEntryError, TooLargeError, UnsupportedError

MAX_EDITS = 100_000  # of one step: a server takes 2**20 arguments
Read = Callable[[str, str], Record | None]  # takes namespace and key; the newest record, expired or not


class Guarded(NamedTuple):
    """A write that a Change asked for, and the record that it was made from."""

    put: Put
    version: int | None  # that must still be there; 0 is absent, None is any: an edit before it decides
    expires_at: int | None  # likewise


class Failed(NamedTuple):
    """A Change that raised; nothing comes of it, unless an edit before it is refused: then that is what went wrong."""

    namespace: str
    key: str
    version: int | None  # of the record that it raised for, as for Guarded
    expires_at: int | None
    error: Exception


Concrete = Edit | Guarded | Failed


def refuse_too_many(edits: Sequence[Edit]) -> None:
    """Raise TooLargeError for more edits than a server takes in one step."""
    if len(edits) > MAX_EDITS:
        raise TooLargeError(f"{len(edits)} edits in one step are too many for a server; {MAX_EDITS} are the limit")


def resolve_edits(edits: Iterable[Edit], read: Read, now: int) -> list[Concrete]:
    """Return edits in which what a Change would write stands for the Change; those behind one that fails are left out.

    What *read* returned for it is guarded by the version and the deadline that it had; edits of the same entry that
    come before it count as applied.
    """
    ahead: dict[tuple[str, str], Record | None] = {}  # what the edits so far leave behind
    touches: dict[tuple[str, str], list[Touch]] = {}  # of entries that were not read so far
    done: list[Concrete] = []
    for edit in edits:
        name = edit.namespace, edit.key
        if isinstance(edit, Change):
            known = name in ahead
            record = ahead[name] if known else _touched(read(*name), touches.get(name, ()), now)
            live = record if record is not None and record.is_live(now) else None
            version = None if known else live.version if live else 0
            expires_at = live.expires_at if live else None
            try:
                put = edit.function(live)
            except Exception as error:
                if not done:
                    raise
                return [*done, Failed(*name, version, expires_at, error)]
            done.append(Guarded(put, version, expires_at))
            ahead[name] = _record_of(put, now)
            continue
        done.append(edit)
        if isinstance(edit, Put):
            ahead[name] = _record_of(edit, now)
        elif isinstance(edit, Delete):
            ahead[name] = None
        elif isinstance(edit, Touch) and name in ahead:
            ahead[name] = _touched(ahead[name], [edit], now)
        elif isinstance(edit, Touch):
            touches.setdefault(name, []).append(edit)
    return done


def _record_of(put: Put, now: int) -> Record:
    """Return the record that a write will make; its version is not known yet."""
    return Record(put.body, put.content_type, 0, put.expires_at, now)


def _touched(record: Record | None, touches: Iterable[Touch], now: int) -> Record | None:
    """Return what touches make of a record."""
    for edit in touches:
        if record is None or not record.is_live(now):
            return record
        if not (edit.expiring and record.expires_at is None):
            record = record._replace(expires_at=edit.expires_at)
    return record


def groups_by_slot(edits: Sequence[Edit], slot_of: Callable[[Edit], int]) -> list[Sequence[int]]:
    """Return the positions of the edits that go into one step each, on a cluster.

    Raises:
        UnsupportedError: there are several, and it matters.
    """
    groups: dict[int, list[int]] = {}
    for position, edit in enumerate(edits):
        groups.setdefault(slot_of(edit), []).append(position)
    if len(groups) > 1 and not all(type(edit) is Delete and edit[2:] == (None, False) for edit in edits):
        raise UnsupportedError(
            "a cluster commits only edits of one shard together, and these are of several; "
            "use one namespace with shards=1 for them, see Store.capabilities"
        )
    return list(groups.values())


def batches_of(groups: Sequence[Sequence[Edit]]) -> Iterator[list[int]]:
    """Yield the numbers of groups in an order in which they can be applied.

    Those that are together are plain writes of different entries of one namespace.
    """
    plain: dict[str, dict[str, int]] = {}
    for number, group in enumerate(groups):
        put = group[0]
        is_plain = len(group) == 1 and isinstance(put, Put) and put.expected is None
        if not is_plain or put.key in plain.get(put.namespace, ()):
            yield from (list(numbers.values()) for numbers in plain.values())
            plain = {}
        if is_plain:
            plain.setdefault(put.namespace, {})[put.key] = number
        else:
            yield [number]
    yield from (list(numbers.values()) for numbers in plain.values())


def raise_refusal(edits: Sequence[Concrete], reply: Any) -> NoReturn:
    """Raise what the script of a commit says of one of its edits."""
    word, number, *rest = reply
    edit = edits[number - 1]
    if isinstance(edit, Failed):
        raise edit.error
    edit = edit.put if isinstance(edit, Guarded) else edit
    if word == b"CONFLICT":
        expected = getattr(edit, "expected", None)
        raise ConflictError(edit.namespace, edit.key, expected=expected or 0, actual=rest[0] or None)
    if word == b"MISSING":
        raise KeyError(edit.key)
    raise DamagedEntryError(edit.namespace, edit.key, "its header is not one that this library writes")
