"""Locks, semaphores and rate limits that all processes of a store share.

>>> from sqlitedict_kv import Store
>>> from sqlitedict_kv.locks import Lock
>>> locks = Store().ns("locks")
>>> with Lock(locks, "nightly report", ttl=30):
...     pass  # one thread of one process at a time

Each lock is a lease: an entry with the token of its owner that ends by itself *ttl* seconds after it was taken
or renewed, by the store's clock, so what a dead process held is free again. Give them a namespace of their own:
an entry that is evicted, cleared or overwritten is a lock that is lost.

**Who owns it.** The task that acquired a lock owns it, or where no task runs the thread; nobody else can
release it, and after a fork the child owns nothing. :class:`Lock` and :class:`Semaphore` are not re-entrant,
:class:`RLock` is, for the thread or task that owns it. One object may be shared by any number of them.
To renew from another thread, hand it ``lock.lease``.

**What a lease cannot do** is stop an owner that was asleep while it ended. Such an owner gets
:class:`LockLostError` when it releases or renews, and never frees what somebody else has taken meanwhile. What
it writes is stopped by the fencing token: ``lock.version`` grows from owner to owner, and a write goes through
only with it::

    with lock, store.atomic() as tx:
        tx.ns("locks").check("nightly report", lock.version)
        tx.ns("reports").set("today", report)

A clock that is set forward ends leases early, and one that is set back lets them live longer.
"""

from sqlitedict_kv.concurrency.lease import Lease
from sqlitedict_kv.errors import LockLostError, LockTimeoutError
from sqlitedict_kv.locks.lock import Lock, RLock, Semaphore
from sqlitedict_kv.locks.single_run import single_run
from sqlitedict_kv.locks.throttle import Throttle

__all__ = [
    "Lease",
    "Lock",
    "LockLostError",
    "LockTimeoutError",
    "RLock",
    "Semaphore",
    "Throttle",
    "single_run",
]
