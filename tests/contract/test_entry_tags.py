"""Entries have tags, and forget_tag removes exactly those that have one: each tag is of one write of one entry."""

import random

import pytest

from sqlitedict_kv import ConflictError, ReadOnlyError, Store, TooLargeError, UnsupportedError
from tests.contract.conftest import SQLITE, WHOLE

ENGINES = [*(engine for engine in WHOLE if engine != "toy"), "sharded-cluster"]  # those that keep tags
shared = pytest.mark.parametrize("engine", [name for name in ENGINES if name != "memory"], indirect=True)


@pytest.fixture(params=ENGINES)
def engine(request):
    """What the stores of a test are on."""
    return request.param


def test_forget_tag_removes_the_entries_with_the_tag_and_no_others(store):
    users, pages = store.ns("users"), store.ns("pages")
    users.set("ada", 1, tags=["user:7", "admin"])
    pages.set("/ada", "text", tags=["user:7"])
    pages.set("/bob", "text", tags=["user:8", "user:70"])
    pages["/"] = "text"
    assert store.forget_tag("user:7") == 2
    assert dict(users) == {}
    assert dict(pages) == {"/": "text", "/bob": "text"}
    assert store.forget_tag("user:7") == 0
    assert store.forget_tag("admin") == 0
    assert store.forget_tag("user:70") == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda ns: ns.set("k", 2),
        lambda ns: ns.set("k", 2, tags=[]),
        lambda ns: ns.set("k", 2, tags=["other"]),
        lambda ns: ns.update(k=2),
        lambda ns: ns.set_many({"k": 2}, tags=["other"]),
        lambda ns: ns.incr("k"),
        lambda ns: ns.modify("k", lambda value: value + 1),
        lambda ns: ns.cas_set("k", 2, ns.get_with_meta("k").meta.version),
    ],
    ids=["set", "no tags", "other tags", "update", "set_many", "incr", "modify", "cas_set"],
)
def test_another_write_ends_the_tags_of_the_one_before(store, write):
    ns = store.ns("n")
    ns.set("k", 1, tags=["old"])
    write(ns)
    assert store.forget_tag("old") == 0
    assert ns["k"] == 2


def test_every_verb_that_writes_gives_tags(store):
    ns = store.ns("n")
    ns.set("a", 1, tags=["t"])
    ns.add("b", 1, tags=["t"])
    assert ns.add("b", 2, tags=["u"]) is None
    ns.cas_set("c", 1, 0, tags=["t"])
    ns.cas_set("a", 2, ns.get_with_meta("a").meta.version, tags=iter(("t", "t")))
    ns.set_many({"d": 1, "e": 1}, tags={"t"})
    ns.set("expires", 1, ttl=60, tags=["t"])
    assert store.forget_tag("u") == 0
    assert store.forget_tag("t") == 6
    assert not ns


def test_atomic_gives_tags_or_does_not(store):
    ns = store.ns("n")
    with store.atomic() as tx:
        tx.ns("n").set("a", 1, tags=["t"])
    with store.atomic() as tx:
        tx.ns("n").add("b", 1, tags=["t"])
    with pytest.raises(ConflictError), store.atomic() as tx:
        tx.ns("n").add("b", 2, tags=["never"])
    with store.atomic() as tx:  # the last write of an entry counts
        tx.ns("n").set("c", 1, tags=["t"])
        tx.ns("n").set("c", 2)
    assert store.forget_tag("never") == 0
    assert store.forget_tag("t") == 2
    assert dict(ns) == {"c": 2}


def test_touch_keeps_the_tags_and_the_end_of_an_entry_ends_them(store, clock):
    ns = store.ns("n")
    ns.set("touched", 1, ttl=1, tags=["t"])
    ns.touch("touched", 60)
    ns.set("expired", 1, ttl=1, tags=["t"])
    ns.set("written later", 1, ttl=1, tags=["t"])
    clock.advance(2)
    ns["written later"] = 2
    assert store.forget_tag("t") == 1
    assert dict(ns) == {"written later": 2}


