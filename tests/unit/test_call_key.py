"""CallKeys of calls: what is one entry, what is another, and what is refused."""

import datetime as dt
import enum
import functools
import re
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv.memoization.argument_forms import canonical, canonical_untyped
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.quick_key import REMEMBERED
from sqlitedict_kv.validation import MAX_KEY_BYTES
from tests.support.processes import environment, run


def report(day, *, limit=10):
    """Stand for what a user decorates."""


def add(a, b=2, c=3):
    """Stand for what a user decorates."""


def anything(first, *args, option=1, **kwargs):
    """Stand for what a user decorates."""


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - an alias


class Number(enum.IntEnum):
    ONE = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: float
    y: float
    label: str = field(default="", compare=False)


@dataclass
class OtherPoint:
    x: float
    y: float


class Pair(NamedTuple):
    a: object
    b: object


class Account:
    def __init__(self, number):
        self.number = number

    def __cache_key__(self):
        return self.number


class Savings(Account):
    pass


def key(function, *args, **kwargs):
    return CallKeys(function).of(args, kwargs)


def test_a_short_key_is_readable():
    assert key(report, "2026-11-23") == f"{__name__}.report('2026-11-23', limit=10)"
    assert key(add, 1) == f"{__name__}.add(1, 2, 3)"
    assert CallKeys(add, version=2).of((1,), {}) == f"{__name__}.add@2(1, 2, 3)"
    assert CallKeys(add, name="sums").of((1,), {}) == "sums(1, 2, 3)"


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (add, [((1,), {}), ((), {"a": 1}), ((1, 2), {}), ((1,), {"c": 3, "b": 2}), ((1, 2, 3), {})]),
        (add, [((1,), {}), ((), {"c": 3, "a": 1})]),
        (add, [(("é\u200b\\",), {}), ((), {"a": "é\u200b\\"})]),
        (add, [(("it's",), {}), ((), {"a": "it's"})]),
        (add, [((10**400,), {}), ((), {"a": 10**400})]),
        (add, [((10**5000,), {}), ((), {"a": 10**5000})]),
        (add, [(("x" * 190,), {}), ((), {"a": "x" * 190})]),
        (report, [(("d",), {}), (("d",), {"limit": 10}), ((), {"limit": 10, "day": "d"})]),
        (anything, [((1,), {"x": 1, "y": 2}), ((1,), {"y": 2, "x": 1, "option": 1})]),
    ],
)  # fmt: skip
def test_calls_that_mean_the_same_are_one_entry(function, calls):
    assert len({CallKeys(function).of(args, kwargs) for args, kwargs in calls}) == 1


DIFFERENT = [
    None, True, False, 0, 1, 1.0, -1, 0.0, -0.0, 1j, 1 + 0j, "1", "", "True", "None", b"1", bytearray(b"1"), 10**30,
    2**2000, float("inf"), float("nan"), "it's", 'say "it\'s"', "é", "\\xe9", "\xe9\n", "\ud800", "a, b", "'a', 'b'",
    (), ((),), (1,), [1], [], {1}, frozenset({1}), set(), frozenset(), {}, {1: 1}, {"1": 1}, {1.0: 1}, OrderedDict(),
    OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), {"a": 1, "b": 2}, ("a", "b"), ("a, b",), [["a"], "b"], [["a", "b"]],
    Decimal(1), Decimal("1.0"), Fraction(1), Fraction(1, 2), UUID(int=1), str(UUID(int=1)), range(1), range(0, 1, 2),
    dt.date(2026, 1, 1), dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, fold=1),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")), dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/London")),
    dt.time(1), dt.time(1, tzinfo=dt.UTC), dt.timedelta(1), dt.timedelta(0, 1), "2026-01-01",
    Colour.RED, Number.ONE, Permission.READ, Permission.READ | Permission.WRITE, Point(1, 2), Point(1.0, 2),
    OtherPoint(1, 2), Pair(1, 2), (1, 2), Path("a/b"), "a/b", Point, OtherPoint, int, Account(1), Savings(1),
    Account(2),
    np.arange(3), np.arange(3).astype("int32"), np.arange(4), np.arange(4).reshape(2, 2), np.float64(1), np.float32(1),
    np.int64(1), np.bool_(1), np.str_("1"), np.array(1), np.datetime64("2026-01-01"),
]  # fmt: skip


