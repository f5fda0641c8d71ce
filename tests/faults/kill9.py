"""Kill -9 of many processes that move money between accounts, alone and all of them at once.

Each transfer changes several accounts and writes a line of a log, in one transaction that demands the versions it
has read. So the log says exactly what the accounts must hold, and no two transfers may have met the same version.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import defaultdict
from contextlib import suppress
from functools import partial
from math import inf

from sqlitedict_kv import ConflictError, Store
from tests.faults.campaign import Campaign, FaultError, Round, UnavailableError
from tests.faults.crew import Acks, Crew, noted, signal_at_once

ACCOUNTS = [f"account {number:02}" for number in range(40)]
START = 1000
MASS = 0.1  # of the kills come to all processes at once
LONG = 2100  # entries: more than a commit through the main connection takes
LONG_EVERY = 40  # writes
PATIENCE = 60.0  # seconds that a call may wait for the others


class Bank:
    """Accounts in our store."""

    def __init__(self, path):
        self.store = Store(path, timeout=PATIENCE)
        self._accounts = self.store.ns("accounts")
        self._own = self.store.ns("own")

    def begin(self):
        """Forget the log; make the accounts that are missing."""
        self.store.ns("log").clear()
        self._accounts.set_many({name: [START, ""] for name in ACCOUNTS if name not in self._accounts})

    def transfer(self, tag, amounts, *, anew, before_commit, one_by_one=False):
        """Add the amounts and log it; return the new versions, None if somebody was faster.

        *anew* removes each account and makes it again, which must not bring an old version back.
        """
        read = {name: self._accounts.get_with_meta(name) for name in amounts}
        if any(entry is None for entry in read.values()):
            raise AssertionError(f"an account is missing: {read}")
        line = [[name, read[name].meta.version, amount] for name, amount in amounts.items()]
        if one_by_one:
            self.store.ns("log")[tag] = line
            for name, amount in amounts.items():
                self._accounts.modify(name, lambda value, amount=amount: [value[0] + amount, tag])
            return {}
        try:
            with self.store.atomic() as tx:
                for name, amount in amounts.items():
                    tx.ns("accounts").check(name, read[name].meta.version)
                    if anew:
                        del tx.ns("accounts")[name]
                    tx.ns("accounts").set(name, [read[name].value[0] + amount, tag])
                tx.ns("log").add(tag, line)
                before_commit()
        except ConflictError:
            return None
        return {name: tx.versions["accounts", name] for name in amounts}

    def write_own(self, worker, step):
        """Write keys that nobody else writes, in each of the other ways to write."""
        match step % 4:
            case 0:
                self._own[f"set {worker}"] = [step, "x" * (step * 37 % 3000)]
            case 1:
                self._own.set_many({f"many {worker} {number}": step for number in range(20)})
            case 2:
                self._own.incr(f"incr {worker}")
            case 3 if step % LONG_EVERY == LONG_EVERY - 1:
                self._own.set_many({f"long {worker} {number}": step for number in range(LONG)})

    def own(self, worker):
        """Return what of those is there, by kind: the last step, or the count; None if an edit was torn."""
        some = self._own.get(f"set {worker}", [0, ""])
        many = list(self._own.get_many([f"many {worker} {number}" for number in range(20)]).values())
        long = list(self._own.get_many([f"long {worker} {number}" for number in range(LONG)]).values())
        whole = some[1] == "x" * (some[0] * 37 % 3000) and _is_whole(many, 20) and _is_whole(long, LONG)
        if not whole:
            return None
        return some[0], max(many, default=0), self._own.get(f"incr {worker}", 0), max(long, default=0)

    def read(self):
        """Return the accounts as (balance, tag, version), and the log."""
        entries = dict(self._accounts.scan())
        accounts = {name: (*entry.value, entry.meta.version) for name, entry in entries.items()}
        return accounts, self.store.ns("log").copy()

    def problems(self):
        """Return what a check of the whole file finds."""
        return self.store.check().problems

    def close(self):
        """Close it."""
        self.store.close()


def _is_whole(values, count):
    return len(set(values)) <= 1 and len(values) in (0, count)


class DiskcacheBank:
    """The same accounts in a diskcache.Cache as it comes: WAL, synchronous=NORMAL; its transactions hold the lock."""

    def __init__(self, path):
        from diskcache import Cache

        self.cache = Cache(path, timeout=PATIENCE)

    def begin(self):
        with self.cache.transact():
            for key in [key for key in self.cache.iterkeys() if key.startswith("log ")]:
                del self.cache[key]
            for name in ACCOUNTS:
                self.cache.add(name, [START, "", 1])

    def transfer(self, tag, amounts, *, anew, before_commit, one_by_one=False):
        with self.cache.transact():
            read = {name: self.cache[name] for name in amounts}
            for name, amount in amounts.items():
                if anew:
                    del self.cache[name]
                self.cache[name] = [read[name][0] + amount, tag, read[name][2] + 1]
            self.cache[f"log {tag}"] = [[name, read[name][2], amount] for name, amount in amounts.items()]
        return {name: read[name][2] + 1 for name in amounts}

    def write_own(self, worker, step):
        match step % 4:
            case 0:
                self.cache[f"set {worker}"] = [step, "x" * (step * 37 % 3000)]
            case 1:
                with self.cache.transact():
                    for number in range(20):
                        self.cache[f"many {worker} {number}"] = step
            case 2:
                self.cache.incr(f"incr {worker}")

    def own(self, worker):
        some = self.cache.get(f"set {worker}", [0, ""])
        many = [self.cache.get(f"many {worker} {number}") for number in range(20)]
        many = [value for value in many if value is not None]
        if some[1] != "x" * (some[0] * 37 % 3000) or not _is_whole(many, 20):
            return None
        return some[0], max(many, default=0), self.cache.get(f"incr {worker}", 0), inf

    def read(self):
        accounts = {name: tuple(self.cache[name]) for name in ACCOUNTS if name in self.cache}
        keys = [key for key in self.cache.iterkeys() if key.startswith("log ")]
        return accounts, {key.removeprefix("log "): self.cache[key] for key in keys}

    def problems(self):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [str(each.message) for each in self.cache.check()]

    def close(self):
        self.cache.close()


BANKS = {None: Bank, "diskcache": DiskcacheBank}


def work(voice, path, peer, worker, seed, sabotage):
    """Move money until killed."""
    dice = random.Random(seed)
    bank = BANKS[peer](path)
    acks = Acks(f"{path}.acks {worker}")
    too_early = sabotage == "acknowledged before the commit"
    voice.say("ready")
    step = 0
    while True:
        step += 1
        if step % 3 == 0:
            bank.write_own(worker, step // 3)
            acks.note(json.dumps(["own", step // 3]))
            continue
        names = dice.sample(ACCOUNTS, dice.randint(2, 4))
        amounts = {name: dice.randint(-50, 50) for name in names}
        amounts[names[0]] -= sum(amounts.values())
        tag = f"{worker}:{step}"
        versions = bank.transfer(
            tag,
            amounts,
            anew=dice.random() < 0.1,
            before_commit=partial(acks.note, json.dumps(["transfer", tag, {}])) if too_early else lambda: None,
            one_by_one=sabotage == "a transaction in several commits",
        )
        if versions is not None and not too_early:
            acks.note(json.dumps(["transfer", tag, versions]))


def verify(round_, path, workers, seen):
    """Compare what is there with what was acknowledged to *workers*, all of which are dead.

    *seen* holds the versions that were acknowledged ever, so that none comes back.
    """
    bank = BANKS[round_.peer](path)
    try:
        transfers, own = {}, defaultdict(int)
        for worker in workers:
            for kind, *what in map(json.loads, noted(f"{path}.acks {worker}")):
                if kind == "own":
                    own[worker] = what[0]
                else:
                    transfers[what[0]] = what[1]
            with suppress(FileNotFoundError):  # of one that was killed too soon
                os.unlink(f"{path}.acks {worker}")
        _verify_transfers(*bank.read(), transfers, seen)
        for worker, step in own.items():
            found = bank.own(worker)
            if found is None:
                raise FaultError(f"a write of process {worker} is there in part")
            long = (step + 1) // LONG_EVERY * LONG_EVERY - 1
            wanted = (step // 4 * 4, (step + 3) // 4 * 4 - 3, (step + 2) // 4, long)
            if any(have < want for have, want in zip(found, wanted, strict=True)):
                raise FaultError(f"a write of process {worker} is lost: {found} < {wanted}")
        problems = bank.problems()
        if problems:
            raise FaultError(f"the file is damaged: {problems}")
        bank.begin()
        round_.count("acknowledged transactions", len(transfers))
        round_.count("other acknowledged writes", sum(own.values()))
        round_.count("verifications")
    finally:
        bank.close()


def _verify_transfers(accounts, log, acknowledged, seen):  # noqa: C901 - one question after the other
    lost = [tag for tag in acknowledged if tag not in log]
    if lost:
        raise FaultError(f"{len(lost)} of {len(acknowledged)} acknowledged transactions are lost: {lost[:5]}")
    if set(accounts) != set(ACCOUNTS):
        raise FaultError(f"the accounts are {sorted(accounts)}")
    changes = defaultdict(dict)
    for tag, line in log.items():
        for name, before, amount in line:
            if before in changes[name]:
                raise FaultError(f"{tag} and {changes[name][before][0]} both met version {before} of {name}")
            changes[name][before] = tag, amount
    for name, (balance, tag, version) in accounts.items():
        start, last = seen["balance"].get(name, START), seen["tag"].get(name, "")
        last = changes[name][max(changes[name])][0] if changes[name] else last
        if balance != start + sum(amount for _, amount in changes[name].values()) or tag != last:
            raise FaultError(f"{name} holds {balance} of {tag}, and the log says otherwise: a transaction is torn")
        if max(changes[name], default=0) >= version:
            raise FaultError(f"{name} is at version {version}, which was there before")
        seen["balance"][name], seen["tag"][name] = balance, tag
    for tag, versions in acknowledged.items():
        for name, version in versions.items():
            if seen["version"].setdefault((name, version), tag) != tag or version > accounts[name][2]:
                raise FaultError(f"version {version} of {name} was given to {tag} and to another, or is lost")
    if sum(balance for balance, _, _ in accounts.values()) != START * len(ACCOUNTS):
        raise FaultError("money was made or lost: a transaction is torn")


def run(round_: Round) -> None:
    """Kill processes, start others in their place, and compare each time that all are dead."""
    if round_.peer:
        try:
            import diskcache  # noqa: F401
        except ImportError as error:
            raise UnavailableError("diskcache is not installed") from error
    dice = random.Random(round_.seed)
    count = dice.randint(12, 32)
    path = str(round_.directory / "bank.db")
    bank = BANKS[round_.peer](path)
    bank.begin()
    bank.close()
    seen = {"balance": {}, "tag": {}, "version": {}}
    kills = started = 0
    try:
        while kills < round_.size:
            with Crew() as crew:

                def start(crew=crew):
                    nonlocal started
                    started += 1
                    seed = f"{round_.seed} {started}"
                    return started, crew.start(work, path, round_.peer, started, seed, round_.sabotage)

                first = started
                hands = dict(start() for _ in range(count))
                for hand in hands.values():
                    hand.hear()
                while dice.random() > MASS and kills + count < round_.size:
                    time.sleep(dice.random() * 0.05)
                    victim = dice.choice(list(hands))
                    hands.pop(victim).kill()
                    kills += 1
                    hands.update([start()])
                time.sleep(dice.random() * 0.1)
                signal_at_once(list(hands.values()), signal.SIGKILL)
                for hand in hands.values():
                    hand.kill()
                    if hand.process.exitcode != -signal.SIGKILL:
                        raise FaultError(f"a process ended by itself: {hand.process.exitcode}")
                kills += count
                round_.count("mass kills")
            verify(round_, path, range(first + 1, started + 1), seen)
        round_.count("kills", kills)
    except FaultError as fault:
        round_.fail(str(fault))


CAMPAIGN = Campaign(
    name="kill-9",
    promise="A write that was acknowledged survives kill -9 of any process, transactions are whole, "
    "and no version comes twice",
    unit="kills",
    run=run,
    ci=96,
    nightly=5_000,
    release=20_000,
    twins=("acknowledged before the commit", "a transaction in several commits"),
    twin=64,
    peers=("diskcache",),
)
