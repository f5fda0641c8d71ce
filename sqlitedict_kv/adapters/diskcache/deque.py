"""Sequence in a directory, fast at both ends: diskcache's ``Deque``."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self

from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.values import ENOVAL

NOTHING = (None, ENOVAL)


class Deque(Sequence[Any]):
    """A sequence that is fast at both ends."""

    __hash__: ClassVar[None]  # type: ignore[assignment] # as every sequence that changes

    def __init__(
        self,
        iterable: Iterable[Any] = (),
        directory: str | os.PathLike[str] | None = None,
        maxlen: float | None = None,
    ) -> None:
        """Open the deque of a directory, a new temporary one if it is None, and add what *iterable* gives.

        Args:
            iterable: values to add at the back.
            directory: that of the deque.
            maxlen: how many values it keeps; further ones push values out at the other end.
        """
        self._begin(Cache(directory, eviction_policy="none"), iterable, maxlen)

    def _begin(self, cache: Cache, iterable: Iterable[Any], maxlen: float | None) -> None:
        self._cache = cache
        self._maxlen: float = math.inf if maxlen is None else maxlen
        self.extend(iterable)

    @classmethod
    def fromcache(cls, cache: Cache, iterable: Iterable[Any] = (), maxlen: float | None = None) -> Self:
        """Return a deque in *cache*, which must hold nothing else."""
        deque = cls.__new__(cls)
        deque._begin(cache, iterable, maxlen)  # noqa: SLF001 - of the object that this makes
        return deque

    @property
    def cache(self) -> Cache:
        """The cache that holds the values."""
        return self._cache

    @property
    def directory(self) -> str:
        """The directory."""
        return self._cache.directory

    @property
    def maxlen(self) -> float:
        """How many values it keeps; infinity means no limit."""
        return self._maxlen

    @maxlen.setter
    def maxlen(self, value: float) -> None:
        """Keep *value* values, and drop the first ones if there are more."""
        self._maxlen = value
        with self._cache.transact(retry=True):
            while len(self._cache) > value:
                self.popleft()

    # -- by position

    def _at(self, index: int, function: Callable[[Any], Any]) -> Any:
        """Call *function* with the key at a position, the next one if the entry is gone by then."""
        size = len(self)
        steps = index if index >= 0 else -1 - index
        if steps < size:
            for position, key in enumerate(self._cache.iterkeys(reverse=index < 0)):
                if position >= steps:
                    try:
                        return function(key)
                    except KeyError:
                        continue
        raise IndexError("deque index out of range")

    def __getitem__(self, index: int) -> Any:  # type: ignore[override] # no slices, as in diskcache
        """Return the value at a position."""
        return self._at(index, self._cache.__getitem__)

    def __setitem__(self, index: int, value: Any) -> None:
        """Replace the value at a position."""
        self._at(index, lambda key: self._cache.__setitem__(key, value))

    def __delitem__(self, index: int) -> None:
        """Remove the value at a position."""
        self._at(index, self._cache.__delitem__)

    # -- at the ends

    def append(self, value: Any) -> None:
        """Add a value at the back."""
        self._push(value, "back", self.popleft)

    def appendleft(self, value: Any) -> None:
        """Add a value at the front."""
        self._push(value, "front", self.pop)

    def _push(self, value: Any, side: str, drop: Callable[[], Any]) -> None:
        if self._maxlen == math.inf:
            self._cache.push(value, side=side, retry=True)
            return
        with self._cache.transact(retry=True):
            self._cache.push(value, side=side, retry=True)
            if len(self._cache) > self._maxlen:
                drop()

    def extend(self, iterable: Iterable[Any]) -> None:
        """Add values at the back."""
        for value in iterable:
            self.append(value)

    def extendleft(self, iterable: Iterable[Any]) -> None:
        """Add values at the front, one by one."""
        for value in iterable:
            self.appendleft(value)

    def __iadd__(self, iterable: Iterable[Any]) -> Self:
        """Add values at the back."""
        self.extend(iterable)
        return self

    def pop(self) -> Any:
        """Remove and return the last value; raise IndexError if there is none."""
        return _value(self._cache.pull(default=NOTHING, side="back", retry=True), "pop")

    def popleft(self) -> Any:
        """Remove and return the first value; raise IndexError if there is none."""
        return _value(self._cache.pull(default=NOTHING, retry=True), "pop")

    def peek(self) -> Any:
        """Return the last value; raise IndexError if there is none."""
        return _value(self._cache.peek(default=NOTHING, side="back", retry=True), "peek")

    def peekleft(self) -> Any:
        """Return the first value; raise IndexError if there is none."""
        return _value(self._cache.peek(default=NOTHING, retry=True), "peek")

    # -- as a whole

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._cache)

    def __iter__(self) -> Iterator[Any]:
        """Yield the values from front to back."""
        return self._walk(reverse=False)

    def __reversed__(self) -> Iterator[Any]:
        """Yield the values from back to front."""
        return self._walk(reverse=True)

    def _walk(self, *, reverse: bool) -> Iterator[Any]:
        for key in self._cache.iterkeys(reverse=reverse):
            try:
                yield self._cache[key]
            except KeyError:  # removed meanwhile
                continue

    def clear(self) -> None:
        """Remove all values."""
        self._cache.clear(retry=True)

    def copy(self) -> Self:
        """Return another deque on the same directory, as diskcache does."""
        return type(self)(directory=self.directory, maxlen=self._maxlen)

    def count(self, value: Any) -> int:
        """Return how often a value is there."""
        return sum(item == value for item in self)

    def remove(self, value: Any) -> None:
        """Remove the first of the values that are equal to *value*; raise ValueError if there is none."""
        for key in self._cache.iterkeys():
            try:
                if self._cache[key] == value:
                    del self._cache[key]
                    return
            except KeyError:
                continue
        raise ValueError("deque.remove(value): value not in deque")

    def reverse(self) -> None:
        """Reverse the order of the values, in one step."""
        with self._cache.transact(retry=True):
            values = list(self)
            self.clear()
            self.extend(reversed(values))

    def rotate(self, steps: int = 1) -> None:
        """Move values from the back to the front, or with negative *steps* the other way, in one step."""
        if not isinstance(steps, int):
            raise TypeError(f"integer argument expected, got {type(steps).__name__}")
        with self._cache.transact(retry=True):
            size = len(self)
            if not size:
                return
            take, give = (self.pop, self.appendleft) if steps >= 0 else (self.popleft, self.append)
            for _ in range(abs(steps) % size):
                try:
                    value = take()
                except IndexError:
                    return
                give(value)

    def transact(self) -> AbstractContextManager[None]:
        """Return a context manager in whose block this thread alone writes."""
        return self._cache.transact(retry=True)

    # -- comparing

    def _compare(self, other: object, operation: Callable[[Any, Any], bool]) -> Any:
        return operation(list(self), list(other)) if isinstance(other, Sequence) else NotImplemented

    def __eq__(self, other: object) -> Any:
        """Compare with a sequence."""
        return self._compare(other, operator.eq)

    def __ne__(self, other: object) -> Any:
        """Compare with a sequence."""
        return self._compare(other, operator.ne)

    def __lt__(self, other: object) -> Any:
        """Compare with a sequence."""
        return self._compare(other, operator.lt)

    def __le__(self, other: object) -> Any:
        """Compare with a sequence."""
        return self._compare(other, operator.le)

    def __gt__(self, other: object) -> Any:
        """Compare with a sequence."""
        return self._compare(other, operator.gt)

    def __ge__(self, other: object) -> Any:
        """Compare with a sequence."""
        return self._compare(other, operator.ge)

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what opens the same deque elsewhere."""
        return self._cache, self._maxlen

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Open the same deque."""
        self._begin(state[0], (), state[1])

    def __repr__(self) -> str:
        """Return the directory."""
        return f"{type(self).__name__}(directory={self.directory!r})"


def _value(found: tuple[Any, Any], verb: str) -> Any:
    if found[1] is ENOVAL:
        raise IndexError(f"{verb} from an empty deque")
    return found[1]