def test_what_differs_in_type_or_content_has_a_key_of_its_own():
    texts = {}
    for value in DIFFERENT:
        other = texts.setdefault(key(add, value), value)
        assert other is value, (other, value)
    assert len(texts) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ({"x", "y", "z", 1, None}, {None, 1, "z", "y", "x"}),
        (Colour.RED, Colour.CRIMSON),
        (Point(1, 2, "here"), Point(1, 2, "there")),
        (Path("a/b"), PurePosixPath("a/b")),
        (np.arange(4).reshape(2, 2), np.asfortranarray(np.arange(4).reshape(2, 2))),
        (np.arange(8)[::2], np.array([0, 2, 4, 6])),
        (Account(7), Account(7)),
        ([float("nan")], [float("nan")]),
    ],
)
def test_equal_values_have_one_form(one, other):
    assert canonical(one) == canonical(other)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


def exact(value):
    """Return what tells values apart that differ in type or content, made by comparing and not by writing."""
    if isinstance(value, dict):
        return dict, frozenset((exact(key), exact(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(exact, value))
    return type(value), value, str(value) if isinstance(value, float) else None


@given(VALUES, VALUES)
def test_two_values_share_a_form_exactly_if_they_are_the_same(one, other):
    assert (canonical(one) == canonical(other)) == (exact(one) == exact(other))


@given(VALUES)
def test_keyword_only_defaults_make_the_same_key_as_given_ones(value):
    assert key(report, value) == key(report, value, limit=10) == key(report, day=value)
    assert key(report, value) != key(report, value, limit=11)


@given(st.lists(VALUES, min_size=3, max_size=3))
def test_the_quick_way_makes_the_same_key_as_the_thorough_one(arguments):
    a, b, c = arguments
    assert key(add, a, b, c) == key(add, a, b, c=c) == key(add, c=c, b=b, a=a)


@pytest.mark.parametrize(
    "one", [1, True, 1.0, 1 + 0j, Decimal(1), Decimal("1.00"), Fraction(2, 2), np.int8(1), np.float64(1)]
)
def test_untyped_makes_equal_numbers_one(one):
    keys = CallKeys(add, typed=False)
    assert keys.of((one,), {}) == keys.of((1,), {}) != keys.of(("1",), {})
    assert keys.of(([one, {"x": one}],), {}) == keys.of(([1, {"x": 1}],), {})
    assert canonical_untyped(Decimal("0.5")) == canonical_untyped(0.5) == canonical_untyped(Fraction(1, 2))
    assert canonical_untyped(Decimal("0.1")) != canonical_untyped(0.1)
    assert canonical_untyped(Decimal("Infinity")) == canonical_untyped(float("inf"))
    assert canonical_untyped(float("nan")) == "nan"


def test_arguments_of_any_number_are_told_apart():
    calls = [
        ((1, 2), {}), ((1, 2, 3), {}), ((1, (2, 3)), {}), ((1,), {"option": 2}), ((1,), {"a": 2}), ((1,), {"a": "2"}),
        ((1,), {"a": 2, "b": 3}), ((1,), {"a=2, b": 3}), ((1,), {"'a'": 2}), ((1, "a=2"), {}),
    ]  # fmt: skip
    assert len({CallKeys(anything).of(args, kwargs) for args, kwargs in calls}) == len(calls)


def test_a_positional_only_name_may_come_again_as_a_keyword():
    def f(a, /, **kwargs):
        """Stand for what a user decorates."""

    assert key(f, 1, a=2) != key(f, 2, a=1)


def test_what_is_ignored_makes_no_difference():
    ignoring = CallKeys(anything, ignore=("first", "option", "x", "args"))
    assert ignoring.of((1, 2), {"x": 1, "y": object}) == ignoring.of((5,), {"option": 2, "y": object})
    assert ignoring.of((1,), {"y": 1}) != ignoring.of((1,), {"y": 2})


def test_key_says_what_the_result_depends_on():
    keys = CallKeys(add, key=lambda a, b=0, c=0: (a.number, b))
    assert keys.of((Account(3),), {"b": 1}) == f"{__name__}.add((3, 1))"
    assert CallKeys(add, key=lambda a: a).of(("x",), {}) == f"{__name__}.add('x')"
    with pytest.raises(TypeError, match=r"key= of .*add returned a builtins.object; let it return a str"):
        CallKeys(add, key=lambda a: object()).of((1,), {})


def test_long_arguments_are_hashed_and_the_name_stays():
    long, longer = key(add, "x" * 500), key(add, "x" * 501)
    begin = f"{__name__}.add('{'x' * 71}'...502.ff123758, 2, 3, #"
    assert re.fullmatch(re.escape(begin) + r"[0-9a-f]{40}\)", long)
    many = CallKeys(lambda *args: args, name="f").of(tuple(range(1000)), {})  # too many to be shown
    assert re.fullmatch(r"f\(#[0-9a-f]{40}\)", many)
    assert long != longer
    assert len(key(add, "é" * 190).encode()) <= MAX_KEY_BYTES


def test_a_key_fits_its_limit_whatever_its_parts():
    keys = CallKeys(add, name="m" * 300, version="9" * 50)
    body = keys.of(("\U0001f600" * 48, "\U0001f600" * 48, "\U0001f600" * 80), {}).encode()
    assert len(body) <= MAX_KEY_BYTES
    assert CallKeys(add, name="m" * 300, version="8" * 50).of((1,), {}) != CallKeys(
        add, name="m" * 300, version="9" * 50
    ).of((1,), {})


@pytest.mark.parametrize(
    "value",
    [object(), [object()], {1: object()}, iter([]), type("S", (str,), {})("x"), np.array([object()]),
     dt.datetime(2026, 1, 1, tzinfo=type("Z", (dt.tzinfo,), {})())],
)  # fmt: skip
def test_an_argument_without_a_canonical_form_is_named_with_two_ways_out(value):
    with pytest.raises(TypeError, match=r"argument 'b' of .*\.add cannot.*key=lambda.*ignore=\('b',\)"):
        key(add, 1, value)
    with pytest.raises(TypeError, match="argument 'kwargs' of .*anything|argument 'x' of .*anything"):
        key(anything, 1, x=value)


def test_an_argument_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="argument 'a' of .* nested too deeply"):
        key(add, endless)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3, 4), {}, "too many positional arguments"),
        ((1,), {"d": 1}, "unexpected keyword argument 'd'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_as_python_does(args, kwargs, message):
    with pytest.raises(TypeError, match=rf"{re.escape(__name__)}\.add\(\): .*{message}"):
        CallKeys(add).of(args, kwargs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ignore": "a"}, TypeError, "ignore must be a collection"),
        ({"ignore": ("x",)}, ValueError, "ignore names 'x', and the parameters are a, b, c"),
        ({"ignore": (0,)}, TypeError, "ignore must hold names"),
        ({"version": 1.5}, TypeError, "version must be a str or an int"),
        ({"version": True}, TypeError, "version must be a str or an int"),
        ({"version": ""}, ValueError, "version must be 1 to 50"),
        ({"version": "1("}, ValueError, "version must be 1 to 50"),
        ({"name": 1}, TypeError, "name must be a str"),
        ({"name": "!x"}, ValueError, "name must be letters"),
    ],
)
def test_a_bad_option_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        CallKeys(add, **options)


