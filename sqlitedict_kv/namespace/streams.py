"""Values of a namespace as streams and as files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

from sqlitedict_kv.engines.protocol import Put
from sqlitedict_kv.operations.file_copies import FileOrPath, copy_in, copy_out
from sqlitedict_kv.operations.streams import ValueWriter, check_mode, check_stream_type, open_value
from sqlitedict_kv.operations.type_variables import K
from sqlitedict_kv.validation import DEFAULT, NO_TAGS, Default, Duration, check_key

if TYPE_CHECKING:
    from sqlitedict_kv.engines.protocol import Engine
    from sqlitedict_kv.operations.context import Defaults, StoreContext
    from sqlitedict_kv.operations.prepare import Edits
    from sqlitedict_kv.operations.progress import Progress


class NamespaceStreams(Generic[K]):
    """What writes and reads values a little at a time; :class:`Namespace` does the rest."""

    __slots__ = ()

    _context: StoreContext
    _defaults: Defaults
    _edits: Edits
    _engine: Engine
    _name: str

    @overload
    def open(self, key: K, mode: Literal["rb"] = "rb") -> io.BufferedReader: ...
    @overload
    def open(
        self,
        key: K,
        mode: Literal["wb"],
        *,
        content_type: str | None = None,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
    ) -> ValueWriter: ...
    def open(
        self,
        key: Any,
        mode: str = "rb",
        *,
        content_type: str | None = None,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
    ) -> io.BufferedReader | ValueWriter:
        """Return a value as a stream of bytes, to be used in a ``with`` block.

        ``"rb"`` gives the bytes of the value as they are kept, seekable, none of which was not verified. It goes on
        when the entry is written again or removed. ``"wb"`` writes the entry when the block ends, and nothing at all if
        it raises. It takes 2 MB of memory where values over ``files_above=`` go to files, else the value.

        Args:
            key: the key.
            mode: ``"rb"`` or ``"wb"``.
            content_type: what the bytes are, such as ``"video/mp4"``; left out, bytes. One without a codec can be read
                by :meth:`open` and :meth:`get_file` alone.
            ttl: as for :meth:`set`, from the end of the block.
            tags: as for :meth:`set`.

        Raises:
            KeyError: there is nothing to read.
            DamagedEntryError: (while it is read) the value is not as it was written.
            TooLargeError: (while it is written) it is over its limit.
        """
        if check_mode(mode):
            return self._writer(key, content_type, ttl, tags)
        if content_type is not None or ttl is not DEFAULT or tags is not NO_TAGS:
            raise TypeError("content_type, ttl and tags are of a value that is written: open(key, 'wb', ...)")
        return open_value(self._context, self._name, check_key(self._text(key)))

    def set_file(
        self,
        key: K,
        source: FileOrPath,
        *,
        content_type: str | None = None,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
        progress: Progress | None = None,
    ) -> int:
        """Write what is in a file as a value, and return its version; memory as for :meth:`open`.

        Args:
            key: the key.
            source: a path, or a file that is open to read bytes, from where it is.
            content_type: as for :meth:`open`.
            ttl: as for :meth:`set`.
            tags: as for :meth:`set`.
            progress: True shows a bar, by tqdm or rich; a function gets (done, total) in bytes.

        Raises:
            OSError: the file cannot be read; nothing was written.
        """
        return copy_in(source, self._writer(key, content_type, ttl, tags), progress)

    def get_file(self, key: K, target: FileOrPath, *, progress: Progress | None = None) -> int:
        """Write a value to a new file as it is kept, and return how many bytes it has.

        Args:
            key: the key.
            target: a path, which gets the file when it is whole; or a file that is open to write bytes.
            progress: as for :meth:`set_file`.

        Raises:
            KeyError: there is no value.
            FileExistsError: something is at the path; it stays.
            DamagedEntryError: the value is not as it was written; there is no file then.
        """
        with open_value(self._context, self._name, check_key(self._text(key))) as stream:
            return copy_out(stream, target, progress)

    def _text(self, key: Any) -> Any:
        """Return the text that stands for a key."""
        return key

    def _writer(self, key: Any, content_type: object, ttl: object, tags: Any) -> ValueWriter:
        context, name, edits = self._context, check_key(self._text(key)), self._edits
        chosen = check_stream_type(content_type, context)
        seconds, _ = self._defaults.choose(ttl, None, context.codecs)
        given = edits.check_tags(tags)

        def commit(body: bytes, encoded_as: str) -> int:
            put = Put(self._name, name, body, encoded_as, context.deadline(seconds), None, given)
            return self._engine.commit([put], context.now())[0] or 0

        return ValueWriter(context, chosen, commit)
