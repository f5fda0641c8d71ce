"""A whole engine on a plain dict, as a third party would write it: with the public protocol and nothing else.

What it lacks (the order of creation, transactions that stay open, copies, limits) it does not define.
"""

from __future__ import annotations

from threading import RLock

from sqlitedict_kv.engines.protocol import Capabilities, Change, Check, Delete, Figures, Put, Touch
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.spec import EngineSpec
from sqlitedict_kv.errors import ConflictError, ReadOnlyError, StoreClosedError

WRITES_PER_SWEEP = 16  # expired entries leave as part of ordinary writes
CAPABILITIES = Capabilities(atomic_across_namespaces=True, exact_len=True, ordered=True, durable=False)
PLACES: dict[str, ToyEngine] = {}  # by the name in the address; "toy://" alone is private


class ToyEngine:
    capabilities = CAPABILITIES

    def __init__(self, name: str, *, readonly: bool = False) -> None:
        shared = PLACES.setdefault(name, self) if name else self
        self.label = f"toy://{name}"
        self._readonly = readonly
        self._lock = RLock() if shared is self else shared._lock
        self._spaces = {} if shared is self else shared._spaces  # records by namespace and key
        self._floors = {} if shared is self else shared._floors  # the highest version that each namespace removed
        self._purged = self._writes = 0

    # -- reading

    def _space(self, namespace):
        if self._spaces is None:
            raise StoreClosedError(f"the store at {self.label} is closed")
        return self._spaces.setdefault(namespace, {})

    def read_value(self, namespace, key):
        record = self._space(namespace).get(key)
        return None if record is None else (record.body, record.content_type, record.expires_at, None)

    def read(self, namespace, key):
        return self._space(namespace).get(key)

    def read_many(self, namespace, keys):
        with self._lock:
            return {key: self._space(namespace)[key] for key in keys if key in self._space(namespace)}

    def records(self, span, limit, now):
        with self._lock:
            found = sorted(self._space(span.namespace).items(), reverse=span.reverse)  # str sorts as its UTF-8 does
        after = span.after
        return [
            (key, record)
            for key, record in found
            if key.startswith(span.prefix)
            and record.is_live(now)
            and (after is None or (key < after if span.reverse else key > after))
        ][:limit]

    def keys(self, span, limit, now):
        return [key for key, _ in self.records(span, limit, now)]

    def count(self, namespace, now):
        with self._lock:
            live = [record.is_live(now) for record in self._space(namespace).values()]
        return sum(live), len(live) - sum(live)

    def namespaces(self, now):
        self._space("")
        with self._lock:
            return sorted(name for name in self._spaces if self.count(name, now)[0])

    # -- writing

    def put(self, namespace, key, body, content_type, expires_at, now):
        return self.commit([Put(namespace, key, body, content_type, expires_at)], now)[0]

    def put_many(self, edits, now, advance=None):
        return dict(zip([edit.key for edit in edits], self.commit(edits, now), strict=True))

    def commit(self, edits, now):
        self._refuse_if_readonly()
        undo = []
        with self._lock:
            try:
                versions = [self._apply(edit, now, undo) for edit in edits]
            except BaseException:
                for space, key, before in reversed(undo):
                    space.pop(key, None) if before is None else space.update({key: before})
                raise
            self._writes += len(edits)
            if self._writes >= WRITES_PER_SWEEP:
                self._writes = 0
                self.purge_expired(None, None, now)
        return versions

    def _refuse_if_readonly(self):
        self._space("")
        if self._readonly:
            raise ReadOnlyError(f"{self.label} was opened with readonly=True")

    def _apply(self, edit, now, undo):
        namespace, key = edit.namespace, edit.key
        space = self._space(namespace)
        before = space.get(key)
        live = before if before is not None and before.is_live(now) else None
        version = live.version if live else None
        if isinstance(edit, Change):
            return self._apply(edit.function(live), now, undo)
        if not isinstance(edit, Touch) and edit.expected is not None and edit.expected != (version or 0):
            raise ConflictError(namespace, key, expected=edit.expected, actual=version)
        if isinstance(edit, Check):
            return version
        undo.append((space, key, before))
        if isinstance(edit, Put):
            version = 1 + (before.version if before else self._floors.get(namespace, 0))
            space[key] = Record(edit.body, edit.content_type, version, edit.expires_at, now)
        elif isinstance(edit, Delete) and live:
            self._remove(namespace, key)
        elif isinstance(edit, Delete) and edit.required:
            raise KeyError(key)
        elif isinstance(edit, Touch) and live and not (edit.expiring and live.expires_at is None):
            space[key] = live._replace(expires_at=edit.expires_at)
        elif isinstance(edit, Touch):
            return None
        return version

    def _remove(self, namespace, key):
        version = self._spaces[namespace].pop(key).version
        self._floors[namespace] = max(version, self._floors.get(namespace, 0))

    def clear(self, namespace, now):
        self.drop(namespace, now)

    def drop(self, namespace, now, advance=None):
        self._refuse_if_readonly()
        with self._lock:
            live, expired = self.count(namespace, now)
            for key in list(self._space(namespace)):
                self._remove(namespace, key)
        if advance is not None:
            advance(live + expired)
        return live

    def purge_expired(self, namespace, limit, now):
        self._refuse_if_readonly()
        with self._lock:
            names = list(self._spaces) if namespace is None else [namespace]
            gone = [(name, key) for name in names for key, one in self._space(name).items() if not one.is_live(now)]
            for name, key in gone[:limit]:
                self._remove(name, key)
        self._purged += len(gone[:limit])
        return len(gone[:limit])

    # -- the engine as a whole

    def figures(self, now):
        self._space("")
        with self._lock:
            counts = [self.count(name, now) for name in list(self._spaces)]
        live, expired = sum(one for one, _ in counts), sum(gone for _, gone in counts)
        size = sum(len(one.body) for space in self._spaces.values() for one in space.values())
        return Figures(live, expired, len(self.namespaces(now)), size, 0, 0, self._purged, "a dict", "nothing")

    def close(self):
        self._spaces = None


SPEC = EngineSpec(
    name="a dict",
    schemes=("toy",),
    options={"readonly": bool, "timeout": float},
    open=lambda target, options: ToyEngine(target.removeprefix("toy://"), readonly=options["readonly"]),
)
