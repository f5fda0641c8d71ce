"""A namespace behaves as a dict that is sorted by key: CPython's own tests, then ours beside a real dict."""

# ruff: noqa: SIM118, SIM201, SIM202 - each operator is tested by itself

# ruff: noqa: PLW0108 - a table of calls reads best if each is written as a call

from collections import OrderedDict, UserDict
from collections.abc import ItemsView, KeysView, MutableMapping, ValuesView
from types import MappingProxyType

import pytest
from test import mapping_tests

from sqlitedict_kv import Namespace
from tests.conftest import on_shared, where_on

# -- CPython's tests. What they ask of mapping and cannot be had of one whose keys are str and whose values
# are bytes in a file is named here, with the reason; everything else runs.

NOT_OURS = {
    "test_fromkeys": "a namespace is made by its store, so there is no class method that makes one",
    "test_copy": "copy() gives a plain dict, not another namespace; see test_copy_is_a_plain_dict",
    "test_setdefault": "it changes the stored list in place through what setdefault returned, and values are copies",
}
NEED_INT_KEYS = {"test_values", "test_items", "test_clear", "test_update"}  # these run through IntKeys


class IntKeys(MutableMapping):
    """A namespace that takes ints as keys too, written as text behind a null character."""

    def __init__(self, namespace):
        self.namespace = namespace

    @staticmethod
    def inward(key):
        return f"\0{key}" if type(key) is int else key

    @staticmethod
    def outward(key):
        return int(key[1:]) if key.startswith("\0") else key

    def __getitem__(self, key):
        return self.namespace[self.inward(key)]

    def __setitem__(self, key, value):
        self.namespace[self.inward(key)] = value

    def __delitem__(self, key):
        del self.namespace[self.inward(key)]

    def __iter__(self):
        return map(self.outward, self.namespace)

    def __len__(self):
        return len(self.namespace)

    def clear(self, *unwanted):
        self.namespace.clear(*unwanted)

    def values(self, *unwanted):
        return self.namespace.values(*unwanted)

    def items(self, *unwanted):
        return [(self.outward(key), value) for key, value in self.namespace.items(*unwanted)]

    def update(self, other=(), /, **entries):
        collected = dict(other, **entries) if other != () else entries
        self.namespace.update({self.inward(key): value for key, value in collected.items()})


class FreshNamespaces:
    """Gives CPython's tests a new namespace each time they ask for a mapping."""

    @pytest.fixture(autouse=True)
    def _namespaces(self, request, make_store, path):
        self.store = make_store(where_on(self.engine, request, path))
        self.made = 0

    def type2test(self, **entries):
        self.made += 1
        namespace = self.store.ns(f"mapping {self.made}")
        namespace.update(**entries)
        return namespace


class TestBasicProtocolInMemory(FreshNamespaces, mapping_tests.BasicTestMappingProtocol):
    engine = "memory"


class TestBasicProtocolOnFile(FreshNamespaces, mapping_tests.BasicTestMappingProtocol):
    engine = "file"


class TestBasicProtocolOnValkey(FreshNamespaces, mapping_tests.BasicTestMappingProtocol):
    engine = "valkey"


class TestBasicProtocolOnCluster(FreshNamespaces, mapping_tests.BasicTestMappingProtocol):
    engine = "cluster"


class TestBasicProtocolOnRedis(FreshNamespaces, mapping_tests.BasicTestMappingProtocol):
    engine = "redis"


class WithStrKeys(FreshNamespaces):
    """All tests of the full protocol but those that are named above."""


for name in (*NOT_OURS, *NEED_INT_KEYS):
    setattr(WithStrKeys, name, None)


class TestFullProtocolInMemory(WithStrKeys, mapping_tests.TestMappingProtocol):
    engine = "memory"


class TestFullProtocolOnFile(WithStrKeys, mapping_tests.TestMappingProtocol):
    engine = "file"


class TestFullProtocolOnValkey(WithStrKeys, mapping_tests.TestMappingProtocol):
    engine = "valkey"


class TestFullProtocolOnCluster(WithStrKeys, mapping_tests.TestMappingProtocol):
    engine = "cluster"


class TestFullProtocolOnRedis(WithStrKeys, mapping_tests.TestMappingProtocol):
    engine = "redis"


class TestFullProtocolWithIntKeys(FreshNamespaces, mapping_tests.TestMappingProtocol):
    engine = "cluster"

    def type2test(self, **entries):
        return IntKeys(super().type2test(**entries))


