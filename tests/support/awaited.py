"""The asynchronous face behind the names of the synchronous one, so that the contract tests go through it."""

import asyncio
import threading
from collections.abc import MutableMapping
from contextlib import contextmanager

from sqlitedict_kv import AsyncStore
from sqlitedict_kv.operations.views import NamespaceItems, NamespaceKeys, NamespaceValues


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def walk(self, iterator):
        """Yield what an asynchronous iterator does, one by one."""
        end = object()

        async def following():
            return await anext(iterator, end)

        while (item := self.run(following())) is not end:
            yield item

    def close(self):
        async def finish():
            await self._loop.shutdown_asyncgens()
            await self._loop.shutdown_default_executor()

        self.run(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class AwaitedStore:
    """An AsyncStore whose verbs are run to their end."""

    def __init__(self, *arguments, **options):
        self.store = AsyncStore(*arguments, **options)
        self.loop = Loop()
        try:
            self.loop.run(self.store.__aenter__())
        except BaseException:
            self.loop.close()
            raise

    @property
    def clock(self):
        return self.store.clock

    @property
    def capabilities(self):
        return self.store.sync_store.capabilities

    def ns(self, name, **options):
        return AwaitedNamespace(self.loop, self.store.ns(name, **options))

    def atomic(self):
        return AwaitedTransaction(self.loop, self.store.atomic())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getattr__(self, name):
        verb = getattr(self.store, name)
        return lambda *arguments, **options: self.loop.run(verb(*arguments, **options))


class AwaitedTransaction:
    """An `async with` block as a `with` block."""

    def __init__(self, loop, block):
        self.loop = loop
        self.block = block

    def __enter__(self):
        self.transaction = self.loop.run(self.block.__aenter__())
        return self.transaction

    def __exit__(self, *error):
        self.loop.run(self.block.__aexit__(*error))

    def __getattr__(self, name):
        if name == "transaction":
            raise RuntimeError("not entered")
        return getattr(self.transaction, name)


def awaited(verb):
    """Return a method that runs a verb of the asynchronous namespace."""

    def run(self, *arguments, **options):
        arguments = [plain(argument) for argument in arguments]
        return self.loop.run(getattr(self.namespace, verb)(*arguments, **options))

    run.__name__ = verb
    return run


def plain(argument):
    """Return a namespace or a view of one as what it holds: a loop that runs cannot wait for itself."""
    if isinstance(argument, AwaitedNamespace):
        return argument.copy()
    return list(argument) if isinstance(argument, NamespaceKeys) else argument


class AwaitedNamespace(MutableMapping):
    """An AsyncNamespace whose verbs are run to their end, with the operators of a dict."""

    def __init__(self, loop, namespace):
        self.loop = loop
        self.namespace = namespace

    @property
    def name(self):
        return self.namespace.name

    def __getitem__(self, key):
        absent = object()
        value = self.get(key, absent)
        if value is absent:
            raise KeyError(key)
        return value

    def __setitem__(self, key, value):
        self.set(key, value)

    def __ior__(self, other):
        self.update(other)
        return self

    def __delitem__(self, key):
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key):
        return self.contains(key)

    def __len__(self):
        return self.count()

    def __iter__(self):
        return self.loop.walk(aiter(self.namespace))

    def __reversed__(self):
        return self.loop.walk(self.namespace.keys(reverse=True))

    def walk(self, **options):
        return self.loop.walk(self.namespace.items(**options))

    def scan(self, *arguments, **options):
        return self.loop.walk(self.namespace.scan(*arguments, **options))

    def __repr__(self):
        return repr(self.namespace.sync_namespace)

    def keys(self):
        return NamespaceKeys(self)

    def values(self):
        return NamespaceValues(self)

    def items(self):
        return NamespaceItems(self)

    @contextmanager
    def edit(self, *arguments, **options):
        block = self.namespace.edit(*arguments, **options)
        value = self.loop.run(block.__aenter__())
        try:
            yield value
        except BaseException as error:
            if not self.loop.run(block.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.loop.run(block.__aexit__(None, None, None))

    def modify(self, key, function, **options):
        async def aside(value):  # for the functions of tests use the store, too
            return await asyncio.to_thread(function, value)

        wanted = aside if callable(function) else function
        return self.loop.run(self.namespace.modify(key, wanted, **options))


VERBS = (
    "add", "by_age", "cas_set", "clear", "contains", "copy", "count", "decr", "delete", "delete_many", "get",
    "get_many", "get_many_with_meta", "get_with_meta", "incr", "largest", "list", "pop", "popitem", "purge_expired",
    "renew", "set", "set_many", "setdefault", "stats", "touch", "update", "usage",
)  # fmt: skip
for name in VERBS:
    setattr(AwaitedNamespace, name, awaited(name))
