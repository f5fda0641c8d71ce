"""The store for asyncio: the same verbs, awaited."""

from sqlitedict_kv.aio.namespace import AsyncNamespace
from sqlitedict_kv.aio.store import AsyncStore

__all__ = ["AsyncNamespace", "AsyncStore"]
