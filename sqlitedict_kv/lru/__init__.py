"""Memory in front of an engine, for values that were read before, and never older than is promised.

All kinds hold encoded values, so no caller ever holds an object that another one can change. They differ in how
they know that a value is still the newest: see :class:`MarkedLRU` and :class:`TrackedLRU`.
"""

from sqlitedict_kv.lru.clock import ENTRY_OVERHEAD
from sqlitedict_kv.lru.invalidated import STALENESS, TrackedLRU
from sqlitedict_kv.lru.protocol import LRU, LRUStats, NotHeldError
from sqlitedict_kv.lru.validating import MarkedLRU

__all__ = ["ENTRY_OVERHEAD", "LRU", "STALENESS", "LRUStats", "MarkedLRU", "NotHeldError", "TrackedLRU"]
