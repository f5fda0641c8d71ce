"""Disks: diskcache's name for the way in which keys and values are kept."""

from __future__ import annotations

import io
import json
from typing import Any
from zlib import crc32

from sqlitedict_kv import CodecError
from sqlitedict_kv.adapters._compat.key_encoding import text_of
from sqlitedict_kv.adapters.diskcache.values import MODE_RAW, UNKNOWN
from sqlitedict_kv.adapters.support import JSON

# How a value is kept, in diskcache's words. A disk of your own may return any of these, with the value itself.
MODE_NONE, MODE_BINARY, MODE_TEXT, MODE_PICKLE = 0, 2, 3, 4

CHUNK = 4 * 2**20  # bytes of a file that is read as a value
LEVELS = range(10)
PREFIX = "disk_"  # of the settings that are arguments of a disk


class Disk:
    """Keeps each key and value as it is, in the codec that keeps it exactly.

    A subclass may override ``put`` and ``get`` for keys, ``store`` and ``fetch`` for values, and ``hash``, and call
    those of this class, as with diskcache. There are no files of values, so what ``store`` returns as *filename* must
    be None.
    """

    content_type: str | None = None

    def __init__(self, directory: str = "", min_file_size: int = 0, pickle_protocol: int = 0) -> None:
        """Take diskcache's arguments.

        Args:
            directory: that of the cache.
            min_file_size: has no effect, because values are not kept in files.
            pickle_protocol: for values that a subclass reads by unpickling them.
        """
        self._directory = directory
        self.min_file_size = min_file_size
        self.pickle_protocol = pickle_protocol

    def hash(self, key: Any) -> int:
        """Return a number that chooses the shard of a key."""
        stored, _ = self.put(key)
        return crc32(text_of(stored).encode(errors="surrogatepass"))

    def put(self, key: Any) -> tuple[Any, bool]:
        """Return what is kept of a key, and whether that is the key itself."""
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        """Return the key of which :meth:`put` returned these two."""
        del raw
        return key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> tuple[int, int, str | None, Any]:
        """Return size, mode, name of a file (None), and what is kept of a value, or of a file if *read* is true."""
        del key
        return 0, MODE_RAW, None, read_content(value) if read else value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Return the value of what :meth:`store` returned; with *read*, bytes as a file that is open for reading.

        Raises:
            CodecError: it is a pickle, which only a subclass may read.
        """
        del filename
        if mode == MODE_PICKLE:
            raise CodecError(
                "a value is a pickle, which Disk does not read; use dangerously_allow_pickle=True, or read it in "
                "fetch() of your own Disk"
            )
        return io.BytesIO(value) if read and type(value) is bytes else value


class JSONDisk(Disk):
    """Keeps values that JSON keeps exactly, and refuses others; nothing is compressed."""

    content_type = JSON

    def __init__(self, directory: str = "", compress_level: int = 1, **kwargs: Any) -> None:
        """Take diskcache's arguments; *compress_level* has no effect."""
        super().__init__(directory, **kwargs)
        self.compress_level = compress_level

    def put(self, key: Any) -> tuple[Any, bool]:
        """Return a key as it comes back from JSON: a tuple and a list of the same parts are one key, as in diskcache.

        Raises:
            TypeError: JSON has no form for it.
        """
        return key if type(key) is str else json.loads(json.dumps(key)), True


def check_disk(disk: object) -> type[Disk]:
    """Return the class of a disk; raise ValueError if it is something else."""
    if not isinstance(disk, type) or not issubclass(disk, Disk):
        raise ValueError("disk must be Disk, JSONDisk or a subclass of one of them")  # noqa: TRY004 - as diskcache does
    return disk


def is_own(disk: type[Disk]) -> bool:
    """Return whether a disk is a class of the program's own."""
    return disk not in (Disk, JSONDisk)


def takes_setting(disk: type[Disk], name: str) -> bool:
    """Return whether a setting is an argument of a disk, besides those that every disk takes."""
    return name.startswith(PREFIX) and (is_own(disk) or (disk is JSONDisk and name == "disk_compress_level"))


def read_content(file: Any) -> bytes:
    """Return all the bytes of a file; raise TypeError if it gives something else."""
    chunks: list[bytes] = []
    while chunk := file.read(CHUNK):
        if not isinstance(chunk, bytes):
            raise TypeError(f"value must be a file that gives bytes, not {type(chunk).__name__}; open it with 'rb'")
        chunks.append(chunk)
    return b"".join(chunks)
