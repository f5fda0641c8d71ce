"""Memory in front of an engine, for values that were read before, and never older than is promised.

All kinds hold encoded values, so no caller ever holds an object that another one can change. They differ in how
they know that a value is still the newest: see :class:`MarkedLRU` and :class:`TrackedLRU`.
"""

from sqlitedict_kv.lru.face import LRU, LRUStats, NotHeldError
from sqlitedict_kv.lru.marked import MarkedLRU
from sqlitedict_kv.lru.room import ENTRY_OVERHEAD
from sqlitedict_kv.lru.tracked import STALENESS, TrackedLRU

__all__ = ["ENTRY_OVERHEAD", "LRU", "STALENESS", "LRUStats", "MarkedLRU", "NotHeldError", "TrackedLRU"]
