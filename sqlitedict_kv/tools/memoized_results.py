"""Results of memoized functions in a store, by function, version and body, and their removal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlitedict_kv.errors import KVError
from sqlitedict_kv.memoization.identity import CODE_MARK
from sqlitedict_kv.memoization.result_store import EXCEPTION_MARK, STALE_MARK, lease_namespace, note_namespace
from sqlitedict_kv.operations.optional import require_tagging
from sqlitedict_kv.operations.usage import EntrySummary
from sqlitedict_kv.store import Store
from sqlitedict_kv.tools.summaries import walk_summaries
from sqlitedict_kv.validation import check_tag

RESULTS = "memoize"  # the namespace of store.memoize
FORGOTTEN_AT_ONCE = 500
Cut = Callable[[Iterator[EntrySummary[str]]], Iterator[EntrySummary[str]]]
# A mark, the name, the version or the digest of the code, the arguments.
KEY = re.compile(rf"([{EXCEPTION_MARK}{STALE_MARK}]?)([^@(]+)(@[^(]*)?\((.*)\)", re.DOTALL)


class Call(NamedTuple):
    """What is kept of a call.

    Attributes:
        key: the key of its result.
        function: the name of module and function.
        version: the version of the function, ``"~"`` and the digest of its code where that counts, or nothing.
        arguments: as they are in the key; beginnings, lengths and a digest where they are long.
        kind: ``"result"``, ``"exception"``, or ``"stale"``, which is a copy that outlives its result.
        size: bytes.
        updated_at: when it was written.
        expires_at: when it expires; None is never.
    """

    key: str
    function: str
    version: str
    arguments: str
    kind: str
    size: int
    updated_at: datetime
    expires_at: datetime | None


class FunctionResults(NamedTuple):
    """What is kept of one version, or one body, of a function.

    Attributes:
        function: the name of module and function.
        version: as for :class:`Call`.
        former: whether the code of the function has changed since: another body was noted later.
        entries: how many results, exceptions and copies there are.
        size: their bytes.
        oldest: when the first of them was written.
        newest: when the last of them was written.
    """

    function: str
    version: str
    former: bool
    entries: int
    size: int
    oldest: datetime
    newest: datetime


KINDS = {"": "result", EXCEPTION_MARK: "exception", STALE_MARK: "stale"}


def walk_calls(store: Store, namespace: str = RESULTS, function: str | None = None, cut: Cut = iter) -> Iterator[Call]:
    """Yield what is kept of calls, of all functions or of one; other entries of the namespace are passed over.

    *cut* may end the walk through the entries early.
    """
    prefixes = [""] if function is None else [mark + function for mark in KINDS]
    for prefix in prefixes:
        for found in cut(walk_summaries(store, namespace, prefix)):
            call = _call_of(found.key, found.size, found.updated_at, found.expires_at)
            if call is not None and function in (None, call.function):
                yield call


def _call_of(key: str, size: int, updated_at: datetime, expires_at: datetime | None) -> Call | None:
    match = KEY.fullmatch(key)
    if match is None:
        return None
    mark, function, version, arguments = match.groups()
    base = key[len(mark) :]
    return Call(base, function, (version or "")[1:], arguments, KINDS[mark], size, updated_at, expires_at)


def list_functions(store: Store, namespace: str = RESULTS, cut: Cut = iter) -> list[FunctionResults]:
    """Return what is kept of functions, of each version and each body, in the order of their names.

    *cut* may end the walk through the entries early.
    """
    latest = _latest_bodies(store, namespace)
    found: dict[tuple[str, str], FunctionResults] = {}
    for call in walk_calls(store, namespace, cut=cut):
        name, known = (call.function, call.version), found.get((call.function, call.version))
        if known is None:
            former = is_former(call, latest)
            found[name] = FunctionResults(*name, former, 1, call.size, call.updated_at, call.updated_at)
        else:
            found[name] = known._replace(
                entries=known.entries + 1,
                size=known.size + call.size,
                oldest=min(known.oldest, call.updated_at),
                newest=max(known.newest, call.updated_at),
            )
    return [found[name] for name in sorted(found)]


def is_former(call: Call, latest: dict[str, str]) -> bool:
    """Return whether a call is of a body that is not the one noted last."""
    body = latest.get(call.function)
    return body is not None and call.version in ("", *_others(call.version, body))


def _others(version: str, body: str) -> tuple[str, ...]:
    return (version,) if version.startswith(CODE_MARK[1:]) and version != body else ()


def _latest_bodies(store: Store, namespace: str) -> dict[str, str]:
    """Return the version of the body that was noted last, by function."""
    latest: dict[str, str] = {}
    for function, notes in store.ns(note_namespace(namespace)).items():
        if isinstance(notes, dict) and notes:
            digest = max(notes, key=lambda body: notes[body])
            latest[function] = f"{CODE_MARK[1:]}{digest}"
    return latest


def find_calls(
    store: Store,
    namespace: str = RESULTS,
    *,
    function: str | None = None,
    version: str | None = None,
    arguments: str | None = None,
    before: datetime | None = None,
    former: bool = False,
    tag: str | None = None,
) -> Iterator[Call]:
    """Yield what is kept of calls that fit all that is given.

    Args:
        store: the store.
        namespace: that of the results.
        function: the name of module and function.
        version: a version, or ``"~"`` and the digest of a body.
        arguments: as they are in the key.
        before: written before that.
        former: of bodies that the function does not have any more.
        tag: one of the tags of the result.
    """
    latest = _latest_bodies(store, namespace) if former else {}
    tests: list[Callable[[Call], bool]] = []
    if version is not None:
        tests.append(lambda call: call.version == version)
    if arguments is not None:
        tests.append(lambda call: call.arguments == arguments)
    if before is not None:
        tests.append(lambda call: call.updated_at < before)
    if former:
        tests.append(lambda call: is_former(call, latest))
    calls = (call for call in walk_calls(store, namespace, function) if all(test(call) for test in tests))
    yield from calls if tag is None else _with_tag(store, namespace, calls, check_tag(tag))


def _with_tag(store: Store, namespace: str, calls: Iterator[Call], tag: str) -> Iterator[Call]:
    marks = {kind: mark for mark, kind in KINDS.items()}
    engine = require_tagging(store._engine)  # noqa: SLF001 - below the codecs
    while batch := {marks[call.kind] + call.key: call for call in islice(calls, FORGOTTEN_AT_ONCE)}:
        tagged = {key: version for key, (version, tags) in engine.tags_of(namespace, [*batch]).items() if tag in tags}
        for key, record in engine.read_many(namespace, [*tagged]).items():
            if record.version == tagged[key]:
                yield batch[key]


def forget_calls(store: Store, calls: Iterable[Call], namespace: str = RESULTS) -> int:
    """Remove all that is kept of calls, and the leases of their computations, whose results will not be kept.

    Return how many entries went.
    """
    results, leases, removed = store.ns(namespace), _leases(store, namespace), 0
    remaining = iter(calls)
    while batch := list(islice(remaining, FORGOTTEN_AT_ONCE)):
        keys = list(dict.fromkeys(call.key for call in batch))
        leases(keys)
        removed += results.delete_many([mark + key for key in keys for mark in KINDS])
    return removed


def _leases(store: Store, namespace: str) -> Callable[[list[str]], Any]:
    """Return a function that removes leases; a namespace of so long a name has none."""
    try:
        return store.ns(lease_namespace(namespace)).delete_many
    except (KVError, ValueError):
        return len


def is_call(key: str) -> bool:
    """Return whether a key looks like that of the result of a call."""
    return KEY.fullmatch(key) is not None
