"""Memory in front of an engine, for values that were read before, and never older than is promised.

All kinds hold encoded values, so no caller ever holds an object that another one can change. They differ in how
they know that a value is still the newest: see :class:`ValidatingLRU` and :class:`InvalidatedLRU`.
"""

from sqlitedict_kv.lru.clock import ENTRY_OVERHEAD
from sqlitedict_kv.lru.invalidated import STALENESS, InvalidatedLRU
from sqlitedict_kv.lru.protocol import LRU, LRUStats, NotHeldError
from sqlitedict_kv.lru.validating import ValidatingLRU

__all__ = ["ENTRY_OVERHEAD", "LRU", "STALENESS", "InvalidatedLRU", "LRUStats", "NotHeldError", "ValidatingLRU"]
