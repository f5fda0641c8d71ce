"""Objects of allowed classes come back as they were; no other class is made, and no constructor runs."""

import collections
import dataclasses
import enum
import functools
import sqlite3
import sys
import types
import typing
from contextlib import closing

import pytest

from sqlitedict_kv import CodecError, DecodeError, Kind, NotKeptHereError, Store
from tests.support.exact import assert_same

OBJECTS = "application/json; as=objects"
MSGPACK = "application/msgpack"


@dataclasses.dataclass
class Address:
    zip: str


@dataclasses.dataclass
class User:
    name: str
    address: Address | None = None
    score: float = 1.0
    tags: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Doubling:
    given: dataclasses.InitVar[int]
    number: int = 1
    made: int = dataclasses.field(init=False, default=0, compare=False)
    calls: typing.ClassVar[list] = []

    def __post_init__(self, given):
        self.calls.append(given)
        self.number *= 2
        self.made = given


@dataclasses.dataclass
class Shape:
    side: int

    @functools.cached_property
    def area(self):
        return self.side**2


T = typing.TypeVar("T")


@dataclasses.dataclass
class Box(typing.Generic[T]):
    item: T


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - another name
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(typing.NamedTuple):
    left: int
    right: float = 2.0


class Money:
    def __init__(self, amount, currency="EUR"):
        self.amount, self.currency = amount, currency

    def __eq__(self, other):
        return (self.amount, self.currency) == (other.amount, other.currency)

    __hash__ = None


MONEY = Kind(Money, encode=lambda money: (money.amount, money.currency), decode=lambda parts: Money(*parts))
ALL = [User, Address, Point, Doubling, Shape, Box, Color, Level, Access, Pair, MONEY]


@pytest.fixture
def users():
    with Store(types=ALL) as store:
        yield store.ns("users")


def kept(users, value):
    users["k"] = value
    return users["k"]


VALUES = [
    User("Ada", Address("1"), 2.5, ["a"]),
    User("Ada", score=1),
    User("Ada", score=float("nan")),
    User("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")),
    Point(1, -1),
    Point(2**70),
    Box([1, (2,)]),
    Color.BLUE,
    Color.CRIMSON,
    Level.LOW,
    Access.READ | Access.WRITE,
    Access(0),
    Pair(1),
    Money(3),
    [Money((1, 2))],
    {"u": User("Ada"), "c": Color.RED, "n": None},
    [User("Ada", Address("1"))] * 3,
    [Point(n) for n in range(100)],
    (User("Ada"), {Pair(1, 2.0)}),
    {Color.RED: User("Ada"), Point(1): {Level.LOW}},
    {"=": "os.system", "x": 1},
    {"=": "os.system", "x": User("Ada")},
    {1: User("Ada")},
    User({"=": "User"}),
    collections.defaultdict(User, a=User("Ada")),
    collections.deque([Point(1)], 3),
]


def test_the_error_of_a_lone_surrogate_in_an_object_says_what_to_do(users):
    with pytest.raises(CodecError, match=r"^a str with a lone surrogate .*'surrogatepass'\)$"):
        users["k"] = {"of": [User("Ada", Address("\ud800"))]}


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_an_object_comes_back_with_the_same_types_at_every_depth(users, number):
    assert_same(VALUES[number], kept(users, VALUES[number]))


def test_an_int_in_a_field_of_floats_stays_an_int(users):
    assert type(kept(users, User("Ada", score=1)).score) is int


def test_an_object_is_readable_json_in_the_file(tmp_path):
    path = tmp_path / "app.db"
    with Store(path, types=[User, Address]) as store:
        store.ns("users")["ada"] = User("Ada é", Address("1"))
        assert store.ns("users").get_with_meta("ada").meta.content_type == OBJECTS
    with closing(sqlite3.connect(path)) as raw:
        (name,) = raw.execute("SELECT json_extract(CAST(value AS TEXT), '$.name') FROM kv").fetchone()
    assert name == "Ada é"


def test_many_objects_and_what_json_does_not_have_are_messagepack(users):
    for value in ([Point(n) for n in range(65)], User("Ada", tags=[(1,)]), {1: Point(1)}, {"=": 1, "p": Point(1)}):
        users["k"] = value
        assert users.get_with_meta("k").meta.content_type == MSGPACK
    users["k"] = [Point(n) for n in range(64)]
    assert users.get_with_meta("k").meta.content_type == OBJECTS


