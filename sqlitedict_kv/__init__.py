"""A dict that persists: one SQLite file, namespaces, versions, expiry, and never pickle.

>>> from sqlitedict_kv import Store
>>> store = Store()  # or Store("app.db")
>>> users = store.ns("users")
>>> users["ada"] = {"name": "Ada"}
>>> users["ada"]
{'name': 'Ada'}
"""

from typing import TYPE_CHECKING, Any

from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.registry import Codec
from sqlitedict_kv.engines.protocol import Capabilities, CheckReport
from sqlitedict_kv.errors import (
    AccessDeniedError,
    CodecError,
    ConflictError,
    CorruptStoreError,
    DamagedEntryError,
    DamagedFileError,
    DecodeError,
    ForeignDatabaseError,
    ForkedStoreError,
    KVError,
    LayoutError,
    LocationError,
    LockLostError,
    LockTimeoutError,
    MissingFileError,
    NewerFormatError,
    NotADatabaseError,
    NotCachedError,
    NotConfirmedError,
    NotKeptHereError,
    OpenError,
    OutcomeUnknownError,
    ReadOnlyError,
    StoreBusyError,
    StoreClosedError,
    StoreDetachedError,
    StoreError,
    StoreFullError,
    StoreIOError,
    StoreNotFoundError,
    TagError,
    TooLargeError,
    UnreachableError,
    UnsafeFilesystemError,
    UnsupportedError,
)
from sqlitedict_kv.lru import LRUStats
from sqlitedict_kv.memoization.decorator import Memoize
from sqlitedict_kv.memoization.object_forms import register_key
from sqlitedict_kv.memoization.types import AsyncMemoized, CacheInfo, Memoized
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations.context import Entry, Meta
from sqlitedict_kv.operations.pagination import Page
from sqlitedict_kv.operations.statistics import Health, NamespaceStats, StoreStats
from sqlitedict_kv.operations.usage import ContentTypeUsage, EntrySummary, StoreUsage, Usage
from sqlitedict_kv.options import StoreOptions
from sqlitedict_kv.store import Store
from sqlitedict_kv.transaction import Transaction, TransactionNamespace

if TYPE_CHECKING:
    from sqlitedict_kv.aio import AsyncNamespace, AsyncStore
    from sqlitedict_kv.aio.default_memoize import memoize
    from sqlitedict_kv.memoization.explanation import Explanation
    from sqlitedict_kv.memoization.file_keys import file_content, file_mtime
    from sqlitedict_kv.tools.copy import CopyReport, copy
    from sqlitedict_kv.tools.diagnose import Diagnosis, diagnose

__version__ = "0.1.0"

__all__ = [
    "AccessDeniedError",
    "AsyncMemoized",
    "AsyncNamespace",
    "AsyncStore",
    "CacheInfo",
    "Capabilities",
    "CheckReport",
    "Codec",
    "CodecError",
    "ConflictError",
    "ContentTypeUsage",
    "CopyReport",
    "CorruptStoreError",
    "DamagedEntryError",
    "DamagedFileError",
    "DecodeError",
    "Diagnosis",
    "Entry",
    "EntrySummary",
    "Explanation",
    "ForeignDatabaseError",
    "ForkedStoreError",
    "Health",
    "KVError",
    "Kind",
    "LRUStats",
    "LayoutError",
    "LocationError",
    "LockLostError",
    "LockTimeoutError",
    "Memoize",
    "Memoized",
    "Meta",
    "MissingFileError",
    "Namespace",
    "NamespaceStats",
    "NewerFormatError",
    "NotADatabaseError",
    "NotCachedError",
    "NotConfirmedError",
    "NotKeptHereError",
    "OpenError",
    "OutcomeUnknownError",
    "Page",
    "ReadOnlyError",
    "Store",
    "StoreBusyError",
    "StoreClosedError",
    "StoreDetachedError",
    "StoreError",
    "StoreFullError",
    "StoreIOError",
    "StoreNotFoundError",
    "StoreOptions",
    "StoreStats",
    "StoreUsage",
    "TagError",
    "TooLargeError",
    "Transaction",
    "TransactionNamespace",
    "UnreachableError",
    "UnsafeFilesystemError",
    "UnsupportedError",
    "Usage",
    "__version__",
    "copy",
    "diagnose",
    "file_content",
    "file_mtime",
    "memoize",
    "register_key",
]


def load_ipython_extension(shell: Any) -> None:
    """Add the magics ``%%memoize`` and ``%memoize_info`` to IPython: ``%load_ext sqlitedict_kv``."""
    from sqlitedict_kv.adapters import ipython  # noqa: PLC0415

    ipython.load(shell)


def __getattr__(name: str) -> Any:
    """Import what is rarely needed when it is asked for: asyncio alone takes longer than all of this."""
    if name in ("AsyncNamespace", "AsyncStore"):
        from sqlitedict_kv import aio  # noqa: PLC0415

        return getattr(aio, name)
    if name in ("CopyReport", "copy"):
        from sqlitedict_kv.tools import copy as copying  # noqa: PLC0415

        return getattr(copying, name)
    if name in ("Diagnosis", "diagnose"):
        from sqlitedict_kv.tools import diagnose as diagnosis  # noqa: PLC0415

        return getattr(diagnosis, name)
    if name in ("file_content", "file_mtime"):
        from sqlitedict_kv.memoization import file_keys  # noqa: PLC0415

        return getattr(file_keys, name)
    if name == "Explanation":
        from sqlitedict_kv.memoization import explanation  # noqa: PLC0415

        return explanation.Explanation
    if name == "memoize":
        from sqlitedict_kv.aio import default_memoize  # noqa: PLC0415

        return default_memoize.memoize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
