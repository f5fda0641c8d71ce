"""Table of a file that is a dict, whose writes are pending until they are committed: sqlitedict's ``SqliteDict``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, Self
from weakref import finalize

from sqlitedict_kv import ForeignDatabaseError, Kind, Namespace, Store, StoreNotFoundError
from sqlitedict_kv.adapters._compat.forklock import ForkLock
from sqlitedict_kv.adapters.sqlitedict.coders import Coder, decode, encode, identity
from sqlitedict_kv.adapters.support import MEMORY, check_bool, check_store_options

TABLES = "sqlitedict.tables"  # the namespace of the tables' names: a namespace without entries is not listed
JOURNAL_MODES = ("DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "OFF")
COMPANIONS = ("", "-wal", "-shm")
KEYS_PER_PAGE = 500
GONE = object()  # there is no entry


class SqliteDict(MutableMapping[str, Any]):
    """A dict in a table of a file, whose writes take effect when they are committed."""

    VALID_FLAGS: ClassVar = ["c", "r", "w", "n"]
    __hash__: ClassVar[None]  # type: ignore[assignment] # as every mapping that changes

    def __init__(
        self,
        filename: str | os.PathLike[str] | None = None,
        tablename: str = "unnamed",
        flag: str = "c",
        autocommit: bool = False,
        journal_mode: str = "DELETE",
        encode: Coder = encode,
        decode: Coder = decode,
        encode_key: Coder = identity,
        decode_key: Coder = identity,
        timeout: float = 5,
        outer_stack: bool = True,
        *,
        types: Sequence[type | Kind] = (),
    ) -> None:
        """Open a table of a file.

        Args:
            filename: created if it does not exist; None is a temporary file that goes when this is closed, and
                ``":memory:"`` private memory.
            tablename: a namespace of the store.
            flag: ``"c"`` to read and write; ``"r"`` to read an existing table; ``"w"`` to begin with an empty table;
                ``"n"`` to begin with an empty file, which must be a store or not be there.
            autocommit: write at once; otherwise :meth:`commit` does, all or nothing.
            journal_mode: has no effect: a store always has a log.
            encode: makes of a value what the store is to keep; ``pickle.dumps`` with ``pickle.loads`` as *decode* gives
                what sqlitedict did, with its dangers.
            decode: makes a value of what the store kept.
            encode_key: makes a str, or an int, of a key.
            decode_key: makes a key of a str.
            timeout: seconds to wait while others write.
            outer_stack: has no effect: an error is raised where it happens.
            types: the classes whose objects may be kept; see :class:`sqlitedict_kv.Store`.

        Raises:
            RuntimeError: the flag is unknown, the directory or the table to read does not exist.
            ForeignDatabaseError: the file is not a store, perhaps one of sqlitedict: see :func:`move`.
        """
        del outer_stack
        if flag not in self.VALID_FLAGS:
            raise RuntimeError(f"Unrecognized flag: {flag}")
        if str(journal_mode).upper() not in JOURNAL_MODES:
            raise ValueError(f"journal_mode must be one of {', '.join(JOURNAL_MODES)}, not {journal_mode!r}")
        self.in_temp = filename is None
        if filename is None:
            descriptor, filename = tempfile.mkstemp(prefix="sqldict")
            os.close(descriptor)
        self.filename = os.fspath(filename)
        directory = os.path.dirname(self.filename)
        if directory and not os.path.exists(directory):
            raise RuntimeError(f"Error! The directory does not exist, {directory}")
        self.flag, self.tablename, self.journal_mode = flag, tablename, journal_mode
        self.autocommit = check_bool(autocommit, "autocommit")
        self.encode, self.decode, self.encode_key, self.decode_key = encode, decode, encode_key, decode_key
        self._timeout = timeout
        self._types, self._codecs = types, check_store_options(MEMORY, {"types": types})
        if self.in_temp:
            finalize(self, _unlink, self.filename)
        self._lock = ForkLock()
        # What commit() will write, in order: bytes and their content type, None for a removal.
        self._pending: dict[str, tuple[bytes, str] | None] = {}
        self._store: Store | None = None
        self._open()
        if flag == "n":
            self._empty_file()
        if flag == "w":
            self._entries.clear()

    # -- opening and closing

    def _open(self) -> None:
        try:
            store = Store(self.filename, readonly=self.flag == "r", timeout=self._timeout, types=self._types)
        except StoreNotFoundError as error:
            raise RuntimeError(f"there is no {self.filename} to read") from error
        except ForeignDatabaseError as error:
            raise ForeignDatabaseError(f"{error}; a file of sqlitedict can be taken over by move()") from error
        try:
            if self.tablename == TABLES:
                raise ValueError(f"the table {TABLES} is the list of the tables")
            if self.flag == "r" and self.tablename not in store.ns(TABLES):
                raise RuntimeError(f'Refusing to create a new table "{self.tablename}" in read-only DB mode')
            self._entries = store.ns(self.tablename)
            if self.flag != "r" and self.tablename not in store.ns(TABLES):
                store.ns(TABLES).add(self.tablename, 1)
        except BaseException:
            store.close()
            raise
        self._store = store

    def _empty_file(self) -> None:
        assert self._store is not None
        for name in self._store.namespaces():
            self._store.drop(name)
        self._store.ns(TABLES).add(self.tablename, 1)

    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError(f"{self} is closed; enter it as a context manager to open it again")
        return self._store

    def _require_writable(self, action: str) -> None:
        if self.flag == "r":
            raise RuntimeError(f"Refusing to {action} read-only SqliteDict")

    def commit(self, blocking: bool = True) -> None:
        """Write all that is pending, in one step, and return when others can read it; *blocking* has no effect."""
        del blocking
        with self._lock:
            store = self._opened()
            if not self._pending:
                return
            with store.atomic() as transaction:
                table = transaction.ns(self.tablename)
                for text, pending in self._pending.items():
                    table.delete(text)  # so that it goes to the end, as it does with sqlitedict
                    if pending is not None:
                        table.set(text, self._stored(text))
            self._pending.clear()

    sync = commit

    def close(self, do_log: bool = True, force: bool = False) -> None:
        """Close the file; what is pending is lost, as it is with sqlitedict."""
        del do_log, force
        with self._lock:
            self._pending.clear()
            store, self._store = self._store, None
            if store is not None:
                store.close()
                if self.in_temp:
                    _unlink(self.filename)

    def terminate(self) -> None:
        """Close the file and delete it."""
        self._require_writable("terminate")
        self.close()
        if self.filename != MEMORY:
            _unlink(self.filename)

    def __enter__(self) -> Self:
        """Open the file again if it was closed."""
        with self._lock:
            if self._store is None:
                self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    # -- one entry

    def _text(self, key: Any) -> str:
        text = self.encode_key(key)
        if isinstance(text, int):  # which sqlitedict's column makes text of
            return str(int(text))
        if not isinstance(text, str):
            raise TypeError(f"a key must be a str or an int, not {type(text).__name__}; give encode_key and decode_key")
        return text

    def __getitem__(self, key: Any) -> Any:
        """Return the value; raise KeyError if there is none."""
        with self._lock:
            self._opened()
            text = self._text(key)
            stored = self._stored(text) if text in self._pending else self._entries.get(text, GONE)
        if stored is GONE:
            raise KeyError(key)
        return self.decode(stored)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a value."""
        self._require_writable("write to")
        self._write([(key, value)])

    def update(self, items: Any = (), /, **kwds: Any) -> None:
        """Write all the values of a mapping or of pairs, and those of keywords, in one step."""
        self._require_writable("update")
        self._write([*dict(items).items(), *kwds.items()])

    def _write(self, pairs: list[tuple[Any, Any]]) -> None:
        with self._lock:
            self._opened()
            # Encoded now: a value that cannot be kept is refused here, and one that is changed later is not.
            encoded = {self._text(key): self._codecs.encode(_plain(self.encode(value)), None) for key, value in pairs}
            for text, pending in encoded.items():
                self._pending.pop(text, None)
                self._pending[text] = pending
            self._commit_if_automatic()

    def _stored(self, text: str) -> Any:
        """Return what a pending write gives to read, or GONE."""
        pending = self._pending[text]
        return GONE if pending is None else self._codecs.decode(self.tablename, text, *pending)

    def __delitem__(self, key: Any) -> None:
        """Remove an entry; raise KeyError if there is none."""
        self._require_writable("delete from")
        with self._lock:
            if key not in self:
                raise KeyError(key)
            text = self._text(key)
            self._pending.pop(text, None)
            self._pending[text] = None
            self._commit_if_automatic()

    def _commit_if_automatic(self) -> None:
        if self.autocommit:
            try:
                self.commit()
            except BaseException:
                self._pending.clear()  # the caller is told, and may try again
                raise

    def __contains__(self, key: object) -> bool:
        """Return whether there is an entry."""
        with self._lock:
            self._opened()
            text = self._text(key)
            if text in self._pending:
                return self._pending[text] is not None
            return text in self._entries

    # -- all entries

    def clear(self) -> None:
        """Remove every entry, at once: it is committed with all that is pending."""
        self._require_writable("clear")
        with self._lock:
            self._opened()
            self._pending.clear()
            self._entries.clear()

    def __len__(self) -> int:
        """Return the number of entries, those that are pending included."""
        with self._lock:
            self._opened()
            if not self._pending:
                return len(self._entries)
            replaced = sum(text in self._entries for text in self._pending)
            added = sum(pending is not None for pending in self._pending.values())
            return len(self._entries) - replaced + added

    def __bool__(self) -> bool:
        """Return whether there is any entry."""
        return len(self) > 0

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys in the order in which they were written last."""
        return (self.decode_key(text) for text, _ in self._walk(values=False))

    def iterkeys(self) -> Iterator[Any]:
        """Yield the keys."""
        return iter(self)

    def itervalues(self) -> Iterator[Any]:
        """Yield the values."""
        return (self.decode(stored) for _, stored in self._walk(values=True))

    def iteritems(self) -> Iterator[tuple[Any, Any]]:
        """Yield keys and values."""
        return ((self.decode_key(text), self.decode(stored)) for text, stored in self._walk(values=True))

    def _walk(self, *, values: bool) -> Iterator[tuple[str, Any]]:
        """Yield texts and what is stored, by pages; what is pending comes last, as it will after the commit."""
        cursor, first = None, True
        while first or cursor is not None:
            with self._lock:
                self._opened()
                page = self._entries.by_age(limit=KEYS_PER_PAGE, cursor=cursor)
                found = self._entries.get_many(page.keys) if values else dict.fromkeys(page.keys)
                here = [(text, found[text]) for text in page.keys if text in found and text not in self._pending]
                if first:
                    pending = [(text, self._stored(text)) for text, write in self._pending.items() if write is not None]
            cursor, first = page.cursor, False
            yield from here
        yield from pending

    @staticmethod
    def get_tablenames(filename: str | os.PathLike[str]) -> list[str]:
        """Return the names of the tables of a file in the order in which they were made."""
        if not os.path.isfile(filename):
            raise OSError(f"file {filename} does not exist")
        with Store(filename, readonly=True) as store:
            return _all_by_age(store.ns(TABLES))

    def __str__(self) -> str:
        """Return the name of the file."""
        return f"SqliteDict({self.filename})"

    __repr__ = __str__


def _unlink(filename: str) -> None:
    for ending in COMPANIONS:
        with suppress(OSError):  # as sqlitedict, which only logs it
            os.remove(filename + ending)


def _plain(stored: Any) -> Any:
    """Return bytes for the memoryview that sqlite3.Binary makes."""
    return bytes(stored) if isinstance(stored, memoryview) else stored


def _all_by_age(namespace: Namespace) -> list[str]:
    page = namespace.by_age(limit=KEYS_PER_PAGE)
    keys = list(page.keys)
    while page.cursor is not None:
        page = namespace.by_age(limit=KEYS_PER_PAGE, cursor=page.cursor)
        keys += page.keys
    return keys
