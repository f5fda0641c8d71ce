"""Opening of the store that a command names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlitedict_kv.cli.exit_status import NotFoundError
from sqlitedict_kv.engines.address import scheme_of
from sqlitedict_kv.errors import StoreNotFoundError
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.options import MEMORY, StoreOptions
from sqlitedict_kv.store import Store


@contextmanager
def open_store(
    address: str,
    *,
    writes: bool = False,
    creates: bool = False,
    quarantines: bool = False,
    timeout: float | None = None,
) -> Iterator[Store]:
    """Open a store, and close it when the block ends.

    Args:
        address: a path, or the address of servers.
        writes: whether the command writes; it is opened for reading otherwise.
        creates: whether a file that is missing is made.
        quarantines: whether a damaged file is moved aside.
        timeout: seconds to wait for others; None is as long as usual.
    """
    if address == MEMORY:
        raise ValueError("STORE must be a file or servers: memory would be empty, and lost at the end of the command")
    is_new = scheme_of(address) is None and not os.path.lexists(address)
    if is_new and not creates:
        raise StoreNotFoundError(f"there is no file {address}")
    options: StoreOptions = {"readonly": not writes}
    if timeout is not None:  # given beside an address that carries one, it would be an error
        options["timeout"] = timeout
    if quarantines:
        options["on_corrupt"] = "quarantine"
    with Store(address, **options) as store:
        if store.quarantined is not None:
            sys.stderr.write(f"{address} was damaged; it lies at {store.quarantined.path} now\n")
        if is_new:
            sys.stderr.write(f"{address} was made\n")
        yield store


def is_file(address: str) -> bool:
    """Return whether an address is that of a file."""
    return scheme_of(address) is None


def existing(store: Store, name: str) -> Namespace[str, Any]:
    """Return a namespace that has entries.

    Raises:
        NotFoundError: it has none; the error names those that have.
    """
    namespace = store.ns(name)
    if not namespace:
        raise NotFoundError(missing_namespace(store, name))
    return namespace


def missing_namespace(store: Store, name: str) -> str:
    """Return the sentence about a namespace without entries."""
    from difflib import get_close_matches  # noqa: PLC0415 - for a mistake only

    names = store.namespaces()
    near = get_close_matches(name, names, 3) or names[:5]
    hint = f"; there are {', '.join(map(repr, near))}" if near else "; the store is empty"
    return f"there is no namespace {name!r} with entries{hint}"
