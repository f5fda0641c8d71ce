"""Edits from the arguments of a verb that writes: checked, encoded, with their deadline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlitedict_kv.engines.protocol import Advance, Change, Check, Delete, Put, Touch
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import ConflictError
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.optional import require_tagging
from sqlitedict_kv.operations.progress import counted
from sqlitedict_kv.validation import (
    DEFAULT,
    NO_TAGS,
    check_key,
    check_keys,
    check_mapping,
    check_number,
    check_tags,
    check_ttl,
    check_version,
)


class Edits:
    """Makes the edits of one namespace, for every face that commits them; nothing here asks the engine."""

    __slots__ = ("_context", "_defaults", "_name")

    def __init__(self, context: StoreContext, name: str, defaults: Defaults) -> None:
        """Make edits of the namespace *name*, which is checked already."""
        self._context = defaults.apply(context)
        self._name = name
        self._defaults = defaults

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return self._name

    def put(
        self,
        key: object,
        value: Any,
        ttl: object,
        content_type: object,
        expected: int | None = None,
        tags: object = NO_TAGS,
        *,
        alone: bool = False,
    ) -> Put:
        """Return the edit that writes a value; the arguments are those of :meth:`StoreContext.put`."""
        if ttl is DEFAULT and content_type is None:
            seconds, encoding = self._defaults.ttl, self._defaults.content_type
        else:
            seconds, encoding = self._defaults.choose(ttl, content_type, self._context.codecs)
        given = self.check_tags(tags)
        return self._context.put(
            self._name, key, value, ttl=seconds, content_type=encoding, expected=expected, tags=given, alone=alone
        )

    def check_tags(self, tags: object) -> tuple[str, ...]:
        """Return checked tags; raise UnsupportedError where there can be none."""
        if tags is NO_TAGS:
            return NO_TAGS
        require_tagging(self._context.engine)
        return check_tags(tags)

    def put_at(
        self, key: object, value: Any, version: object, ttl: object, content_type: object, tags: object = NO_TAGS
    ) -> Put:
        """Return the edit that writes a value if the entry is at *version*, to be committed alone; 0 is absent."""
        return self.put(key, value, ttl, content_type, check_version(version), tags, alone=True)

    def put_many(
        self, mapping: object, ttl: object, advance: Advance | None = None, tags: object = NO_TAGS
    ) -> list[Put]:
        """Return the edits that write all the values of a mapping; *advance* is told how many are made."""
        entries = check_mapping(mapping, "mapping")
        given = self.check_tags(tags)
        chosen, content_type = self._defaults.choose(ttl, None, self._context.codecs)
        return [
            self._context.put(self._name, key, value, ttl=chosen, content_type=content_type, tags=given)
            for key, value in (entries.items() if advance is None else counted(entries.items(), advance))
        ]

    def delete(self, key: object, version: object = None, *, required: bool = False) -> Delete:
        """Return the edit that removes an entry, only at *version* if that is not None."""
        name = check_key(key)
        return Delete(self._name, name, None if version is None else check_version(version, lowest=1), required)

    def delete_many(self, keys: object) -> list[Delete]:
        """Return the edits that remove entries."""
        return [Delete(self._name, key) for key in check_keys(keys)]

    def touch(self, key: object, ttl: object) -> Touch:
        """Return the edit that changes when an entry expires."""
        name, seconds = check_key(key), check_ttl(ttl)
        return Touch(self._name, name, self._context.deadline(seconds))

    def renew(self, key: object, ttl: object) -> Touch:
        """Return the edit that changes when an entry expires which is to expire at all."""
        if ttl is None:
            raise TypeError("ttl must be a number of seconds, not None; touch(key, None) lets an entry live forever")
        return self.touch(key, ttl)._replace(expiring=True)

    def check(self, key: object, version: object) -> Check:
        """Return the edit that demands a version; 0 is absent."""
        return Check(self._name, check_key(key), check_version(version))

    def incr(self, key: object, delta: object, default: object) -> tuple[Change, list[int | float]]:
        """Return the edit that adds to a number and where it leaves its sums; an engine may run it several times."""
        context, namespace, defaults = self._context.at_once or self._context, self._name, self._defaults
        name, step = check_key(key), check_number(delta, "delta")
        start = None if default is None else check_number(default, "default")
        results: list[int | float] = []

        def change(record: Record | None) -> Put:
            number = start if record is None else _number(context, namespace, name, record)
            if number is None:
                raise KeyError(name)
            total = check_number(number + step, "delta: the sum")
            results.append(total)
            edit = context.put(namespace, name, total, ttl=defaults.ttl, content_type=defaults.content_type)
            return edit if record is None else edit._replace(expires_at=record.expires_at)

        return Change(namespace, name, change), results

    def in_time(self, edit: Put) -> Change:
        """Return the edit that writes the same, at the version it expects, and leaves the deadline as it then is.

        What was read before may have another one: to touch an entry is no new version.
        """
        expected = edit.expected
        assert expected

        def change(record: Record | None) -> Put:
            if record is None or record.version != expected:
                actual = None if record is None else record.version
                raise ConflictError(edit.namespace, edit.key, expected=expected, actual=actual)
            return edit._replace(expires_at=record.expires_at)

        return Change(edit.namespace, edit.key, change)

    def copy(self, value: Any) -> Any:
        """Return an equal object that shares nothing with *value*."""
        body, content_type = self._context.codecs.encode(value, self._defaults.content_type)
        return self._context.codecs.decode(self._name, "", body, content_type)


def collect(other: Mapping[str, Any] | Iterable[Any], entries: dict[str, Any]) -> dict[str, Any]:
    """Return what ``dict.update(other, **entries)`` would write."""
    found = dict(other)
    found.update(entries)
    return found


def _number(context: StoreContext, namespace: str, key: str, record: Record) -> int | float:
    value = context.codecs.decode(namespace, key, record.body, record.content_type)
    if type(value) is int or type(value) is float:
        return value
    raise TypeError(f"the entry {key!r} in namespace {namespace!r} is a {type(value).__name__}, not a number")
