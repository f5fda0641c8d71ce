"""A disk that forgets: what may be left of recorded calls after a power cut.

What was synced is there. Of what was not, each write may be there or not, whatever came before or after it, whole or
in some of its sectors; a sector that the power cut hit may hold rubbish; and a new size may be there without what was
written into it, which then is zero. A sync of a file keeps its content, and no name of it. Names that were made,
removed and changed are safe when their directory was synced; of the others there may be those that came first, as with
a file system that has a journal, or any. A directory is a name like any other: if it is lost, so is all below it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.faults.syscalls import Event

SECTOR = 512
BLOCK = 4096


@dataclass(eq=False)
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

    def now(self) -> bytes:
        """Return what a process reads."""
        content = bytearray(self.safe)
        for change in self.pending:
            _apply(content, change)
        return bytes(content)

    def after(self, random: Random) -> bytes:
        """Return what may be found after a power cut."""
        content = bytearray(self.safe)
        kept = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        way = random.choice(("prefix", "calls", "sectors", "size"))
        if way == "prefix":
            for change in self.pending[: random.randint(0, len(self.pending))]:
                _apply(content, change)
            return bytes(content)
        if way == "size":
            self._grow(content)
        for offset, data in self.pending:
            if data is None or way == "calls":
                if random.random() < kept:
                    _apply(content, (offset, data))
                continue
            _apply_pieces(content, offset, data, BLOCK if way == "size" else SECTOR, random, kept)
        if way == "sectors" and random.random() < 0.2:
            self._spoil(content, random)
        return bytes(content)

    def _grow(self, content: bytearray) -> None:
        """Give the content the size that the file had, where that is larger: its new blocks hold nothing yet."""
        size = len(content)
        for offset, data in self.pending:
            size = offset if data is None else max(size, offset + len(data))
        if size > len(content):
            content.extend(bytes(size - len(content)))

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


def _apply_pieces(content: bytearray, offset: int, data: bytes, size: int, random: Random, kept: float) -> None:
    position = offset
    while position < offset + len(data):
        end = min(offset + len(data), position - position % size + size)
        if random.random() < kept:
            _apply(content, (position, data[position - offset : end - offset]))
        position = end


@dataclass(eq=False)
class Directory:
    """The names that are safe, and those that the processes see."""

    safe: dict[str, File | Directory] = field(default_factory=dict)
    seen: dict[str, File | Directory] = field(default_factory=dict)


class Change(NamedTuple):
    """Names that went and came in one step, each in its directory."""

    gone: tuple[Directory, str] | None
    come: tuple[Directory, str, File | Directory] | None

    def concerns(self, directory: Directory) -> bool:
        """Whether the directory is one of those that were changed."""
        return any(end is not None and end[0] is directory for end in self)


Tree = dict[int, dict[str, File | Directory]]  # names, by the id of their directory
Found = dict[str, bytes | None]  # contents by path; None is a directory


class Disk:
    """A directory and all below it as a disk has them, from the calls that were recorded."""

    def __init__(self, random: Random, *, lies: bool = False) -> None:
        """Begin empty; a disk that *lies* acknowledges syncs and makes none."""
        self._random = random
        self._lies = lies
        self._root = Directory()
        self._directories = [self._root]  # all that there ever were
        self._nodes: dict[int, File | Directory] = {}  # by inode
        self._pending: list[Change] = []  # of names

    def apply(self, event: Event) -> None:
        """Do what a process did."""
        if event.text.endswith("-shm"):  # memory that processes share; SQLite begins it again
            return
        match event.kind:
            case "write":
                self._file(event.inode).pending.append((event.offset, event.data))
            case "truncate":
                self._file(event.inode).pending.append((event.offset, None))
            case "sync" if event.failed:
                self._file(event.inode).lose(self._random)
            case "sync" if not self._lies:
                self._file(event.inode).sync()
            case "dirsync" if not self._lies and not event.failed:
                self._sync_names(event.text)
            case "create nameless":
                self._nodes[event.inode] = File()
            case _:
                self._rename(event)

    def _rename(self, event: Event) -> None:
        match event.kind:
            case "create":
                self._nodes[event.inode] = File()
                self._change(None, event.text, self._nodes[event.inode])
            case "mkdir":
                self._nodes[event.inode] = made = Directory()
                self._directories.append(made)
                self._change(None, event.text, made)
            case "link":
                self._change(None, event.text, self._nodes[event.inode])
            case "unlink":
                self._change(event.text, None, None)
            case "rename":
                new = os.fsdecode(event.data)
                if self._at(new) is not self._at(event.text):  # two names of one file: nothing happens
                    self._change(event.text, new, self._at(event.text))

    def _change(self, old: str | None, new: str | None, node: File | Directory | None) -> None:
        """Let a name go and another one come, which the processes see at once."""
        gone = come = None
        if old is not None:
            directory, name = self._split(old)
            del directory.seen[name]
            gone = (directory, name)
        if new is not None and node is not None:
            directory, name = self._split(new)
            directory.seen[name] = node
            come = (directory, name, node)
        self._pending.append(Change(gone, come))

    def _sync_names(self, path: str) -> None:
        directory = self._root if not path else self._at(path)
        if not isinstance(directory, Directory):
            raise TypeError(f"{path!r} is no directory")
        safe = {id(each): each.safe for each in self._directories}
        for change in [change for change in self._pending if change.concerns(directory)]:
            _take(safe, change)
            self._pending.remove(change)

    def _file(self, inode: int) -> File:
        file = self._nodes[inode]
        if not isinstance(file, File):
            raise TypeError(f"inode {inode} is a directory")
        return file

    def _split(self, path: str) -> tuple[Directory, str]:
        *parents, name = path.split("/")
        directory = self._root if not parents else self._at("/".join(parents))
        if not isinstance(directory, Directory):
            raise TypeError(f"{path!r} is in no directory")
        return directory, name

    def _at(self, path: str) -> File | Directory | None:
        node: File | Directory | None = self._root
        for name in path.split("/"):
            node = node.seen.get(name) if isinstance(node, Directory) else None
        return node

    def now(self) -> Found:
        """Return the paths and contents that the processes see."""
        names = {id(each): each.seen for each in self._directories}
        return {path: node.now() if isinstance(node, File) else None for path, node in self._walk(self._root, names)}

    def after(self, random: Random) -> Found:
        """Return the paths and contents that may be found after a power cut at this moment."""
        names: Tree = {id(each): dict(each.safe) for each in self._directories}
        kept = random.choice((0.0, 0.5, 1.0, 1.0))
        in_order = random.random() < 0.5
        first = random.randint(0, len(self._pending)) if kept == 0.5 else round(kept * len(self._pending))
        for number, change in enumerate(self._pending):
            if number < first if in_order else random.random() < kept:
                _take(names, change)
        found = list(self._walk(self._root, names))
        # Once for all names of one file.
        contents = {id(node): node.after(random) for _, node in found if isinstance(node, File)}
        return {path: contents.get(id(node)) for path, node in found}

    def _walk(self, directory: Directory, names: Tree, prefix: str = "") -> Iterator[tuple[str, File | Directory]]:
        for name, node in names[id(directory)].items():
            yield prefix + name, node
            if isinstance(node, Directory):
                yield from self._walk(node, names, f"{prefix}{name}/")


def _take(names: Tree, change: Change) -> None:
    """Make a change in what is there."""
    if change.gone is not None:
        directory, name = change.gone
        names[id(directory)].pop(name, None)
    if change.come is not None:
        directory, name, node = change.come
        names[id(directory)][name] = node


def lay_out(found: Found, directory: Path) -> None:
    """Let a directory hold what was found, and nothing else."""
    for old in directory.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    for path, content in found.items():
        if content is None:
            (directory / path).mkdir(mode=0o700)
        else:
            (directory / path).write_bytes(content)
