"""A write transaction that is held while the caller's code runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations.context import Core, Defaults
from sqlitedict_kv.validation import checked_content_type, checked_namespace, checked_ttl


class Exclusive:
    """What a block of :meth:`Store.exclusive` works with; of no use after it, nor in another thread."""

    def __init__(self, core: Core) -> None:
        """Work with *core*, whose engine is within the transaction."""
        self._core = core

    def ns(self, name: str, *, ttl: float | None = None, content_type: str | None = None) -> Namespace:
        """Return a namespace within the transaction; the arguments are those of :meth:`Store.ns`."""
        defaults = Defaults(checked_ttl(ttl), checked_content_type(content_type, self._core.codecs))
        return Namespace(self._core, checked_namespace(name), defaults)


@contextmanager
def exclusively(core: Core) -> Iterator[Exclusive]:
    """Hold the write lock of the store of *core*; see :meth:`Store.exclusive`."""
    with core.engine.exclusive(core.now) as engine:
        # Without the LRU: it knows what is committed, and nothing of this.
        within = Core(engine, core.codecs, core.clock, core.max_value_bytes)
        within.counters = core.counters
        yield Exclusive(within)
