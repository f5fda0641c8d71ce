"""Migration of shelves, of results of joblib and of the file caches of cachelib and Django to a namespace of a store.

Directories of diskcache and files of sqlitedict are moved by ``move`` of their own adapters.

>>> from sqlitedict_kv import Store
>>> from sqlitedict_kv.adapters.migration import move_shelf
>>> move_shelf("old", Store("app.db").ns("settings"))  # doctest: +SKIP
"""

from sqlitedict_kv.adapters._compat.migration import Moved, Skipped
from sqlitedict_kv.adapters.migration.cachelib_files import move_cachelib_files
from sqlitedict_kv.adapters.migration.detection import Kind, detect_kind
from sqlitedict_kv.adapters.migration.django_files import move_django_files
from sqlitedict_kv.adapters.migration.joblib_memory import move_joblib_memory
from sqlitedict_kv.adapters.migration.shelf import move_shelf

__all__ = [
    "Kind",
    "Moved",
    "Skipped",
    "detect_kind",
    "move_cachelib_files",
    "move_django_files",
    "move_joblib_memory",
    "move_shelf",
]
