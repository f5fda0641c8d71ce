"""Writes of results and leases, several in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlitedict_kv.engines.protocol import Delete, Edit
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.optional import tags_of
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.validation import NO_TAGS

NOTHING: Final = Defaults(None, None)


class ResultWriter:
    """Makes edits of results and of leases, and commits them.

    Attributes:
        results: makes the edits of the results.
        leases: makes those of the leases.
    """

    __slots__ = ("_context", "leases", "results")

    def __init__(self, context: StoreContext, results: str, leases: str) -> None:
        """Write into two namespaces of the store of *context*, whose codecs encode the results."""
        self._context = context
        self.results = Edits(context, results, NOTHING)
        self.leases = Edits(context, leases, NOTHING)

    def commit(self, edits: Sequence[Edit]) -> None:
        """Apply edits in order, all or none.

        Raises:
            ConflictError: an entry was not at the version that an edit demands.
        """
        self._context.engine.commit(edits, self._context.now())

    def tags_of(self, key: str, version: int) -> tuple[str, ...]:
        """Return the tags of a result that was read at a version."""
        return tags_of(self._context.engine, self.results.name, {key: version}).get(key, NO_TAGS)

    def release(self, key: str, version: int) -> Delete:
        """Return the edit that ends a lease, and demands that it was held until then."""
        return self.leases.delete(key, version)
