"""Edits made ready for servers, which cannot call a function of the client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlitedict_kv.engine import Change, Delete, Edit, Put, Touch
from sqlitedict_kv.record import Record

Read = Callable[[str, str], Record | None]  # takes namespace and key; the newest record, expired or not


class Guarded(NamedTuple):
    """A write that a Change asked for, and the record that it was made from."""

    put: Put
    version: int | None  # that must still be there; 0 is absent, None is any: an edit before it decides
    expires_at: int | None  # likewise


def resolved(edits: Iterable[Edit], read: Read, now: int) -> list[Edit | Guarded]:
    """Return edits in which what a Change would write stands for the Change.

    What *read* returned for it is guarded by the version and the deadline that it had; edits of the same entry that
    come before it count as applied.
    """
    ahead: dict[tuple[str, str], Record | None] = {}  # what the edits so far leave behind
    done: list[Edit | Guarded] = []
    for edit in edits:
        name = edit.namespace, edit.key
        if isinstance(edit, Change):
            known = name in ahead
            record = ahead[name] if known else read(*name)
            live = record if record is not None and record.is_live(now) else None
            put = edit.function(live)
            version = None if known else live.version if live else 0
            done.append(Guarded(put, version, live.expires_at if live else None))
            ahead[name] = _record_of(put, now)
            continue
        done.append(edit)
        if isinstance(edit, Put):
            ahead[name] = _record_of(edit, now)
        elif isinstance(edit, Delete):
            ahead[name] = None
        elif isinstance(edit, Touch) and ahead.get(name) is not None:
            ahead[name] = _touched(ahead[name], edit)
    return done


def _record_of(put: Put, now: int) -> Record:
    """Return the record that a write will make; its version is not known yet."""
    return Record(put.body, put.content_type, 0, put.expires_at, now)


def _touched(record: Record | None, edit: Touch) -> Record | None:
    if record is None or (edit.expiring and record.expires_at is None):
        return record
    return record._replace(expires_at=edit.expires_at)


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
