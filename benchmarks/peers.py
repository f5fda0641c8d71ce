"""The stores that are compared, each behind the same verbs.

A verb is, where possible, the peer's own bound method, so that nothing is added to what is measured. A verb
that a peer lacks is what its users would write, and a note says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

NAMESPACE = "users"
FILL_BATCH = 10_000
LMDB_MAP_BYTES = 8 * 2**30  # the largest that the file may become
WRITE_AHEAD_PAGES = 1000  # SQLite's own default between two checkpoints
BUSY_SECONDS = 10.0


class Peer:
    """A store in a directory, open.

    The verbs are attributes that are set when it is opened. `missing` is a get of a key that is not there,
    `page` gives 100 keys that begin with a prefix.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]  # what its user imports
    about: ClassVar[str]  # how a dict is encoded, and what an acknowledged write survives
    notes: ClassVar[dict[str, str]] = {}  # by verb: how what is measured differs from what the row says
    many_processes: ClassVar[bool] = True

    get: Callable[[str], Any]
    get_bytes: Callable[[str], bytes]
    missing: Callable[[str], Any]
    set: Callable[[str, Any], Any]
    get_many: Callable[[Sequence[str]], dict[str, Any]]
    set_many: Callable[[dict[str, Any]], Any]
    page: Callable[[str], Sequence[str]]
    delete: Callable[[str], Any]
    incr: Callable[[str], Any]

    def __init__(self, directory: Path) -> None:
        """Open what is in *directory*, made if it is empty."""
        raise NotImplementedError

    @classmethod
    def lacking(cls) -> str | None:
        """Return what this interpreter lacks to run the peer, None if nothing."""
        absent = [module for module in cls.modules if find_spec(module) is None]
        return f"no module {', '.join(absent)}" if absent else None

    def fill(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Write many entries as fast as the peer can."""
        for batch in chunks(pairs, FILL_BATCH):
            self.set_many(dict(batch))

    def close(self) -> None:
        """Close the store."""
        raise NotImplementedError


class SqlitedictKV(Peer):
    """This library."""

    name = "sqlitedict_kv"
    modules = ("sqlitedict_kv",)
    about = "JSON, decoded again to compare; a checksum; WAL, synchronous=NORMAL: survives kill -9"

    def __init__(self, directory: Path) -> None:
        from sqlitedict_kv import Store

        self._store = Store(directory / "store.db")
        entries = self._store.ns(NAMESPACE)
        self.get = self.get_bytes = self.missing = entries.get
        self.set = entries.set
        self.get_many = entries.get_many
        self.set_many = entries.set_many
        self.page = lambda prefix: entries.list(prefix, limit=100).keys
        self.delete = entries.delete
        self.incr = entries.incr

    def close(self) -> None:
        self._store.close()


class RawSQLite(Peer):
    """The sqlite3 module and orjson by hand: our statements and our schema, none of our care."""

    name = "raw sqlite3"
    modules = ("sqlite3", "orjson")
    about = (
        "JSON by orjson; the schema, statements and pragmas of sqlitedict_kv through one cursor, without its lock, "
        "checks, checksum and expiry; SQLite's own automatic checkpoints; survives kill -9"
    )
    notes: ClassVar = {
        "set_many": "executemany of the statement of a single set, without RETURNING, in one transaction",
        "delete": "one DELETE; versions are not kept",
        "incr": "BEGIN IMMEDIATE, the SELECT, the upsert, COMMIT",
    }

    def __init__(self, directory: Path) -> None:  # noqa: C901 - closures: an attribute less to look up in each call
        import sqlite3

        import orjson

        from sqlitedict_kv.engines.sqlite import engine, key_range, mutations, opening, schema

        # The statements are those of the engine itself: a copy here would stay behind when they change.
        read, upsert, keys, remove = engine.READ_VALUE, mutations.UPSERT, key_range.KEYS, mutations.DELETE
        upsert_only = upsert.rpartition("RETURNING")[0]
        loads, dumps, clock = orjson.loads, orjson.dumps, time.time
        path = directory / "raw.db"
        is_new = not path.exists()
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        pragmas = (*opening.PRAGMAS, opening.SYNCHRONOUS["process"])
        for pragma in ("PRAGMA journal_mode = WAL", *pragmas, f"PRAGMA wal_autocheckpoint = {WRITE_AHEAD_PAGES}"):
            self._connection.execute(pragma)
        if is_new:
            for statements in schema.MIGRATIONS:
                for statement in statements:
                    self._connection.execute(statement)
        cursor = self._connection.cursor()
        execute = cursor.execute

        def get(key: str) -> Any:
            row = execute(read, (NAMESPACE, key)).fetchone()
            return None if row is None else loads(row[0])

        def bound(key: str, value: Any) -> tuple[object, ...]:
            body, content_type = (
                (value, "application/octet-stream") if type(value) is bytes else (dumps(value), "application/json")
            )
            return NAMESPACE, key, body, content_type, NAMESPACE, None, int(clock() * 1000), NAMESPACE, 0

        def get_bytes(key: str) -> Any:
            return execute(read, (NAMESPACE, key)).fetchone()[0]

        def put(key: str, value: Any) -> int:
            return execute(upsert, bound(key, value)).fetchone()[0]

        def get_many(wanted: Sequence[str]) -> dict[str, Any]:
            statement = engine.READ_MANY.format(", ".join(["?"] * len(wanted)))
            rows = execute(statement, (NAMESPACE, *wanted)).fetchall()
            return {row[-1]: loads(row[0]) for row in rows}

        def set_many(mapping: dict[str, Any]) -> None:
            execute("BEGIN IMMEDIATE")
            cursor.executemany(upsert_only, [bound(key, value) for key, value in mapping.items()])
            execute("COMMIT")

        def page(prefix: str) -> list[str]:
            bounds = (NAMESPACE, prefix, prefix + chr(0x10FFFF), int(clock() * 1000), 100)
            return [key for (key,) in execute(keys, bounds)]

        def incr(key: str) -> int:
            execute("BEGIN IMMEDIATE")
            number = (get(key) or 0) + 1
            put(key, number)
            execute("COMMIT")
            return number

        self.get = self.missing = get
        self.get_bytes = get_bytes
        self.set = put
        self.get_many = get_many
        self.set_many = set_many
        self.page = page
        self.delete = lambda key: execute(remove, (NAMESPACE, key))
        self.incr = incr

    def close(self) -> None:
        self._connection.close()


class DiskCache(Peer):
    """diskcache.Cache as it comes."""

    name = "diskcache"
    modules = ("diskcache",)
    about = "pickle; WAL, synchronous=NORMAL: survives kill -9; values from 32 KiB on are files of their own"
    notes: ClassVar = {
        "get_many": "a get each",
        "set_many": "a set each within `transact()`",
        "page": "the first 100 keys of `iterkeys()`, which cannot start elsewhere",
    }

    def __init__(self, directory: Path) -> None:
        from diskcache import Cache

        cache = self._cache = Cache(str(directory))

        def get_many(keys: Sequence[str]) -> dict[str, Any]:
            get = cache.get
            return {key: get(key) for key in keys}

        def set_many(mapping: dict[str, Any]) -> None:
            with cache.transact():
                for key, value in mapping.items():
                    cache.set(key, value)

        self.get = self.get_bytes = self.missing = cache.get
        self.set = cache.set
        self.get_many = get_many
        self.set_many = set_many
        self.page = lambda _: list(islice(cache.iterkeys(), 100))
        self.delete = cache.delete
        self.incr = cache.incr

    def close(self) -> None:
        self._cache.close()


class SqliteDict(Peer):
    """sqlitedict with a commit per write, in WAL mode."""

    name = "sqlitedict"
    modules = ("sqlitedict",)
    about = (
        "pickle; autocommit=True, journal_mode='WAL', outer_stack=False; synchronous=OFF, always: survives kill -9, "
        "and a power cut may corrupt the file; a thread of its own per table"
    )
    notes: ClassVar = {
        "get_many": "a get each",
        "set_many": "`update()`: a transaction per entry",
        "page": "any 100 keys, by insertion; it reads all keys of the table to give the first",
        "incr": "a get and a set, not atomic",
    }

    def __init__(self, directory: Path) -> None:
        import sqlitedict

        table = self._table = sqlitedict.SqliteDict(
            str(directory / "dict.db"), autocommit=True, journal_mode="WAL", outer_stack=False
        )
        _as_mapping(self, table)
        self.set_many = table.update

    def fill(self, pairs: Iterable[tuple[str, Any]]) -> None:
        for batch in chunks(pairs, FILL_BATCH):
            self._table.conn.execute("BEGIN")  # else it commits each row
            self._table.update(batch)

    def close(self) -> None:
        self._table.close()


class Shelve(Peer):
    """The standard library's shelf, on the dbm that it picks."""

    name = "shelve"
    modules = ("shelve",)
    about = "pickle; writes are not synced, and what survives a kill depends on the dbm below"
    notes: ClassVar = {
        "get_many": "a get each",
        "set_many": "`update()`: a set each",
        "page": "any 100 keys, in no order",
        "incr": "a get and a set, not atomic",
    }
    many_processes = False

    def __init__(self, directory: Path) -> None:
        import shelve

        shelf = self._shelf = shelve.open(str(directory / "shelf"))  # noqa: SIM115 - close() does
        _as_mapping(self, shelf)
        self.set_many = shelf.update

    def close(self) -> None:
        self._shelf.close()


class DbmSQLite(Peer):
    """The standard library's dbm on SQLite, and orjson."""

    name = "dbm.sqlite3"
    modules = ("dbm.sqlite3", "orjson")
    about = "JSON by orjson, without checks; WAL, synchronous=FULL: survives a power cut, and pays for it on each write"
    notes: ClassVar = {
        "get_many": "a get each",
        "set_many": "a set each, each a synced transaction",
        "page": "the first 100 keys, as their iterator gives them",
        "incr": "a get and a set, not atomic",
    }

    def __init__(self, directory: Path) -> None:
        import dbm.sqlite3

        import orjson

        loads, dumps = orjson.loads, orjson.dumps
        file = self._file = dbm.sqlite3.open(directory / "dbm.db", "c")  # noqa: SIM115 - close() does

        def get(key: str) -> Any:
            return loads(file[key])

        def missing(key: str) -> Any:
            body = file.get(key)
            return None if body is None else loads(body)

        def put(key: str, value: Any) -> None:
            file[key] = value if type(value) is bytes else dumps(value)

        def set_many(mapping: dict[str, Any]) -> None:
            for key, value in mapping.items():
                put(key, value)

        def page(_: str) -> list[str]:
            return [key.decode() for key in islice(iter(file), 100)]

        def incr(key: str) -> int:
            number = get(key) + 1
            put(key, number)
            return number

        self.get = get
        self.get_bytes = file.__getitem__
        self.missing = missing
        self.set = put
        self.get_many = lambda keys: {key: get(key) for key in keys}
        self.set_many = set_many
        self.page = page
        self.delete = file.__delitem__
        self.incr = incr

    def fill(self, pairs: Iterable[tuple[str, Any]]) -> None:
        # Only here, for a synced transaction per entry would take minutes: its connection, as no user would.
        self._file._cx.execute("BEGIN")
        super().fill(pairs)
        self._file._cx.execute("COMMIT")

    def close(self) -> None:
        self._file.close()


class Lmdb(Peer):
    """py-lmdb with a transaction per call, and orjson."""

    name = "py-lmdb"
    modules = ("lmdb", "orjson")
    about = (
        "JSON by orjson, without checks; sync=False: survives kill -9, and a power cut may corrupt the file where the "
        "file system reorders writes"
    )
    notes: ClassVar = {
        "get_many": "a get each in one read transaction",
        "set_many": "`putmulti` in one write transaction",
        "incr": "a get and a put in one write transaction",
    }

    def __init__(self, directory: Path) -> None:
        import lmdb
        import orjson

        loads, dumps = orjson.loads, orjson.dumps
        environment = self._environment = lmdb.open(str(directory), map_size=LMDB_MAP_BYTES, sync=False)
        begin = environment.begin

        def get(key: str) -> Any:
            with begin() as transaction:
                body = transaction.get(key.encode())
            return None if body is None else loads(body)

        def get_bytes(key: str) -> Any:
            with begin() as transaction:
                return transaction.get(key.encode())

        def put(key: str, value: Any) -> None:
            body = value if type(value) is bytes else dumps(value)
            with begin(write=True) as transaction:
                transaction.put(key.encode(), body)

        def get_many(keys: Sequence[str]) -> dict[str, Any]:
            with begin() as transaction:
                return {key: loads(transaction.get(key.encode())) for key in keys}

        def set_many(mapping: dict[str, Any]) -> None:
            with begin(write=True) as transaction:
                transaction.cursor().putmulti([(key.encode(), dumps(value)) for key, value in mapping.items()])

        def page(prefix: str) -> list[str]:
            start = prefix.encode()
            with begin() as transaction, transaction.cursor() as cursor:
                cursor.set_range(start)
                keys = [bytes(key) for key in islice(cursor.iternext(values=False), 100)]
            return [key.decode() for key in keys if key.startswith(start)]

        def delete(key: str) -> bool:
            with begin(write=True) as transaction:
                return transaction.delete(key.encode())

        def incr(key: str) -> int:
            name = key.encode()
            with begin(write=True) as transaction:
                body = transaction.get(name)
                number = 1 if body is None else loads(body) + 1
                transaction.put(name, dumps(number))
            return number

        self.get = self.missing = get
        self.get_bytes = get_bytes
        self.set = put
        self.get_many = get_many
        self.set_many = set_many
        self.page = page
        self.delete = delete
        self.incr = incr

    def close(self) -> None:
        self._environment.close()


class RocksDict(Peer):
    """rocksdict as it comes."""

    name = "rocksdict"
    modules = ("rocksdict",)
    about = "pickle; its log is written and not synced: survives kill -9; background threads compact"
    notes: ClassVar = {
        "get_many": "a get of a list",
        "set_many": "a WriteBatch",
        "delete": "writes a mark without a look whether the key is there",
        "incr": "a get and a set, not atomic",
    }
    many_processes = False

    def __init__(self, directory: Path) -> None:
        from rocksdict import Rdict, WriteBatch

        database = self._database = Rdict(str(directory))

        def get_many(keys: Sequence[str]) -> dict[str, Any]:
            return dict(zip(keys, database[list(keys)], strict=True))

        def set_many(mapping: dict[str, Any]) -> None:
            batch = WriteBatch()
            for key, value in mapping.items():
                batch[key] = value
            database.write(batch)

        def page(prefix: str) -> list[str]:
            return [key for key in islice(database.keys(from_key=prefix), 100) if key.startswith(prefix)]

        _as_mapping(self, database)
        self.get = self.get_bytes = self.missing = database.get
        self.get_many = get_many
        self.set_many = set_many
        self.page = page

    def close(self) -> None:
        self._database.close()


PEERS: tuple[type[Peer], ...] = (
    SqlitedictKV,
    RawSQLite,
    DiskCache,
    SqliteDict,
    Shelve,
    DbmSQLite,
    Lmdb,
    RocksDict,
)
BY_NAME = {peer.name: peer for peer in PEERS}


def chunks(pairs: Iterable[tuple[str, Any]], size: int) -> Iterator[list[tuple[str, Any]]]:
    """Yield lists of at most *size* pairs."""
    iterator = iter(pairs)
    while batch := list(islice(iterator, size)):
        yield batch


def _as_mapping(peer: Peer, mapping: Any) -> None:
    """Give *peer* the verbs of a plain mapping of values."""

    def incr(key: str) -> int:
        number = mapping[key] + 1
        mapping[key] = number
        return number

    peer.get = peer.get_bytes = mapping.__getitem__
    peer.missing = mapping.get
    peer.set = mapping.__setitem__
    peer.get_many = lambda keys: {key: mapping[key] for key in keys}
    peer.page = lambda _: list(islice(iter(mapping), 100))
    peer.delete = mapping.__delitem__
    peer.incr = incr
