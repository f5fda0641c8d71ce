"""A disk that forgets: what may be left of recorded calls after a power cut.

What was synced is there. Of what was not, each write may be there or not, whatever came before or after it, whole or
in some of its sectors; a sector that the power cut hit may hold rubbish; a new size may be there without what was
written into it; and names were made, removed and changed only if their directory was synced.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from random import Random

from tests.faults.syscalls import Event

SECTOR = 512


@dataclass
class File:
    """The content that is safe, and the calls that are not: (offset, bytes), or (size, None) to truncate."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        """Make everything safe."""
        for change in self.pending:
            _apply(self.safe, change)
        self.pending.clear()

    def lose(self, random: Random) -> None:
        """Fail to sync: some of it was written, the rest never will be, for its pages count as clean now."""
        for change in self.pending:
            if random.random() < 0.5:
                _apply(self.safe, change)
        self.pending.clear()

    def after(self, random: Random) -> bytes:
        """Return what may be found after a power cut."""
        content = bytearray(self.safe)
        kept = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        way = random.choice(("prefix", "calls", "sectors"))
        if way == "prefix":
            for change in self.pending[: random.randint(0, len(self.pending))]:
                _apply(content, change)
            return bytes(content)
        for offset, data in self.pending:
            if data is None or way == "calls":
                if random.random() < kept:
                    _apply(content, (offset, data))
                continue
            _apply_sectors(content, offset, data, random, kept)
        if way == "sectors" and random.random() < 0.2:
            self._spoil(content, random)
        return bytes(content)

    def _spoil(self, content: bytearray, random: Random) -> None:
        """Put rubbish into one sector that was being written."""
        writes = [(offset, data) for offset, data in self.pending if data]
        if not writes:
            return
        offset, data = random.choice(writes)
        # A sector that was written in part keeps the rest: https://www.sqlite.org/psow.html
        position = offset + random.randrange(0, len(data), SECTOR)
        size = min(SECTOR - position % SECTOR, offset + len(data) - position)
        if position + size <= len(content):
            content[position : position + size] = random.randbytes(size)


def _apply(content: bytearray, change: tuple[int, bytes | None]) -> None:
    offset, data = change
    if data is None:
        if offset < len(content):
            del content[offset:]
        else:
            content.extend(bytes(offset - len(content)))
        return
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _apply_sectors(content: bytearray, offset: int, data: bytes, random: Random, kept: float) -> None:
    position = offset
    while position < offset + len(data):
        end = min(offset + len(data), position - position % SECTOR + SECTOR)
        if random.random() < kept:
            _apply(content, (position, data[position - offset : end - offset]))
        position = end


class Disk:
    """The files of one directory as a disk has them, from the calls that were recorded."""

    def __init__(self, random: Random, *, lies: bool = False) -> None:
        """Begin empty; a disk that *lies* acknowledges syncs and makes none."""
        self._random = random
        self._lies = lies
        self._files: dict[int, File] = {}  # by inode
        self._names: dict[str, File] = {}  # that are safe
        self._renames: list[tuple[str, str, File]] = []  # (old name, new name, file) where one of the names may be ""
        self._current: dict[str, File] = {}  # as the processes see it

    def apply(self, event: Event) -> None:
        """Do what a process did."""
        name = os.path.basename(event.text)
        if name.endswith("-shm"):  # memory that processes share; SQLite begins it again
            return
        match event.kind:
            case "create":
                file = self._files[event.inode] = File()
                self._current[name] = file
                self._renames.append(("", name, file))
            case "write":
                self._files[event.inode].pending.append((event.offset, event.data))
            case "truncate":
                self._files[event.inode].pending.append((event.offset, None))
            case "sync" if event.failed:
                self._files[event.inode].lose(self._random)
            case "sync" if not self._lies:
                self._files[event.inode].sync()
            case "dirsync" if not self._lies and not event.failed:
                self._names = dict(self._current)
                self._renames.clear()
            case "unlink":
                self._renames.append((name, "", self._current.pop(name)))
            case "rename":
                new = os.path.basename(os.fsdecode(event.data))
                file = self._current[new] = self._current.pop(name)
                self._renames.append((name, new, file))

    def after(self, random: Random) -> dict[str, bytes]:
        """Return the names and contents that may be found after a power cut at this moment."""
        names = dict(self._names)
        kept = random.choice((0.0, 0.5, 1.0, 1.0))
        for old, new, file in self._renames:
            if random.random() < kept:
                names.pop(old, None)
                if new:
                    names[new] = file
        contents = {id(file): file.after(random) for file in names.values()}
        return {name: contents[id(file)] for name, file in names.items()}
