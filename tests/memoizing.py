"""How the tests of memoize get at it."""

from sqlitedict_kv.memoize import Memoize
from sqlitedict_kv.results import Place


def memoize(store, *args, **options):
    """Stand for ``store.memoize(...)``."""

    def place(ns):
        name = ns or "memoize"
        return Place(store._core, store.ns(name), store.ns(f"{name}.leases"), store.atomic, store._core.clock)

    return Memoize(place)(*args, **options)