for name in {name for name in dir(mapping_tests.TestMappingProtocol) if name.startswith("test_")} - NEED_INT_KEYS:
    setattr(TestFullProtocolWithIntKeys, name, None)


def test_no_test_of_cpython_is_left_out_in_silence():
    def tests_of(case):
        return {name for name in dir(case) if name.startswith("test_") and getattr(case, name) is not None}

    basic = tests_of(mapping_tests.BasicTestMappingProtocol)
    full = tests_of(mapping_tests.TestMappingProtocol)
    cases = globals()
    for engine in ("InMemory", "OnFile", "OnValkey", "OnCluster", "OnRedis"):
        assert tests_of(cases[f"TestBasicProtocol{engine}"]) == basic
        with_str_keys = tests_of(cases[f"TestFullProtocol{engine}"])
        assert with_str_keys | tests_of(TestFullProtocolWithIntKeys) == full - set(NOT_OURS)
    assert basic >= {"test_setdefault"}, "its basic form still runs"


# -- ours, beside a real dict

ENTRIES = {"b": 2, "a": [1], "é": None, "c": (3,), "": b"empty", "Z": {"z": 1}, "aa": "x"}


def in_order(entries):
    return dict(sorted(entries.items(), key=lambda item: item[0].encode()))


@pytest.fixture
def users(store):
    namespace = store.ns("users")
    namespace.update(ENTRIES)
    return namespace


def test_a_namespace_is_a_mutable_mapping(users):
    assert isinstance(users, MutableMapping)
    assert isinstance(users.keys(), KeysView)
    assert isinstance(users.values(), ValuesView)
    assert isinstance(users.items(), ItemsView)
    assert not hasattr(users, "__dict__"), "a slip such as users.ttl = 5 must raise"
    with pytest.raises(TypeError, match="unhashable"):
        hash(users)


def test_it_equals_any_mapping_with_equal_entries(store, users):
    copy = store.ns("copy")
    copy.update(ENTRIES)
    for other in (ENTRIES, in_order(ENTRIES), copy, UserDict(ENTRIES), OrderedDict(ENTRIES), MappingProxyType(ENTRIES)):
        assert users == other
        assert other == users
        assert not users != other
    for other in ({}, {**ENTRIES, "a": [2]}, {**ENTRIES, "more": 1}, store.ns("empty"), list(ENTRIES.items()), None, 5):
        assert users != other
        assert other != users
        assert not users == other


def test_or_gives_a_plain_dict_and_leaves_both_as_they_were(store, users):
    for other in ({"a": 0, "new": 1}, {}, UserDict({"b": 5}), store.ns("empty")):
        result = users | other
        assert type(result) is dict
        assert result == ENTRIES | dict(other)
    assert users == ENTRIES


def test_a_dict_or_a_namespace_gives_a_plain_dict(users):
    result = {"a": 0, "new": 1} | users
    assert type(result) is dict
    assert result == {"a": 0, "new": 1} | ENTRIES
    assert list(result)[:2] == ["a", "new"]


def test_or_with_something_else_is_a_type_error(users):
    for other in ([("a", 1)], None, 5, "ab"):
        with pytest.raises(TypeError):
            _ = users | other
        with pytest.raises(TypeError):
            _ = other | users
    with pytest.raises(TypeError):
        users |= None
    assert users == ENTRIES


def test_or_in_place_writes_a_mapping_or_pairs(users):
    model = dict(ENTRIES)
    same = users
    for other in ({"a": 0, "new": 1}, [("b", 5), ("p", 6)], iter([("q", 7)]), UserDict({"u": 8})):
        addition = dict(other) if not hasattr(other, "__next__") else {"q": 7}
        users |= other
        model |= addition
        assert users == model
    assert users is same


def test_setdefault_is_that_of_dict(users):
    model = dict(ENTRIES)
    for key, default in (("a", "new"), ("é", "new"), ("none", None), ("d", {"k": (1,)})):
        assert users.setdefault(key, default) == model.setdefault(key, default)
    assert users.setdefault("bare") is model.setdefault("bare") is None
    assert users == model


def test_pop_is_that_of_dict(users):
    model = dict(ENTRIES)
    for key in ("a", "é", ""):
        assert users.pop(key) == model.pop(key)
        with pytest.raises(KeyError) as caught:
            users.pop(key)
        assert caught.value.args == (key,)
        assert users.pop(key, "default") == "default"
        assert users.pop(key, None) is None
    assert users == model


