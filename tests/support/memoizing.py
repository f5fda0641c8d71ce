"""How the tests of memoize get at it."""

import inspect
import threading


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


WAIT = 20  # seconds until something that should happen at once is a failure


class Counted:
    """Make a function of one argument that notes its calls and returns or raises what it is told."""

    def __init__(self, result=lambda x: {"x": x}):
        self.calls = []
        self.result = result

        def load(x, y=0):
            """Load it."""
            self.calls.append(x)
            return self.result(x)

        self.function = load

    def __cache_key__(self):
        """Return the same for each: the function closes over this object."""
        return 0


class Held(Counted):
    """Likewise, but each call says that it has begun and waits until it may end."""

    def __init__(self, result=lambda x: {"x": x}):
        self.begun, self.end = threading.Semaphore(0), threading.Semaphore(0)

        def wait(x):
            self.begun.release()
            assert self.end.acquire(timeout=WAIT)
            return result(x)

        super().__init__(wait)


def until(condition):
    """Wait for what another thread is about to do."""
    pause = threading.Event()
    for _ in range(WAIT * 200):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen")


def passengers(function, count):
    """Wait until as many callers share the computation of a function."""
    flights = inspect.getclosurevars(function.forget).nonlocals["flights"]
    until(lambda: any(flight.passengers == count for flight in flights._by_key.values()))
