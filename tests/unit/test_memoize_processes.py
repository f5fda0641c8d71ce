"""Processes that ask for the same result: it is computed once, whoever is killed or stopped."""

import os
import signal
import sys

import pytest

from sqlitedict_kv import Store
from tests.conftest import on_shared
from tests.support.processes import Worker, forked

# A process that memoizes; each computation is a line in a file, and the clock is a file that the test writes.
PRELUDE = """
    import threading
    from concurrent.futures import ThreadPoolExecutor

    where, log, tests, clock = sys.argv[1:5]
    sys.path.insert(0, tests)
    from tests.support.memoizing import memoize, memoize_body

    def now():
        with open(clock) as file:
            return float(file.read())

    store = Store(where, clock=now)
    hold = False

    @memoize(store, ttl=600, name="load", code=False, lease=5)
    def load(x):
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\\n")
        say("computing")
        if hold:
            hear()
        return {"x": x, "by": os.getpid()}
"""

CROWD = """
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return load("cold")["by"]

    say("ready")
    hear()
    with ThreadPoolExecutor(8) as pool:
        owners = set(pool.map(ask, range(8)))
    say(f"owners {sorted(owners)}")
    store.close()
"""

ONE = """
    hold = hear() == "hold"
    say(f"got {load('cold')['by']}, lost {load.cache_info().lost}")
    store.close()
"""


# On another machine, as far as the others can tell: there, nobody sees whether it was killed.
AWAY = """
    from sqlitedict_kv.concurrency import process_identity

    process_identity._machine = lambda: "elsewhere"
"""

# The first half of a cycle, or the second one; each begins its own end of it when both are there.
CYCLE = """
    mine, other = ("a", "b") if hear() == "a" else ("b", "a")
    begun = False

    def body(x):
        global begun
        if not begun:
            begun = True
            say("computing")
            hear()
        return theirs(x)

    def theirs_body(x):
        return ours(x)

    ours = memoize_body(store, mine, lease=30)(body)
    theirs = memoize_body(store, other, lease=30)(theirs_body)
    try:
        say(f"got {ours(1)}")
    except RuntimeError as error:
        say(f"refused {error}")
    store.close()
"""


@pytest.fixture
def clock_file(tmp_path):
    file = tmp_path / "clock"

    def set_to(seconds):
        part = tmp_path / "clock.part"
        part.write_text(str(seconds))
        part.replace(file)
        return file

    set_to(1_700_000_000.0)
    return set_to


@pytest.fixture
def start(tmp_path, clock_file, where):
    workers = []

    def one(code):
        tests = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        worker = Worker(PRELUDE + code, where, tmp_path / "log", tests, tmp_path / "clock")
        workers.append(worker)
        return worker

    yield one
    for worker in workers:
        worker.__exit__(None, None, None)


def computations(tmp_path):
    return (tmp_path / "log").read_text().splitlines()


def told(lines, word):
    return [line for line in lines if line.startswith(word)]


@on_shared
def test_eight_processes_of_eight_threads_compute_a_cold_key_exactly_once(start, tmp_path):
    workers = [start(CROWD) for _ in range(8)]
    for worker in workers:
        assert worker.hear() == "ready"
    for worker in workers:
        worker.say("go")
    owners = {line for worker in workers for line in told(worker.finish(), "owners")}

    assert len(computations(tmp_path)) == 1
    assert owners == {f"owners [{computations(tmp_path)[0]}]"}


@on_shared
def test_when_the_owner_is_killed_its_lease_ends_and_one_of_the_others_computes(start, tmp_path, clock_file, where):
    owner = start(AWAY + ONE)
    owner.say("hold")
    assert owner.hear() == "computing"
    others = [start(ONE) for _ in range(3)]
    for other in others:
        other.say("go")
    owner.kill()
    clock_file(1_700_000_004.9)
    with Store(where, clock=lambda: 1_700_000_004.9) as store:
        assert len(store.ns("memoize.leases")) == 1
        assert len(store.ns("memoize")) == 0
    clock_file(1_700_000_005.0)

    answers = {line for other in others for line in told(other.finish(), "got")}
    first, second = computations(tmp_path)
    assert first != second
    assert answers == {f"got {second}, lost 0"}


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be stopped here")
@on_shared
def test_an_owner_that_was_stopped_for_longer_than_its_lease_cannot_overwrite(start, tmp_path, clock_file, where):
    owner = start(ONE)
    owner.say("hold")
    assert owner.hear() == "computing"
    os.kill(owner._process.pid, signal.SIGSTOP)
    clock_file(1_700_000_005.0)
    other = start(ONE)
    other.say("go")
    (answer,) = told(other.finish(), "got")
    os.kill(owner._process.pid, signal.SIGCONT)
    owner.say("end")

    stopped, second = computations(tmp_path)
    assert answer == f"got {second}, lost 0"
    assert told(owner.finish(), "got") == [f"got {stopped}, lost 1"]
    with Store(where, clock=lambda: 1_700_000_005.0) as store:
        assert store.ns("memoize")["load('cold')"] == {"x": "cold", "by": int(second)}
        assert len(store.ns("memoize.leases")) == 0


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs a fork that is safe")
@on_shared
def test_a_memoized_function_works_on_both_sides_of_a_fork(where):
    from tests.support.memoizing import memoize

    with Store(where) as store:

        @memoize(store, name="pid")
        def pid(x):
            return os.getpid()

        here = pid(1)

        def child():
            assert pid(1) == here
            assert pid(2) == os.getpid()

        assert forked(child) == 0
        assert pid(2) != here
        assert pid.cache_info().computed == 1


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs a fork that is safe")
@on_shared
def test_a_child_that_is_forked_in_the_middle_of_a_computation_does_not_take_it_for_abandoned(where):
    from sqlitedict_kv.concurrency.lease import is_abandoned
    from tests.support.memoizing import memoize_body

    with Store(where) as store:

        @memoize_body(store, "f")
        def f(x):
            token = store.ns("memoize.leases")[f.cache_key(x)]
            assert not is_abandoned(token)

            def child():
                assert not is_abandoned(token)

            assert forked(child) == 0
            return x

        assert f(1) == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc to know that a process is gone")
@on_shared
def test_when_the_owner_is_killed_on_the_same_machine_others_compute_before_its_lease_ends(start, tmp_path):
    owner = start(ONE)
    owner.say("hold")
    assert owner.hear() == "computing"
    others = [start(ONE) for _ in range(3)]
    for other in others:
        other.say("go")
    owner.kill()  # and the clock stands still
    answers = {line for other in others for line in told(other.finish(), "got")}
    first, second = computations(tmp_path)
    assert first != second
    assert answers == {f"got {second}, lost 0"}


@on_shared
def test_two_processes_that_begin_a_cycle_from_both_ends_are_refused(start, where):
    workers = {name: start(CYCLE) for name in "ab"}
    for name, worker in workers.items():
        worker.say(name)
        assert worker.hear() == "computing"
    for worker in workers.values():
        worker.say("go")
    answers = [line for worker in workers.values() for line in told(worker.finish(), "refused")]
    assert len(answers) == 2
    assert any("a(1)" in answer and "b(1)" in answer for answer in answers)
    with Store(where) as store:
        assert list(store.ns("memoize.leases")) == []
