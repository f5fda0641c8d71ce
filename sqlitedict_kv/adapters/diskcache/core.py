"""Names that programs import from ``diskcache.core``."""

from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.directory import ORIGINAL_FILE as DBNAME
from sqlitedict_kv.adapters.diskcache.disk import MODE_BINARY, MODE_NONE, MODE_PICKLE, MODE_TEXT, Disk, JSONDisk
from sqlitedict_kv.adapters.diskcache.errors import EmptyDirWarning, Timeout, UnknownFileWarning
from sqlitedict_kv.adapters.diskcache.memoize import args_to_key, full_name
from sqlitedict_kv.adapters.diskcache.settings import DEFAULT_SETTINGS, EVICTION_POLICY
from sqlitedict_kv.adapters.diskcache.values import ENOVAL, MODE_RAW, UNKNOWN, Constant

__all__ = [
    "DBNAME",
    "DEFAULT_SETTINGS",
    "ENOVAL",
    "EVICTION_POLICY",
    "MODE_BINARY",
    "MODE_NONE",
    "MODE_PICKLE",
    "MODE_RAW",
    "MODE_TEXT",
    "UNKNOWN",
    "Cache",
    "Constant",
    "Disk",
    "EmptyDirWarning",
    "JSONDisk",
    "Timeout",
    "UnknownFileWarning",
    "args_to_key",
    "full_name",
]
