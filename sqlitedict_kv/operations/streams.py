"""Values as streams of bytes: written and read a little at a time."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

from sqlitedict_kv.codecs.codec import BYTES
from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.errors import EntryGoneError, TooLargeError
from sqlitedict_kv.operations.optional import Staging
from sqlitedict_kv.operations.progress import Progress, report

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer

    from sqlitedict_kv.engines.optional import GrowingBody
    from sqlitedict_kv.operations.context import StoreContext

PIECE_BYTES = 2**20
Source = str | os.PathLike[str] | BinaryIO
Commit = Callable[[bytes, str], int]  # takes what is to be in the entry, and its content type; returns the version


class Place(NamedTuple):
    """What a stream is written by.

    Attributes:
        context: of the store.
        content_type: of the value.
        commit: writes the entry.
    """

    context: StoreContext
    content_type: str
    commit: Commit


class ValueWriter(io.RawIOBase):
    """A value that is being written; its entry is there when the stream is closed, or it is not there at all.

    Attributes:
        version: of the entry, once it is written.
    """

    def __init__(self, place: Place) -> None:
        """Hold what fits into a row in memory; what is larger goes to a file without a name."""
        self.version: int | None = None
        self._place = place
        self._small = bytearray()
        self._large: GrowingBody | None = None
        self._done = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Append bytes, all of them, and return how many they are.

        Raises:
            TooLargeError, StoreFullError, StoreIOError: the value cannot be kept; the stream is closed then.
            ValueError: the stream is closed.
        """
        if self.closed or self._done:
            raise ValueError("the stream is closed")
        with memoryview(data) as view, view.cast("B") as piece:
            try:
                self._write(piece)
            except BaseException:
                self.discard()
                raise
            return len(piece)

    def _write(self, piece: memoryview) -> None:
        context = self._place.context
        if self._large is None and len(self._small) + len(piece) <= context.max_value_bytes:
            self._small += piece
            return
        stage, kept_as = context.stage, self._place.content_type
        if not isinstance(stage, Staging):
            size = len(self._small) + len(piece)
            raise TooLargeError(too_large(size, context.max_value_bytes, kept_as, least=True))
        if self._large is None:
            self._large = stage.begin()
            self._large.write(memoryview(self._small))
            self._small = bytearray()
        stage.require_within(self._large.size + len(piece), kept_as, least=True)
        self._large.write(piece)

    def close(self) -> None:
        """Write the entry; raise what :meth:`Namespace.set` does."""
        if self.closed or self._done:
            super().close()
            return
        self._done = True
        place = self._place
        try:
            if self._large is None:
                self.version = place.commit(bytes(self._small), place.content_type)
            else:
                stage = place.context.stage
                assert isinstance(stage, Staging)
                self.version = place.commit(*stage.finish(self._large, place.content_type))
        finally:
            self._release()

    def discard(self) -> None:
        """Write no entry, and let go what was written."""
        self._done = True
        self._release()

    def _release(self) -> None:
        large, self._large, self._small = self._large, None, bytearray()
        if large is not None:
            large.close()
        super().close()

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the entry at the end of the block, or nothing if the block raised."""
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        """Write nothing: only closing does."""
        if not (self.closed or self._done):
            self.discard()
            warnings.warn(
                "a stream to a store was never closed, so its value was not written", ResourceWarning, stacklevel=1
            )


def check_stream_type(content_type: object, context: StoreContext) -> str:
    """Return the content type of a stream, which needs no codec; None is bytes.

    Raises:
        TypeError, ValueError: it is none.
        CodecError: the view keeps values of a type, and bytes are not of it.
    """
    if context.codecs.annotation is not None:
        context.codecs.encode(b"", BYTES)
    if content_type is None:
        return BYTES
    if not isinstance(content_type, str):
        raise TypeError(f"content_type must be a str or None, not {type(content_type).__name__}")
    if not content_type or not content_type.isprintable() or content_type == FILE:
        raise ValueError(f"content_type {content_type!r} cannot be that of a value")
    return content_type


def check_mode(mode: object) -> bool:
    """Return whether a mode is to write; raise ValueError for another one than "rb" and "wb"."""
    if mode not in ("rb", "wb"):
        raise ValueError(f"mode must be 'rb' or 'wb', not {mode!r}")
    return mode == "wb"


def open_value(context: StoreContext, namespace: str, key: object) -> io.BufferedReader:
    """Return the encoded value of an entry as a stream; raise KeyError if there is none."""
    record = context.read(namespace, key)
    if record is None:
        raise KeyError(key)
    opened = context.codecs.file_access.open if record.content_type == FILE else None
    if opened is None:
        return io.BufferedReader(_Memory(record.body))
    try:
        raw = opened(namespace, str(key), record.body)
    except EntryGoneError:
        raise KeyError(key) from None
    return io.BufferedReader(raw if isinstance(raw, io.RawIOBase) else _Memory(raw))


class _Memory(io.RawIOBase):
    """Bytes in memory as a raw stream."""

    def __init__(self, body: bytes) -> None:
        self._bytes = io.BytesIO(body)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._bytes.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        return self._bytes.readinto(buffer)


def copy_in(source: Source, writer: ValueWriter, progress: Progress | None) -> int:
    """Copy a file into a value and return its version; raise TypeError for what is no file."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(writer)
        stream = source if hasattr(source, "read") else stack.enter_context(open(source, "rb"))
        tell = stack.enter_context(report(progress, "set_file"))
        done, total = 0, _size_of(stream)
        while piece := stream.read(PIECE_BYTES):
            if isinstance(piece, str):
                raise TypeError("source must be opened to read bytes: open(..., 'rb')")
            writer.write(piece)
            done += len(piece)
            tell(done, None if total is None else max(total, done))
    assert writer.version is not None
    return writer.version


def _size_of(stream: Any) -> int | None:
    """Return how many bytes are left in a file, None if that is not known."""
    try:
        status = os.fstat(stream.fileno())
        return max(0, status.st_size - stream.tell()) if stat.S_ISREG(status.st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None


def copy_out(stream: io.BufferedReader, target: Source, progress: Progress | None) -> int:
    """Copy a value into a new file, or into one that is open, and return how many bytes it has."""
    total = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    with report(progress, "get_file") as tell, _output(target) as output:
        done = 0
        while piece := stream.read(PIECE_BYTES):
            output.write(piece)
            done += len(piece)
            tell(done, total)
    return done


@contextlib.contextmanager
def _output(target: Source) -> Iterator[Any]:
    """Give a file to write to; one with a path gets its name when it is whole, and never replaces another."""
    if hasattr(target, "write"):
        yield target
        return
    path = os.fsdecode(target)
    if os.path.lexists(path):
        raise FileExistsError(17, "there is a file already, and it stays", path)
    partial = f"{path}.{os.urandom(8).hex()}.partial"
    try:
        with open(partial, "xb") as output:
            yield output
        _give_name(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _give_name(partial: str, path: str) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        raise FileExistsError(17, "there is a file already, and it stays", path) from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(17, "there is a file already, and it stays", path) from None
        os.rename(partial, path)
