"""A namespace with ``keys=`` is a mapping of keys of that type, in their order, on every kind of store."""

from datetime import date, timedelta
from uuid import UUID

import pytest

from sqlitedict_kv import ConflictError, DecodeError, TooLargeError

DAYS = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 9), date(2026, 1, 10), date(2026, 2, 1)]
PAIRS = [("a", -5), ("a", 2), ("a", 10), ("ab", 1), ("b", 0)]


@pytest.fixture
def by_day(store):
    days = store.ns("by day", keys=date)
    days.set_many({day: day.isoformat() for day in DAYS})
    return days


@pytest.mark.parametrize(
    ("keys", "ordered"),
    [
        (int, [-(10**30), -10, -9, -1, 0, 1, 9, 10, 2**63, 10**30]),
        (float, [float("-inf"), -1.5, -0.25, 0.0, 1e-9, 0.1, 2.0, 1e300]),
        (bytes, [b"", b"\0", b"\0\0", b"a", b"\xff"]),
        (date, DAYS),
        (UUID, [UUID(int=1), UUID(int=2**100)]),
        (tuple[str, int], PAIRS),
        (tuple[str, tuple[int, ...]], [("a", ()), ("a", (1,)), ("a", (1, 0)), ("a", (2,))]),
        (int | str, [-1, 5, "", "a"]),
        (object, [None, 1, 1.5, "a", b"b", True, (), ("a",), ("a", None)]),
    ],
    ids=lambda value: str(value) if not isinstance(value, list) else "",
)
def test_keys_come_back_in_their_own_order(store, keys, ordered):
    entries = store.ns("n", keys=keys)
    for key in reversed(ordered):
        entries[key] = [str(key)]
    assert list(entries) == ordered
    assert [type(key) for key in entries] == [type(key) for key in ordered]
    assert list(reversed(entries)) == ordered[::-1]
    assert entries.copy() == {key: [str(key)] for key in ordered}
    assert len(entries) == len(ordered)
    assert all(key in entries for key in ordered)


def test_every_verb_takes_and_gives_such_keys(store):
    counts = store.ns("counts", keys=tuple[str, int])
    key, other = ("ada", 1), ("bob", 2)
    assert counts.set(key, 5) > 0
    assert counts[key] == counts.get(key) == counts.get_with_meta(key).value == 5
    assert counts.get(other) is None
    assert counts.get(other, 7) == 7
    assert counts.get_many([key, other]) == {key: 5}
    assert counts.get_many_with_meta([key])[key].value == 5
    assert counts.add(key, 6) is None
    assert counts.add(other, 6) > 0
    assert counts.cas_set(key, 8, counts.get_with_meta(key).meta.version) > 0
    assert counts.incr(key) == 9
    assert counts.decr(key, 2) == 7
    assert counts.modify(key, lambda value: value + 1) == 8
    assert counts.setdefault(key, 0) == 8
    assert counts.touch(key, 60)
    assert counts.renew(key, 60) == 8
    assert set(counts.set_many({key: 1, other: 2})) == {key, other}
    assert dict(counts.items()) == {key: 1, other: 2}
    assert list(counts.keys()) == [key, other]
    assert list(counts.values()) == [1, 2]
    assert key in counts.keys()  # noqa: SIM118 - the view
    assert (key, 1) in counts.items()
    assert (key, 2) not in counts.items()
    assert 5 not in counts.keys()  # noqa: SIM118 - the view
    assert counts.delete(key)
    assert not counts.delete(key)
    assert counts.pop(other) == 2
    assert counts.pop(other, None) is None
    counts[key] = 1
    assert counts.popitem() == (key, 1)
    counts.update({key: 1})
    assert counts.delete_many([key, other]) == 1
    assert not counts


def test_errors_name_the_key_as_its_caller_wrote_it(by_day):
    absent = date(2000, 1, 1)
    for call in (
        lambda: by_day[absent],
        lambda: by_day.pop(absent),
        lambda: by_day.modify(absent, str),
        lambda: by_day.incr(absent, default=None),
        lambda: by_day.__delitem__(absent),
    ):
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value.args == (absent,)
    for call in (lambda: by_day.cas_set(absent, 1, 5), lambda: by_day.delete(absent, version=5)):
        with pytest.raises(ConflictError, match="datetime.date") as conflict:
            call()
        assert conflict.value.key == absent


def test_a_key_of_another_type_is_not_there_and_cannot_be_written(by_day):
    assert "2026-01-01" not in by_day
    assert 5 not in by_day
    for call in (
        lambda: by_day["2026-01-01"],
        lambda: by_day.get("2026-01-01"),
        lambda: by_day.set(5, 1),
        lambda: by_day.pop(5, None),
        lambda: by_day.get_many([5]),
        lambda: by_day.get_many("2026-01-01"),
        lambda: by_day.set_many({5: 1}),
        lambda: by_day.update(a=1),
    ):
        with pytest.raises(TypeError, match="date"):
            call()
    assert len(by_day) == len(DAYS)