@pytest.mark.parametrize("how", ["delete", "pop", "clear", "drop", "purge", "forget"])
def test_an_entry_that_was_removed_leaves_no_tag_to_its_successor(store, clock, how):
    ns = store.ns("n")
    ns.set("k", 1, ttl=60, tags=["t", "u"])
    if how == "purge":
        clock.advance(61)
        store.purge_expired()
    else:
        {
            "delete": lambda: ns.delete("k"),
            "pop": lambda: ns.pop("k"),
            "clear": ns.clear,
            "drop": lambda: store.drop("n"),
            "forget": lambda: store.forget_tag("u"),
        }[how]()
    ns["k"] = 2
    assert store.forget_tag("t") == 0
    assert store.forget_tag("u") == 0
    assert ns["k"] == 2


def test_a_version_is_never_reused_after_forget_tag(store, after):
    ns = store.ns("n")
    ns.set("k", 1)
    version = ns.set("k", 1, tags=["t"])
    store.forget_tag("t")
    assert ns.set("k", 1) == after(version)
    assert ns.set("new", 1) == after(version)


@pytest.mark.parametrize(
    ("tags", "error", "says"),
    [
        ("user:7", TypeError, "list of str"),
        (b"user", TypeError, "list of str"),
        (None, TypeError, "list of str"),
        (7, TypeError, "list of str"),
        (["a", 7], TypeError, "str, not int"),
        ([""], ValueError, "empty"),
        (["\ud800"], ValueError, "surrogate"),
        (["é" * 128], TooLargeError, "256 bytes"),
        ([*map(str, range(1001))], ValueError, "1000"),
    ],
    ids=["text", "bytes", "None", "number", "a number", "empty", "surrogate", "long", "many"],
)
def test_bad_tags_are_refused_before_anything_is_touched(store, tags, error, says):
    ns = store.ns("n")
    ns["k"] = 1
    with pytest.raises(error, match=says):
        ns.set("k", 2, tags=tags)
    assert ns["k"] == 1
    if isinstance(tags, list) and len(tags) < 1000:
        with pytest.raises(error, match=says):
            store.forget_tag(tags[-1])


def test_any_text_is_a_tag(store):
    ns = store.ns("n")
    tags = ["é" * 127, "a\0b", "a", "%", "'", "🤷", " "]
    for number, tag in enumerate(tags):
        ns.set(str(number), number, tags=[tag])
    ns.set("all", 1, tags=tags)
    assert [store.forget_tag(tag) for tag in tags] == [2, 1, 1, 1, 1, 1, 1]


def test_many_entries_go_in_steps(store):
    ns = store.ns("n")
    ns.set_many({str(number): number for number in range(2500)}, tags=["t", "u"])
    ns.set_many({str(number): number for number in range(100)})
    assert store.forget_tag("t") == 2400
    assert len(ns) == 100
    assert store.forget_tag("u") == 0


@shared
def test_a_read_only_store_refuses_to_forget(open_store):
    open_store().ns("n").set("k", 1, tags=["t"])
    reader = open_store(readonly=True)
    with pytest.raises(ReadOnlyError):
        reader.forget_tag("t")
    with pytest.raises(ReadOnlyError):
        reader.forget_tag("unknown")
    assert reader.ns("n")["k"] == 1


@shared
def test_other_stores_with_an_lru_do_not_serve_what_was_forgotten(open_store, engine):
    lru = {} if engine.startswith("lru") else {"lru_bytes": "1 MB"}
    first, second = open_store(**lru), open_store(**lru)
    ns = first.ns("n")
    for key in "abc":
        ns.set(key, 1, tags=["t"])
    ns["d"] = 1
    for _ in range(3):
        assert [first.ns("n")[key] for key in "abcd"] == [second.ns("n")[key] for key in "abcd"] == [1] * 4
    assert second.forget_tag("t") == 3
    assert [second.ns("n").get(key) for key in "abcd"] == [None, None, None, 1]
    if engine in SQLITE:  # servers tell the others a little later
        assert [ns.get(key) for key in "abcd"] == [None, None, None, 1]


