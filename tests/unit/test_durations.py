"""Times to live as numbers, timedeltas and text, everywhere one is taken."""

import asyncio
from datetime import timedelta
from fractions import Fraction

import pytest

from sqlitedict_kv import AsyncStore
from sqlitedict_kv.adapters.support.fitting import fitting_ttl
from sqlitedict_kv.locks import Lock, RLock, Semaphore, single_run
from sqlitedict_kv.validation import MAX_TTL, check_ttl

HALF_AN_HOUR = [1800, 1800.0, timedelta(minutes=30), "30 min", "30m", "0.5h", "1800 s", "29 minutes 60 seconds"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1), ("1 sec", 1), ("2 secs", 2), ("1 second", 1), ("90 seconds", 90), ("1.5 s", 1.5), ("1m", 60),
        ("30 min", 1800), ("30 mins", 1800), ("1 minute", 60), ("2 minutes", 120), ("1h", 3600), ("1 hr", 3600),
        ("2 HOURS", 7200), ("1.5h", 5400), ("1d", 86_400), ("2 days", 172_800), ("1w", 604_800), ("2 weeks", 1_209_600),
        ("1h 30min", 5400), ("1h30m", 5400), (" 1 day 12 hours ", 129_600),
    ],
)  # fmt: skip
def test_text_says_how_long(text, seconds):
    assert check_ttl(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "1 month", "1y", "min", "-1 h", "1h foo", "foo 1h", "1 h,", "1e3 s", "\u0661h"]
)
def test_text_that_is_not_a_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"ttl must be text such as '90 s', .* or '1 day 12 hours', not"):
        check_ttl(text)


def test_a_number_as_text_has_no_unit():
    with pytest.raises(TypeError, match="or text with a unit, such as '30 min', not '60'"):
        check_ttl("60")


@pytest.mark.parametrize("ttl", ["0s", "0.0 min", timedelta(0), timedelta(-1), "40000 days", timedelta(days=40_000)])
def test_what_is_not_more_than_nothing_or_longer_than_a_century_is_refused(ttl):
    with pytest.raises(ValueError, match="ttl must be more than 0 and at most"):
        check_ttl(ttl)


@pytest.mark.parametrize("ttl", [True, b"1h", [1], Fraction(1)])
def test_anything_else_is_refused(ttl):
    with pytest.raises(TypeError, match="ttl must be a number of seconds, a timedelta or text such as '30 min'"):
        check_ttl(ttl)


def write_in_every_way(store, ttl):
    """Write entries in every way there is, each with *ttl*."""
    users = store.ns("users")
    users.set("set", 1, ttl=ttl)
    users.add("add", 1, ttl=ttl)
    users.cas_set("cas_set", 1, 0, ttl=ttl)
    users.set_many({"set_many": 1}, ttl=ttl)
    for name in ("modify", "touch", "renew"):
        users.set(name, 1, ttl=5)
    users.modify("modify", lambda value: value + 1, ttl=ttl)
    users.touch("touch", ttl)
    users.renew("renew", ttl)
    with store.atomic() as tx:
        tx.ns("users").set("tx.set", 1, ttl=ttl)
        tx.ns("users").add("tx.add", 1, ttl=ttl)
        tx.ns("users", ttl=ttl).set("tx.ns", 1)
        tx.ns("users").touch("set", ttl)
    if store.capabilities.exclusive:
        with store.exclusive() as held:
            held.ns("users", ttl=ttl)["exclusive.ns"] = 1
            held.ns("users").set("exclusive.set", 1, ttl=ttl)
    store.ns("users", ttl=ttl)["ns"] = 1


@pytest.mark.parametrize("ttl", HALF_AN_HOUR, ids=repr)
def test_every_verb_takes_it(store, clock, ttl):
    write_in_every_way(store, ttl)
    users = store.ns("users")
    there = len(users)
    assert there == 11 + 2 * store.capabilities.exclusive

    clock.advance(1799.999)
    assert len(users) == there

    clock.advance(0.001)
    assert len(users) == 0


@pytest.mark.parametrize("ttl", HALF_AN_HOUR, ids=repr)
def test_every_verb_of_an_asynchronous_store_takes_it(clock, ttl):
    async def main():
        async with AsyncStore(clock=clock) as store:
            users = store.ns("users")
            await users.set("set", 1, ttl=ttl)
            await users.add("add", 1, ttl=ttl)
            await users.cas_set("cas_set", 1, 0, ttl=ttl)
            await users.set_many({"set_many": 1, "touch": 1}, ttl=ttl)
            await users.modify("modify", lambda value: value + 1, default=0, ttl=ttl)
            await users.touch("touch", ttl)
            await users.renew("touch", ttl)
            await store.ns("users", ttl=ttl).set("ns", 1)
            clock.advance(1799.999)
            assert await users.count() == 7
            clock.advance(0.001)
            assert await users.count() == 0

    asyncio.run(main())


@pytest.mark.parametrize("ttl", HALF_AN_HOUR, ids=repr)
def test_memoize_takes_it_and_functions_that_return_it(store, clock, ttl):
    @store.memoize(ttl=ttl)
    def plain(): return 1  # fmt: skip

    @store.memoize(ttl=lambda _: ttl, stale_if_error=ttl, lease=ttl)
    def called(): return 1  # fmt: skip

    @store.memoize(ttl="1h", refresh_before=ttl, cache_exceptions={LookupError: ttl})
    def raising(): raise LookupError  # fmt: skip

    plain(), called()
    with pytest.raises(LookupError):
        raising()
    kept = [plain.peek(), called.peek(), store.ns("memoize").get_with_meta(f"!{raising.cache_key()}")]
    assert [entry.meta.expires_at.timestamp() - clock() for entry in kept] == pytest.approx([1800] * 3, abs=0.002)


def test_a_namespace_that_memoizes_lends_its_own(store, clock):
    @store.ns("results", ttl="30 min").memoize()
    def report(): return 1  # fmt: skip

    report()
    assert report.peek().meta.expires_at.timestamp() - clock() == pytest.approx(1800, abs=0.002)


@pytest.mark.parametrize(
    "make", [Lock, RLock, lambda *a, **o: Semaphore(*a, 1, **o)], ids=["Lock", "RLock", "Semaphore"]
)
@pytest.mark.parametrize("ttl", HALF_AN_HOUR, ids=repr)
def test_locks_take_it(store, clock, make, ttl):
    locks = store.ns("locks")
    one, other = make(locks, "k", ttl=ttl), make(locks, "k", ttl=ttl)
    assert one.acquire(blocking=False)
    one.renew(ttl)
    clock.advance(1799)
    assert not other.acquire(blocking=False)
    clock.advance(1)
    assert other.acquire(blocking=False)


def test_a_single_run_takes_it(store):
    assert single_run(store.ns("runs"), "k", ttl="30 min")(lambda: 5)() == 5


def test_the_support_of_adapters_passes_it_on():
    assert fitting_ttl("30 min") == fitting_ttl(timedelta(minutes=30)) == 1800
    assert fitting_ttl(1800) == 1800
    assert fitting_ttl(MAX_TTL * 2) is fitting_ttl(None) is None
