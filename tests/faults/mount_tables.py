"""Mount tables: on a network or virtual file system a store is refused, unless the caller insists.

The tables are made by mounting, so that it is known for each directory what a walk down to it would find.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from unittest.mock import patch

from sqlitedict_kv import KVError, Store, UnsafeFilesystemError
from sqlitedict_kv.engines.sqlite.files import filesystems, location
from tests.faults.campaign import Campaign, Round, UnavailableError

GATE_OFF = "gate off"
SAFE = ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "ramfs", "squashfs")
UNSAFE = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "virtiofs",
    "fuse",
    "fuse.sshfs",
    "fuse.rclone",
    "fuseblk",
    "vboxsf",
    "drvfs",
)
NAMES = ("data", "a b", "tab\there", "back\\slash", "é", "x", "data2", "line\nbreak", "#", "\u3000", "v\x0bt", "\u2028")


class Tree:
    """Directories with mounts on them, as a kernel keeps them."""

    def __init__(self, generator: random.Random, kind: str) -> None:
        self._generator = generator
        self._numbers = iter(range(22, 10**6))
        self.rows: list[str] = []
        self._over: dict[tuple[int, str], int] = {}  # a mount and a directory in it: what is mounted there
        self.kinds: dict[int, str] = {}
        self._root = self._add(1, "/", kind)

    def _add(self, parent: int, point: str, kind: str) -> int:
        number = next(self._numbers)
        escaped = "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in point)
        options = self._generator.choice(("", "shared:1 ", "master:5 propagate_from:2 "))
        root = self._generator.choice(("/", "/", "/some/where"))  # a bind mount shows a directory of another one
        self.rows.append(f"{number} {parent} 0:{number} {root} {escaped} rw,relatime {options}- {kind} source rw")
        self.kinds[number] = kind
        self._over[parent, point] = number
        return number

    def mount(self, point: str, kind: str) -> None:
        self._add(self.at(point), point, kind)

    def at(self, path: str) -> int:
        """Return the mount that a walk down to a path ends in."""
        current, place = self._root, ""
        for part in [part for part in path.split("/") if part]:
            place += "/" + part
            while (current, place) in self._over:
                current = self._over[current, place]
        return current


def run(round_: Round) -> None:
    """Open stores in directories of made-up tables."""
    if os.name != "posix":
        raise UnavailableError("mount tables are those of Linux")
    generator = random.Random(round_.seed)
    gate = patch.object(
        location, "unsafe_type", (lambda _: None) if round_.sabotage == GATE_OFF else filesystems.unsafe_type
    )
    table = round_.directory / "mountinfo"
    top = os.path.realpath(round_.directory / "top")
    given = [
        patch.object(function, "__defaults__", (str(table),))
        for function in (filesystems.type_of, filesystems.unsafe_type)
    ]
    with gate, given[0], given[1]:
        for _ in range(round_.size):
            problem = attempt(top, table, generator)
            if problem:
                round_.fail(problem)
            round_.count("mount tables")


def attempt(top: str, table: Path, generator: random.Random) -> str | None:
    tree = Tree(generator, generator.choice(SAFE + UNSAFE[:2]))
    places = [top, *(os.path.join(top, *generator.choices(NAMES, k=depth)) for depth in (1, 1, 2, 2, 3))]
    for _ in range(generator.randrange(1, 7)):
        tree.mount(generator.choice([*places, os.path.dirname(top)]), generator.choice(SAFE + UNSAFE))
    table.write_text("\n".join(tree.rows) + "\n", encoding="utf-8")
    path = os.path.join(generator.choice(places), generator.choice(("store.db", "deep/store.db")))
    kind = tree.kinds[tree.at(os.path.dirname(path))]
    there = os.path.exists(path)
    for insist in (False, True):
        refused = None
        try:
            with Store(path, allow_unsafe_filesystem=insist) as store:
                store.ns("n").incr("k")
        except UnsafeFilesystemError as error:
            refused = str(error)
        except KVError as error:
            return f"{type(error).__name__} on {kind}: {error}"
        if (refused is not None) != (kind in UNSAFE and not insist):
            mounted = "\n".join(tree.rows)
            return f"a store on {kind} was {'refused' if refused else 'opened'}: {path!r} of\n{mounted}"
        if refused and (f"type {kind}," not in refused or os.path.exists(path) != there):
            return f"a store on {kind} was refused, and changed or not named: {refused}"
    return None


CAMPAIGN = Campaign(
    name="mounts",
    promise="A store on a network or virtual file system is refused untouched, unless the caller insists",
    unit="mount tables",
    run=run,
    ci=200,
    nightly=5_000,
    release=20_000,
    twins=(GATE_OFF,),
    twin=50,
)