def test_a_plain_dict_that_looks_like_an_object_is_a_plain_dict(users):
    forged = {"=": "tests.unit.test_objects.User", "name": "Ada", "address": None, "score": 1.0, "tags": []}
    assert kept(users, forged) == forged
    assert type(users["k"]) is dict
    assert users.get_with_meta("k").meta.content_type == "application/json"
    assert type(kept(users, [forged, Point(1)])[0]) is dict


def test_neither_constructor_nor_post_init_runs_again(users):
    value = Doubling(7, 3)
    assert (value.number, Doubling.calls) == (6, [7])
    found = kept(users, value)
    assert (found.number, found.made, Doubling.calls) == (6, 7, [7])


def test_an_attribute_that_is_no_field_is_refused_and_a_cached_one_is_computed_again(users):
    user = User("Ada")
    user.extra = 1
    with pytest.raises(CodecError, match="attributes that are no fields: extra"):
        users["k"] = user
    with pytest.raises(CodecError, match="in a list: .*attributes that are no fields: extra"):
        users["k"] = [user]
    shape = Shape(2)
    assert shape.area == 4
    assert vars(kept(users, shape)) == {"side": 2}


def test_a_generic_object_is_one_of_its_class(users):
    assert kept(users, Box[int](3)) == Box(3)


def test_a_field_that_is_not_set_is_refused(users):
    user, point = User("Ada"), object.__new__(Point)
    del user.name
    with pytest.raises(CodecError, match="not set: name"):
        users["k"] = user
    with pytest.raises(CodecError, match="not set: x, y"):
        users["k"] = point


# -- what is allowed


def test_a_class_that_is_not_allowed_is_refused_with_the_way_out():
    with Store() as store:
        users = store.ns("users")
        with pytest.raises(CodecError, match=r"test_objects\.User \(a dataclass\) is not allowed .*types=\[User\]"):
            users["k"] = User("Ada")
        with pytest.raises(CodecError) as caught:
            users["k"] = [User("Ada")]
        assert type(caught.value) is CodecError
        with pytest.raises(
            CodecError, match=r"in a dict, in a list, there is .*Color \(an enum\), which is not allowed"
        ):
            users["k"] = {"secret": [Color.RED]}
        with pytest.raises(CodecError, match=r"types=\[Kind\(Money, encode="):
            users["k"] = Money(1)
        assert "k" not in users


def test_a_member_of_an_enum_that_is_not_allowed_in_a_field_of_ints_is_refused():
    with Store(types=[Point]) as store, pytest.raises(CodecError, match=r"in a Point, there is .*Level \(an enum\)"):
        store.ns("n")["k"] = Point(Level.LOW)


def test_a_subclass_is_another_class():
    class Sub(User):
        pass

    class Plain(dict):
        pass

    with Store(types=[User]) as store:
        for value in (Sub("Ada"), [Plain(a=1)], {"a": Plain()}):
            with pytest.raises(CodecError, match="Sub|Plain"):
                store.ns("n")["k"] = value


def test_an_entry_of_a_class_that_is_not_allowed_is_an_error_and_imports_nothing(tmp_path):
    path = tmp_path / "app.db"
    with Store(path, types=[User, Address]) as store:
        store.ns("users").update(one=User("Ada", Address("1")), many=[User("Ada")] * 70)
    imported = []

    def watch(event, _arguments):
        if event == "import":
            imported.append(event)

    with Store(path) as store:
        users = store.ns("users")
        sys.addaudithook(watch)
        for key in ("one", "many"):
            imported.clear()
            with pytest.raises(
                NotKeptHereError, match=rf"'{key}' in namespace 'users' holds .*\.User, .*types=\[User\]"
            ):
                users[key]
            assert imported == []
        assert isinstance(NotKeptHereError("x"), DecodeError)
        users["one"] = 1
        del users["many"]
        assert users.copy() == {"one": 1}


class WithDel:
    def __del__(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("types_", "error", "message"),
    [
        (User, TypeError, "types must be a sequence"),
        (["User"], TypeError, "types must hold classes"),
        ([Money], TypeError, r"Money is not a dataclass, attrs class, .* or enum; give Kind\(Money, encode="),
        ([User, User], ValueError, "twice"),
        ([User, Kind(User, name="user")], ValueError, "twice"),
        ([Kind(User, name="x"), Kind(Address, name="x")], ValueError, "x twice"),
        ([dict], TypeError, "dict is not a dataclass"),
        ([Kind(tuple, encode=list, decode=tuple)], ValueError, "kept without"),
        ([Kind(User, name="tuple")], ValueError, "kept without"),
    ],
)
def test_a_class_that_cannot_be_allowed_is_an_error_at_once(types_, error, message):
    with pytest.raises(error, match=message):
        Store(types=types_)


