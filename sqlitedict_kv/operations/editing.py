"""Edit of a value in place: it is read, changed by the caller, and written back if nobody wrote in between."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.concurrency.sansio import Blocking, Steps
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.operations.read_modify_write import GONE, Verbs
from sqlitedict_kv.validation import DEFAULT, Default


class Edited(NamedTuple):
    """A value in the caller's hands, and what it was read from."""

    key: Any
    value: Any
    record: Record | None


def begin_edit(verbs: Verbs, key: Any, default: Any) -> Steps[Edited]:
    """Read a value, or copy *default*; raise KeyError if there is neither."""
    while True:
        record = yield verbs.read(key)
        if record is not None:
            value = verbs.look_into(key, record)
            if type(value) is Blocking and (value := (yield value)) is GONE:
                continue
            return Edited(key, value, record)
        if isinstance(default, Default):
            raise KeyError(key)
        return Edited(key, verbs.edits.copy(default), None)


def end_edit(verbs: Verbs, edited: Edited) -> Steps[None]:
    """Write the value if it was changed, or is in a file, and the entry is as it was; its deadline stays.

    Raises:
        ConflictError: somebody else wrote in between; nothing was written.
    """
    key, value, record = edited
    edit = verbs.edits.put(key, value, DEFAULT, None, record.version if record else 0)
    if record is not None and (edit.body, edit.content_type) == (record.body, record.content_type):
        return
    if edit.content_type == FILE:
        (edit,) = yield verbs.write_files([edit])
    yield verbs.commit([edit if record is None else verbs.edits.in_time(edit)])
