"""A write transaction that is held while the caller's code runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack, overload

from sqlitedict_kv.namespace import Namespace, make_namespace
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.optional import require_exclusive, require_tagging
from sqlitedict_kv.operations.type_variables import K, T
from sqlitedict_kv.operations.view_options import ViewOptions
from sqlitedict_kv.validation import Duration, check_namespace, check_tag

if TYPE_CHECKING:
    import builtins


class Exclusive:
    """What a block of :meth:`Store.exclusive` works with; of no use after it, nor in another thread."""

    def __init__(self, context: StoreContext) -> None:
        """Work with *context*, whose engine is within the transaction."""
        self._context = context

    @overload
    def ns(self, name: str, **options: Unpack[ViewOptions]) -> Namespace: ...
    @overload
    def ns(self, name: str, *, type: builtins.type[T], **options: Unpack[ViewOptions]) -> Namespace[str, T]: ...
    @overload
    def ns(self, name: str, *, type: Any, **options: Unpack[ViewOptions]) -> Namespace[str, Any]: ...
    @overload
    def ns(self, name: str, *, keys: builtins.type[K], **options: Unpack[ViewOptions]) -> Namespace[K]: ...
    @overload
    def ns(
        self, name: str, *, keys: builtins.type[K], type: builtins.type[T], **options: Unpack[ViewOptions]
    ) -> Namespace[K, T]: ...
    @overload
    def ns(
        self, name: str, *, keys: Any = str, type: Any = None, **options: Unpack[ViewOptions]
    ) -> Namespace[Any, Any]: ...
    def ns(
        self,
        name: str,
        *,
        keys: Any = str,
        type: Any = None,  # noqa: A002 - so it reads in a call
        ttl: Duration | None = None,
        content_type: str | None = None,
    ) -> Namespace[Any, Any]:
        """Return a namespace within the transaction; the arguments are those of :meth:`Store.ns`."""
        defaults = Defaults.of(self._context.codecs, ttl, content_type, type)
        return make_namespace(self._context, check_namespace(name), defaults, keys)

    def forget_tag(self, tag: str) -> int:
        """Remove every entry with a tag, and return how many there were; see :meth:`Store.forget_tag`."""
        return require_tagging(self._context.engine).forget_tag(check_tag(tag), self._context.now())


@contextmanager
def exclusively(context: StoreContext) -> Iterator[Exclusive]:
    """Hold the write lock of the store of *context*; see :meth:`Store.exclusive`."""
    with require_exclusive(context.engine).exclusive(context.now) as engine:
        # Without the LRU: it knows what is committed, and nothing of this.
        within = StoreContext(engine, context.codecs, context.clock, context.max_value_bytes, stage=context.stage)
        within.counters = context.counters
        yield Exclusive(within)
