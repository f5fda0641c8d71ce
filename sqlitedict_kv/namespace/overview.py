"""Figures and sizes of one namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from sqlitedict_kv.engines.protocol import Engine, KeyRange
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.removal import purge
from sqlitedict_kv.operations.statistics import NamespaceStats
from sqlitedict_kv.operations.type_variables import K
from sqlitedict_kv.operations.usage import EntrySummary, Usage, survey
from sqlitedict_kv.validation import check_int, check_optional_int

if TYPE_CHECKING:
    from sqlitedict_kv.operations.showing import Preview

MOST_COMPLETIONS = 1000


class NamespaceOverview(Generic[K]):
    """What tells of a namespace as a whole; :class:`NamespaceReader` reads its entries too."""

    __slots__ = ()

    _context: StoreContext
    _engine: Engine
    _name: str

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return self._name

    def _key(self, text: Any) -> Any:
        """Return the key that the store keeps as *text*."""
        return text

    def stats(self) -> NamespaceStats:
        """Return how many entries there are."""
        return NamespaceStats(*self._engine.count(self._name, self._context.now()))

    def usage(self, *, deadline: float | None = None, progress: Progress | None = None) -> Usage:
        """Return how many entries there are and what they take, by type of value.

        It walks through all entries without reading their values: some seconds for a million.

        Args:
            deadline: seconds after which to stop; the numbers are then "at least", and ``complete`` is False.
            progress: True shows a bar, by tqdm or rich; a function gets (done, total).

        Raises:
            UnsupportedError: it was made with ``ordered=False``, so it cannot be walked through.
        """
        return survey(self._context, [self._name], deadline=deadline, progress=progress).total

    def largest(self, n: int = 10, *, progress: Progress | None = None) -> list[EntrySummary[K]]:
        """Return the *n* entries with the largest values, the largest first; all are looked at, no value is read.

        Args:
            n: how many.
            progress: as for :meth:`usage`.

        Raises:
            UnsupportedError: it was made with ``ordered=False``, so it cannot be walked through.
        """
        most = check_int(n, "n", lowest=1, highest=1_000_000)
        found = survey(self._context, [self._name], most=most, progress=progress).largest
        return [each._replace(key=self._key(each.key)) for each in found]

    def purge_expired(self, limit: int | None = None, *, progress: Progress | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many; see :meth:`Store.purge_expired`."""
        most = check_optional_int(limit, "limit", lowest=1)
        return purge(self._context, self._name, most, progress)

    def preview(self, n: int = 10) -> Preview:
        """Return the first *n* entries with the beginnings of their values, for a notebook or a terminal.

        A value over 64 kB is shown as its type and its size.
        """
        most = check_int(n, "n", lowest=1, highest=1000)
        from sqlitedict_kv.operations.showing import preview  # noqa: PLC0415 - for people alone

        return preview(self._context, self._name, self._key, most)

    def _repr_html_(self) -> str:
        """Return the first keys with type, size, age and expiry, for a notebook; no value."""
        from sqlitedict_kv.operations.showing import show_namespace  # noqa: PLC0415 - for notebooks alone

        return show_namespace(self._context, self._name, self._key)

    def _ipython_key_completions_(self) -> list[Any]:
        """Return the first keys, for completion after ``ns["``."""
        found = self._engine.keys(KeyRange(self._name), MOST_COMPLETIONS, self._context.now())
        return [self._key(text) for text in found]

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001 - as IPython calls it
        """Show the name and the file in IPython; to count a million entries would take long."""
        printer.text(f"<Namespace {self._name!r} of {self._engine.label!r}>")

    def __repr__(self) -> str:
        """Return the name, the file and the size, never a value."""
        try:
            entries = self._engine.count(self._name, self._context.now())[0]
            size = "1 entry" if entries == 1 else f"{entries} entries"
        except KVError as error:
            size = type(error).__name__
        return f"<Namespace {self._name!r} of {self._engine.label!r}: {size}>"