def test_a_class_with_del_needs_functions_of_its_own():
    @dataclasses.dataclass
    class Closing:
        path: str

        def __del__(self):
            pass

    with pytest.raises(TypeError, match="__del__"):
        Store(types=[Kind(Closing, name="closing")])
    kind = Kind(Closing, name="closing", encode=lambda value: value.path, decode=Closing)
    with Store(types=[kind]) as store:
        assert kept(store.ns("n"), Closing("a")) == Closing("a")


def test_a_class_within_a_function_needs_a_name():
    @dataclasses.dataclass
    class Local:
        x: int

    with pytest.raises(TypeError, match=r"Kind\(Local, name="):
        Store(types=[Local])
    with Store(types=[Kind(Local, name="local")]) as store:
        assert kept(store.ns("n"), Local(1)) == Local(1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"cls": 5}, TypeError),
        ({"name": 5}, TypeError),
        ({"name": ""}, ValueError),
        ({"was": "old"}, TypeError),
        ({"was": [5]}, TypeError),
        ({"encode": 5, "decode": id}, TypeError),
        ({"encode": id}, TypeError),
        ({"decode": id}, TypeError),
        ({"upgrade": 5}, TypeError),
        ({"encode": id, "decode": id, "upgrade": id}, ValueError),
    ],
    ids=str,
)
def test_a_kind_checks_its_arguments(arguments, error):
    with pytest.raises(error):
        Kind(**{"cls": User, **arguments})


# -- kinds with functions


def test_a_kind_that_would_change_an_object_is_refused():
    lossy = Kind(Money, encode=lambda money: money.amount, decode=Money)
    with Store(types=[lossy]) as store:
        assert kept(store.ns("n"), Money(1)) == Money(1)
        with pytest.raises(CodecError, match="makes something else"):
            store.ns("n")["k"] = Money(1, "USD")


def test_what_a_kind_raises_shows_no_value():
    def fail(money):
        raise ValueError(f"secret {money.amount}")

    with Store(types=[Kind(Money, encode=fail, decode=fail)]) as store:
        with pytest.raises(CodecError, match="Money.*ValueError") as caught:
            store.ns("n")["k"] = Money("secret")
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


# -- evolution


AGE = dataclasses.field(default=7)


def class_of(name="User", fields=("name", ("age", int, AGE)), module="app", **options):
    made = dataclasses.make_dataclass(name, fields, **options)
    made.__module__ = module
    return made


def rewritten(path, before, after, value=("Ada", 3)):
    """Return what a store that allows *after* reads of an object that one that allows *before* wrote."""
    cls = before.cls if isinstance(before, Kind) else before
    with Store(path, types=[before]) as store:
        store.ns("n").update(json=cls(*value), packed=[cls(*value)] * 70)
    with Store(path, types=[after]) as store:
        found = store.ns("n")["json"]
        assert store.ns("n")["packed"] == [found] * 70
        return found


def test_a_field_that_was_added_gets_its_default(tmp_path):
    wider = class_of(fields=("name", ("age", int), ("tags", list, dataclasses.field(default_factory=list))))
    found = rewritten(tmp_path / "a.db", class_of(), wider)
    assert found == wider("Ada", 3, [])


def test_a_field_that_was_removed_is_dropped_and_the_order_does_not_matter(tmp_path):
    assert rewritten(tmp_path / "a.db", class_of(), class_of(fields=("name",))).name == "Ada"
    other = class_of(fields=(("age", int), "name"))
    assert rewritten(tmp_path / "b.db", class_of(), other) == other(3, "Ada")


def test_a_field_without_a_default_is_an_error_that_names_it(tmp_path):
    with pytest.raises(NotKeptHereError, match="without the field 'mail', which has no default"):
        rewritten(tmp_path / "a.db", class_of(), class_of(fields=("name", ("age", int), "mail")))


def test_upgrade_renames_a_field_and_runs_only_where_names_differ(tmp_path):
    calls = []

    def upgrade(fields):
        calls.append(sorted(fields))
        return {"name": fields["name"], "years": fields["age"]}

    renamed = class_of(fields=("name", ("years", int)))
    assert rewritten(tmp_path / "a.db", class_of(), Kind(renamed, upgrade=upgrade)) == renamed("Ada", 3)
    assert calls == [["age", "name"]] * 71
    with Store(tmp_path / "b.db", types=[Kind(renamed, upgrade=upgrade)]) as store:
        assert kept(store.ns("n"), renamed("Ada", 3)) == renamed("Ada", 3)
    assert len(calls) == 71


