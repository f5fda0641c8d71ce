"""Files of every published format, and of one that is yet to come.

The formats are written down here as they were published, so that a change of the library's own schema is noticed.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from sqlitedict_kv import KVError, NewerFormatError, Store
from sqlitedict_kv.engines.sqlite import schema
from tests.faults.campaign import Campaign, Round

NEWER_ACCEPTED = "newer accepted"
NOW = 1_700_000_000
APPLICATION_ID = 0x5344_4B56

FIRST = """
    CREATE TABLE IF NOT EXISTS kv (
        ns TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
        content_type TEXT NOT NULL DEFAULT 'application/json', version INTEGER NOT NULL DEFAULT 1,
        expires_at INTEGER, updated_at INTEGER NOT NULL, PRIMARY KEY (ns, key));
    CREATE INDEX IF NOT EXISTS idx_kv_expires_at ON kv (expires_at) WHERE expires_at IS NOT NULL;
"""
USELESS_INDEX = "CREATE INDEX IF NOT EXISTS idx_kv_ns_key ON kv (ns, key);"
SECOND = (
    FIRST
    + """
    ALTER TABLE kv ADD COLUMN checksum INTEGER;
    CREATE TABLE kv_floor (ns TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO kv_floor VALUES ('a', 7);
    PRAGMA application_id = 0x53444B56;
    PRAGMA user_version = 2;
"""
)
NEWER = (schema.NEWEST + 1, schema.NEWEST + 2, 99, 2**31 - 1)
KINDS = ("first", "first with a useless index", "second", "newer")
LATER = (
    "",
    "CREATE TABLE more (a);",
    "ALTER TABLE kv ADD COLUMN more;",
    "DROP TABLE kv_floor;",
    "CREATE INDEX more ON kv (updated_at);",
)
INSERT = "INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)"


def clock() -> float:
    return float(NOW)


def run(round_: Round) -> None:
    """Open old files and compare all that is in them; see newer ones refused untouched."""
    generator = random.Random(round_.seed)
    known = 2**31 - 1 if round_.sabotage == NEWER_ACCEPTED else schema.NEWEST
    with patch.object(schema, "NEWEST", known):
        for number in range(round_.size):
            place = round_.directory / str(number)
            place.mkdir()
            kind = "newer" if round_.sabotage else generator.choice(KINDS)
            rows = make(place / "app.db", kind, generator)
            problem = (look_at_newer if kind == "newer" else look_at_old)(place / "app.db", rows, generator)
            if problem:
                round_.fail(f"a file of the format {kind}: {problem}")
            round_.count("files")
            round_.count(f"of them: {kind}")


def make(path: Path, kind: str, generator: random.Random) -> list[tuple[object, ...]]:
    rows = []
    for number in range(generator.randrange(40)):
        body, content_type = generator.choice(
            [
                (b'{"a": [1, 2.5]}', "application/json"),
                (b"\x00\xff", "application/octet-stream"),
                (b"5", "application/json"),
            ]
        )
        expires_at = generator.choice((None, None, NOW * 1000 + 1, NOW * 1000, NOW * 1000 - 1, 1))
        version = generator.randrange(1, 50)
        rows.append((generator.choice("ab"), f"key {number}", body, content_type, version, expires_at, NOW * 1000 - 5))
    script = {"first": FIRST, "first with a useless index": FIRST + USELESS_INDEX}.get(kind, SECOND)
    if kind == "newer":
        script += generator.choice(LATER) + f"PRAGMA user_version = {generator.choice(NEWER)};"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(f"PRAGMA page_size = {generator.choice((512, 1024, 4096, 65536))}")
        raw.execute(f"PRAGMA auto_vacuum = {generator.randrange(3)}")
        raw.execute(f"PRAGMA journal_mode = {generator.choice(('delete', 'wal', 'truncate', 'persist'))}")
        raw.executescript(script)
        if kind != "newer" or "more" not in script:
            raw.executemany(INSERT, rows)
    return rows


def look_at_old(path: Path, rows: list[tuple[object, ...]], generator: random.Random) -> str | None:
    live = {(row[0], row[1]): row for row in rows if row[5] is None or row[5] > NOW * 1000}
    for readonly in generator.choice(((True, False), (False, True), (False,))):
        try:
            with Store(path, readonly=readonly, clock=clock) as store:
                problem = compare(store, live)
                report = store.check()
        except KVError as error:
            return f"readonly={readonly}: {error}"
        if problem or not report.ok or report.unchecked != len(rows):
            return f"readonly={readonly}: {problem or report}"
    with Store(path, clock=clock) as store:
        for namespace, key, _, _, version, *_ in rows:  # the versions of expired entries count too
            if store.ns(namespace).set(key, "new") <= version:
                return f"the version of {key!r} went back"
        if not store.check().ok or store.ns("a").set("brand new", 1) <= 0:
            return "it is not in order after writes"
    with closing(sqlite3.connect(path)) as raw:
        marks = [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if raw.execute("PRAGMA integrity_check").fetchone() != ("ok",) or marks != [APPLICATION_ID, 2]:
            return f"after its migration it is marked {marks}, or damaged"
    return None


def compare(store: Store, live: dict[tuple[str, str], tuple[object, ...]]) -> str | None:
    found = {(name, key): entry for name in store.namespaces() for key, entry in store.ns(name).scan()}
    if found.keys() != live.keys():
        return f"it has other entries: {sorted(found.keys() ^ live.keys())[:3]}"
    for name, entry in found.items():
        _, _, _, content_type, version, expires_at, _ = live[name]
        deadline = entry.meta.expires_at and round(entry.meta.expires_at.timestamp() * 1000)
        if (entry.meta.content_type, entry.meta.version, deadline) != (content_type, version, expires_at):
            return f"{name} has other meta data"
        if entry.value not in ({"a": [1, 2.5]}, b"\x00\xff", 5):
            return f"{name} has another value"
    return None


def look_at_newer(path: Path, _: list[tuple[object, ...]], generator: random.Random) -> str | None:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    readonly = generator.random() < 0.5
    try:
        Store(path, readonly=readonly, clock=clock).close()
    except NewerFormatError:
        after = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        return None if after == before else "it was refused and changed"
    except KVError as error:
        return f"it was refused as {type(error).__name__}"
    return "it was opened"


CAMPAIGN = Campaign(
    name="formats",
    promise="Files of every published format open with all that is in them; newer ones are refused untouched",
    unit="files",
    run=run,
    ci=60,
    nightly=2_000,
    release=10_000,
    twins=(NEWER_ACCEPTED,),
    twin=60,
)
