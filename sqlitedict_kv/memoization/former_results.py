"""Results under former names of a function, which are carried over, and of former bodies, which are cleared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlitedict_kv.errors import DamagedFileError, DecodeError, KVError
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.identity import CODE_MARK
from sqlitedict_kv.memoization.result_store import ResultStore
from sqlitedict_kv.validation import DEFAULT

BODIES_KEPT = 4
WITHOUT_CODE = ""  # stands for the results from before code was part of the keys


def find_former(place: ResultStore, keys: CallKeys, key: str) -> tuple[str, Any] | None:
    """Return under which former name the result of a call is kept, and its entry; None if it is not."""
    for former in keys.former_keys(key):
        with suppress(DamagedFileError, DecodeError):
            entry = place.results.get_with_meta(former)
            if entry is not None:
                return former, entry
    return None


class FormerResults:
    """What is kept of a function as it was."""

    def __init__(self, place: ResultStore, keys: CallKeys, clear: Callable[[str], int]) -> None:
        """Look after the results of one function; *clear* removes all whose keys begin with a text."""
        self._place = place
        self._keys = keys
        self._clear = clear
        self._noted: set[str] = set()

    def carry_over(self, key: str) -> Any:
        """Return the result that is kept under a former name, now under *key*; DEFAULT if there is none.

        The caller holds the lease of *key*, so only one does this. A process that is killed in between leaves both.
        """
        found = find_former(self._place, self._keys, key)
        if found is None:
            return DEFAULT
        former, entry = found
        if (ttl := self._left(entry.meta.expires_at)) == 0:
            return DEFAULT
        writer = self._place.writer()
        tags = writer.tags_of(former, entry.meta.version)
        writer.commit([writer.results.put(key, entry.value, ttl, entry.meta.content_type, tags=tags)])
        self._place.results.delete_many([former])
        return entry.value

    def _left(self, expires_at: Any) -> float | None:
        """Return the seconds that an entry still lives, None if it never ends."""
        return None if expires_at is None else max(0.0, expires_at.timestamp() - self._place.clock())

    def note_body(self, key: str) -> None:
        """Note with the first result under a body that it is used, and remove those of all but the last few bodies.

        A note that fails only delays that: the next result makes it.
        """
        if not self._keys.counts_code or self._place.notes is None:
            return
        name, _, rest = key.partition(CODE_MARK)
        digest = rest.partition("(")[0]
        if digest in self._noted:
            return
        now, gone = self._place.clock(), []

        def note(bodies: dict[str, float]) -> dict[str, float]:
            nonlocal gone
            latest = sorted({WITHOUT_CODE: 0.0, **bodies, digest: now}.items(), key=lambda item: item[1], reverse=True)
            gone = [body for body, _ in latest[BODIES_KEPT:]]
            return dict(latest[:BODIES_KEPT])

        with suppress(KVError):
            self._place.notes.modify(name, note, default={})
            self._noted.add(digest)
            for body in gone:
                self._clear(f"{name}{CODE_MARK}{body}(" if body else f"{name}(")
