"""Value files of one store: written, entered into the database by a transaction, and read again."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any, TypeVar

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.codecs.file_reference import FILE, NAME, BadReferenceError, FileReference, parse_reference
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.session import in_transaction
from sqlitedict_kv.engines.sqlite.value_files import catalog, mapping, reading, streams, writing
from sqlitedict_kv.engines.sqlite.value_files.catalog import KnownFile
from sqlitedict_kv.engines.sqlite.value_files.folder import OpenFolder, ValueFolder
from sqlitedict_kv.engines.sqlite.value_files.reaping import Reaper
from sqlitedict_kv.engines.sqlite.value_files.writing import StagedBody, StagedFile, translate_errors
from sqlitedict_kv.errors import DamagedFileError, EntryGoneError, LocationError, MissingFileError, StoreIOError

T = TypeVar("T")

ATTEMPTS = 20  # to read an entry that is overwritten all the time


class StoreFiles:
    """The value files of one store."""

    def __init__(self, database: Database, read: Callable[[str, str], Record | None]) -> None:
        """Belong to a *database* in a file, whose entries *read* returns."""
        self.folder = ValueFolder(os.path.realpath(database.label))
        self.in_use = database.run(catalog.has_files)
        self._database = database
        self._durable = database.durability == "power"
        self._read = read
        self._claimed = False
        self.reaper = Reaper(database, self.folder)

    def maintain(self) -> None:
        """Do a small part of what is due; what fails is tried again later, for the commit before it stands."""
        if self.in_use:
            with contextlib.suppress(OSError):
                self.reaper.maintain()

    # -- writing

    def stage(self, body: bytes | BodyParts, content_type: str) -> tuple[bytes, str]:
        """Write a value to a file; return what stands for it in its entry, and the content type of that."""
        self._database.require_writable()
        self.claim()
        staged, reference = writing.stage(self.folder, body, content_type, durable=self._durable)
        return self._standing_for(staged, len(body), reference)

    def begin(self) -> streams.GrowingFile:
        """Return a file for a value that comes a little at a time."""
        self._database.require_writable()
        self.claim()
        with translate_errors(self.folder.path):
            return streams.GrowingFile(self.folder.path, writing.create(self.folder), durable=self._durable)

    def finish(self, file: streams.GrowingFile, content_type: str) -> tuple[bytes, str]:
        """Return what stands for a value that has come, and the content type of that; as :meth:`stage`."""
        reference = file.finish(content_type)
        return self._standing_for(file.staged, file.size, reference.pack())

    def _standing_for(self, staged: StagedFile, size: int, reference: bytes) -> tuple[bytes, str]:
        stands = StagedBody(reference)
        stands.staged, stands.size, stands.publish = staged, size, self.publish
        self.in_use = True
        return stands, FILE

    def publish(self, cursor: sqlite3.Cursor, body: StagedBody, entry: tuple[str, str]) -> None:
        """Give a file its name and enter it into the table, within the transaction that writes the entry."""
        staged: StagedFile = body.staged
        with translate_errors(self.folder.path), self.folder.opened() as folder:
            _owner_for(cursor, folder)
            staged.publish(folder)
            if self._durable:
                folder.sync()
        catalog.enter(cursor, staged.name, entry, body.size, durable=self._durable)

    def adopt(self, cursor: sqlite3.Cursor, folder: OpenFolder | None, files: Iterable[KnownFile]) -> None:
        """Enter files that are safe in the folder in place of all that are known; None is no folder and no files."""
        if folder is not None:
            _owner_for(cursor, folder)
        if catalog.has_files(cursor):
            catalog.replace(cursor, files)

    def claim(self) -> None:
        """Give the store an id, and its folder the same, also one that was removed under an open store."""
        if not (self._claimed and self.folder.is_claimed()):
            self._claim()

    def _claim(self) -> None:
        """Give the store an id, and its folder the same; both survive a power cut before anything is in the folder."""
        raw = self._database.main.raw
        if get_ident() in self._database.holders.threads or (raw is not None and raw.in_transaction):
            return  # the lock may be ours, and so it would never be had; the next value makes up for it
        with translate_errors(self.folder.path), self.folder.made() as folder:
            owner = self._database.run(catalog.owner_of)
            if owner is None:
                with self._database.aside(durability="power") as cursor:
                    owner = self._database.patiently(
                        lambda: in_transaction(cursor, lambda cursor: _owner_for(cursor, folder))
                    )
            if folder.owner() is None:
                folder.claim(owner)
        self._claimed = True

    # -- reading

    def load(self, codecs: Codecs, namespace: str, key: str, body: bytes) -> Any:
        """Return the value of an entry that is in a file.

        Raises:
            MissingFileError: the file is not there.
            DamagedFileError: the reference or the file is damaged.
            EntryGoneError: the entry was removed meanwhile.
            StoreIOError: the operating system failed to read it.
        """
        return self._load_by(reading.read_file, codecs, namespace, key, body)

    def map(self, codecs: Codecs, namespace: str, key: str, body: bytes) -> Any:
        """Return the value of an entry that is in a file, over the system's memory of the file; errors as of load."""
        return self._load_by(mapping.map_file, codecs, namespace, key, body)

    def _load_by(
        self,
        read: Callable[[ValueFolder, FileReference], memoryview],
        codecs: Codecs,
        namespace: str,
        key: str,
        body: bytes,
    ) -> Any:
        found = self.follow(namespace, key, body, lambda reference: read(self.folder, reference))
        if isinstance(found, Record):
            return codecs.decode(namespace, key, found.body, found.content_type)
        buffer, reference = found
        return codecs.view(namespace, key, buffer, reference.type)

    def read_body(self, namespace: str, key: str, body: bytes) -> tuple[bytes | memoryview, str]:
        """Return the encoded value of an entry that is in a file, and its content type; errors as of :meth:`load`."""
        found = self.follow(namespace, key, body, lambda reference: reading.read_file(self.folder, reference))
        if isinstance(found, Record):
            return found.body, found.content_type
        buffer, reference = found
        return buffer, reference.type

    def open(self, namespace: str, key: str, body: bytes) -> streams.VerifiedFile | io.BytesIO:
        """Return the encoded value of an entry that is in a file as a raw stream.

        Errors as of :meth:`load`.
        """
        found = self.follow(namespace, key, body, lambda reference: reading.open_file(self.folder, reference))
        if isinstance(found, Record):
            return io.BytesIO(found.body)
        descriptor, reference = found
        return streams.VerifiedFile(descriptor, reference, (namespace, key))

    def verify(self, namespace: str, key: str, body: bytes) -> None:
        """Read the file of an entry a little at a time, and compare its checksums; errors as of :meth:`load`."""
        with contextlib.suppress(EntryGoneError):
            self.follow(namespace, key, body, lambda reference: reading.verify_file(self.folder, reference))

    def follow(
        self, namespace: str, key: str, body: bytes, read: Callable[[FileReference], T]
    ) -> tuple[T, FileReference] | Record:
        """Return what *read* returns of the file of an entry, with the reference, or the entry if it has none by now.

        A file is removed soon after its entry was written again, so where there is none the entry is read again.
        """
        self.in_use = True
        for _ in range(ATTEMPTS):
            try:
                reference = parse_reference(body)
                return read(reference), reference
            except FileNotFoundError:
                record = self._read(namespace, key)
                if record is None:
                    raise EntryGoneError(namespace, key, "it was removed while it was read") from None
                if record.content_type != FILE:
                    return record
                if record.body == body:
                    raise self._missing(namespace, key, reference) from None
                body = record.body
            except (BadReferenceError, reading.FileDamageError, LocationError) as error:
                raise DamagedFileError(namespace, key, str(error)) from None
            except OSError as error:
                raise StoreIOError(
                    f"{self.folder.path}: the operating system failed to read a value: {error}"
                ) from error
        raise EntryGoneError(namespace, key, "it was overwritten each time that it was read")

    def _missing(self, namespace: str, key: str, reference: FileReference) -> MissingFileError:
        folder = os.path.basename(self.folder.path)
        if os.path.isdir(self.folder.path):
            return MissingFileError(namespace, key, f"its file {reference.file} is not in {folder}")
        return MissingFileError(
            namespace,
            key,
            f"its value is in {folder}, which is not here: copy that folder too, or use store.backup() "
            f"(Store(..., files_above=None) keeps all in one file)",
        )


def _owner_for(cursor: sqlite3.Cursor, folder: OpenFolder) -> str:
    """Return the id of the store, within a transaction that can give it one; raise LocationError for a strange folder.

    It is that of the folder if a transaction was never committed after the folder was claimed.
    """
    owner, found = catalog.prepare(cursor), folder.owner()
    if owner is None and (found is None or not any(NAME.fullmatch(name) for name in folder.names())):
        return catalog.set_owner(cursor, found)
    if owner is None or found not in (None, owner):
        raise LocationError(
            f"{folder.path} holds the large values of another store, perhaps of one that was deleted; "
            f"move that folder away, or put the database that belongs to it back"
        )
    return owner
