"""Objects of allowed classes and values of any kind come back as they were, on every store and through every face."""

import collections
import dataclasses
import enum

import pytest

from sqlitedict_kv import CodecError, NotKeptHereError
from tests.support.exact import assert_same


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Address:
    zip: str


@dataclasses.dataclass
class User:
    name: str
    address: Address | None = None
    color: Color = Color.RED
    parts: tuple = ()


TYPES = [User, Address, Color]
VALUES = [
    User("Ada", Address("1")),
    [User("Ada", parts=(1, {2}))] * 3,
    {"users": [User(str(number)) for number in range(100)]},
    {Color.RED: collections.Counter("aab")},
    {"=": "not an object"},
    {"large": [bytearray(5000), (bytearray(10),)], "user": User("Ada")},
]


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_an_object_comes_back_by_every_verb(open_store, number):
    value, store = VALUES[number], open_store(types=TYPES)
    view = store.ns("n")
    view["set"] = value
    view.update(many=value)
    view.add("add", value)
    view.setdefault("default", value)
    view.modify("modified", lambda _: value, default=None)
    with store.atomic() as tx:
        tx.ns("n")["tx"] = value
    for key in ("set", "many", "add", "default", "modified", "tx"):
        assert_same(value, view[key])
    assert_same(value, view.get_with_meta("set").value)
    for found in (*view.values(), *view.get_many(["set", "many"]).values()):
        assert_same(value, found)
    assert_same(value, view.pop("set"))


def test_a_typed_view_allows_its_classes_and_refuses_other_values(open_store):
    store = open_store()
    users = store.ns("users", type=User)
    users["ada"] = User("Ada", Address("1"))
    assert users["ada"] == User("Ada", Address("1"))
    for write in (
        lambda: users.set("ada", {"name": "Ada"}),
        lambda: users.update(ada=1),
        lambda: users.add("bob", None),
        lambda: users.modify("ada", lambda user: user.name),
    ):
        with pytest.raises(CodecError, match="this view keeps User"):
            write()
    store.ns("users")["plain"] = {"name": "Ada"}
    for read in (
        lambda: users["plain"],
        lambda: users.get("plain"),
        lambda: list(users.values()),
        lambda: users.get_many(["plain"]),
    ):
        with pytest.raises(
            NotKeptHereError, match="'plain' in namespace 'users' holds a dict, and this view keeps User"
        ):
            read()
    with pytest.raises(
        NotKeptHereError, match=r"'ada' in namespace 'users' holds .*User, which this store does not allow"
    ):
        store.ns("users")["ada"]
    assert len(users) == 2
    del users["plain"]
    assert users.copy() == {"ada": User("Ada", Address("1"))}