def test_a_class_that_moved_is_found_by_its_name(tmp_path):
    moved = class_of(module="app.models")
    assert rewritten(tmp_path / "a.db", class_of(module="__main__"), moved) == moved("Ada", 3)
    other = class_of("Person", module="app.people")
    assert rewritten(tmp_path / "b.db", class_of(), Kind(other, was=["app.User"])) == other("Ada", 3)
    named = class_of("Person", module="app.people")
    assert rewritten(tmp_path / "c.db", Kind(class_of(), name="user"), Kind(named, name="user")) == named("Ada", 3)


def test_two_classes_that_it_may_be_are_both_named(tmp_path):
    path = tmp_path / "a.db"
    with Store(path, types=[class_of(module="c")]) as store:
        store.ns("n")["k"] = [*store._context.codecs._by_type][0]("Ada")
    with (
        Store(path, types=[class_of(module="a"), class_of(module="b")]) as store,
        pytest.raises(NotKeptHereError, match=r"c\.User, which may be a\.User or b\.User"),
    ):
        store.ns("n")["k"]


def test_a_member_that_is_gone_is_an_error(tmp_path):
    path = tmp_path / "a.db"
    before, after = enum.Enum("Mood", "GLAD SAD", module="app"), enum.Enum("Mood", "GLAD", module="app")
    with Store(path, types=[before]) as store:
        store.ns("n").update(glad=before.GLAD, sad=before.SAD)
    with Store(path, types=[after]) as store:
        assert store.ns("n")["glad"] is after.GLAD
        with pytest.raises(NotKeptHereError, match="a member that Mood does not have any more"):
            store.ns("n")["sad"]


def test_a_class_defined_again_in_a_notebook_is_recognised_by_its_name(monkeypatch):
    notebook = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    first = notebook.User = class_of(module="__main__")
    with Store(types=[first]) as store:
        users = store.ns("users")
        users["old"] = first("Ada", 3)
        users["many"] = [first("Ada", 3)] * 70
        assert type(users["old"]) is first
        second = notebook.User = class_of(module="__main__")
        assert type(users["old"]) is second
        assert type(users["many"][0]) is second
        users["new"] = second("Bob", 4)
        assert users["new"] == second("Bob", 4)
        users["dict"] = {"u": second("Bob", 4)}
        third = notebook.User = class_of(fields=("name",), module="__main__")
        assert users["new"] == third("Bob")


# -- typed views


def test_a_typed_view_allows_and_checks():
    with Store() as store:
        users = store.ns("users", type=User)
        users["ada"] = User("Ada", Address("1"))
        assert_same(User("Ada", Address("1")), users["ada"])
        for wrong in (Address("1"), {"name": "Ada"}, None, [User("Ada")]):
            with pytest.raises(CodecError, match="this view keeps User"):
                users["k"] = wrong
        store.ns("users")["plain"] = {"name": "Ada"}
        with pytest.raises(
            NotKeptHereError, match="'plain' in namespace 'users' holds a dict, and this view keeps User"
        ):
            users["plain"]
        with pytest.raises(NotKeptHereError, match=r"holds .*User, which this store does not allow"):
            store.ns("users")["ada"]


FITTING = [
    (User | None, [None, User("a")], [1, Address("1")]),
    (typing.Optional[User], [None, User("a")], [1]),  # noqa: UP045 - the older form
    (list[User], [[], [User("a")]], [None, [1], (User("a"),), [User("a"), None]]),
    (list[User | None], [[User("a"), None]], [[1]]),
    (dict[str, list[User]], [{"a": [User("a")]}, {}], [{1: []}, {"a": 1}, []]),
    (tuple[User, ...], [(), (User("a"),)], [[User("a")], (1,)]),
    (tuple[str, User], [("a", User("a"))], [("a",), (User("a"), "a"), ("a", User("a"), 1)]),
    (tuple[()], [()], [(1,)]),
    (set[Color], [{Color.RED}], [{1}, frozenset()]),
    (typing.Annotated[User, "note"], [User("a")], [1]),
    (typing.Literal["a", 1], ["a", 1], ["b", True, [1]]),
    (typing.NewType("Name", str), ["a"], [1]),
    (list, [[1], []], [(), None]),
    (int, [1], [True, 1.0, "1"]),
    (typing.Any, [1, None, {"a": 1}], []),
    (collections.abc.Mapping[str, User], [{"a": User("a")}, [1]], []),
    (Box[User], [Box(User("a"))], [User("a")]),
]


