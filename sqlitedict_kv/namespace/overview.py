"""Figures and sizes of one namespace."""

from __future__ import annotations

from typing import Any, Generic

from sqlitedict_kv.engines.protocol import Engine
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.statistics import NamespaceStats
from sqlitedict_kv.operations.type_variables import K
from sqlitedict_kv.operations.usage import EntrySummary, Usage, survey
from sqlitedict_kv.validation import check_int


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

    def __repr__(self) -> str:
        """Return the name, the file and the size, never a value."""
        try:
            entries = self._engine.count(self._name, self._context.now())[0]
            size = "1 entry" if entries == 1 else f"{entries} entries"
        except KVError as error:
            size = type(error).__name__
        return f"<Namespace {self._name!r} of {self._engine.label!r}: {size}>"