def test_popitem_takes_the_last_by_key(users):
    expected = list(in_order(ENTRIES).items())
    assert [users.popitem() for _ in expected] == expected[::-1]
    with pytest.raises(KeyError, match="empty"):
        users.popitem()


UPDATES = [
    lambda: (((),), {}),
    lambda: ((), {}),
    lambda: (({"a": 1, "n": 2},), {}),
    lambda: (({"a": 1},), {"a": 2, "k": 3}),
    lambda: (([("a", 1), ("a", 2)],), {}),
    lambda: (([["a", 1]],), {}),
    lambda: ((["xy", "zw"],), {}),
    lambda: ((iter([("a", 1)]),), {"b": 7}),
    lambda: ((((key, key) for key in "pq"),), {}),
    lambda: ((UserDict(a=9),), {}),
    lambda: ((OrderedDict(a=9),), {}),
    lambda: ((MappingProxyType({"m": 1}),), {}),
    lambda: (({}.items(),), {}),
    lambda: ((), {"self": 1, "other": 2, "mapping": 3, "ttl": 4}),
]


@pytest.mark.parametrize("arguments", UPDATES)
def test_update_is_that_of_dict_in_all_its_forms(users, arguments):
    model = dict(ENTRIES)
    positional, named = arguments()
    assert users.update(*positional, **named) is None
    positional, named = arguments()
    model.update(*positional, **named)
    assert users == model


def test_update_from_a_namespace_and_from_itself(store, users):
    store.ns("copy").update(users)
    assert store.ns("copy") == ENTRIES
    users.update(users)
    assert users == ENTRIES


def test_update_with_what_dict_refuses_raises_the_same_and_changes_nothing(users):
    for wrong in (5, None, [1], ["abc"], [("a", 1), ("b",)]):
        with pytest.raises((TypeError, ValueError)) as theirs:
            {}.update(wrong)
        with pytest.raises(theirs.type):
            users.update(wrong)
    with pytest.raises(TypeError):
        users.update({}, {})
    assert users == ENTRIES


def test_copy_is_a_plain_dict(users):
    copy = users.copy()
    assert type(copy) is dict
    assert copy == ENTRIES
    copy["a"].append(2)
    del copy["b"]
    assert users == ENTRIES
    assert dict(users) == {**users} == ENTRIES


def test_views_follow_the_namespace(users):
    keys, values, items = users.keys(), users.values(), users.items()
    assert len(keys) == len(values) == len(items) == len(ENTRIES)
    users["new"] = "n"
    del users["a"]
    expected = in_order({**{key: value for key, value in ENTRIES.items() if key != "a"}, "new": "n"})
    assert list(keys) == list(expected)
    assert list(values) == list(expected.values())
    assert list(items) == list(expected.items())
    assert len(keys) == len(values) == len(items) == len(expected)


def test_views_are_reversible(users):
    expected = in_order(ENTRIES)
    assert list(reversed(users)) == list(reversed(expected))
    assert list(reversed(users.keys())) == list(reversed(expected.keys()))
    assert list(reversed(users.values())) == list(reversed(expected.values()))
    assert list(reversed(users.items())) == list(reversed(expected.items()))


def test_views_know_what_is_in_them(users):
    assert "a" in users.keys()
    assert "x" not in users.keys()
    assert [1] in users.values()
    assert None in users.values()
    assert "nothing" not in users.values()
    assert ("a", [1]) in users.items()
    assert ("a", [2]) not in users.items()
    assert ("x", [1]) not in users.items()


