"""Locks that a test holds up between two steps."""

import threading

from sqlitedict_kv import Namespace

PATIENCE = 30.0  # seconds until something that does not happen is a failure


class Halting(Namespace):
    """A namespace whose verbs wait before and after they work, for as long as the test wants."""

    __slots__ = ("arrived", "halts", "may_go")

    def __init__(self, namespace, *halts):
        super().__init__(namespace._context, namespace.name, namespace._defaults)
        self.halts = halts
        self.arrived, self.may_go = threading.Semaphore(0), threading.Semaphore(0)

    def _halt(self, place):
        if place in self.halts:
            self.arrived.release()
            assert self.may_go.acquire(timeout=PATIENCE)

    def add(self, *args, **kwargs):
        self._halt("before add")
        version = super().add(*args, **kwargs)
        self._halt("after add")
        return version

    def delete(self, *args, **kwargs):
        self._halt("before delete")
        return super().delete(*args, **kwargs)
