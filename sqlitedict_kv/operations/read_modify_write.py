"""The verbs of a namespace that look before they write, as steps for every face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.concurrency.sansio import Blocking, Steps
from sqlitedict_kv.engines.protocol import Edit
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import ConflictError, EntryGoneError
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.validation import DEFAULT, NO_TAGS, Default, Duration, check_callable

GONE: Final = object()  # instead of a value that was removed while it was read


class Verbs(NamedTuple):
    """Looks and writes through a face: each of the three calls returns its result, or an awaitable of it.

    Attributes:
        context: of the store.
        name: of the namespace.
        edits: of the namespace.
        read: takes a key and returns its live record, or None.
        last: returns the last key with its record, as a list of none or one.
        commit: takes edits and returns their versions; see :meth:`Engine.commit`.
        write_files: takes edits and returns them with their large values in files, where they are not yet.
    """

    context: StoreContext
    name: str
    edits: Edits
    read: Callable[[Any], Any]
    last: Callable[[], Any]
    commit: Callable[[Sequence[Edit]], Any]
    write_files: Callable[[Sequence[Edit]], Any] = list

    def add(self, key: Any, value: Any, ttl: object, content_type: object, tags: object = NO_TAGS) -> Steps[int | None]:
        """Write a value if the key is absent; see :meth:`Namespace.add`."""
        try:
            edit = self.edits.put_at(key, value, 0, ttl, content_type, tags)
            if edit.content_type == FILE:
                (edit,) = yield self.write_files([edit])
            (version,) = yield self.commit([edit])
        except ConflictError:
            return None
        written: int = version
        return written

    def setdefault(self, key: Any, default: Any) -> Steps[Any]:
        """See :meth:`Namespace.setdefault`."""
        while True:
            record = yield self.read(key)
            if record is not None:
                value = self.look_into(key, record)
                if type(value) is Blocking and (value := (yield value)) is GONE:
                    continue
                return value
            if (yield from self.add(key, default, DEFAULT, None)) is not None:
                return default

    def modify(
        self, key: Any, function: Callable[[Any], Any], default: Any, ttl: Duration | None | Default
    ) -> Steps[Any]:
        """See :meth:`Namespace.modify`."""
        check_callable(function, "function")
        while True:
            record = yield self.read(key)
            if record is not None:
                value = self.look_into(key, record)
            elif isinstance(default, Default):
                raise KeyError(key)
            else:
                value = self.edits.copy(default)
            if type(value) is Blocking and (value := (yield value)) is GONE:
                continue
            changed = yield function(value)
            keeps_deadline = record is not None and isinstance(ttl, Default)
            try:
                edit = self.edits.put_at(key, changed, record.version if record else 0, ttl, None)
                if edit.content_type == FILE:
                    (edit,) = yield self.write_files([edit])
                yield self.commit([self.edits.in_time(edit) if keeps_deadline else edit])
            except ConflictError:
                continue
            return changed

    def renew(self, key: Any, ttl: Duration, default: Any) -> Steps[Any]:
        """See :meth:`Namespace.renew`."""
        self.edits.renew(key, ttl)  # before anything is read
        while True:
            record = yield self.read(key)
            if record is None:
                return default
            value = self.look_into(key, record)
            if type(value) is Blocking and (value := (yield value)) is GONE:
                continue
            if record.expires_at is None:
                return value
            try:
                yield self.commit([self.edits.check(key, record.version), self.edits.renew(key, ttl)])
            except ConflictError:
                continue
            return value

    def pop(self, key: Any, default: Any) -> Steps[Any]:
        """See :meth:`Namespace.pop`."""
        while True:
            record = yield self.read(key)
            if record is None:
                if isinstance(default, Default):
                    raise KeyError(key)
                return default
            value = self.look_into(key, record)
            if type(value) is Blocking and (value := (yield value)) is GONE:
                continue
            if (yield from self._remove(key, record.version)):
                return value

    def popitem(self) -> Steps[tuple[Any, Any]]:
        """See :meth:`Namespace.popitem`."""
        while True:
            last = yield self.last()
            if not last:
                raise KeyError(f"popitem(): namespace {self.name!r} is empty")
            key, record = last[0]
            value = self.look_into(key, record)
            if type(value) is Blocking and (value := (yield value)) is GONE:
                continue
            if (yield from self._remove(key, record.version)):
                return key, value

    def _remove(self, key: Any, version: int) -> Steps[bool]:
        try:
            yield self.commit([self.edits.delete(key, version)])
        except ConflictError:
            return False
        return True

    def value_of(self, key: Any, record: Record) -> Any:
        """Return the value of a record."""
        return self.context.codecs.decode(self.name, key, record.body, record.content_type)

    def look_into(self, key: Any, record: Record) -> Any:
        """Return the value of a record, or a request for it if that takes long; the answer to it may be GONE."""
        if record.content_type == FILE:
            return Blocking(partial(self._read_file, key, record))
        return self.context.codecs.decode(self.name, key, record.body, record.content_type)

    def _read_file(self, key: Any, record: Record) -> Any:
        try:
            return self.value_of(key, record)
        except EntryGoneError:
            return GONE
