"""Short ways to the key of a call: plain arguments by position, and keys that were made before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from inspect import Parameter
from operator import itemgetter
from typing import Any, NamedTuple

from sqlitedict_kv.memoization.function_forms import Variable
from sqlitedict_kv.memoization.identity import Identity, Watched

MAX_ARGUMENTS = 200  # characters; longer arguments are written with more care
REMEMBERED = 1024  # keys of a function

# Types whose repr is canonical, of str that of pure ASCII without a backslash; bool is no int here.
PLAIN: frozenset[type] = frozenset({str, int, float, bool, bytes, type(None)})
PLAIN_UNTYPED: frozenset[type] = frozenset({str, bytes, type(None)})
DISTINCT: frozenset[type] = frozenset(
    {str, int, bool, bytes, type(None)}
)  # whose values differ if they are unequal: 0.0 equals -0.0

KeyOf = Callable[[tuple[Any, ...], dict[str, Any]], str]


class ParameterDefaults(NamedTuple):
    """What completes a call.

    Attributes:
        positional: the defaults of the parameters that may be given by position, Parameter.empty where there is none.
        tail: the text of the others.
        plain: the types that the short way takes.
    """

    positional: tuple[Any, ...]
    tail: str
    plain: frozenset[type]


class Remembered(NamedTuple):
    """The short way: *of* makes a key, and *keys* has those that it made, by arguments and their types."""

    of: KeyOf
    keys: dict[tuple[Any, ...], str]


def make_quick(write: KeyOf, prefix: str, closures: str, defaults: ParameterDefaults) -> Remembered:
    """Return *write* with a short way for calls of plain arguments by position.

    Recent keys are remembered, which takes a third of the time to write one. It is a closure because each look at an
    attribute of an object would cost 3 % more.
    """
    short_text = _short_text(defaults, closures)
    remembered: dict[tuple[Any, ...], str] = {}
    are_distinct = are_distinct_in(defaults.plain)

    def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if kwargs:
            return write(args, kwargs)
        types = tuple(map(type, args))
        distinct = are_distinct(types)  # and have a hash
        key = remembered.get((args, types)) if distinct else None
        if key is None:
            text = short_text(args)
            key = write(args, kwargs) if text is None else prefix + text
            if distinct and text is not None:
                if len(remembered) >= REMEMBERED:
                    remembered.clear()
                remembered[args, types] = key
        return key

    return Remembered(of, remembered)


def are_distinct_in(plain: frozenset[type]) -> Callable[[Iterable[type]], bool]:
    """Return a function that tells whether keys of arguments of some types are remembered."""
    return (plain & DISTINCT).issuperset


def _short_text(defaults: ParameterDefaults, closures: str) -> Callable[[tuple[Any, ...]], str | None]:
    """Return a function that writes arguments by position, if they are plain and short; else it returns None.

    C writes their tuple at once, in a quarter of the time.
    """
    fills, are_plain = _fills_by_count(defaults.positional), defaults.plain.issuperset
    tail = defaults.tail

    def short_text(args: tuple[Any, ...]) -> str | None:
        if len(args) not in fills:
            return None
        full = args + fills[len(args)]
        if not are_plain(map(type, full)):
            return None
        try:
            text = repr(full) if len(full) != 1 else f"({full[0]!r})"
        except ValueError:  # an int of too many digits
            return None
        if tail:
            text = f"{text[:-1]}, {tail})" if full else f"({tail})"
        if closures:
            text = f"{text[:-1]}; {closures})"
        return text if len(text) <= MAX_ARGUMENTS and text.isascii() and "\\" not in text else None

    return short_text


def _fills_by_count(positional: tuple[Any, ...]) -> dict[int, tuple[Any, ...]]:
    """Return, by the number of positional arguments of a call, the defaults that complete it."""
    required = sum(default is Parameter.empty for default in positional)
    return {count: positional[count:] for count in range(required, len(positional) + 1)}


Renew = Callable[[], tuple[Identity, Remembered]]


def make_watching(watched: Watched, plain: frozenset[type], renew: Renew) -> KeyOf:
    """Return how keys are made of a function that depends on variables: *renew* tells what it is when one changed.

    The look at the variables is code with one ``is`` for each: a loop over them takes six times as long. Never ``==``:
    a frame in one would raise.
    """
    make = _maker(len(watched.cells), len(watched.names))
    names = itemgetter(*watched.names) if watched.names else None
    of: KeyOf = make(renew, partial(_state, watched), are_distinct_in(plain), watched.home, names, *watched.cells)
    return of


def _state(watched: Watched, now: Identity, quick: Remembered) -> tuple[Any, ...] | None:
    """Return what a call compares with, None if that is not known: then the next call asks again."""
    values = {(id(item.holder), item.name if isinstance(item.holder, dict) else ""): item for item in now.variables}
    own = [values.pop((id(cell), ""), None) for cell in watched.cells]
    own += [values.pop((id(watched.home), name), None) for name in watched.names]
    if not now.complete or None in own:
        return None
    others = _look_at(list(values.values())) if values else None
    return (*(item.value for item in own if item is not None), others, quick.of, quick.keys)


def _look_at(variables: list[Variable]) -> Callable[[], bool]:
    """Return a function that tells whether variables of helpers, behind the function itself, hold what they did."""
    looks = [
        (partial(item.holder.get, item.name), item.value)
        if isinstance(item.holder, dict)
        else (partial(getattr, item.holder, "cell_contents", None), item.value)
        for item in variables
    ]

    def same() -> bool:
        return all(look() is value for look, value in looks)

    return same


@lru_cache(64)
def _maker(cells: int, names: int) -> Callable[..., KeyOf]:
    """Return the code for so many cells and so many global names."""
    held = [f"c{number}" for number in range(cells)]
    read = [f"g{number}" for number in range(names)]
    checks = [f"{cell}.cell_contents is was_{cell}" for cell in held] + [f"{name} is was_{name}" for name in read]
    look = f"{', '.join(read)} = get(home)" if names else "pass"
    unpack = ", ".join([*(f"was_{name}" for name in held + read), "others", "quick", "remembered"])
    source = f"""
def make(renew, state_of, are_distinct, home, get, {", ".join(held)}):
    state = None
    def of(args, kwargs):
        nonlocal state
        if state is not None:
            {unpack} = state
            try:
                {look}
                if {" and ".join([*checks, "(others is None or others())"])}:
                    if not kwargs:
                        types = tuple(map(type, args))
                        if are_distinct(types):
                            key = remembered.get((args, types))
                            if key is not None:
                                return key
                    return quick(args, kwargs)
            except (KeyError, ValueError):  # one is not bound any more
                pass
        # A thread that finds other variables meanwhile makes its own; each is whole, whichever stays.
        now, quick = renew()
        state = state_of(now, quick)
        return quick.of(args, kwargs)
    return of
"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - numbers of variables are all that it is made of
    make: Callable[..., KeyOf] = namespace["make"]
    return make
