"""How the tests of memoize get at it."""

import inspect


def memoize(store, *args, **options):
    """Return the decorator that a store gives."""
    return store.memoize(*args, **options)


BODIES = {}


def memoize_body(store, name, **options):
    """Return a decorator for functions of one argument whose keys hold nothing of what they close over: ``f(1)``."""

    def decorate(body):
        BODIES[number := len(BODIES)] = body

        def call(x, number=number):
            return BODIES[number](x)

        async def call_async(x, number=number):
            return await BODIES[number](x)

        chosen = call_async if inspect.iscoroutinefunction(body) else call
        return store.memoize(name=name, ignore=("number",), **options)(chosen)

    return decorate
