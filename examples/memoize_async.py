"""A service on asyncio that asks a slow backend, and what it does when many ask, when it is slow and when it is down.

The service is what a handler of FastAPI, Starlette or aiohttp would be: an ``async def`` that awaits a memoized
function. Time is moved by hand here, so that minutes take none.

Run it with ``python examples/memoize_async.py``; it works in a temporary directory unless a path is given.
"""

import asyncio
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import Store


class Backend:
    """Stands for a service elsewhere that takes its time, and that can be down."""

    def __init__(self):
        self.requests = 0
        self.is_down = False

    async def rate(self, currency):
        self.requests += 1
        await asyncio.sleep(0.05)
        if self.is_down:
            raise ConnectionError("the backend is down")
        if currency == "XXX":
            raise LookupError(currency)
        return {"currency": currency, "request": self.requests}


class Clock:
    """The real time, and what was skipped."""

    skipped = 0.0

    def __call__(self):
        return time.time() + self.skipped


async def arrival(rate, currency, request):
    """Wait until the answer to a request is kept."""
    while (entry := rate.peek(currency)) is None or entry.value["request"] != request:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def serve(store, clock):
    backend = Backend()

    # The backend is no part of what a rate depends on. A minute fresh; asked for in the last 15 seconds of it, renewed
    # behind the scenes; for an hour the last known rate when the backend is down; a currency that does not exist is not
    # asked for again for 30 seconds.
    @store.memoize(
        ttl="1 min", refresh_before=15, stale_if_error="1h", cache_exceptions={LookupError: 30}, ignore=("backend",)
    )
    async def rate(currency):
        return await backend.rate(currency)

    await asyncio.to_thread(rate.cache_clear)

    async def handler(currency):
        try:
            return 200, await rate(currency)
        except LookupError:
            return 404, None
        except ConnectionError:
            return 503, None

    answers = await asyncio.gather(*(handler("EUR") for _ in range(200)))
    assert answers == [(200, {"currency": "EUR", "request": 1})] * 200
    print(f"200 at once: {backend.requests} request")

    impatient = [asyncio.create_task(handler("USD")) for _ in range(3)]
    while backend.requests < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    impatient[0].cancel()
    answers = await asyncio.gather(*impatient, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError, tuple, tuple]
    print(f"one client went away, the others got their answer: {backend.requests} requests")

    assert [await handler("XXX") for _ in range(5)] == [(404, None)] * 5
    print(f"five times what does not exist: {backend.requests} requests")

    clock.skipped += 50
    assert await handler("EUR") == (200, {"currency": "EUR", "request": 1}), "nobody waits for a refresh"
    await arrival(rate, "EUR", 4)
    assert await handler("EUR") == (200, {"currency": "EUR", "request": 4})
    print(f"refreshed while it was served: {backend.requests} requests")

    clock.skipped += 120
    backend.is_down = True
    assert await handler("EUR") == (200, {"currency": "EUR", "request": 4})
    assert await handler("GBP") == (503, None)
    backend.is_down = False
    assert await handler("EUR") == (200, {"currency": "EUR", "request": 7})
    print(f"down and up again: {backend.requests} requests, {rate.cache_info().stale} answered with an old rate")


def main(path):
    logging.basicConfig(level=logging.ERROR)
    clock = Clock()
    with Store(path, clock=clock) as store:
        asyncio.run(serve(store, clock))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(Path(directory, "rates.db"))