def test_typed_keys_have_tags_too(store):
    days = store.ns("days", keys=int)
    days.set(1, "a", tags=["t"])
    days.add(2, "b", tags=["t"])
    days.set_many({3: "c"}, tags=["t"])
    days.cas_set(4, "d", 0, tags=["t"])
    with store.atomic() as tx:
        tx.ns("days", keys=int).set(5, "e", tags=["t"])
    assert store.forget_tag("t") == 5


class Dicts:
    """Calls of a store, and of a plain dict in its place."""

    def __init__(self, store, clock, seed):
        self.store, self.clock = store, clock
        self.chance = random.Random(seed)
        self.kept = {}  # value, tags and deadline by namespace and key
        self.number = 0

    def step(self):
        chance, self.number = self.chance, self.number + 1
        space, key = chance.choice("mn"), chance.choice("abcde")
        tags = chance.sample("tuv", chance.randrange(3))
        verbs = [self.set, self.set, self.plain, self.many, self.delete, self.atomic, self.forget, self.wait, self.end]
        chance.choice(verbs)(space, key, tags)

    def live(self, entry):
        return entry is not None and (entry[2] is None or entry[2] > self.clock())

    def set(self, space, key, tags):
        ttl = self.chance.choice([None, None, 10])
        self.store.ns(space).set(key, self.number, ttl=ttl, tags=tags)
        self.kept[space, key] = self.number, tags, ttl and self.clock() + ttl

    def plain(self, space, key, _):
        self.store.ns(space).set(key, self.number)
        self.kept[space, key] = self.number, [], None

    def many(self, space, key, tags):
        self.store.ns(space).set_many({key: self.number}, tags=tags)
        self.kept[space, key] = self.number, tags, None

    def atomic(self, space, key, tags):
        self.store.ns(space)  # says how it is laid out
        with self.store.atomic() as tx:
            tx.ns(space).delete(key)
            tx.ns(space).set(key, self.number, tags=tags)
        self.kept[space, key] = self.number, tags, None

    def delete(self, space, key, _):
        assert self.store.ns(space).delete(key) == self.live(self.kept.pop((space, key), None))

    def forget(self, _, __, tags):
        for tag in tags:
            gone = [name for name, entry in self.kept.items() if tag in entry[1]]
            assert self.store.forget_tag(tag) == sum(self.live(self.kept.pop(name)) for name in gone)

    def wait(self, *_):
        self.clock.advance(4)

    def end(self, space, *_):
        how = self.chance.randrange(6)
        if how == 0:
            self.store.drop(space)
        elif how == 1:
            self.store.ns(space).clear()
        else:
            self.store.purge_expired()
            return
        self.kept = {name: entry for name, entry in self.kept.items() if name[0] != space}

    def check(self):
        found = {(space, key): value for space in "mn" for key, value in self.store.ns(space).items()}
        assert found == {name: entry[0] for name, entry in self.kept.items() if self.live(entry)}


@pytest.mark.parametrize("seed", range(4))
def test_random_calls_do_what_a_plain_dict_does(store, clock, engine, seed):
    dicts = Dicts(store, clock, seed)
    for _ in range(600 if engine in SQLITE else 150):
        dicts.step()
        dicts.check()


@pytest.mark.parametrize("engine", ["toy"], indirect=True)
def test_an_engine_that_keeps_no_tags_refuses_them(store):
    ns = store.ns("n")
    ns["k"] = 1
    assert not store.capabilities.tags
    for call in (
        lambda: ns.set("k", 2, tags=["t"]),
        lambda: ns.set_many({"k": 2}, tags=["t"]),
        lambda: store.forget_tag("t"),
    ):
        with pytest.raises(UnsupportedError, match="tags"):
            call()
    assert ns["k"] == 1


@pytest.mark.parametrize("engine", ["file"], indirect=True)
def test_an_exclusive_block_gives_and_forgets_tags(store):
    with store.exclusive() as alone:
        alone.ns("n").set("a", 1, tags=["t"])
        alone.ns("n").set("b", 1, tags=["u"])
        assert alone.forget_tag("t") == 1
    assert isinstance(store, Store)
    assert dict(store.ns("n")) == {"b": 1}
    with pytest.raises(ZeroDivisionError), store.exclusive() as alone:
        alone.forget_tag("u")
        raise ZeroDivisionError
    assert store.forget_tag("u") == 1
