"""What happens to the files of a store behind its back."""

from __future__ import annotations

import os

from sqlitedict_kv import Store


def lose_locks(path):
    """What an innocent copy does: closing any descriptor of a file drops the process's locks on it."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        os.close(os.open(name, os.O_RDONLY))


def delete(path):
    os.unlink(path)


def delete_all(path):
    for name in (path, f"{path}-wal", f"{path}-shm"):
        os.unlink(name)


def delete_log(path):
    os.unlink(f"{path}-wal")


def replace(path):
    with Store(f"{path}.new") as other:
        other.ns("n")["other"] = "file"
    os.replace(f"{path}.new", path)


def rename(path):
    os.rename(path, f"{path}.moved")
