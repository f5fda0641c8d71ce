"""Write of many entries in one step, with its progress."""

from __future__ import annotations

from collections.abc import Callable

from sqlitedict_kv.engines.protocol import Advance, Put
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.operations.progress import Progress, report
from sqlitedict_kv.validation import NO_TAGS, check_mapping

Write = Callable[[list[Put], Advance], dict[str, int]]


def write_watched(
    edits: Edits, mapping: object, ttl: object, progress: Progress, write: Write, tags: object = NO_TAGS
) -> dict[str, int]:
    """Write all the values of a mapping, or none, by *write*, and return their versions by key.

    An entry counts as half done when its value is encoded.
    """
    entries = check_mapping(mapping, "mapping")
    total = len(entries)
    with report(progress, "writing") as tell:
        puts = edits.put_many(entries, ttl, lambda encoded: tell(encoded // 2, total), tags)
        versions = write(puts, lambda written: tell((total + written) // 2, total))
        tell(total, total)
    return versions
