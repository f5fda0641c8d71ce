"""Locks and semaphores in threads; tasks and processes have files of their own."""

import asyncio
import functools
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlitedict_kv import ConflictError, ReadOnlyError, Store, StoreClosedError
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.locks import Lock, LockLostError, RLock, Semaphore, Throttle, single_run
from tests.conftest import on_shared
from tests.support.locking import PATIENCE, Halting
from tests.support.processes import forked


@pytest.fixture
def locks(store):
    return store.ns("locks")


@pytest.fixture(params=[Lock, RLock])
def kind(request):
    return request.param


def in_thread(function, *arguments):
    """Return what a function returns in a thread of its own, which is no owner of anything yet."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result(PATIENCE)


def ticking():
    """Return a clock that is a second later each time that it is asked."""
    seconds = iter(range(10**6))
    return lambda: float(next(seconds))


# -- one owner at a time


def test_a_lock_is_taken_once_and_is_free_when_released(locks, kind):
    ours, theirs = kind(locks, "k"), kind(locks, "k")
    assert not ours.locked()

    assert ours.acquire() is True
    assert ours.locked()
    assert ours.owned()
    assert theirs.locked()
    assert not theirs.owned()
    assert in_thread(functools.partial(theirs.acquire, blocking=False)) is False

    assert ours.release() is None
    assert not ours.locked()
    assert not ours.owned()
    assert theirs.acquire(blocking=False)


def test_locks_of_different_keys_and_namespaces_do_not_meet(store, kind):
    with kind(store.ns("a"), "k"), kind(store.ns("a"), "l"), kind(store.ns("b"), "k"):
        assert store.ns("a").keys() == {"k", "l"}


def test_the_block_of_a_with_statement_holds_the_lock(locks, kind):
    lock = kind(locks, "k")
    with lock as entered:
        assert entered is lock
        assert lock.owned()
    assert not lock.locked()

    with pytest.raises(ZeroDivisionError), lock:
        _ = 1 / 0
    assert not lock.locked()


def test_threads_that_share_a_lock_object_exclude_each_other(locks, kind):
    lock, counts, rounds = kind(locks, "k"), {"k": 0}, 20
    gate = threading.Barrier(4)

    def work():
        gate.wait(PATIENCE)
        for _ in range(rounds):
            with lock:
                count = counts["k"]
                locks.get("something that takes a while")
                counts["k"] = count + 1

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result(PATIENCE)
    assert counts["k"] == 4 * rounds
    assert not lock.locked()


def test_who_waits_gets_the_lock_when_it_is_released(locks, kind):
    lock, waits = kind(locks, "k"), threading.Event()

    def clock():  # asked when the wait begins
        waits.set()
        return 0.0

    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(kind(locks, "k", clock=clock).acquire, timeout=PATIENCE)
        assert waits.wait(PATIENCE)
        assert not other.done()
        lock.release()
        assert other.result(PATIENCE) is True


def test_a_wait_ends_with_its_timeout(locks, kind):
    kind(locks, "k").acquire()
    lock = kind(locks, "k", clock=ticking())
    assert in_thread(functools.partial(lock.acquire, timeout=3)) is False
    assert lock._clock() == 4.0  # it was asked at 0, 1, 2 and 3, when the time was over
    assert in_thread(functools.partial(lock.acquire, timeout=0)) is False


def test_pauses_grow_from_one_to_fifty_milliseconds_and_never_pass_the_deadline():
    from sqlitedict_kv.locks.backoff import deadline_of

    forever = deadline_of(None, ticking()).attempts()
    assert next(forever) == 0.0
    drawn = [next(forever) for _ in range(200)]
    assert all(0.0005 <= pause <= 0.050 for pause in drawn)
    assert drawn[0] <= 0.001
    assert all(pause >= 0.025 for pause in drawn[6:])
    assert len(set(drawn[6:])) > 100

    passed = [0.0]
    passed.extend(deadline_of(0.2, lambda: sum(passed)).attempts())
    assert sum(passed) == pytest.approx(0.2)


# -- only who acquired it


def test_another_thread_cannot_release_or_renew(locks, kind):
    lock = kind(locks, "k")
    lock.acquire()
    for verb in (lock.release, lock.renew, lambda: lock.version, lambda: lock.lease):
        with pytest.raises(RuntimeError, match="is not held by this thread or task") as caught:
            in_thread(verb)
        assert not isinstance(caught.value, KVError)
    assert lock.owned()
    assert not in_thread(lock.owned)


def test_a_lock_that_was_never_acquired_or_is_released_cannot_be_released(locks, kind):
    lock = kind(locks, "k")
    with pytest.raises(RuntimeError, match="<R?Lock 'k' in namespace 'locks'> is not held"):
        lock.release()
    lock.acquire()
    lock.release()
    with pytest.raises(RuntimeError, match="is not held"):
        lock.release()


def test_a_new_thread_with_the_number_of_a_dead_one_does_not_own_its_lock(locks, kind):
    lock, numbers = kind(locks, "k"), []

    def visit(work):
        numbers.append(threading.get_ident())
        assert work()

    def run(work):
        thread = threading.Thread(target=visit, args=(work,))
        thread.start()
        thread.join(PATIENCE)

    run(lock.acquire)
    assert lock.locked()
    owned = []
    for _ in range(20):
        run(lambda: owned.append(lock.owned()) or True)
    assert owned == [False] * 20
    gc.collect()
    assert len(lock._leases) <= 1  # what dead threads had is forgotten, with them


@on_shared
def test_a_forked_child_owns_nothing_of_its_parent(open_store, kind):
    lock = kind(open_store().ns("locks"), "k")
    lock.acquire()

    def child():
        assert lock.locked()
        assert not lock.owned()
        with pytest.raises(RuntimeError, match="is not held"):
            lock.release()
        assert not lock.acquire(blocking=False)

    assert forked(child) == 0
    assert lock.owned()
    lock.release()

    def later_child():
        assert lock.acquire(blocking=False)

    assert forked(later_child) == 0
    assert lock.locked()
    assert not lock.owned()


# -- a lease ends


def test_a_lock_is_free_exactly_when_its_ttl_is_over(locks, kind, clock):
    dead, lock = kind(locks, "k", ttl=1.5), kind(locks, "k")
    in_thread(dead.acquire)

    clock.advance(1.499)
    assert not lock.acquire(blocking=False)
    clock.advance(0.001)
    assert not lock.locked()
    assert lock.acquire(blocking=False)


def test_a_late_release_does_not_free_the_lock_of_another(locks, kind, clock):
    slow, quick = kind(locks, "k", ttl=1), kind(locks, "k", ttl=1)
    slow.acquire()
    clock.advance(1)
    assert in_thread(quick.acquire)
    entry = locks.get_with_meta("k")

    with pytest.raises(LockLostError) as caught:
        slow.release()
    assert locks.get_with_meta("k") == entry
    assert (caught.value.namespace, caught.value.key) == ("locks", "k")
    assert isinstance(caught.value, KVError | RuntimeError)
    assert "'k' in namespace 'locks'" in str(caught.value)
    with pytest.raises(RuntimeError, match="is not held"):  # it is told once
        slow.release()


def test_a_late_release_does_not_free_the_lock_of_another_thread_with_the_same_object(locks, kind, clock):
    lock = kind(locks, "k", ttl=1)
    lock.acquire()
    clock.advance(1)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lock.acquire).result(PATIENCE)
        with pytest.raises(LockLostError):
            lock.release()
        assert other.submit(lock.owned).result(PATIENCE)
        other.submit(lock.release).result(PATIENCE)


def test_a_lease_that_ends_in_the_middle_of_a_release_does_not_free_the_lock_of_another(locks, kind, clock):
    halting = Halting(locks, "before delete")
    lock, other = kind(halting, "k", ttl=1), kind(locks, "k")
    lock.acquire()

    def steal():
        assert halting.arrived.acquire(timeout=PATIENCE)
        clock.advance(1)
        assert other.acquire(blocking=False)
        halting.may_go.release()
        return other.lease

    with ThreadPoolExecutor(1) as pool:
        stolen = pool.submit(steal)
        with pytest.raises(LockLostError):
            lock.release()
        assert stolen.result(PATIENCE).owned()


def test_a_late_release_frees_nothing_even_where_versions_begin_again(make_store, tmp_path, kind, clock):
    # As after the restore of an old backup: the same key has the same version, and another owner.
    first, second = (make_store(tmp_path / name).ns("locks") for name in ("first.db", "second.db"))
    lock = kind(first, "k")
    lock.acquire()
    kind(second, "k").acquire()
    assert second.get_with_meta("k").meta.version == lock.version

    lock.lease.space = second
    with pytest.raises(LockLostError):
        lock.release()
    assert "k" in second


@pytest.mark.parametrize("stolen", [True, False], ids=["taken by another", "expired and still free"])
def test_an_owner_that_lost_its_lock_notices(locks, kind, clock, stolen):
    lock = kind(locks, "k", ttl=1)
    lock.acquire()
    clock.advance(1)
    if stolen:
        in_thread(kind(locks, "k").acquire)
    before = locks.copy()

    assert not lock.owned()
    with pytest.raises(LockLostError):
        lock.renew()
    with pytest.raises(LockLostError):
        lock.lease.renew()
    with pytest.raises(LockLostError):
        lock.release()
    assert locks.copy() == before


@pytest.mark.parametrize("remove", [lambda ns: ns.clear(), lambda ns: ns.set("k", "mine"), lambda ns: ns.set("k", 1)])
def test_an_entry_that_was_removed_or_overwritten_is_a_lost_lock(locks, kind, remove):
    lock = kind(locks, "k")
    lock.acquire()
    remove(locks)
    before = locks.copy()
    with pytest.raises(LockLostError):
        lock.release()
    assert locks.copy() == before


def test_a_block_that_lost_its_lock_raises_at_its_end(locks, kind, clock):
    lock = kind(locks, "k", ttl=1)
    with pytest.raises(LockLostError), lock:
        clock.advance(1)
    with lock:
        assert lock.owned()


def test_an_error_of_the_block_is_not_hidden_by_the_loss_of_the_lock(locks, kind, clock):
    lock = kind(locks, "k", ttl=1)
    with pytest.raises(ZeroDivisionError) as caught, lock:
        clock.advance(1)
        _ = 1 / 0
    assert "no longer ours" in caught.value.__notes__[0]


def test_a_renewed_lock_ends_its_ttl_after_the_renewal(locks, kind, clock):
    lock = kind(locks, "k", ttl=1)
    lock.acquire()
    clock.advance(0.9)
    assert lock.renew() == lock.version
    clock.advance(0.9)
    assert lock.owned()
    lock.renew(5)
    clock.advance(4.999)
    assert lock.owned()
    clock.advance(0.001)
    assert not lock.owned()


def test_another_thread_renews_through_the_lease(locks, kind, clock):
    lock = kind(locks, "k", ttl=1)
    lock.acquire()
    clock.advance(0.9)
    lease = lock.lease
    assert lease.key == "k"
    written = in_thread(lease.renew)
    assert lock.version == written == locks.get_with_meta("k").meta.version
    clock.advance(0.9)
    lock.release()
    with pytest.raises(LockLostError):
        in_thread(lease.renew)
    assert not lease.owned()
    assert not lock.locked()


def test_a_renewal_in_the_middle_of_a_release_does_not_stop_it(locks, kind):
    halting = Halting(locks, "before delete")
    lock = kind(halting, "k")
    lock.acquire()
    lease = lock.lease

    def renew():
        assert halting.arrived.acquire(timeout=PATIENCE)
        halting.halts = ()
        lease.renew()
        halting.may_go.release()

    with ThreadPoolExecutor(1) as pool:
        renewed = pool.submit(renew)
        lock.release()
        renewed.result(PATIENCE)
    assert not lock.locked()


def test_two_renewals_at_the_same_time_both_succeed(locks, kind, after):
    class Raced(Halting):
        __slots__ = ()

        def cas_set(self, key, token, version, **kwargs):
            if self.halts and version:  # 0: it is being acquired
                self.halts = ()
                self.other.renew()
            return super().cas_set(key, token, version, **kwargs)

    Raced.other = property(lambda _: lock.lease)
    lock = kind(Raced(locks, "once"), "k")
    lock.acquire()
    first = lock.version
    assert lock.renew() == lock.version == after(first, steps=2)
    lock.release()


# -- fencing


def test_the_version_grows_from_owner_to_owner(locks, kind, clock):
    versions = []
    for _ in range(3):
        with kind(locks, "k", ttl=1) as lock:
            versions.append(lock.version)
            versions.append(lock.renew())
        kind(locks, "k", ttl=1).acquire()
        clock.advance(1)
        locks.purge_expired()
    assert versions == sorted(set(versions))


def test_a_write_goes_through_only_while_the_lock_is_ours(store, locks, kind, clock, beside):
    place = beside("locks", "results")
    results, lock = store.ns(place), kind(locks, "k", ttl=1)
    lock.acquire()
    with store.atomic() as tx:
        tx.ns("locks").check("k", lock.version)
        tx.ns(place).set("by", "us")
    assert results["by"] == "us"

    clock.advance(1)
    in_thread(kind(locks, "k").acquire)
    with pytest.raises(ConflictError), store.atomic() as tx:
        tx.ns("locks").check("k", lock.version)
        tx.ns(place).set("by", "us, too late")
    assert results["by"] == "us"


# -- re-entrancy


def test_a_lock_refuses_an_owner_that_would_wait_for_itself(locks, clock):
    lock = Lock(locks, "k", ttl=1)
    lock.acquire()
    for options in ({}, {"timeout": 5}):
        with pytest.raises(RuntimeError, match="would wait for itself; use RLock"):
            lock.acquire(**options)
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(timeout=0) is False
    lock.release()
    assert not lock.locked()


def test_an_owner_that_trusts_the_ttl_and_never_releases_acquires_again_and_again(locks, clock):
    lock, semaphore = Lock(locks, "k", ttl=1), Semaphore(locks, "s", 2, ttl=1)
    for _ in range(20):
        assert lock.acquire(blocking=False)
        assert not lock.acquire(blocking=False)
        assert semaphore.acquire(blocking=False)
        clock.advance(1)
    assert len(lock._held()) == 1
    assert len(semaphore._held()) == 2


def test_an_rlock_is_free_when_it_was_released_as_often_as_acquired(locks):
    lock, other = RLock(locks, "k"), RLock(locks, "k")
    with lock:
        version = lock.version
        with lock, lock:
            assert lock.version == version
        assert not in_thread(functools.partial(lock.acquire, blocking=False))
        assert not other.acquire(blocking=False)  # another object, although in the same thread
        assert lock.owned()
    assert not lock.locked()
    with pytest.raises(RuntimeError, match="is not held"):
        lock.release()
    assert in_thread(functools.partial(lock.acquire, blocking=False))


def test_an_rlock_that_is_lost_cannot_be_entered_again(locks, clock):
    lock = RLock(locks, "k", ttl=1)
    with pytest.raises(LockLostError), lock:
        clock.advance(1)
        lock.acquire()
    assert not lock.owned()
    with lock:
        assert lock.owned()


# -- semaphores


def test_a_semaphore_lets_in_as_many_as_its_value(locks):
    semaphore = Semaphore(locks, "s", 2)
    assert semaphore.acquire(blocking=False)
    assert not semaphore.locked()
    assert in_thread(functools.partial(Semaphore(locks, "s", 2).acquire, blocking=False))
    assert semaphore.locked()
    assert not semaphore.acquire(blocking=False)
    assert not in_thread(functools.partial(semaphore.acquire, blocking=False))
    assert locks.keys() == {"s#0", "s#1"}

    semaphore.release()
    assert not semaphore.locked()
    with pytest.raises(RuntimeError, match="<Semaphore 's' in namespace 'locks'> is not held"):
        semaphore.release()


def test_one_owner_may_take_several_slots(locks, clock):
    semaphore = Semaphore(locks, "s", 3, ttl=1)
    with semaphore, semaphore:
        assert len(locks) == 2
        clock.advance(0.9)
        semaphore.renew()
        clock.advance(0.9)
        assert semaphore.owned()
        assert len(locks) == 2
    assert len(locks) == 0


def test_the_slot_of_a_dead_owner_is_free_after_its_ttl(locks, clock):
    semaphore = Semaphore(locks, "s", 2, ttl=1)
    in_thread(semaphore.acquire)
    clock.advance(0.5)
    semaphore.acquire()
    assert semaphore.locked()
    clock.advance(0.5)
    assert in_thread(functools.partial(semaphore.acquire, blocking=False))
    assert not in_thread(functools.partial(semaphore.acquire, blocking=False))
    assert semaphore.owned()


def test_a_late_release_does_not_free_the_slot_of_another(locks, clock):
    semaphore = Semaphore(locks, "s", 1, ttl=1)
    semaphore.acquire()
    clock.advance(1)
    in_thread(semaphore.acquire)
    assert not semaphore.owned()
    with pytest.raises(LockLostError):
        semaphore.release()
    assert semaphore.locked()


# -- what a store is and does


def test_the_defaults_of_the_namespace_do_not_matter(store, clock, kind):
    for options in ({"ttl": 0.001}, {"content_type": "application/octet-stream"}):
        namespace = store.ns("locks", **options)
        with kind(namespace, "k", ttl=10) as lock:
            lock.renew()
            clock.advance(5)
            assert lock.owned()
        assert Throttle(namespace, "t", count=1, clock=clock).acquire()


def test_an_entry_that_is_no_lock_is_never_overwritten(locks, kind):
    locks["k"] = {"precious": True}
    lock = kind(locks, "k")
    assert lock.locked()
    assert not lock.acquire(blocking=False)
    assert locks["k"] == {"precious": True}


@on_shared
def test_the_errors_of_the_store_reach_the_caller(open_store, kind):
    writer = open_store()
    writer.ns("n")["k"] = 1
    with open_store(readonly=True) as reader:
        with pytest.raises(ReadOnlyError):
            kind(reader.ns("locks"), "k").acquire()
        with pytest.raises(ReadOnlyError):
            asyncio.run(kind(reader.ns("locks"), "k").acquire_async())
    with pytest.raises(StoreClosedError):
        kind(reader.ns("locks"), "k").acquire()


# -- bad input

MAKERS = {
    "Lock": lambda ns, *args, **options: Lock(ns, *(args or ("k",)), **options),
    "RLock": lambda ns, *args, **options: RLock(ns, *(args or ("k",)), **options),
    "Semaphore": lambda ns, *args, **options: Semaphore(ns, *(args or ("k",)), options.pop("value", 2), **options),
    "single_run": lambda ns, *args, **options: single_run(ns, *(args or ("k",)), **options),
    "Throttle": lambda ns, *args, **options: Throttle(ns, *(args or ("k",)), **{"count": 1, "seconds": 1, **options}),
}
LEASED = ("Lock", "RLock", "Semaphore", "single_run")
BAD = [
    *((name, (key,), {}, error, "key") for name in MAKERS for key, error in [
        (1, TypeError), (b"k", TypeError), ("\ud800", ValueError), ("k" * 1025, ValueError)
    ]),
    ("Semaphore", ("k" * 1023,), {"value": 2}, ValueError, "key"),
    *((name, (), {"ttl": ttl}, error, "ttl") for name in LEASED for ttl, error in [
        (None, TypeError), ("1", TypeError), (True, TypeError), (0, ValueError), (-1, ValueError),
        (float("nan"), ValueError), (float("inf"), ValueError),
    ]),
    *((name, (), {"clock": 5}, TypeError, "clock") for name in MAKERS if name != "single_run"),
    *(("Semaphore", (), {"value": value}, error, "value") for value, error in [
        (0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError), (None, TypeError), (10_001, ValueError)
    ]),
    *(("Throttle", (), {"count": count}, error, "count") for count, error in [
        (0, ValueError), (True, TypeError), (1.5, TypeError), (None, TypeError)
    ]),
    *(("Throttle", (), {"seconds": seconds}, error, "seconds") for seconds, error in [
        (0, ValueError), (-1, ValueError), (1e-7, ValueError), (float("nan"), ValueError), (float("inf"), ValueError),
        (1e9, ValueError), ("1", TypeError), (None, TypeError), (True, TypeError),
    ]),
    ("Throttle", (), {"sleep": 1}, TypeError, "sleep"),
    ("single_run", (), {"timeout": -1}, ValueError, "timeout"),
    ("single_run", (), {"timeout": "1"}, TypeError, "timeout"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "options", "error", "argument"), BAD)
def test_bad_arguments_are_refused_by_name(locks, name, arguments, options, error, argument):
    with pytest.raises(error, match=rf"^{argument} "):
        MAKERS[name](locks, *arguments, **options)
    assert len(locks) == 0


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("namespace", [None, {}, "locks", Store], ids=str)
def test_what_is_no_namespace_is_refused(name, namespace):
    with pytest.raises(TypeError, match="namespace must be a Namespace, as store.ns"):
        MAKERS[name](namespace)


def test_a_store_and_what_records_a_transaction_are_no_namespace(store):
    with pytest.raises(TypeError, match="namespace must be a Namespace"):
        Lock(store, "k")
    with store.atomic() as tx, pytest.raises(TypeError, match="namespace must be a Namespace"):
        Lock(tx.ns("locks"), "k")


@pytest.mark.parametrize("name", ["Lock", "RLock", "Semaphore", "Throttle"])
@pytest.mark.parametrize(
    ("options", "error", "argument"),
    [
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"blocking": 1}, TypeError, "blocking"),
        ({"blocking": None}, TypeError, "blocking"),
        ({"blocking": False, "timeout": 1}, ValueError, "timeout"),
    ],
)
def test_bad_waits_are_refused_before_anything_is_taken(locks, name, options, error, argument):
    one = MAKERS[name](locks)
    with pytest.raises(error, match=rf"^{argument} "):
        one.acquire(**options)
    with pytest.raises(error, match=rf"^{argument} "):
        asyncio.run(one.acquire_async(**options))
    assert len(locks) == 0


@pytest.mark.parametrize("ttl", [0, -1, "1", True, float("nan")])
def test_a_bad_renewal_changes_nothing(locks, kind, ttl):
    with kind(locks, "k") as lock:
        before = locks.get_with_meta("k")
        for renew in (lock.renew, lock.lease.renew):
            with pytest.raises((TypeError, ValueError), match=r"^ttl "):
                renew(ttl)
        assert locks.get_with_meta("k") == before


@pytest.mark.parametrize("function", [None, 5, "report"])
def test_what_cannot_be_called_is_not_decorated(locks, function):
    for decorate in (single_run(locks, "k"), Throttle(locks, "t", count=1)):
        with pytest.raises(TypeError, match="^function must be callable"):
            decorate(function)


def test_a_generator_is_not_run_singly_for_it_runs_later(locks):
    def generator():
        yield

    async def async_generator():
        yield

    for function in (generator, async_generator):
        with pytest.raises(TypeError, match="^function must not be a generator"):
            single_run(locks)(function)


def test_locks_say_what_they_are(locks):
    assert repr(Lock(locks, "k")) == "<Lock 'k' in namespace 'locks'>"
    assert repr(RLock(locks, "k")) == "<RLock 'k' in namespace 'locks'>"
    assert repr(Semaphore(locks, "k", 2)) == "<Semaphore 'k' in namespace 'locks'>"
    assert repr(Throttle(locks, "k", count=3, seconds=2)) == "<Throttle 'k' in namespace 'locks': 3 in 2 s>"
