"""Inventory of the results of functions in a store, by function, version and body, and their removal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypedDict, Unpack

from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import Delete, KeyRange
from sqlitedict_kv.memoization.identity import CODE_MARK
from sqlitedict_kv.memoization.result_store import EXCEPTION_MARK, STALE_MARK, lease_namespace, note_namespace
from sqlitedict_kv.operations.context import StoreContext, moment
from sqlitedict_kv.operations.optional import require_tagging, tags_of
from sqlitedict_kv.operations.usage import summary_pages
from sqlitedict_kv.validation import Duration, check_duration, check_tag

Cut = Callable[[Iterator[RecordSummary]], Iterator[RecordSummary]]

FORGOTTEN_AT_ONCE = 500
KINDS = {"": "result", EXCEPTION_MARK: "exception", STALE_MARK: "stale"}
# A mark, the name, the version or the digest of the code, the arguments.
KEY = re.compile(rf"([{EXCEPTION_MARK}{STALE_MARK}]?)([^@(]+)(@[^(]*)?\((.*)\)", re.DOTALL)


class KeptCall(NamedTuple):
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
        version: as for :class:`KeptCall`.
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


class CallFilter(TypedDict, total=False):
    """What calls are to be, for type checkers; :meth:`MemoizedResults.calls` says what it means."""

    function: str | None
    version: str | None
    arguments: str | None
    older_than: Duration | None
    former: bool
    tag: str | None


class MemoizedResults:
    """What a store keeps of functions; iterating it gives a :class:`FunctionResults` for each version and body.

    No value is read. Other entries of the namespace are passed over.
    """

    def __init__(self, context: StoreContext, namespace: str, cut: Cut = iter) -> None:
        """Look at a namespace of results, which is checked already; *cut* may end a walk through entries early."""
        self._context = context
        self._namespace = namespace
        self._cut = cut

    def __iter__(self) -> Iterator[FunctionResults]:
        """Yield what is kept of functions, in the order of their names and versions."""
        latest = self._latest_bodies()
        found: dict[tuple[str, str], FunctionResults] = {}
        for call in self.calls():
            name, known = (call.function, call.version), found.get((call.function, call.version))
            if known is None:
                former = _is_former(call, latest)
                found[name] = FunctionResults(*name, former, 1, call.size, call.updated_at, call.updated_at)
            else:
                found[name] = known._replace(
                    entries=known.entries + 1,
                    size=known.size + call.size,
                    oldest=min(known.oldest, call.updated_at),
                    newest=max(known.newest, call.updated_at),
                )
        return iter([found[name] for name in sorted(found)])

    def calls(
        self,
        *,
        function: str | None = None,
        version: str | None = None,
        arguments: str | None = None,
        older_than: Duration | None = None,
        former: bool = False,
        tag: str | None = None,
    ) -> Iterator[KeptCall]:
        """Yield what is kept of calls that fit all that is given.

        Args:
            function: the name of module and function.
            version: a version, or ``"~"`` and the digest of a body.
            arguments: as they are in the key.
            older_than: what was written longer ago: seconds, a timedelta, or text such as ``"30 days"``.
            former: of bodies that the function does not have any more.
            tag: one of those that ``memoize(tags=...)`` gave.

        Raises:
            TypeError, ValueError: an argument is not as described.
            UnsupportedError: *tag* is given, and the engine keeps none.
        """
        if tag is not None:
            check_tag(tag)
            require_tagging(self._context.engine)
        latest = self._latest_bodies() if former else {}
        tests: list[Callable[[KeptCall], bool]] = []
        if version is not None:
            tests.append(lambda call: call.version == version)
        if arguments is not None:
            tests.append(lambda call: call.arguments == arguments)
        if older_than is not None:
            before = moment(self._context.now() - int(check_duration(older_than, "older_than") * 1000))
            tests.append(lambda call: call.updated_at < before)
        if former:
            tests.append(lambda call: _is_former(call, latest))
        return (call for call in self._walk(function, tag) if all(test(call) for test in tests))

    def forget(self, **chosen: Unpack[CallFilter]) -> int:
        """Remove what is kept of calls that fit all that is given, and return how many entries went.

        What is being computed of these calls will not be kept either.

        Raises:
            TypeError: nothing is given; :meth:`Store.drop` removes all.
        """
        if not any(chosen.values()):
            raise TypeError("say what to forget, such as function= or older_than=; store.drop() removes all results")
        return self.forget_calls(self.calls(**chosen))

    def forget_calls(self, calls: Iterable[KeptCall]) -> int:
        """Remove all that is kept of calls which :meth:`calls` gave; see :meth:`forget`."""
        removed, remaining = 0, iter(calls)
        while batch := list(islice(remaining, FORGOTTEN_AT_ONCE)):
            keys = list(dict.fromkeys(call.key for call in batch))
            self._delete(self._leases(), keys)
            removed += self._delete(self._namespace, [mark + key for key in keys for mark in KINDS])
        return removed

    def _delete(self, namespace: str | None, keys: list[str]) -> int:
        if namespace is None:
            return 0
        versions = self._context.engine.commit([Delete(namespace, key) for key in keys], self._context.now())
        return sum(version is not None for version in versions)

    def _leases(self) -> str | None:
        """Return the namespace of the leases; a namespace of so long a name has none."""
        try:
            return lease_namespace(self._namespace)
        except ValueError:
            return None

    def _walk(self, function: str | None, tag: str | None) -> Iterator[KeptCall]:
        for prefix in [""] if function is None else [mark + function for mark in KINDS]:
            for found in self._cut(self._entries(prefix, tag)):
                call = _call_of(found)
                if call is not None and function in (None, call.function):
                    yield call

    def _entries(self, prefix: str, tag: str | None) -> Iterator[RecordSummary]:
        for page in summary_pages(self._context, KeyRange(self._namespace, prefix)):
            now = self._context.now()
            live = [found for found in page if found.is_live(now)]
            yield from live if tag is None else self._tagged(live, tag)

    def _tagged(self, page: list[RecordSummary], tag: str) -> list[RecordSummary]:
        versions = {found.key: found.version for found in page}
        tags = tags_of(self._context.engine, self._namespace, versions) if versions else {}
        return [found for found in page if tag in tags.get(found.key, ())]

    def _latest_bodies(self) -> dict[str, str]:
        """Return the version of the body that was noted last, by function."""
        latest: dict[str, str] = {}
        namespace = note_namespace(self._namespace)
        for page in self._context.pages(KeyRange(namespace)):
            for function, record in page:
                notes = self._context.entry(namespace, function, record).value
                if isinstance(notes, dict) and notes:
                    digest = max(notes, key=lambda body: notes[body])
                    latest[function] = f"{CODE_MARK[1:]}{digest}"
        return latest


def _call_of(found: RecordSummary) -> KeptCall | None:
    match = KEY.fullmatch(found.key)
    if match is None:
        return None
    mark, function, version, arguments = match.groups()
    expires_at = None if found.expires_at is None else moment(found.expires_at)
    return KeptCall(
        found.key[len(mark) :],
        function,
        (version or "")[1:],
        arguments,
        KINDS[mark],
        found.size,
        moment(found.updated_at),
        expires_at,
    )


def is_call(key: str) -> bool:
    """Return whether a key looks like that of the result of a call."""
    return KEY.fullmatch(key) is not None


def _is_former(call: KeptCall, latest: dict[str, str]) -> bool:
    """Return whether a call is of a body that is not the one noted last."""
    body = latest.get(call.function)
    return body is not None and call.version in ("", *_others(call.version, body))


def _others(version: str, body: str) -> tuple[str, ...]:
    return (version,) if version.startswith(CODE_MARK[1:]) and version != body else ()
