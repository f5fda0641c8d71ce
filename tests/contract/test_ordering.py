"""Keys come in the order of their UTF-8 bytes, by literal prefix, page by page."""

import random

import pytest

LAST = "\U0010ffff"

# In an order that neither UTF-16 nor a collation gives: U+FFFF is below every character beyond the BMP.
KEYS = [
    "",
    "\0",
    "\0\0",
    "\x01",
    " ",
    "!",
    "%",
    "%a",
    "*",
    "*a",
    "0",
    "10",
    "9",
    "A",
    "Z",
    "[",
    "\\",
    "_",
    "_a",
    "a",
    "a\0",
    "a\0b",
    "a b",
    "a%",
    "a%b",
    "a*",
    "aA",
    "a_",
    "a_b",
    "aa",
    "ab",
    "aé",
    "a\ud7ff",
    "a\ue000",
    "a\uffff",
    "a𐀀",
    "a😀",
    f"a{LAST}",
    f"a{LAST}a",
    f"a{LAST}{LAST}",
    "b",
    "z",
    "\x7f",
    "\x80",
    "é",
    "ß",
    "日本",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "𐀀",
    "😀",
    LAST,
    LAST + "a",
    LAST + LAST,
]


def by_bytes(key):
    return key.encode()


@pytest.fixture
def users(store):
    namespace = store.ns("users")
    shuffled = random.Random(7).sample(KEYS, len(KEYS))
    namespace.set_many({key: len(key) for key in shuffled[::2]})
    for key in shuffled[1::2]:
        namespace[key] = len(key)
    store.ns("user").update({"a": 0, LAST: 0})
    store.ns("users2").update({"": 0, "a": 0})
    return namespace


def walk(users, prefix="", **options):
    """Return the keys of all pages, and how many pages there were."""
    keys, pages, cursor = [], 0, None
    while True:
        page = users.list(prefix, cursor=cursor, **options)
        keys += page.keys
        pages += 1
        cursor = page.cursor
        if cursor is None:
            return keys, pages


def test_the_order_is_that_of_the_bytes(users):
    expected = sorted(KEYS, key=by_bytes)
    assert expected.index("\uffff") < expected.index("𐀀")
    assert list(users) == expected
    assert list(reversed(users)) == expected[::-1]
    assert list(users.keys()) == expected
    assert list(users.items()) == [(key, len(key)) for key in expected]
    assert list(reversed(users.items())) == [(key, len(key)) for key in expected[::-1]]
    assert list(users.values()) == [len(key) for key in expected]
    assert list(reversed(users.values())) == [len(key) for key in expected[::-1]]
    assert users.list().keys == tuple(expected)
    assert users.list(reverse=True).keys == tuple(expected[::-1])
    assert [key for key, _ in users.scan()] == expected
    assert [key for key, _ in users.scan(reverse=True)] == expected[::-1]
    assert list(users.copy()) == expected


