"""Any sequence of calls does what a plain dict with versions and deadlines would do.

Set SQLITEDICT_KV_MODEL_EXAMPLES and SQLITEDICT_KV_MODEL_STEPS for a longer search; on servers it is a quarter of that.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sqlitedict_kv import ConflictError, Store
from tests.conftest import VirtualClock, integrity_of

EXAMPLES = int(os.environ.get("SQLITEDICT_KV_MODEL_EXAMPLES", "60"))
STEPS = int(os.environ.get("SQLITEDICT_KV_MODEL_STEPS", "40"))

TICK = 100_000  # nanoseconds: deadlines and times are multiples, finer than the store's milliseconds
MILLISECOND = 1_000_000

SPACES = st.sampled_from(["users", "user", "é"])
KEYS = st.sampled_from(["", "a", "a\0", "aa", "ab", "a%", "a\uffff", "a😀", "b", "\U0010ffff"])
PREFIXES = st.sampled_from(["", "a", "aa", "a\uffff", "\U0010ffff", "x"])
VALUES = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2, width=16).map(lambda number: number + 0.0),
    st.sampled_from([None, True, "text", b"bytes", (), (1, [2]), [1, {"a": None}], {1: 2}, {"k"}, 2**70]),
)
TTLS = st.one_of(st.none(), st.integers(1, 60_000))  # ticks
BATCHES = st.dictionaries(KEYS, VALUES, max_size=5)


class Kept(NamedTuple):
    value: object
    version: int
    expires_at: int | None  # Unix time in milliseconds


def same(ours, theirs):
    """Return whether two values are equal and of the same types, all the way down."""
    return repr(ours) == repr(theirs)


def seconds(ticks):
    return None if ticks is None else ticks * TICK / 10**9


class Model(RuleBasedStateMachine):
    """The model keeps expired entries: whether the store has removed them already cannot be seen."""

    on_file = False
    on_servers = False
    layouts = {}  # of namespaces: the options that they are made with

    def __init__(self):
        super().__init__()
        self.clock = VirtualClock()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "model.db"
        self.kept = {}  # of a namespace: the entries by key
        self.highest = {}  # of a namespace and key: the highest version ever
        self.removed = set()  # namespaces that have lost an entry
        self.where = self.somewhere()
        self.store = self.opened()

    def somewhere(self):
        return str(self.path) if self.on_file else ":memory:"

    def opened(self):
        store = Store(self.where, clock=self.clock)
        for space, layout in self.layouts.items():
            store.ns(space, **layout)
        return store

    def teardown(self):
        self.store.close()
        if self.on_file:
            assert integrity_of(self.path) == ["ok"]
        shutil.rmtree(self.directory)

    # -- the model

    @property
    def now(self):
        return self.clock.nanoseconds // MILLISECOND

    def deadline(self, ticks):
        return None if ticks is None else -(-(self.clock.nanoseconds + ticks * TICK) // MILLISECOND)

    def live(self, space):
        entries = self.kept.get(space, {})
        there = {key: kept for key, kept in entries.items() if kept.expires_at is None or kept.expires_at > self.now}
        return dict(sorted(there.items(), key=lambda item: item[0].encode()))

    def wrote(self, space, key, value, version, expires_at):
        """Note a write, and check that its version is right."""
        highest = self.highest.get((space, key), 0)
        assert version > highest, "a version was used before"
        if self.on_servers:
            pass
        elif key in self.live(space):
            assert version == highest + 1, "a further write adds one"
        elif not highest and space not in self.removed:
            assert version == 1, "the first write gives one"
        self.highest[space, key] = version
        self.kept.setdefault(space, {})[key] = Kept(value, version, expires_at)

    def lost(self, space, key):
        self.removed.add(space)
        del self.kept[space][key]

    def version_there(self, space, key):
        return self.store.ns(space).get_with_meta(key).meta.version

    # -- writing

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS)
    def set(self, space, key, value, ttl):
        version = self.store.ns(space).set(key, value, ttl=seconds(ttl))
        self.wrote(space, key, value, version, self.deadline(ttl))

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS)
    def assign_with_the_ttl_of_the_namespace(self, space, key, value, ttl):
        self.store.ns(space, ttl=seconds(ttl))[key] = value
        self.wrote(space, key, value, self.version_there(space, key), self.deadline(ttl))

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS)
    def add(self, space, key, value, ttl):
        there = key in self.live(space)
        version = self.store.ns(space).add(key, value, ttl=seconds(ttl))
        assert (version is None) == there
        if version is not None:
            self.wrote(space, key, value, version, self.deadline(ttl))

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, offset=st.sampled_from([0, 0, 0, -1, 1, None]))
    def cas_set(self, space, key, value, ttl, offset):
        """Write at the right version, at a stale or future one, or (None) where nothing must be."""
        kept = self.live(space).get(key)
        actual = kept.version if kept else 0
        highest = self.highest.get((space, key), 0)
        expected = 0 if offset is None else max(0, (actual or highest if offset else actual) + offset)
        try:
            version = self.store.ns(space).cas_set(key, value, expected, ttl=seconds(ttl))
        except ConflictError as error:
            assert expected != actual
            assert (error.namespace, error.key, error.expected, error.actual) == (space, key, expected, actual or None)
        else:
            assert expected == actual
            self.wrote(space, key, value, version, self.deadline(ttl))

    @rule(space=SPACES, key=KEYS, ticks=TTLS)
    def touch(self, space, key, ticks):
        there = key in self.live(space)
        assert self.store.ns(space).touch(key, seconds(ticks)) == there
        if there:
            self.kept[space][key] = self.kept[space][key]._replace(expires_at=self.deadline(ticks))

    @rule(space=SPACES, key=KEYS, ticks=TTLS.filter(bool))
    def renew(self, space, key, ticks):
        kept = self.live(space).get(key)
        assert self.store.ns(space).renew(key, seconds(ticks), "absent") == (kept.value if kept else "absent")
        if kept and kept.expires_at is not None:
            self.kept[space][key] = kept._replace(expires_at=self.deadline(ticks))

    @rule(space=SPACES, key=KEYS, delta=st.integers(-3, 3), default=st.integers(-5, 5), ttl=TTLS)
    def incr(self, space, key, delta, default, ttl):
        kept = self.live(space).get(key)
        users = self.store.ns(space, ttl=seconds(ttl))
        if kept and type(kept.value) not in (int, float):
            with pytest.raises(TypeError):
                users.incr(key, delta)
            return
        total = (kept.value if kept else default) + delta
        assert same(users.incr(key, delta, default=default), total)
        expires_at = kept.expires_at if kept else self.deadline(ttl)
        self.wrote(space, key, total, self.version_there(space, key), expires_at)

    @rule(space=SPACES, key=KEYS, default=VALUES)
    def modify(self, space, key, default):
        kept = self.live(space).get(key)
        changed = [kept.value if kept else default]
        assert same(self.store.ns(space).modify(key, lambda value: [value], default=default), changed)
        self.wrote(space, key, changed, self.version_there(space, key), kept.expires_at if kept else None)

    @rule(space=SPACES, key=KEYS, default=VALUES)
    def setdefault(self, space, key, default):
        kept = self.live(space).get(key)
        assert same(self.store.ns(space).setdefault(key, default), kept.value if kept else default)
        if not kept:
            self.wrote(space, key, default, self.version_there(space, key), None)

    @rule(space=SPACES, batch=BATCHES, ttl=TTLS)
    def set_many(self, space, batch, ttl):
        versions = self.store.ns(space).set_many(batch, ttl=seconds(ttl))
        assert list(versions) == list(batch)
        for key, value in batch.items():
            self.wrote(space, key, value, versions[key], self.deadline(ttl))

    @rule(space=SPACES, batch=BATCHES, pairs=st.booleans())
    def update(self, space, batch, pairs):
        self.store.ns(space).update(batch.items() if pairs else batch)
        for key, value in batch.items():
            self.wrote(space, key, value, self.version_there(space, key), None)

    @rule(
        edits=st.lists(st.tuples(st.sampled_from(["set", "delete", "touch", "incr"]), SPACES, KEYS, st.integers(1, 9))),
        check=st.one_of(st.none(), st.tuples(SPACES, KEYS, st.booleans())),
    )
    def atomic(self, edits, check):  # noqa: C901 - one branch per verb
        """Edits of distinct keys, with or without a check that holds or fails."""
        edits, check = self.in_one_step(edits, check)
        edits = list({(space, key): (verb, number) for verb, space, key, number in edits}.items())
        edits = [
            (verb, space, key, number)
            for (space, key), (verb, number) in edits
            if verb != "incr" or type(getattr(self.live(space).get(key), "value", 0)) in (int, float)
        ]
        fails = False
        tx = self.store.atomic()
        try:
            with tx:
                if check:
                    space, key, fails = check
                    kept = self.live(space).get(key)
                    tx.ns(space).check(key, (kept.version if kept else 0) + fails)
                for verb, space, key, number in edits:
                    if verb == "set":
                        tx.ns(space).set(key, number, ttl=seconds(number))
                    elif verb == "touch":
                        tx.ns(space).touch(key, seconds(number))
                    elif verb == "incr":
                        tx.ns(space).incr(key, number)
                    else:
                        tx.ns(space).delete(key)
        except ConflictError:
            assert fails
            return
        assert not fails
        written = {(space, key) for verb, space, key, _ in edits if verb in ("set", "incr")}
        assert set(tx.versions) == written
        before = {space: self.live(space) for _, space, _, _ in edits}
        for verb, space, key, number in edits:
            kept = before[space].get(key)
            if verb == "set":
                self.wrote(space, key, number, tx.versions[space, key], self.deadline(number))
            elif verb == "incr":
                total = (kept.value if kept else 0) + number
                self.wrote(space, key, total, tx.versions[space, key], kept.expires_at if kept else None)
            elif kept and verb == "touch":
                self.kept[space][key] = kept._replace(expires_at=self.deadline(number))
            elif kept:
                self.lost(space, key)

    def in_one_step(self, edits, check):
        """Return what one transaction can take of edits and a check."""
        return edits, check

    # -- removing

    @rule(space=SPACES, key=KEYS, how=st.sampled_from(["delete", "del", "pop", "pop default"]))
    def remove(self, space, key, how):
        users, kept = self.store.ns(space), self.live(space).get(key)
        if how == "delete":
            assert users.delete(key) == bool(kept)
        elif how == "pop default":
            assert same(users.pop(key, "default"), kept.value if kept else "default")
        elif kept and how == "pop":
            assert same(users.pop(key), kept.value)
        elif kept:
            del users[key]
        else:
            with pytest.raises(KeyError):
                users.pop(key) if how == "pop" else users.__delitem__(key)
        if kept:
            self.lost(space, key)

    @rule(space=SPACES, key=KEYS, offset=st.sampled_from([0, 0, 1, -1]))
    def delete_at_a_version(self, space, key, offset):
        kept = self.live(space).get(key)
        expected = max(1, (kept.version if kept else self.highest.get((space, key), 1)) + offset)
        try:
            assert self.store.ns(space).delete(key, version=expected) is True
        except ConflictError as error:
            assert not kept or kept.version != expected
            assert error.actual == (kept.version if kept else None)
        else:
            assert kept.version == expected
            self.lost(space, key)

    @rule(space=SPACES)
    def popitem(self, space):
        live = self.live(space)
        if not live:
            with pytest.raises(KeyError):
                self.store.ns(space).popitem()
            return
        key, value = self.store.ns(space).popitem()
        assert key == list(live)[-1]
        assert same(value, live[key].value)
        self.lost(space, key)

    @rule(space=SPACES, keys=st.lists(KEYS, max_size=5))
    def delete_many(self, space, keys):
        there = self.live(space).keys() & set(keys)
        assert self.store.ns(space).delete_many(keys) == len(there)
        for key in there:
            self.lost(space, key)

    @rule(space=SPACES, drop=st.booleans())
    def remove_all(self, space, drop):
        if drop:
            assert self.store.drop(space) == len(self.live(space))
        else:
            self.store.ns(space).clear()
        self.removed.add(space)
        self.kept.pop(space, None)

    @rule(space=st.one_of(st.none(), SPACES), limit=st.one_of(st.none(), st.integers(1, 3)))
    def purge(self, space, limit):
        expired = sum(
            len(self.kept[name]) - len(self.live(name)) for name in self.kept if space is None or name == space
        )
        purged = self.store.purge_expired(limit) if space is None else self.store.ns(space).purge_expired(limit)
        assert purged <= (expired if limit is None else min(expired, limit)), "a write may have removed some already"
        left = self.store.stats().expired if space is None else self.store.ns(space).stats().expired
        assert left == 0 or limit is not None
        self.removed |= self.kept.keys() if space is None else {space}

    # -- reading

    @rule(space=SPACES, keys=st.lists(KEYS, max_size=6))
    def get_many(self, space, keys):
        live = self.live(space)
        expected = {key: live[key].value for key in keys if key in live}
        assert same(self.store.ns(space).get_many(keys), expected)

    @rule(space=SPACES, prefix=PREFIXES, limit=st.integers(1, 4), reverse=st.booleans())
    def list_by_pages(self, space, prefix, limit, reverse):
        expected = [key for key in self.live(space) if key.startswith(prefix)][:: -1 if reverse else 1]
        users, keys, cursor = self.store.ns(space), [], None
        while True:
            page = users.list(prefix, limit=limit, cursor=cursor, reverse=reverse)
            keys += page.keys
            assert keys == expected[: len(keys)]  # a walk that goes round in circles ends here
            cursor = page.cursor
            assert (cursor is None) == (len(keys) == len(expected))
            if cursor is None:
                break
            assert len(page.keys) == limit
        assert [key for key, _ in users.scan(prefix, reverse=reverse)] == expected

    # -- time and the store as a whole

    @rule(ticks=st.one_of(st.integers(1, 100), st.integers(1, 60_000)))
    def advance_some(self, ticks):
        self.advance(ticks)

    def advance(self, ticks):
        self.clock.nanoseconds += ticks * TICK
        # From now on a write may remove them, and the versions of new keys start above theirs.
        self.removed |= {space for space, entries in self.kept.items() if len(entries) != len(self.live(space))}

    @rule(early=st.booleans())
    def advance_to_the_next_deadline(self, early):
        """Stop just there, or a tick before."""
        deadlines = [
            kept.expires_at for space in self.kept for kept in self.live(space).values() if kept.expires_at is not None
        ]
        if deadlines:
            moment = min(deadlines) * MILLISECOND - early * TICK
            self.advance(max(0, moment - self.clock.nanoseconds) // TICK)

    @rule()
    def vacuum_and_sync(self):
        if not self.on_servers:
            self.store.vacuum()
            self.store.sync()
        assert self.store.check().problems == ()

    @precondition(lambda self: self.on_file or self.on_servers)
    @rule()
    def reopen(self):
        self.store.close()
        self.store = self.opened()

    @precondition(lambda self: self.on_file)
    @rule()
    def continue_with_the_backup(self):
        self.store.backup(self.directory / "copy.db")
        self.store.close()
        os.replace(self.directory / "copy.db", self.path)
        self.store = self.opened()

    @invariant()
    def the_store_holds_what_the_model_holds(self):
        names = sorted((name for name in self.kept if self.live(name)), key=str.encode)
        assert self.store.namespaces() == names
        for name in self.kept:
            live, users = self.live(name), self.store.ns(name)
            found = dict(users.scan())
            assert list(found) == list(live)
            for key, entry in found.items():
                kept = live[key]
                expires_at = entry.meta.expires_at
                deadline = None if expires_at is None else round(expires_at.timestamp() * 1000)
                assert same(entry.value, kept.value)
                assert (entry.meta.version, deadline) == (kept.version, kept.expires_at)
            assert len(users) == len(live)
            assert bool(users) == bool(live)
        some = next(iter(self.kept), None)
        if some is not None:
            plain = {key: kept.value for key, kept in self.live(some).items()}
            assert same(dict(self.store.ns(some).items()), plain)
            assert all(key in self.store.ns(some) for key in plain)
            page = self.store.ns(some).list(limit=1)
            one_by_one = list(page.keys)
            while page.cursor is not None and len(one_by_one) <= len(plain):
                page = self.store.ns(some).list(limit=1, cursor=page.cursor)
                one_by_one += page.keys
            assert one_by_one == list(plain)
            assert all(same(self.store.ns(some).get(key), value) for key, value in plain.items())
            assert same(
                self.store.ns(some).get_many(self.kept[some]),
                {key: plain[key] for key in self.kept[some] if key in plain},
            )


class ModelOnFile(Model):
    on_file = True


SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


class ModelOnServers(Model):
    """The servers are those that all tests share."""

    on_servers = True
    server = None

    def somewhere(self):
        return f"{self.server.url}?prefix=model-{uuid4().hex[:12]}"


class ModelOnValkey(ModelOnServers):
    pass


class ModelOnRedis(ModelOnServers):
    pass


class ModelOnCluster(ModelOnServers):
    """A cluster commits edits of one shard together: here, of a namespace, or of one key of that which has several."""

    layouts = {"user": {"shards": 4}}

    def in_one_step(self, edits, check):
        if not edits:
            return edits, check
        _, space, key, _ = edits[0]
        if space in self.layouts:
            return edits[:1], check and (space, key, check[2])
        return [(verb, space, key, number) for verb, _, key, number in edits], check and (space, *check[1:])


TestModelInMemory = Model.TestCase
TestModelInMemory.settings = SETTINGS
TestModelOnFile = pytest.mark.slow(ModelOnFile.TestCase)
TestModelOnFile.settings = SETTINGS


class TestModelOnValkey(ModelOnValkey.TestCase):
    settings = settings(SETTINGS, max_examples=-(-EXAMPLES // 4))

    @pytest.fixture(autouse=True)
    def _server(self, shared_valkey):
        ModelOnValkey.server = shared_valkey


class TestModelOnRedis(ModelOnRedis.TestCase):
    settings = settings(SETTINGS, max_examples=-(-EXAMPLES // 4))

    @pytest.fixture(autouse=True)
    def _server(self, shared_redis):
        ModelOnRedis.server = shared_redis


class TestModelOnCluster(ModelOnCluster.TestCase):
    settings = settings(SETTINGS, max_examples=-(-EXAMPLES // 4))

    @pytest.fixture(autouse=True)
    def _server(self, shared_cluster):
        ModelOnCluster.server = shared_cluster
