"""Names that programs import from ``diskcache.persistent``."""

from sqlitedict_kv.adapters.diskcache.deque import Deque
from sqlitedict_kv.adapters.diskcache.index import Index

__all__ = ["Deque", "Index"]
