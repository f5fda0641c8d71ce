"""diskcache's API on top of a store: change ``import diskcache`` to ``from sqlitedict_kv.adapters import diskcache``.

docs/migrate/diskcache.md lists the differences. :func:`move` takes over the entries of an old directory.
"""

from sqlitedict_kv.adapters._compat.migration import Moved, Skipped
from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.deque import Deque
from sqlitedict_kv.adapters.diskcache.disk import Disk, JSONDisk
from sqlitedict_kv.adapters.diskcache.errors import EmptyDirWarning, Timeout, UnknownFileWarning
from sqlitedict_kv.adapters.diskcache.fanout import FanoutCache
from sqlitedict_kv.adapters.diskcache.index import Index
from sqlitedict_kv.adapters.diskcache.move import move
from sqlitedict_kv.adapters.diskcache.recipes import (
    Averager,
    BoundedSemaphore,
    Lock,
    RLock,
    barrier,
    memoize_stampede,
    throttle,
)
from sqlitedict_kv.adapters.diskcache.settings import DEFAULT_SETTINGS, EVICTION_POLICY
from sqlitedict_kv.adapters.diskcache.values import ENOVAL, UNKNOWN

__all__ = [
    "DEFAULT_SETTINGS",
    "ENOVAL",
    "EVICTION_POLICY",
    "UNKNOWN",
    "Averager",
    "BoundedSemaphore",
    "Cache",
    "Deque",
    "Disk",
    "EmptyDirWarning",
    "FanoutCache",
    "Index",
    "JSONDisk",
    "Lock",
    "Moved",
    "RLock",
    "Skipped",
    "Timeout",
    "UnknownFileWarning",
    "barrier",
    "memoize_stampede",
    "move",
    "throttle",
]