@pytest.mark.parametrize("number", range(len(FITTING)))
def test_a_typed_view_takes_just_the_values_of_its_type(number):
    kind, fitting, others = FITTING[number]
    with Store() as store:
        view = store.ns("n", type=kind)
        for value in fitting:
            assert_same(value, kept(view, value))
        for value in others:
            with pytest.raises(CodecError, match="this view keeps"):
                view["k"] = value


@pytest.mark.parametrize("kind", ["User", 5, User("a"), [User], (User,)], ids=str)
def test_what_is_no_type_is_refused(kind):
    with Store() as store, pytest.raises(TypeError, match="type must be a type"):
        store.ns("n", type=kind)


def test_a_type_that_is_defined_later_is_found_when_it_is_needed():
    with Store() as store:
        view = store.ns("n", type=Early)
        view["k"] = Early(Later(1))
        assert view["k"] == Early(Later(1))


@dataclasses.dataclass
class Early:
    later: "Later"
    nowhere: "Nowhere | None" = None  # noqa: F821 - that is the point


@dataclasses.dataclass
class Later:
    x: int


def test_a_transaction_and_an_exclusive_block_take_a_type(tmp_path):
    with Store(tmp_path / "a.db") as store:
        with store.atomic() as tx:
            tx.ns("n", type=User)["tx"] = User("Ada")
            with pytest.raises(CodecError, match="this view keeps User"):
                tx.ns("n", type=User)["tx"] = 1
        with store.exclusive() as held:
            assert held.ns("n", type=User)["tx"] == User("Ada")
        users = store.ns("n", type=User)
        assert users.modify("tx", lambda user: dataclasses.replace(user, score=2)) == User("Ada", score=2)
        assert users.get_many(["tx"]) == {"tx": User("Ada", score=2)}
        assert users.setdefault("tx", User("Bob")) == users.pop("tx") == User("Ada", score=2)


# -- results of functions


CALLS = []


def test_the_annotation_of_a_function_allows_its_classes():
    CALLS.clear()
    with Store() as store:
        load = store.memoize()(_load)
        assert load("Ada") == load("Ada") == [User("Ada")]
        assert CALLS == ["Ada"]


def _load(name) -> "list[User]":
    CALLS.append(name)
    return [User(name)]


def _load_plainly(name):
    CALLS.append(name)
    return [User(name)]


def _load_badly(name) -> "list[Nowhere]":  # noqa: F821 - that is the point
    return [User(name)]


def test_type_stands_for_the_annotation_and_none_switches_it_off():
    with Store() as store:
        CALLS.clear()
        load = store.memoize(type=list[User])(_load_plainly)
        assert load("Ada") == load("Ada") == [User("Ada")]
        assert CALLS == ["Ada"]
        with pytest.raises(
            CodecError, match=r"holds .*User \(a dataclass\), .*annotate .*list\[User\].*memoize\(type="
        ):
            store.memoize(type=None, unstorable="raise", ns="off")(_load)("Ada")
        with pytest.raises(TypeError, match="type must be a type"):
            store.memoize(type="User")


def test_a_result_without_an_annotation_says_how_to_annotate_it():
    with Store() as store:
        with pytest.raises(CodecError, match=r"the result of .* cannot be kept: it holds .*-> list\[User\]"):
            store.memoize(unstorable="raise")(_load_plainly)("Ada")
        with pytest.raises(CodecError, match=r"annotation 'list\[Nowhere\]' could not be resolved \(NameError"):
            store.memoize(unstorable="raise")(_load_badly)("Ada")


def _fail(number) -> User:
    raise LookupError(number)


def test_an_exception_that_is_kept_is_no_value_of_the_type():
    with Store() as store:
        fail = store.ns("n", type=User).memoize(cache_exceptions={LookupError: 5})(_fail)
        for _ in range(2):
            with pytest.raises(LookupError):
                fail(1)
        assert fail.cache_info().computed == 1


def test_a_struct_that_its_constructor_would_change_is_refused():
    msgspec = pytest.importorskip("msgspec")

    def double(struct):
        struct.tags += struct.tags

    doubled = msgspec.defstruct("Doubled", [("tags", list)], namespace={"__post_init__": double})
    checked = msgspec.defstruct("Checked", [("tags", list)], namespace={"__post_init__": lambda struct: None})
    value = doubled(["a"])
    with Store(types=[Kind(doubled, name="doubled"), Kind(checked, name="checked")]) as store:
        with pytest.raises(CodecError, match=r"Doubled has a __post_init__ .* give Kind\(Doubled, encode"):
            store.ns("n")["k"] = [value]
        assert value.tags == ["a", "a"]
        assert "k" not in store.ns("n")
        store.ns("n")["k"] = checked(["a"])
        assert store.ns("n")["k"] == checked(["a"])
