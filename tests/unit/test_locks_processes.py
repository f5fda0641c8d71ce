"""Locks, semaphores, rate limits and single runs among real processes."""

import signal
from contextlib import ExitStack

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.locks import Lock, RLock, Semaphore, Throttle
from tests.conftest import START
from tests.support.processes import Worker

# Processes take their time, and where locks hold on a cluster they hold on one server.
on_some = pytest.mark.parametrize("engine", ["file", "cluster"], indirect=True)

# What all workers share: a store whose clock the test sets by lines, if it wants to.
LOCKS = """
from sqlitedict_kv.locks import *
import asyncio, random, signal, threading, time

class Clock:
    seconds = None
    def __call__(self):
        return time.time() if self.seconds is None else self.seconds

clock = Clock()
store = Store(sys.argv[1], clock=clock, lru_bytes="1 MB")
locks = store.ns("locks")

def add_one(path):
    '''Add to the number in a file as nobody should: somebody else may write between the read and the write.'''
    with open(path) as file:
        number = int(file.read())
    time.sleep(random.random() / 1000)
    with open(path, "w") as file:
        file.write(str(number + 1))

"""


def start(stack, count, code, *arguments):
    """Start processes and let them go on when all of them are ready."""
    started = [stack.enter_context(Worker(LOCKS + code, *arguments)) for _ in range(count)]
    for worker in started:
        assert worker.hear() == "ready"
    for worker in started:
        worker.say("go")
    return started