FLAT = {"a": 1, "b": 2, "c": (3,), "d": "4"}
OTHERS = [set(), {"a"}, {"a", "x"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d", "e"}, {"x", "y"}]


@pytest.mark.parametrize("other", OTHERS, ids=sorted)
def test_keys_are_a_set(store, other):
    flat = store.ns("flat")
    flat.update(FLAT)
    ours, theirs = flat.keys(), FLAT.keys()
    check_set_operations(ours, theirs, other)


@pytest.mark.parametrize("other", OTHERS, ids=sorted)
def test_items_are_a_set(store, other):
    flat = store.ns("flat")
    flat.update(FLAT)
    check_set_operations(flat.items(), FLAT.items(), {(key, FLAT.get(key, 0)) for key in other})
    check_set_operations(flat.items(), FLAT.items(), {(key, "other") for key in other})


def check_set_operations(ours, theirs, other):
    assert ours & other == theirs & other
    assert ours | other == theirs | other
    assert ours - other == theirs - other
    assert ours ^ other == theirs ^ other
    assert other & ours == other & theirs
    assert other | ours == other | theirs
    assert other - ours == other - theirs
    assert other ^ ours == other ^ theirs
    assert ours.isdisjoint(other) == theirs.isdisjoint(other)
    assert [ours == other, ours != other, ours <= other, ours < other, ours >= other, ours > other] == [
        theirs == other,
        theirs != other,
        theirs <= other,
        theirs < other,
        theirs >= other,
        theirs > other,
    ]
    assert ours == theirs
    assert theirs == ours
    assert ours & list(other) == theirs & list(other)


def test_repr_shows_namespace_store_and_size_and_never_a_value(store, make_store, path, where):
    users = store.ns("users")
    users.update({"key": "secret-value", "other": {"secret-value": 1}})
    for thing in (users, users.keys(), users.values(), users.items(), store):
        assert "secret" not in repr(thing)
        assert "secret" not in str(thing)
    address, _, prefix = where.partition("?prefix=")
    place = f"{address.removesuffix('/0')} (prefix {prefix})" if prefix else where
    assert repr(users) == f"<Namespace 'users' of {place!r}: 2 entries>"
    for view, name in ((users.keys(), "keys"), (users.values(), "values"), (users.items(), "items")):
        assert name in repr(view)
        assert "users" in repr(view)
    assert repr(make_store(path)) == f"<Store {str(path)!r}>"


def test_bool_is_whether_there_is_an_entry(store):
    users = store.ns("users")
    assert not users
    users["k"] = None
    assert users
    del users["k"]
    assert not users


def test_a_missing_key_is_a_key_error_with_the_key(users):
    for wrong in (lambda: users["x"], lambda: users.pop("x"), lambda: users.__delitem__("x")):
        with pytest.raises(KeyError) as caught:
            wrong()
        assert caught.value.args == ("x",)
        assert type(caught.value) is KeyError


def test_a_str_subclass_is_the_text_that_it_holds(users):
    class Name(str):
        __slots__ = ()

        def __str__(self):
            return "something else"

    users[Name("name")] = 1
    assert users["name"] == 1
    assert users[Name("name")] == 1
    assert {type(key) for key in users} == {str}
    assert "name" in list(users)


def test_iteration_goes_on_while_the_namespace_changes(users):
    users.clear()
    users.set_many({f"{number:04}": number for number in range(0, 2000, 2)})
    seen = []
    for key in users:
        seen.append(key)
        if len(seen) == 1:
            del users["0002"]  # ahead, in the same page: it may come or not
            del users["1998"]
            users["0001"] = "ahead"
            users["1997"] = "far ahead"
    assert "1997" in seen
    assert "1998" not in seen
    assert seen == sorted(set(seen))
    assert set(seen) >= {f"{number:04}" for number in range(4, 1998, 2)}


@on_shared
def test_iteration_goes_on_while_another_store_changes_the_same_entries(open_store):
    ours, theirs = open_store().ns("users"), open_store().ns("users")
    stable = [f"{number:04}" for number in range(0, 2000, 2)]
    ours.set_many(dict.fromkeys(stable, "s"))
    for walk in (ours.keys, ours.items, lambda: reversed(ours), lambda: ours.scan()):
        seen = []
        for count, item in enumerate(walk()):
            seen.append(item if isinstance(item, str) else item[0])
            if count % 50 == 0:
                theirs[f"{(count * 7) % 2000 | 1:04}"] = "new"
                theirs.delete_many([key for key in theirs.list(limit=20).keys if int(key) % 2])
                theirs["0000"] = f"again {count}"
        assert len(seen) == len(set(seen))
        assert set(seen) >= set(stable)


@on_shared
def test_a_view_made_before_others_wrote_shows_what_they_wrote(open_store):
    ours, theirs = open_store().ns("users"), open_store().ns("users")
    items = ours.items()
    theirs["k"] = 1
    assert list(items) == [("k", 1)]
    assert ours == theirs == {"k": 1}


def test_namespaces_of_one_name_are_views_of_the_same_entries(store):
    first, second = store.ns("users"), store.ns("users")
    first["k"] = 1
    assert second["k"] == 1
    assert first == second
    assert first.name == "users"
    assert isinstance(first, Namespace)
