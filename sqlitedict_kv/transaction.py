"""Checks and edits that are committed together, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, Unpack, overload

from sqlitedict_kv.codecs.key_types import KeyType, key_type_of
from sqlitedict_kv.engines.protocol import Change, Edit, Put
from sqlitedict_kv.errors import ConflictError
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.operations.type_variables import K, T, V
from sqlitedict_kv.operations.view_options import ViewOptions
from sqlitedict_kv.validation import DEFAULT, NO_TAGS, Default, Duration, check_namespace

if TYPE_CHECKING:
    import builtins


class Transaction:
    """Records what a ``with`` block asks for and commits it when the block ends; made by :meth:`Store.atomic`.

    A time to live counts from when it is recorded.

    Nothing is sent before, and nothing at all if the block raises, so no lock is held while it runs.
    """

    def __init__(self, context: StoreContext) -> None:
        """Record for the store of *context*."""
        self._context = context
        self._edits: list[Edit] = []
        self._keys: dict[tuple[str, str], Any] = {}  # as their callers wrote them, by namespace and text
        self._versions: dict[tuple[str, Any], int] | None = None
        self._begun = False
        self._ended = False

    @overload
    def ns(self, name: str, **options: Unpack[ViewOptions]) -> TransactionNamespace: ...
    @overload
    def ns(
        self, name: str, *, type: builtins.type[T], **options: Unpack[ViewOptions]
    ) -> TransactionNamespace[str, T]: ...
    @overload
    def ns(self, name: str, *, type: Any, **options: Unpack[ViewOptions]) -> TransactionNamespace[str, Any]: ...
    @overload
    def ns(self, name: str, *, keys: builtins.type[K], **options: Unpack[ViewOptions]) -> TransactionNamespace[K]: ...
    @overload
    def ns(
        self, name: str, *, keys: builtins.type[K], type: builtins.type[T], **options: Unpack[ViewOptions]
    ) -> TransactionNamespace[K, T]: ...
    @overload
    def ns(
        self, name: str, *, keys: Any = str, type: Any = None, **options: Unpack[ViewOptions]
    ) -> TransactionNamespace[Any, Any]: ...
    def ns(
        self,
        name: str,
        *,
        keys: Any = str,
        type: Any = None,  # noqa: A002 - so it reads in a call
        ttl: Duration | None = None,
        content_type: str | None = None,
    ) -> TransactionNamespace[Any, Any]:
        """Return what records for a namespace; the arguments are those of :meth:`Store.ns`."""
        defaults = Defaults.of(self._context.codecs, ttl, content_type, type)
        checked, key_type = check_namespace(name), key_type_of(keys)
        return TransactionNamespace(self, Edits(self._context, checked, defaults), checked, key_type)

    @property
    def versions(self) -> dict[tuple[str, Any], int]:
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
            with self.naming():
                versions = self._context.engine.commit(edits, self._context.now()) if edits else []
            self.finish(versions)

    def end(self, *, broken: bool) -> list[Edit] | None:
        """Record no more, and return what is to be committed; None if the block was *broken* by an exception."""
        self._ended = True
        if broken:
            self._edits.clear()  # with the files of large values
        return None if broken else self._edits

    def note_key(self, namespace: str, text: str, key: object) -> None:
        """Remember what its caller wrote for a key that the store knows by a text."""
        self._keys[namespace, text] = key

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let errors of the block name keys as their callers wrote them, not by their texts."""
        edits = self._edits
        try:
            yield
            edits = []
        except ConflictError as error:
            named = error.namespace, error.key
            if named not in self._keys:
                raise
            key = self._keys[named]
            raise ConflictError(error.namespace, key, expected=error.expected, actual=error.actual) from None
        except KeyError as error:
            wanted = [key for (_, text), key in self._keys.items() if error.args == (text,)]
            if not wanted:
                raise
            raise KeyError(wanted[0]) from None
        finally:
            edits.clear()  # of a commit that failed, with the files of large values

    def finish(self, versions: Sequence[int | None]) -> None:
        """Take the versions that the commit gave to the edits."""
        self._versions = {
            (edit.namespace, self._keys.get((edit.namespace, edit.key), edit.key)): version
            for edit, version in zip(self._edits, versions, strict=True)
            if isinstance(edit, Put | Change) and version is not None
        }


class TransactionNamespace(Generic[K, V]):
    """Records edits of one namespace; reads go to the store itself."""

    def __init__(self, transaction: Transaction, edits: Edits, name: str, key_type: KeyType | None) -> None:
        """Record *edits* of the namespace *name* into *transaction*; *key_type* is None where keys are str."""
        self._transaction = transaction
        self._edits = edits
        self._name = name
        self._key_type = key_type

    def _text(self, key: Any) -> Any:
        if self._key_type is None:
            return key
        text = self._key_type.encode(key)
        self._transaction.note_key(self._name, text, key)
        return text

    def check(self, key: K, version: int) -> None:
        """Demand that the entry is at *version* when the block ends; 0 is absent."""
        self._transaction.record(self._edits.check(self._text(key), version))

    def set(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> None:
        """Write a value; the arguments are those of :meth:`Namespace.set`."""
        self._transaction.record(self._edits.put(self._text(key), value, ttl, content_type, tags=tags))

    def __setitem__(self, key: K, value: V) -> None:
        """Write a value."""
        self.set(key, value)

    def add(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> None:
        """Write a value, and demand that the key is absent."""
        self._transaction.record(self._edits.put(self._text(key), value, ttl, content_type, 0, tags))

    def delete(self, key: K, *, version: int | None = None) -> None:
        """Remove an entry if it is there; with a *version*, demand that it is there at that version."""
        self._transaction.record(self._edits.delete(self._text(key), version))

    def __delitem__(self, key: K) -> None:
        """Remove an entry, and demand that it is there."""
        self._transaction.record(self._edits.delete(self._text(key), required=True))

    def touch(self, key: K, ttl: Duration | None) -> None:
        """Let an entry, if it is there, expire *ttl* seconds from now."""
        self._transaction.record(self._edits.touch(self._text(key), ttl))

    def incr(self, key: K, delta: float = 1, *, default: float | None = 0) -> None:
        """Add to a number; the arguments are those of :meth:`Namespace.incr`."""
        edit, _ = self._edits.incr(self._text(key), delta, default)
        self._transaction.record(edit)
