"""How the tests of memoize get at it."""


def memoize(store, *args, **options):
    """Return the decorator that a store gives."""
    return store.memoize(*args, **options)
