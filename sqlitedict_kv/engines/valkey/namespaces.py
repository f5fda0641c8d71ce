"""The namespaces of a store, and how each is laid out."""

from __future__ import annotations

import time

from sqlitedict_kv.engines.protocol import Edit, Layout
from sqlitedict_kv.engines.valkey.client.protocol import Call, Link
from sqlitedict_kv.engines.valkey.client.redis_py import key_slot
from sqlitedict_kv.engines.valkey.keyspace import Keyspace, Space, registry_of, space_of
from sqlitedict_kv.engines.valkey.scripts import DECLARE
from sqlitedict_kv.engines.valkey.value_format import text_of
from sqlitedict_kv.errors import LayoutError

ASSERT_SECONDS = 60.0  # how often a namespace that is written is registered again: a failover may have lost that


AS_IT_IS = Layout()


class Registry:
    """Knows the layouts of namespaces; what was asked for once is not asked for again, as layouts stay."""

    def __init__(self, link: Link, prefix: str) -> None:
        """Know nothing yet."""
        self._link = link
        self._prefix = prefix
        self._key = registry_of(prefix)
        self._slot = key_slot(self._key)
        self._declared: dict[str, Layout] = {}
        self._spaces: dict[str, Space] = {}
        self._asserted: dict[str, float] = {}  # when each namespace was registered last, by time.monotonic()

    def declare(self, namespace: str, declared: Layout) -> None:
        """Note how a namespace shall be laid out; it is compared with how it is when it is used."""
        if declared == AS_IT_IS:
            return
        before = self._declared.get(namespace, AS_IT_IS)
        given = {name: value for name, value in declared._asdict().items() if value is not None}
        self._declared[namespace] = before._replace(**given)
        known = self._spaces.get(namespace)
        if known is not None:
            self._compare(namespace, known.layout)

    def known(self, namespace: str) -> Space | None:
        """Return a namespace, None if nothing was written to it yet.

        Raises:
            LayoutError: it is laid out otherwise than was declared.
        """
        space = self._spaces.get(namespace)
        if space is not None:
            return space
        encoded = self._link.one(Call(self._slot, None, (b"HGET", self._key, namespace.encode()), writes=False))
        return None if encoded is None else self._learn(namespace, encoded)

    def space(self, namespace: str) -> Space:
        """Return a namespace that is to be written to.

        Raises:
            LayoutError: it is laid out otherwise than was declared.
        """
        space = self._spaces.get(namespace)
        if space is not None and time.monotonic() - self._asserted.get(namespace, -ASSERT_SECONDS) < ASSERT_SECONDS:
            return space
        layout = space.layout if space else self._declared_layout(namespace)
        names = (namespace.encode(), layout.encoded())
        encoded = self._link.one(Call(self._slot, DECLARE, (b"1", self._key, *names), writes=True))
        space = self._learn(namespace, encoded)
        self._asserted[namespace] = time.monotonic()
        return space

    def slot_of(self, edit: Edit) -> int:
        """Return the slot in which an edit writes."""
        return self.space(edit.namespace).shard_of(edit.key.encode()).slot

    def _declared_layout(self, namespace: str) -> Keyspace:
        """Return the layout of a namespace that is made now."""
        declared = self._declared.get(namespace, AS_IT_IS)
        if declared.colocated_with is not None and declared.colocated_with != namespace:
            beside = self.space(declared.colocated_with)
            return beside.layout._replace(beside=beside.layout.beside or beside.namespace)
        shards = declared.shards or 1
        marks = (declared.key_marks or "").encode() if shards > 1 else b""  # one shard keeps all keys together
        return Keyspace(shards, declared.ordered is not False, marks)

    def spaces(self) -> list[Space]:
        """Return all namespaces that were ever written to, in the order of their names."""
        found = self._link.one(Call(self._slot, None, (b"HGETALL", self._key), writes=False))
        flat = found if isinstance(found, list) else [part for pair in found.items() for part in pair]
        layouts = {text_of(name): encoded for name, encoded in zip(flat[::2], flat[1::2], strict=True)}
        return [self._newest(name, layouts[name]) for name in sorted(layouts)]

    def _newest(self, namespace: str, encoded: bytes) -> Space:
        space = self._spaces.get(namespace)
        return space if space is not None and space.layout.encoded() == encoded else self._learn(namespace, encoded)

    def try_to_write(self) -> None:
        """Write something that changes nothing."""
        self._link.one(Call(self._slot, None, (b"HDEL", self._key, b""), writes=True))

    def forget(self) -> None:
        """Forget the layouts: the servers have others."""
        self._spaces = {}
        self._asserted = {}

    def _learn(self, namespace: str, encoded: bytes) -> Space:
        layout = Keyspace.of(encoded)
        self._compare(namespace, layout)
        space = self._spaces[namespace] = space_of(self._prefix, namespace, layout)
        return space

    def _compare(self, namespace: str, layout: Keyspace) -> None:
        """Raise LayoutError for a namespace that is not laid out as was wished."""
        declared = self._declared.get(namespace, AS_IT_IS)
        if declared.shards not in (None, layout.shards):
            raise LayoutError(
                f"namespace {namespace!r} was made with shards={layout.shards}, which stays, and is opened with "
                f"shards={declared.shards}; leave shards= out, or copy it to another namespace"
            )
        if declared.ordered not in (None, layout.ordered):
            raise LayoutError(
                f"namespace {namespace!r} was made with ordered={layout.ordered}, which stays, and is opened with "
                f"ordered={declared.ordered}; leave ordered= out, or copy it to another namespace"
            )
        if declared.key_marks is not None and layout.shards > 1 and layout.key_marks != declared.key_marks.encode():
            raise LayoutError(
                f"namespace {namespace!r} was made with shards={layout.shards} for other entries than results, so it "
                f"cannot keep what belongs to a result in one shard; memoize in another namespace"
            )
        if declared.colocated_with is not None and layout.beside is None:
            raise LayoutError(
                f"namespace {namespace!r} was made by itself, and cannot be kept beside {declared.colocated_with!r} "
                f"afterwards; use another namespace"
            )
