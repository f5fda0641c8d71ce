"""Kinds of values as arguments: each has a form, the same for equal values and another for others."""

import collections
import functools
import ipaddress
import operator
import re
import types
from dataclasses import dataclass, field

import pytest

from sqlitedict_kv import Kind, Store, file_content, file_mtime, register_key
from sqlitedict_kv.memoization.argument_forms import canonical
from sqlitedict_kv.memoization.call_key import CallKeys
from tests import kinds

pytestmark = [
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),  # of np.matrix, by scipy
    pytest.mark.filterwarnings("ignore:The 'u' type code is deprecated:DeprecationWarning"),  # of array.array("u")
]

# What is equal to another kind of the list: a C type of the same size, and a flag that is no content.
TWINS = {("numpy", "np.longlong"), ("pandas", "DataFrame that refuses duplicates")}
ARGUMENTS_ONLY = {
    "function", "lambda", "class", "module", "dict_keys", "pattern", "exception", "memoryview", "partial",
    "defaultdict of a lambda", "str that is not Unicode", "function in a dict",
}  # fmt: skip


@pytest.mark.parametrize("section", [*kinds.sections()])
def test_every_kind_of_value_is_an_argument_and_no_two_are_one(section):
    if library := kinds.missing(section):
        pytest.skip(f"{library} is not installed")
    seen = {}
    for sample in kinds.samples(section):
        form = canonical(sample.make())
        assert canonical(sample.make()) == form, sample.name
        if (section, sample.name) not in TWINS:
            assert seen.setdefault(form, sample.name) == sample.name


def test_what_is_no_value_but_has_a_name_or_content_is_an_argument_and_the_rest_is_refused():
    for name, (make, _) in kinds.refused().items():
        if name in ARGUMENTS_ONLY:
            assert canonical(make()) == canonical(make()), name
        else:
            with pytest.raises(TypeError, match="^a "):
                canonical(make())


def module_function(x):
    return x


def decorated(factor):
    def decorator(function):
        @functools.wraps(function)
        def wrapper(x):
            return function(x) * factor

        return wrapper

    return decorator


def inner(factor):
    def g(x, y=1):
        return x * factor + y

    return g


@dataclass
class Unset:
    x: int
    y: int = field(init=False)


DIFFERENT = [
    module_function, canonical, inner(2), inner(3), lambda x: x, lambda x: x + 1, lambda x, k=1: x + k,
    lambda x, k=2: x + k, decorated(2)(module_function), decorated(3)(module_function), len, max, "abc".upper,
    "abd".upper, {}.get, functools.partial(max, 1), functools.partial(max, 2), functools.partial(max, key=len),
    operator.itemgetter(1), operator.itemgetter(1, 2), operator.attrgetter("a"), operator.methodcaller("a", 1),
    operator.add, collections.Counter("ab"), collections.Counter("abb"), collections.defaultdict(int),
    collections.defaultdict(list),
    collections.deque([1]), collections.deque([1], 5), types.SimpleNamespace(a=1), types.SimpleNamespace(b=1),
    ipaddress.ip_address("::1"), ipaddress.ip_network("::1"), ipaddress.ip_address("127.0.0.1"), re.compile("a"),
    re.compile("a", re.IGNORECASE), re.compile(b"a"), ValueError("x"), ValueError("y"), KeyError("x"), slice(1, 2),
    slice(1), ..., {"a": 1}.keys(), {"a": 1}.items(), {"a": 1}.values(), list[int], list[str], int | None, types, Unset,
    types.MappingProxyType({1: 2}), range(3),
]  # fmt: skip


def test_functions_and_other_objects_are_told_apart():
    texts = {}
    for value in DIFFERENT:
        assert texts.setdefault(canonical(value), value) is value
    assert canonical(inner(2)) == canonical(inner(2))
    assert canonical(module_function) == f"function({__name__}.module_function)"
    assert canonical(types.SimpleNamespace(a=1, b=2)) == canonical(types.SimpleNamespace(b=2, a=1))