def test_what_has_no_name_that_lasts_needs_one():
    with pytest.raises(ValueError, match="all lambdas of a module share one name"):
        CallKeys(lambda x: x)
    assert CallKeys(functools.partial(add, 1), name="one").of((5,), {}) == "one(1, 5, 3)"


def test_keys_are_the_same_in_every_process_whatever_the_hash_seed():
    code = """
    import datetime
    from decimal import Decimal
    from sqlitedict_kv.memoization.argument_forms import canonical
    say(canonical([{"a", "b", "c", 1, None}, {"x": {("t", 1.5): Decimal("1.10")}, "b": frozenset("hello")}]))
    """
    seen = {tuple(run(code)) for _ in range(2)}
    assert "PYTHONHASHSEED" not in environment()
    assert len(seen) == 1


def test_functions_of_two_scripts_never_meet_and_a_spawned_child_agrees_with_its_parent(tmp_path):
    script = """
import multiprocessing
from sqlitedict_kv.memoization.call_key import CallKeys
def f(x): ...
class Thing: ...
def show(): print(CallKeys(f).of((Thing,), {}), flush=True)
if __name__ == "__main__":
    show()
    child = multiprocessing.get_context("spawn").Process(target=show)
    child.start(); child.join()
"""
    shown = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "job.py").write_text(script)
        done = subprocess.run(
            [sys.executable, tmp_path / folder / "job.py"],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        parent, child = done.stdout.splitlines()
        assert parent == child
        assert re.fullmatch(r"job-[0-9a-f]{8}\.f@~[0-9a-f]{10}\(<job-[0-9a-f]{8}\.Thing>\)", parent)
        shown.append(parent)
    assert shown[0] != shown[1]


def test_keys_that_are_remembered_are_told_apart_by_the_types_of_their_arguments():
    def function(a): ...

    of = CallKeys(function).of
    for _ in range(2):
        written = [of((value,), {}) for value in (1, True, 1.0, 0.0, -0.0, "1", b"1", None)]
        assert len(set(written)) == 8


def test_more_keys_than_are_remembered_stay_the_same():
    def function(a): ...

    of = CallKeys(function).of
    first = [of((number,), {}) for number in range(3 * REMEMBERED)]
    assert [of((number,), {}) for number in range(3 * REMEMBERED)] == first
    assert len(set(first)) == len(first)