@pytest.mark.parametrize("prefix", [*KEYS, "a_b%", "zz", "\ud7fe", "AA", "日", "日本語"])
def test_a_prefix_is_taken_literally(users, prefix):
    expected = sorted((key for key in KEYS if key.startswith(prefix)), key=by_bytes)
    assert users.list(prefix).keys == tuple(expected)
    assert users.list(prefix, reverse=True).keys == tuple(expected[::-1])
    assert [key for key, _ in users.scan(prefix)] == expected
    assert [key for key, _ in users.scan(prefix, reverse=True)] == expected[::-1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("prefix", ["", "a", f"a{LAST}", LAST, "zz"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, len(KEYS) - 1, len(KEYS), len(KEYS) + 1])
def test_pages_of_any_size_give_every_key_once(users, prefix, limit, reverse):
    expected = sorted((key for key in KEYS if key.startswith(prefix)), key=by_bytes, reverse=reverse)
    keys, pages = walk(users, prefix, limit=limit, reverse=reverse)
    assert keys == expected
    assert pages == max(1, -(-len(expected) // limit)), "there is a cursor just where something is left"


def test_the_default_limit_is_a_hundred(store):
    users = store.ns("many")
    users.set_many({f"{number:03}": number for number in range(101)})
    page = users.list()
    assert len(page.keys) == 100
    assert users.list(cursor=page.cursor) == (("100",), None)


def test_a_cursor_is_none_exactly_when_nothing_is_left(store, clock):
    users = store.ns("users")
    assert users.list() == ((), None)
    users.update(a=1, b=2)
    users.set("c", 3, ttl=1)
    assert users.list(limit=2).cursor is not None
    clock.advance(1)
    assert users.list(limit=2) == (("a", "b"), None), "what has expired is not left"
    assert users.list(limit=1).cursor is not None


def test_a_cursor_works_when_its_key_and_all_behind_it_are_gone(store):
    users = store.ns("users")
    users.update(a=1, b=2, c=3, d=4)
    page = users.list(limit=2)
    users.delete_many(["a", "b", "c", "d"])
    assert users.list(limit=2, cursor=page.cursor) == ((), None)


def test_a_cursor_is_text_and_works_in_another_view_with_another_limit(store):
    users = store.ns("users")
    users.update(dict.fromkeys(KEYS, 1))
    cursor = users.list(limit=20).cursor
    assert type(cursor) is str
    assert cursor.isascii()
    assert users.list(limit=1000, cursor=cursor).keys == tuple(sorted(KEYS, key=by_bytes)[20:])
    assert store.ns("users").list(limit=1000, cursor=cursor).keys == tuple(sorted(KEYS, key=by_bytes)[20:])


def test_a_cursor_of_another_direction_or_prefix_is_refused(store):
    users = store.ns("users")
    users.update(aa=1, ab=2, b=3)
    cursor = users.list("a", limit=1).cursor
    assert users.list("a", cursor=cursor).keys == ("ab",)
    with pytest.raises(ValueError, match="cursor"):
        users.list("a", cursor=cursor, reverse=True)
    with pytest.raises(ValueError, match="cursor"):
        users.list("b", cursor=cursor)


def steps(users, how, reverse):
    """Walk in one of the ways there are, in small steps where the way allows it."""
    if how == "iter":
        yield from reversed(users) if reverse else users
    elif how == "items":
        yield from (key for key, _ in (reversed(users.items()) if reverse else users.items()))
    elif how == "scan":
        yield from (key for key, _ in users.scan(reverse=reverse))
    else:
        cursor = None
        while True:
            page = users.list(limit=3, cursor=cursor, reverse=reverse)
            yield from page.keys
            cursor = page.cursor
            if cursor is None:
                return


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("how", ["iter", "items", "scan", "list"])
def test_what_is_there_during_the_whole_walk_comes_exactly_once(store, how, reverse):
    users = store.ns("users")
    stable = [f"k{number:04}" for number in range(0, 2400, 2)]
    users.set_many(dict.fromkeys(stable, 0))
    choose = random.Random(3)
    seen = []
    for count, key in enumerate(steps(users, how, reverse)):
        seen.append(key)
        if count % 25 == 0:
            near = choose.randrange(2400) | 1
            users.set_many({f"k{near:04}": 1, f"{key}x": 1, f"{key}\0": 1})
            users.delete_many([f"k{choose.randrange(2400) | 1:04}", f"{key}x"])
        assert count < 4000, "a walk must end"
    assert len(seen) == len(set(seen))
    assert sorted(set(seen) & set(stable)) == stable
    assert seen == sorted(seen, reverse=reverse)


def test_writing_every_key_again_during_a_walk_does_not_prolong_it(store):
    users = store.ns("users")
    users.set_many({f"{number:04}": number for number in range(1200)})
    seen = []
    for key in users:
        seen.append(key)
        users[key] = -1
    assert len(seen) == 1200
    assert set(users.values()) == {-1}


def test_removing_every_key_during_a_walk_ends_it_in_peace(store):
    users = store.ns("users")
    users.set_many({f"{number:04}": number for number in range(1200)})
    for key, _ in users.items():  # noqa: PERF102 - items() is what is tested
        del users[key]
    assert not users


def test_clearing_during_a_walk_ends_it_after_what_was_fetched(store):
    users = store.ns("users")
    users.set_many({f"{number:04}": number for number in range(3000)})
    walk = iter(users)
    assert next(walk) == "0000"
    users.clear()
    assert len(list(walk)) < 2999


def test_a_walk_holds_no_transaction_that_would_block_others(store):
    users = store.ns("users")
    users.set_many({f"{number:04}": "x" * 100 for number in range(1000)})
    walks = [iter(users), iter(users.items()), users.scan(), reversed(users)]
    for walk in walks:
        next(walk)
    users.clear()
    if store.capabilities.backup:
        store.vacuum()
    store.ns("users")["a"] = 1
    assert list(users) == ["a"]


def test_pages_of_large_values_are_complete_as_well(store):
    users = store.ns("users")
    big = bytes(1_500_000)
    for number in range(9):
        users[f"{number}"] = big
    assert [key for key, value in users.items() if value == big] == [str(number) for number in range(9)]
    assert [key for key, _ in users.scan(reverse=True)] == [str(number) for number in range(8, -1, -1)]
    users["new"] = 1  # no reader is left over that would keep the old state alive
    assert len(users) == 10