def test_a_field_that_is_not_set_is_named():
    with pytest.raises(TypeError, match=r"a test_argument_forms\.Unset whose field 'y' is not set"):
        CallKeys(module_function).of((Unset(1),), {})


# -- libraries


@pytest.mark.frameworks
def test_equal_objects_of_models_have_one_form():
    pydantic, attrs, msgspec = map(pytest.importorskip, ("pydantic", "attrs", "msgspec"))

    class Model(pydantic.BaseModel, extra="allow"):
        a: int = 1
        _private: int = pydantic.PrivateAttr(default=0)

    one, other = Model(), Model(a=1)
    other._private = 5
    assert canonical(one) == canonical(other)
    assert canonical(Model(x=1, y=2)) == canonical(Model(y=2, x=1)) != canonical(one)

    @attrs.define
    class Point:
        x: int
        label: str = attrs.field(default="", eq=False)

    assert canonical(Point(1, "a")) == canonical(Point(1, "b")) != canonical(Point(2, "a"))
    struct = msgspec.defstruct("S", [("a", int)])
    assert canonical(struct(1)) == canonical(struct(1)) != canonical(struct(2))


@pytest.mark.frameworks
def test_arrays_that_are_equal_have_one_form_whatever_lies_between():
    np, sparse = pytest.importorskip("numpy"), pytest.importorskip("scipy.sparse")
    masked = [np.ma.array([1, garbage], mask=[0, 1]) for garbage in (5, 6)]
    assert canonical(masked[0]) == canonical(masked[1]) != canonical(np.ma.array([1, 5]))
    padded = np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
    other = padded.copy()
    other.view("u1")[3] = 7  # between the fields
    assert canonical(padded) == canonical(other)
    twice = sparse.coo_matrix(([1, 2, 3], ([0, 0, 1], [0, 0, 1])))
    once = sparse.coo_matrix(([3, 3], ([1, 0], [1, 0])))
    assert canonical(twice) == canonical(once) != canonical(once.tocsr())
    assert canonical(np.array([1, "1"], dtype=object)) != canonical(np.array(["1", 1], dtype=object))
    assert canonical(np.matrix([[1, 2]])) != canonical(np.array([[1, 2]]))


@pytest.mark.frameworks
def test_frames_that_differ_in_a_type_a_name_or_a_cell_have_other_forms():
    pd = pytest.importorskip("pandas")
    base = {"a": [1, 2], "b": ["x", "y"]}
    frames = [
        pd.DataFrame(base),
        pd.DataFrame(base, index=[1, 2]),
        pd.DataFrame(base).rename(columns={"a": "c"}),
        pd.DataFrame(base).rename_axis("i"),
        pd.DataFrame(base).rename_axis("i", axis=1),
        pd.DataFrame(base).astype({"a": "float64"}),
        pd.DataFrame(base).astype({"a": object}),
        pd.DataFrame(base).astype({"a": "Int64"}),
        pd.DataFrame(base).astype({"b": "category"}),
        pd.DataFrame({"a": pd.Series([1, "2"], dtype=object)}),
        pd.DataFrame({"a": pd.Series(["1", 2], dtype=object)}),
        pd.DataFrame({"a": pd.Series(["1", "2"], dtype=object)}),
        pd.DataFrame({"a": pd.Series([b"1", "2"], dtype=object)}),
        pd.DataFrame(base)[["b", "a"]],
        pd.DataFrame(base)[:1],
        pd.DataFrame({"t": pd.to_datetime(["2026-01-01"])}),
        pd.DataFrame({"t": pd.to_datetime(["2026-01-01"]).tz_localize("UTC")}),
        pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
        pd.DataFrame({"i": pd.array([1, 0], dtype="Int64")}),
    ]
    assert len({canonical(frame) for frame in frames}) == len(frames)
    assert canonical(pd.DataFrame(base)) == canonical(pd.DataFrame(base).copy())
    assert canonical(pd.DataFrame(base).T.T.astype({"a": "int64"})[:0]) != canonical(pd.DataFrame(base))
    assert canonical(pd.Timestamp("2026-01-01")) != canonical(pd.Timestamp("2026-01-01", tz="UTC"))


