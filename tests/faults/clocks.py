"""Clocks that step forward and back by hours.

What is promised: an entry is there until the store's clock says that its time has come, by the clock of the moment, and
absent from then on. If the clock is set back before that time, the entry may be there again, with its old value, or
not, if it was removed meanwhile. Versions only grow, no call fails, and locks end by the same clock: early where it is
set forward, late where it is set back; an owner that lost one is told so.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlitedict_kv import LockLostError, Store
from sqlitedict_kv.locks import Lock
from tests.faults.campaign import Campaign, Round

NEVER_BACK = "a clock that never goes back"
KEYS = tuple("abcdef")
HOUR = 3_600_000  # milliseconds
LEASE = 60_000


class SteppedClock:
    """The time of a machine whose owner sets it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000  # Unix time in milliseconds

    def __call__(self) -> float:
        return self.now / 1000


class Ratchet:
    """A clock that goes on from the latest time that it ever showed; a store on it does not follow its machine."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock
        self._latest = 0.0

    def __call__(self) -> float:
        self._latest = max(self._latest, self._clock())
        return self._latest


@dataclass
class Kept:
    """What a key holds, as far as its clock tells."""

    value: object
    expires_at: int | None
    removable: bool = False  # whether it has been expired at some moment, so that a write may have removed it

    def is_live(self, now: int) -> bool:
        return self.expires_at is None or self.expires_at > now


class Machine:
    """A store, a clock and what should be in it."""

    def __init__(self, round_: Round) -> None:
        self.round = round_
        self.generator = random.Random(round_.seed)
        self.clock = SteppedClock()
        clock = Ratchet(self.clock) if round_.sabotage == NEVER_BACK else self.clock
        self.store = Store(round_.directory / "clocks.db", clock=clock)
        self.n = self.store.ns("n")
        self.kept: dict[str, Kept] = {}
        self.highest = dict.fromkeys(KEYS, 0)
        self.other = ThreadPoolExecutor(1)  # the other owner of a lock

    def step(self) -> None:
        size = self.generator.choice((1, 1000, LEASE, HOUR, 8 * HOUR))
        self.clock.now += self.generator.choice((1, -1)) * self.generator.randrange(size + 1)
        for kept in self.kept.values():
            kept.removable |= not kept.is_live(self.clock.now)
        self.round.count("clock steps")

    def look(self, key: str) -> Kept | None:
        """Return what is there, after a read that must fit; what was removed is gone for good."""
        entry = self.n.get_with_meta(key)
        kept = self.kept.get(key)
        live = kept is not None and kept.is_live(self.clock.now)
        if (key in self.n) != (entry is not None) or self.n.get(key) != (entry and entry.value):
            self.round.fail(f"two reads of {key!r} differ")
        if entry is None:
            if live and not kept.removable:
                self.round.fail(f"{key!r} is gone before its time")
            if live:
                del self.kept[key]
            return None
        if not live:
            self.round.fail(
                f"{key!r} is there after its time, which came {self.clock.now - (kept.expires_at or 0)} ms ago"
                if kept
                else f"{key!r} is there again"
            )  # noqa: E501
        if entry.value != kept.value or entry.meta.version != self.highest[key]:
            self.round.fail(f"{key!r} holds another value or version than it should")
        return kept

    def wrote(self, key: str, version: int, kept: Kept) -> None:
        if version <= self.highest[key]:
            self.round.fail(f"the version of {key!r} went from {self.highest[key]} to {version}")
        self.highest[key] = version
        self.kept[key] = kept

    def act(self) -> None:  # noqa: C901 - one branch per verb
        key = self.generator.choice(KEYS)
        ttl = self.generator.choice((None, 1, 1000, LEASE, HOUR, 5 * HOUR))
        seconds = None if ttl is None else ttl / 1000
        deadline = None if ttl is None else self.clock.now + ttl
        kept = self.look(key)
        match self.generator.randrange(8):
            case 0 | 1:
                value = self.generator.random()
                self.wrote(key, self.n.set(key, value, ttl=seconds), Kept(value, deadline))
            case 2 if kept:
                if not self.n.touch(key, seconds):
                    self.round.fail(f"touch of {key!r} found nothing")
                kept.expires_at, kept.removable = deadline, False
            case 3:
                version = self.n.cas_set(key, 5, self.highest[key] if kept else 0, ttl=seconds)
                self.wrote(key, version, Kept(5, deadline))
            case 4 if kept:
                if not self.n.delete(key):
                    self.round.fail(f"delete of {key!r} found nothing")
                del self.kept[key]
            case 5:
                total = self.n.incr(key)
                before = self.kept[key] if kept else Kept(0, None)
                self.wrote(key, self.highest_of(key), Kept(total, before.expires_at, before.removable))
                if total != before.value + 1:
                    self.round.fail(f"incr of {key!r} gave {total}")
            case 6:
                self.store.purge_expired()
                if any(
                    kept.is_live(self.clock.now) and not kept.removable and name not in self.n
                    for name, kept in self.kept.items()
                ):  # noqa: E501
                    self.round.fail("purge_expired removed what was alive")
            case _:
                self.lock()

    def highest_of(self, key: str) -> int:
        entry = self.n.get_with_meta(key)
        return entry.meta.version if entry else 0

    def lock(self) -> None:
        """Take a lock, set the clock, and let another thread try."""
        locks = self.store.ns("locks")
        mine, theirs = (Lock(locks, "job", ttl=LEASE / 1000) for _ in range(2))
        if not mine.acquire(timeout=0):
            self.round.fail("a free lock was not to be had")
        ends = self.clock.now + LEASE
        self.step()
        taken = self.other.submit(theirs.acquire, timeout=0).result()
        if taken != (ends <= self.clock.now):
            self.round.fail(f"a lock was {'taken' if taken else 'refused'} {ends - self.clock.now} ms before its end")
        try:
            mine.release()
        except LockLostError:
            if not taken:
                self.round.fail("a lock was lost before its end")
        else:
            if taken:
                self.round.fail("who lost a lock was not told")
        if taken:
            self.other.submit(theirs.release).result()


def run(round_: Round) -> None:
    """Use a store while its clock is set forward and back."""
    machine = Machine(round_)
    with machine.store, machine.other:
        while round_.figures["clock steps"] < round_.size:
            machine.step()
            for _ in range(machine.generator.randrange(4)):
                machine.act()
                round_.count("calls")
        report = machine.store.check()
    if not report.ok:
        round_.fail(f"the file is damaged: {report.problems}")


CAMPAIGN = Campaign(
    name="clocks",
    promise="A clock that steps forward or back by hours moves expiry and leases with it, and nothing else",
    unit="clock steps",
    run=run,
    ci=2_000,
    nightly=100_000,
    release=1_000_000,
    twins=(NEVER_BACK,),
    twin=500,
)
