"""Checks and edits that are committed together, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from sqlitedict_kv.engines.protocol import Change, Edit, Put
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.validation import DEFAULT, Default, Duration, checked_content_type, checked_namespace, checked_ttl


class Transaction:
    """Records what a ``with`` block asks for and commits it when the block ends; made by :meth:`Store.atomic`.

    A time to live counts from when it is recorded.

    Nothing is sent before, and nothing at all if the block raises, so no lock is held while it runs.
    """

    def __init__(self, context: StoreContext) -> None:
        """Record for the store of *context*."""
        self._context = context
        self._edits: list[Edit] = []
        self._versions: dict[tuple[str, str], int] | None = None
        self._begun = False
        self._ended = False

    def ns(self, name: str, *, ttl: Duration | None = None, content_type: str | None = None) -> TransactionNamespace:
        """Return what records for a namespace; the arguments are those of :meth:`Store.ns`."""
        defaults = Defaults(checked_ttl(ttl), checked_content_type(content_type, self._context.codecs))
        return TransactionNamespace(self, Edits(self._context, checked_namespace(name), defaults))

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
        edits = self.end(broken=kind is not None)
        if edits is not None:
            self.finish(self._context.engine.commit(edits, self._context.now()) if edits else [])

    def end(self, *, broken: bool) -> list[Edit] | None:
        """Record no more, and return what is to be committed; None if the block was *broken* by an exception."""
        self._ended = True
        return None if broken else self._edits

    def finish(self, versions: Sequence[int | None]) -> None:
        """Take the versions that the commit gave to the edits."""
        self._versions = {
            (edit.namespace, edit.key): version
            for edit, version in zip(self._edits, versions, strict=True)
            if isinstance(edit, Put | Change) and version is not None
        }


class TransactionNamespace:
    """Records edits of one namespace; reads go to the store itself."""

    def __init__(self, transaction: Transaction, edits: Edits) -> None:
        """Record *edits* into *transaction*."""
        self._transaction = transaction
        self._edits = edits

    def check(self, key: str, version: int) -> None:
        """Demand that the entry is at *version* when the block ends; 0 is absent."""
        self._transaction.record(self._edits.check(key, version))

    def set(
        self, key: str, value: Any, *, ttl: Duration | None | Default = DEFAULT, content_type: str | None = None
    ) -> None:
        """Write a value; the arguments are those of :meth:`Namespace.set`."""
        self._transaction.record(self._edits.put(key, value, ttl, content_type))

    def __setitem__(self, key: str, value: Any) -> None:
        """Write a value."""
        self.set(key, value)

    def add(
        self, key: str, value: Any, *, ttl: Duration | None | Default = DEFAULT, content_type: str | None = None
    ) -> None:
        """Write a value, and demand that the key is absent."""
        self._transaction.record(self._edits.put(key, value, ttl, content_type, 0))

    def delete(self, key: str) -> None:
        """Remove an entry if it is there."""
        self._transaction.record(self._edits.delete(key))

    def __delitem__(self, key: str) -> None:
        """Remove an entry, and demand that it is there."""
        self._transaction.record(self._edits.delete(key, required=True))

    def touch(self, key: str, ttl: Duration | None) -> None:
        """Let an entry, if it is there, expire *ttl* seconds from now."""
        self._transaction.record(self._edits.touch(key, ttl))

    def incr(self, key: str, delta: float = 1, *, default: float | None = 0) -> None:
        """Add to a number; the arguments are those of :meth:`Namespace.incr`."""
        edit, _ = self._edits.incr(key, delta, default)
        self._transaction.record(edit)
