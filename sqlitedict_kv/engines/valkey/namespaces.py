"""The namespaces of a store, and how each is laid out."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlitedict_kv.engines.valkey.client.protocol import Call, Link
from sqlitedict_kv.engines.valkey.client.redis_py import key_slot
from sqlitedict_kv.engines.valkey.key_range import text_of
from sqlitedict_kv.engines.valkey.keyspace import LEASES, Keyspace, Space, family_of, registry_of, space_of
from sqlitedict_kv.engines.valkey.scripts import DECLARE
from sqlitedict_kv.errors import LayoutError, UnsupportedError

ASSERT_SECONDS = 60.0  # how often a namespace that is written is registered again: a failover may have lost that


class Wish(NamedTuple):
    """How a namespace shall be laid out; None is as it is."""

    shards: int | None
    ordered: bool | None


AS_IT_IS = Wish(None, None)


class Registry:
    """Knows the layouts of namespaces; what was asked for once is not asked for again, as layouts stay."""

    def __init__(self, link: Link, prefix: str) -> None:
        """Know nothing yet."""
        self._link = link
        self._prefix = prefix
        self._key = registry_of(prefix)
        self._slot = key_slot(self._key)
        self._wishes: dict[str, Wish] = {}
        self._spaces: dict[str, Space] = {}
        self._asserted: dict[str, float] = {}  # when each namespace was registered last, by time.monotonic()

    def wish(self, namespace: str, wish: Wish) -> None:
        """Note how a namespace shall be laid out; it is compared with how it is when it is used."""
        if wish != AS_IT_IS:
            before = self._wishes.get(family_of(namespace), AS_IT_IS)
            self._wishes[family_of(namespace)] = Wish(
                before.shards if wish.shards is None else wish.shards,
                before.ordered if wish.ordered is None else wish.ordered,
            )
            known = self._spaces.get(namespace)
            if known is not None:
                self._compare(namespace, known.layout)

    def known(self, namespace: str) -> Space | None:
        """Return a namespace, None if nobody has written to it yet.

        Raises:
            LayoutError: it is laid out otherwise than was wished.
        """
        space = self._spaces.get(namespace)
        if space is not None:
            return space
        _refuse_leases_of_leases(namespace)
        call = Call(self._slot, None, (b"HGET", self._key, family_of(namespace).encode()), writes=False)
        encoded = self._link.one(call)
        return None if encoded is None else self._learn(namespace, encoded)

    def made(self, namespace: str) -> Space:
        """Return a namespace that is to be written to.

        Raises:
            LayoutError: it is laid out otherwise than was wished.
        """
        space = self._spaces.get(namespace)
        if space is not None and time.monotonic() - self._asserted.get(namespace, -ASSERT_SECONDS) < ASSERT_SECONDS:
            return space
        _refuse_leases_of_leases(namespace)
        family = family_of(namespace)
        wish = self._wishes.get(family, AS_IT_IS)
        layout = space.layout if space else Keyspace(wish.shards or 1, wish.ordered is not False)
        names = (namespace.encode(), family.encode(), layout.encoded())
        encoded = self._link.one(Call(self._slot, DECLARE, (b"1", self._key, *names), writes=True))
        space = self._learn(namespace, encoded)
        self._asserted[namespace] = time.monotonic()
        return space

    def spaces(self) -> list[Space]:
        """Return all namespaces that were ever written to, in the order of their names."""
        found = self._link.one(Call(self._slot, None, (b"HGETALL", self._key), writes=False))
        flat = found if isinstance(found, list) else [part for pair in found.items() for part in pair]
        layouts = {text_of(name): encoded for name, encoded in zip(flat[::2], flat[1::2], strict=True)}
        return [self._newest(name, layouts[name]) for name in sorted(layouts)]

    def _newest(self, namespace: str, encoded: bytes) -> Space:
        space = self._spaces.get(namespace)
        return space if space is not None and space.encoded == encoded else self._learn(namespace, encoded)

    def try_to_write(self) -> None:
        """Write something that changes nothing."""
        self._link.one(Call(self._slot, None, (b"HDEL", self._key, b""), writes=True))

    def forget(self) -> None:
        """Ask again for what is known: the servers have something else."""
        self._spaces = {}
        self._asserted = {}

    def _learn(self, namespace: str, encoded: bytes) -> Space:
        layout = Keyspace.of(encoded)
        self._compare(namespace, layout)
        space = self._spaces[namespace] = space_of(self._prefix, namespace, layout)
        return space

    def _compare(self, namespace: str, layout: Keyspace) -> None:
        wish = self._wishes.get(family_of(namespace), AS_IT_IS)
        if wish.shards not in (None, layout.shards):
            raise LayoutError(
                f"namespace {namespace!r} was made with shards={layout.shards}, which stays, and is opened with "
                f"shards={wish.shards}; leave shards= out, or copy it to another namespace"
            )
        if wish.ordered not in (None, layout.ordered):
            raise LayoutError(
                f"namespace {namespace!r} was made with ordered={layout.ordered}, which stays, and is opened with "
                f"ordered={wish.ordered}; leave ordered= out, or copy it to another namespace"
            )


def _refuse_leases_of_leases(namespace: str) -> None:
    """Raise UnsupportedError for what would share the layout of one namespace, and the shards of another."""
    if namespace.endswith(2 * LEASES):
        raise UnsupportedError(f"namespace {namespace!r} is for leases of leases; memoize in another namespace")
