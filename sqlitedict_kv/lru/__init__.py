"""Memory in front of an engine for values that were read before, never older than promised.

All kinds hold encoded values, so no caller ever holds an object that another one can change. They differ in how
they know that a value is still the newest: :class:`ValidatingLRU` asks on each hit, :class:`InvalidatedLRU` is told.
"""

from sqlitedict_kv.lru.clock import ClockCache
from sqlitedict_kv.lru.invalidated import STALENESS, InvalidatedLRU
from sqlitedict_kv.lru.policy import Policy, PolicyCache
from sqlitedict_kv.lru.protocol import ENTRY_OVERHEAD, LRU, LRUStats, NotHeldError, ValueCache
from sqlitedict_kv.lru.validating import ValidatingLRU

__all__ = [
    "ENTRY_OVERHEAD",
    "LRU",
    "STALENESS",
    "ClockCache",
    "InvalidatedLRU",
    "LRUStats",
    "NotHeldError",
    "Policy",
    "PolicyCache",
    "ValidatingLRU",
    "ValueCache",
]
