"""A write transaction that is held while the caller's code runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, overload

from sqlitedict_kv.namespace import Namespace, make_namespace
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.optional import require_exclusive
from sqlitedict_kv.operations.type_variables import K
from sqlitedict_kv.validation import Duration, checked_content_type, checked_namespace, checked_ttl


class Exclusive:
    """What a block of :meth:`Store.exclusive` works with; of no use after it, nor in another thread."""

    def __init__(self, context: StoreContext) -> None:
        """Work with *context*, whose engine is within the transaction."""
        self._context = context

    @overload
    def ns(
        self,
        name: str,
        *,
        ttl: Duration | None = None,
        content_type: str | None = None,
    ) -> Namespace: ...
    @overload
    def ns(
        self,
        name: str,
        *,
        keys: type[K],
        ttl: Duration | None = None,
        content_type: str | None = None,
    ) -> Namespace[K]: ...
    @overload
    def ns(
        self,
        name: str,
        *,
        keys: Any,
        ttl: Duration | None = None,
        content_type: str | None = None,
    ) -> Namespace[Any]: ...
    def ns(
        self, name: str, *, keys: Any = str, ttl: Duration | None = None, content_type: str | None = None
    ) -> Namespace[Any, Any]:
        """Return a namespace within the transaction; the arguments are those of :meth:`Store.ns`."""
        defaults = Defaults(checked_ttl(ttl), checked_content_type(content_type, self._context.codecs))
        return make_namespace(self._context, checked_namespace(name), defaults, keys)


@contextmanager
def exclusively(context: StoreContext) -> Iterator[Exclusive]:
    """Hold the write lock of the store of *context*; see :meth:`Store.exclusive`."""
    with require_exclusive(context.engine).exclusive(context.now) as engine:
        # Without the LRU: it knows what is committed, and nothing of this.
        within = StoreContext(engine, context.codecs, context.clock, context.max_value_bytes)
        within.counters = context.counters
        yield Exclusive(within)
