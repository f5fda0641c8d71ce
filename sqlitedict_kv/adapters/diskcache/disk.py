"""Disks: diskcache's name for the way in which keys and values are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlitedict_kv.adapters.support import JSON

LEVELS = range(10)


class Disk:
    """Keeps each value in the codec that keeps it exactly."""

    content_type: str | None = None
    compresses = False

    def __init__(self, directory: str = "", min_file_size: int = 0, pickle_protocol: int = 0) -> None:
        """Take diskcache's arguments, which have no effect: values are not kept in files."""
        del directory, min_file_size, pickle_protocol

    def key(self, key: Any) -> Any:
        """Return what a key is to this disk: itself."""
        return key


class JSONDisk(Disk):
    """Keeps values that JSON keeps exactly, and refuses others; nothing is compressed."""

    content_type = JSON
    compresses = True  # it knows the setting

    def key(self, key: Any) -> Any:
        """Return a key as it comes back from JSON: a tuple and a list of the same parts are one key, as in diskcache.

        Raises:
            TypeError: JSON has no form for it.
        """
        return key if type(key) is str else json.loads(json.dumps(key))


def check_disk(disk: object, settings: Mapping[str, Any]) -> Disk:
    """Return the disk of a cache; raise ValueError if it is not a Disk, TypeError if it is a subclass of your own."""
    if not isinstance(disk, type) or not issubclass(disk, Disk):
        raise ValueError("disk must be Disk or JSONDisk")  # noqa: TRY004 - as diskcache does
    if disk not in (Disk, JSONDisk):
        raise TypeError(f"disk must be Disk or JSONDisk; what {disk.__name__} does is for codecs=[...] here: see Codec")
    level = settings.get("disk_compress_level", 1)
    if level not in LEVELS:
        raise ValueError(f"disk_compress_level must be from 0 to 9, not {level!r}")
    return disk()
