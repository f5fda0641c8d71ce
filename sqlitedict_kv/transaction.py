"""Checks and edits that are committed together, or not at all."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from sqlitedict_kv.arguments import (
    DEFAULT,
    Default,
    checked_content_type,
    checked_key,
    checked_namespace,
    checked_ttl,
    checked_version,
)
from sqlitedict_kv.core import Core, Defaults, incr_edit
from sqlitedict_kv.engine import Change, Check, Delete, Edit, Put, Touch


class Transaction:
    """Records what a ``with`` block asks for and commits it when the block ends; made by :meth:`Store.atomic`.

    A time to live counts from when it is recorded.

    Nothing is sent before, and nothing at all if the block raises, so no lock is held while it runs.
    """

    def __init__(self, core: Core) -> None:
        """Record for the store of *core*."""
        self._core = core
        self._edits: list[Edit] = []
        self._versions: dict[tuple[str, str], int] | None = None
        self._begun = False
        self._ended = False

    def ns(self, name: str, *, ttl: float | None = None, content_type: str | None = None) -> TransactionNamespace:
        """Return what records for a namespace; the arguments are those of :meth:`Store.ns`."""
        defaults = Defaults(checked_ttl(ttl), checked_content_type(content_type, self._core.codecs))
        return TransactionNamespace(self, self._core, checked_namespace(name), defaults)

    @property
    def versions(self) -> dict[tuple[str, str], int]:
        """The versions that were written, by namespace and key; RuntimeError before the commit."""
        if self._versions is None:
            raise RuntimeError("versions are known once the block of store.atomic() has ended and was committed")
        return dict(self._versions)

    def record(self, edit: Edit) -> None:
        """Add an edit to what will be committed."""
        if self._ended or not self._begun:
            raise RuntimeError("record in the block of `with store.atomic() as tx:`, and begin another one for more")
        self._edits.append(edit)

    def __enter__(self) -> Self:
        """Begin to record."""
        if self._begun:
            raise RuntimeError("a transaction is used once; call store.atomic() again")
        self._begun = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit, unless the block raised.

        Raises:
            ConflictError: an entry is not at the version that was demanded; nothing was changed.
            KeyError: an entry that ``del`` was to remove is absent; nothing was changed.
        """
        self._ended = True
        if kind is not None:
            return
        results = self._core.engine.commit(self._edits, self._core.now()) if self._edits else []
        self._versions = {
            (edit.namespace, edit.key): version
            for edit, version in zip(self._edits, results, strict=True)
            if isinstance(edit, Put | Change) and version is not None
        }


class TransactionNamespace:
    """Records edits of one namespace; reads go to the store itself."""

    def __init__(self, transaction: Transaction, core: Core, name: str, defaults: Defaults) -> None:
        """Record into *transaction*; the name is checked already."""
        self._transaction = transaction
        self._core = core
        self._name = name
        self._defaults = defaults

    def check(self, key: str, version: int) -> None:
        """Demand that the entry is at *version* when the block ends; 0 is absent."""
        self._transaction.record(Check(self._name, checked_key(key), checked_version(version)))

    def set(
        self, key: str, value: Any, *, ttl: float | None | Default = DEFAULT, content_type: str | None = None
    ) -> None:
        """Write a value; the arguments are those of :meth:`Namespace.set`."""
        self._put(key, value, ttl, content_type, None)

    def __setitem__(self, key: str, value: Any) -> None:
        """Write a value."""
        self.set(key, value)

    def add(
        self, key: str, value: Any, *, ttl: float | None | Default = DEFAULT, content_type: str | None = None
    ) -> None:
        """Write a value, and demand that the key is absent."""
        self._put(key, value, ttl, content_type, 0)

    def delete(self, key: str) -> None:
        """Remove an entry if it is there."""
        self._transaction.record(Delete(self._name, checked_key(key)))

    def __delitem__(self, key: str) -> None:
        """Remove an entry, and demand that it is there."""
        self._transaction.record(Delete(self._name, checked_key(key), required=True))

    def touch(self, key: str, ttl: float | None) -> None:
        """Let an entry, if it is there, expire *ttl* seconds from now."""
        name, seconds = checked_key(key), checked_ttl(ttl)
        self._transaction.record(Touch(self._name, name, self._core.deadline(seconds)))

    def incr(self, key: str, delta: float = 1, *, default: float | None = 0) -> None:
        """Add to a number; the arguments are those of :meth:`Namespace.incr`."""
        edit, _ = incr_edit(self._core, self._name, self._defaults, key, delta, default)
        self._transaction.record(edit)

    def _put(self, key: object, value: Any, ttl: object, content_type: object, expected: int | None) -> None:
        seconds, encoding = self._defaults.choose(ttl, content_type, self._core.codecs)
        edit = self._core.put(self._name, key, value, ttl=seconds, content_type=encoding, expected=expected)
        self._transaction.record(edit)
