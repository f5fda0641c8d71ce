"""Writes of results and leases, several in one step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import Delete, Edit, KeyRange
from sqlitedict_kv.errors import ConflictError, UnsupportedError
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.optional import tags_of
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.operations.usage import summary_pages
from sqlitedict_kv.validation import NO_TAGS

EDITS_PER_STEP = 250
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

    def summaries(self, prefix: str) -> Iterator[RecordSummary]:
        """Yield what is known of the live entries whose keys begin with *prefix*; no value is read."""
        for page in summary_pages(self._context, KeyRange(self.results.name, prefix)):
            now = self._context.now()
            yield from (found for found in page if found.is_live(now))

    def remove(self, entries: Sequence[tuple[str, int]]) -> None:
        """Remove entries that are at the versions they had; one that was written meanwhile stays."""
        for start in range(0, len(entries), EDITS_PER_STEP):
            edits = [self.results.delete(key, version) for key, version in entries[start : start + EDITS_PER_STEP]]
            try:
                self.commit(edits)
            except (ConflictError, UnsupportedError):  # UnsupportedError: of a cluster
                for edit in edits:
                    with suppress(ConflictError):
                        self.commit([edit])