COUNTING = {
    "Lock": """
lock = Lock(locks, "counter")
say("ready"); hear()
for _ in range(rounds):
    with lock:
        add_one(counter)
""",
    "RLock, entered twice": """
lock = RLock(locks, "counter")
say("ready"); hear()
for _ in range(rounds):
    with lock, lock:
        add_one(counter)
""",
    "threads with one Lock": """
lock = Lock(locks, "counter")
def work():
    for _ in range(rounds // 2):
        with lock:
            add_one(counter)
threads = [threading.Thread(target=work) for _ in range(2)]
say("ready"); hear()
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
    "tasks with one Lock": """
lock = Lock(locks, "counter")
async def work():
    for _ in range(rounds // 2):
        async with lock:
            await asyncio.to_thread(add_one, counter)
async def main():
    await asyncio.gather(work(), work())
say("ready"); hear()
asyncio.run(main())
""",
    "Semaphore of one": """
lock = Semaphore(locks, "counter", 1)
say("ready"); hear()
for _ in range(rounds):
    with lock:
        add_one(counter)
""",
    "single_run": """
work = single_run(locks, "counter")(add_one)
say("ready"); hear()
for _ in range(rounds):
    work(counter)
""",
}


@on_some
@pytest.mark.parametrize("way", COUNTING)
def test_what_processes_read_and_write_inside_of_a_lock_is_not_lost(tmp_path, where, way):
    counter, count, rounds = tmp_path / "counter", 4, 20
    counter.write_text("0")
    with ExitStack() as stack:
        code = "counter, rounds = sys.argv[2], int(sys.argv[3])\n" + COUNTING[way] + "store.close()\n"
        for worker in start(stack, count, code, where, counter, rounds):
            worker.finish()
    assert int(counter.read_text()) == count * rounds
    with Store(where) as store:
        assert len(store.ns("locks")) == 0
        assert store.ns("locks").set("counter", 0) > count  # one owner after the other
        assert store.check().ok


@on_some
def test_a_semaphore_never_lets_in_more_processes_than_its_value(where):
    count, rounds, value = 5, 15, 2
    code = """
semaphore, figures, most = Semaphore(locks, "s", int(sys.argv[3])), store.ns("figures"), 0
say("ready"); hear()
for _ in range(int(sys.argv[2])):
    with semaphore:
        most = max(most, figures.incr("inside"))
        time.sleep(random.random() / 1000)
        figures.decr("inside")
say(most)
store.close()
"""
    with ExitStack() as stack:
        most = [int(worker.finish()[-1]) for worker in start(stack, count, code, where, rounds, value)]
    assert max(most) <= value
    with Store(where) as store:
        assert store.ns("figures")["inside"] == 0
        assert len(store.ns("locks")) == 0


@on_some
def test_a_semaphore_lets_in_as_many_processes_as_its_value_at_once(where):
    code = 'say("ready"); hear()\nwith Semaphore(locks, "s", 3):\n    say("inside"); hear()\nstore.close()\n'
    with ExitStack() as stack, Store(where) as store:
        semaphore = Semaphore(store.ns("locks"), "s", 3)
        inside = start(stack, 3, code, where)
        for worker in inside:
            assert worker.hear() == "inside"
        assert not semaphore.acquire(blocking=False)
        inside[0].say("leave")
        inside[0].finish()
        assert semaphore.acquire(timeout=30)
        inside[1].kill()  # which frees nothing before its ttl is over
        assert not semaphore.acquire(blocking=False)
        inside[2].say("leave")
        inside[2].finish()


HOLD = 'lock = {0}; say("ready"); hear(); lock.acquire(); say(lock.version); hear()\n'
KINDS = {
    "Lock": (Lock, ()),
    "RLock": (RLock, ()),
    "Semaphore": (Semaphore, (1,)),
}


def holder(stack, where, kind, ttl, prelude=""):
    """Return a process that holds a lock, and the version that it holds."""
    code = prelude + HOLD.format(f"{kind}(locks, 'k', {'1, ' if kind == 'Semaphore' else ''}ttl={ttl})")
    (worker,) = start(stack, 1, code, where)
    return worker, int(worker.hear())


@on_some
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_process_held_is_free_after_its_ttl(where, kind):
    cls, value = KINDS[kind]
    with ExitStack() as stack, Store(where) as store:
        worker, version = holder(stack, where, kind, ttl=0.5)
        worker.kill()
        lock = cls(store.ns("locks"), "k", *value)
        assert lock.acquire(timeout=30)
        assert lock.version > version


@on_some
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_process_held_is_taken_until_its_ttl_is_over(open_store, where, clock, kind):
    cls, value = KINDS[kind]
    with ExitStack() as stack:
        worker, version = holder(stack, where, kind, ttl=60, prelude=f"clock.seconds = {START / 10**9}\n")
        worker.kill()
        lock = cls(open_store().ns("locks"), "k", *value)
        clock.advance(59.999)
        assert not lock.acquire(blocking=False)
        clock.advance(0.001)
        assert lock.acquire(blocking=False)
        assert lock.version > version


@on_some
def test_a_process_that_slept_through_its_ttl_frees_nothing_and_writes_nothing(store, open_store, where, clock, beside):
    place = beside("locks", "results")
    store.ns(place)["made"] = "here, so that other stores and processes find it beside the locks"
    code = """
lock, results = Lock(locks, "k", ttl=60), store.ns(sys.argv[3])
clock.seconds = float(sys.argv[2])
say("ready"); hear()
lock.acquire()
say("mine"); hear()
clock.seconds += 60
try:
    with store.atomic() as tx:
        tx.ns("locks").check("k", lock.version)
        tx.ns(sys.argv[3]).set("by", "the one that slept")
except ConflictError:
    say("refused")
for verb in (lock.renew, lock.release):
    try:
        verb()
    except LockLostError:
        say("lost")
store.close()
"""
    with ExitStack() as stack:
        (worker,) = start(stack, 1, code, where, START / 10**9, place)
        assert worker.hear() == "mine"
        worker._process.send_signal(signal.SIGSTOP)

        store = open_store()
        lock = Lock(store.ns("locks"), "k", ttl=60)
        assert not lock.acquire(blocking=False)
        clock.advance(60)
        assert lock.acquire(blocking=False)
        with store.atomic() as tx:
            tx.ns("locks").check("k", lock.version)
            tx.ns(place).set("by", "the next one")

        worker._process.send_signal(signal.SIGCONT)
        worker.say("go on")
        assert worker.finish() == ["refused", "lost", "lost"]
        assert lock.owned()
        assert store.ns(place)["by"] == "the next one"
        lock.release()


@on_some
def test_a_throttle_lets_through_as_many_calls_of_all_processes_as_it_says(open_store, where, clock):
    count, code = (
        3,
        """
throttle = Throttle(locks, "t", count=20, seconds=10, clock=clock)
say("ready"); hear()
while line := hear():
    clock.seconds = float(line)
    say(sum(throttle.acquire(blocking=False) for _ in range(15)))
store.close()
""",
    )
    with ExitStack() as stack:
        workers = start(stack, count, code, where)

        def granted():
            for worker in workers:
                worker.say(clock())
            return sum(int(worker.hear()) for worker in workers)

        assert granted() == 20
        clock.advance(2.5)
        assert granted() == 5
        assert granted() == 0
        clock.advance(1000)
        assert granted() == 20
        for worker in workers:
            worker.say()
            worker.finish()
        assert not Throttle(open_store().ns("locks"), "t", count=20, seconds=10, clock=clock).acquire(blocking=False)


@on_some
def test_a_single_run_is_refused_while_another_process_runs_and_goes_on_when_it_is_killed(where):
    code = """
@single_run(locks, "job", ttl=0.5, timeout={})
def job():
    say("runs"); hear()
say("ready"); hear()
try:
    job()
except LockTimeoutError:
    say("refused")
store.close()
"""
    with ExitStack() as stack:
        (first,) = start(stack, 1, code.format(0).replace("0.5", "60"), where)
        assert first.hear() == "runs"
        (second,) = start(stack, 1, code.format(0), where)
        assert second.finish() == ["refused"]
        first.say("end")
        first.finish()

        (third,) = start(stack, 1, code.format(0), where)
        assert third.hear() == "runs"
        third.kill()
        (fourth,) = start(stack, 1, code.format(30).replace("0.5", "60"), where)
        assert fourth.hear() == "runs"
        fourth.say("end")
        fourth.finish()