@pytest.mark.frameworks
def test_columns_of_polars_and_arrow_are_what_they_hold_however_they_are_cut():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    for values in ([1, None, 3], ["a", None, ""], [1.5, None, float("nan")], [True, None, False], [[1], None, []]):
        whole = pl.Series("a", values)
        pieces = pl.concat([whole[:1], whole[1:]], rechunk=False)
        assert canonical(whole) == canonical(pieces) == canonical(pl.Series("a", [*values, *values])[:3])
        assert canonical(whole) != canonical(whole.fill_null(strategy="forward"))
        assert canonical(pa.array(values)) == canonical(pa.array([*values, *values])[:3])
    assert canonical(pl.Series("a", ["ab", "c"])) != canonical(pl.Series("a", ["a", "bc"]))
    assert canonical(pl.Series("a", [0, None])) != canonical(pl.Series("a", [0, 0]))


# -- what a user says


class Registered:
    def __init__(self, number):
        self.number = number


class Child(Registered):
    pass


def test_a_key_that_is_registered_serves_a_class_and_its_subclasses():
    register_key(Registered, lambda thing: (thing.number,))
    assert canonical(Registered(5)) == "test_argument_forms.Registered((5,))"
    assert canonical([Child(5)]) == "[test_argument_forms.Child((5,))]"
    register_key(Registered, lambda thing: (thing.number,))
    with pytest.raises(ValueError, match=r"test_argument_forms\.Registered has another key function already"):
        register_key(Registered, lambda thing: thing.number + 1)
    for cls, function in ((5, len), (str, len), (Client, 5)):
        with pytest.raises(TypeError):
            register_key(cls, function)


class Client:
    def __init__(self, url):
        self.url = url


class Answer:
    def __cache_key__(self):
        return 42


def test_a_kind_of_the_store_says_what_an_object_depends_on_for_arguments_and_closures():
    key = {"encode": lambda it: it.url, "decode": Client, "key": lambda it: it.url}
    with Store(types=[Kind(Client, **key)]) as store:
        client = Client("a")

        @store.memoize
        def f(x):
            return client.url, x.url

        assert f(Client("b")) == ("a", "b")
        assert f.cache_key(Client("b")).endswith(
            "(test_argument_forms.Client('b'); client=test_argument_forms.Client('a'))"
        )
        assert f.cache_key([Client("b")]) != f.cache_key([Client("c")])
    assert CallKeys(module_function, key_functions={Answer: len}).of((Answer(),), {}).endswith("Answer(42))")


def test_single_parameters_may_have_a_key_of_their_own():
    def rows(path, start, stop=10): ...

    keys = CallKeys(rows, key={"path": lambda path: path.lower()})
    assert keys.of(("A",), {"start": 1}).endswith("rows('a', 1, 10)")
    with pytest.raises(ValueError, match="key names 'paths', and the parameters are path, start, stop"):
        CallKeys(rows, key={"paths": len})
    with pytest.raises(TypeError, match="key must map names of parameters to functions"):
        CallKeys(rows, key={"path": 5})


def test_a_file_counts_by_its_content_or_by_its_time(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b")
    with Store() as store:
        calls = []

        def load(path):
            calls.append(path)
            return path.read_text()

        by_content = store.memoize(key={"path": file_content}, ignore=("calls",), name="c")(load)
        by_time = store.memoize(key={"path": file_mtime}, ignore=("calls",), name="t")(load)
        assert by_content(path) == by_content(path) == by_time(path) == by_time(path)
        assert len(calls) == 2
        path.write_text("a,b,c")
        assert by_content(path) == by_time(path) == "a,b,c"
        path.write_text("a,b")
        assert by_content(path) == "a,b"
        assert len(calls) == 4
        with pytest.raises(FileNotFoundError):
            by_content(tmp_path / "gone")