def test_without_keys_they_are_str_as_ever(store):
    users = store.ns("users")
    users["1"] = "one"
    assert 1 not in users
    assert None not in users
    assert 1 not in users.keys()  # noqa: SIM118 - the view
    for call in (lambda: users[1], lambda: users.get(1), lambda: users.pop(1, None), lambda: users.set(1, 2)):
        with pytest.raises(TypeError, match=r"ns\(name, keys=int\)"):
            call()
    assert store.ns("users", keys=str)["1"] == "one"


def test_the_text_is_the_key_for_a_namespace_without_keys(store, by_day):
    plain = store.ns("by day")
    assert list(plain) == [f"/{day}" for day in DAYS]
    plain["other"] = 1
    with pytest.raises(DecodeError, match=r"'other' in namespace 'by day' is not one of keys=date"):
        list(by_day)
    assert by_day[DAYS[0]] == "2025-12-31"
    del plain["other"]
    assert list(by_day) == DAYS


def test_a_key_whose_text_is_too_long_is_refused(store):
    with pytest.raises(TooLargeError):
        store.ns("n", keys=bytes)[b"x" * 600] = 1
    with pytest.raises(TooLargeError):
        store.ns("n", keys=object)[("é" * 600,)] = 1


@pytest.mark.parametrize("reverse", [False, True])
def test_a_listing_takes_a_range_of_keys(by_day, reverse):
    def listed(**bounds):
        keys, cursor = [], None
        while True:
            page = by_day.list(limit=2, cursor=cursor, reverse=reverse, **bounds)
            keys += page.keys
            cursor = page.cursor
            if cursor is None:
                break
        assert [key for key, _ in by_day.scan(reverse=reverse, **bounds)] == keys
        return keys[::-1] if reverse else keys

    assert listed() == DAYS
    assert listed(start=date(2026, 1, 1), stop=date(2026, 2, 1)) == DAYS[1:4]
    assert listed(start=DAYS[1], stop=DAYS[1] + timedelta(days=1)) == DAYS[1:2]
    assert listed(start=date(2026, 1, 2)) == DAYS[2:]
    assert listed(stop=date(2026, 1, 10)) == DAYS[:3]
    assert listed(start=DAYS[2], stop=DAYS[2]) == []
    assert listed(start=DAYS[3], stop=DAYS[1]) == []
    assert listed(start=date(2030, 1, 1)) == []
    assert listed(stop=date(2000, 1, 1)) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_plain_keys_take_a_range_too(store, reverse):
    users = store.ns("users")
    names = ["a", "ab", "b", "ba", "bb", "c"]
    users.set_many(dict.fromkeys(names, 1))

    def listed(*arguments, **bounds):
        keys = [key for key, _ in users.scan(*arguments, reverse=reverse, **bounds)]
        assert list(users.list(*arguments, reverse=reverse, **bounds).keys) == keys
        return sorted(keys)

    assert listed(start="ab", stop="bb") == ["ab", "b", "ba"]
    assert listed("b", start="ab", stop="bb") == ["b", "ba"]
    assert listed("b", start="ba") == ["ba", "bb"]
    assert listed("a", start="b") == []
    assert listed("b", stop="b") == []
    assert listed("b", stop="a") == []
    assert listed("b", stop="c") == ["b", "ba", "bb"]
    assert listed("b", start="a", stop="z") == ["b", "ba", "bb"]
    assert listed("b", start="bz") == []
    assert listed(start="b0") == ["ba", "bb", "c"]
    for bad in (5, b"x"):
        with pytest.raises(TypeError, match="start must be a str"):
            users.list(start=bad)


def test_an_expired_key_is_not_the_first_of_a_range(store, clock):
    users = store.ns("users")
    users.set("b", 1, ttl=1)
    users.set("c", 1)
    clock.advance(2)
    assert users.list(start="b").keys == ("c",)
    assert [key for key, _ in users.scan(start="b")] == ["c"]


def test_a_prefix_of_tuples_is_their_first_items(store):
    pairs = store.ns("pairs", keys=tuple[str, int])
    pairs.set_many(dict.fromkeys(PAIRS, 1))
    assert pairs.list(("a",)).keys == (("a", -5), ("a", 2), ("a", 10))
    assert [key for key, _ in pairs.scan(("a",), start=("a", 0))] == [("a", 2), ("a", 10)]
    assert pairs.list(start=("a", 5), stop=("b",)).keys == (("a", 10), ("ab", 1))
    with pytest.raises(TypeError, match="prefix must be str, bytes or a tuple"):
        pairs.list(5)


def test_a_type_that_cannot_be_a_key_is_refused_at_once(store):
    for bad in (dict, list[int], "int", 5, None.__class__.__class__):
        with pytest.raises(TypeError, match="keys must be str, int"):
            store.ns("n", keys=bad)
