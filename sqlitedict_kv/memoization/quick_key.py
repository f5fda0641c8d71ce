"""Short ways to the key of a call: plain arguments by position, and keys that were made before."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import Parameter
from operator import itemgetter
from types import CellType
from typing import Any, NamedTuple

from sqlitedict_kv.memoization.function_forms import Variable
from sqlitedict_kv.memoization.identity import Identity

MAX_ARGUMENTS = 200  # characters, at most 4 bytes each; what is longer is hashed
REMEMBERED = 1024  # keys of a function

# Types whose repr is canonical, of str that of pure ASCII without a backslash; bool is no int here.
PLAIN: frozenset[type] = frozenset({str, int, float, bool, bytes, type(None)})
PLAIN_UNTYPED: frozenset[type] = frozenset({str, bytes, type(None)})
DISTINCT: frozenset[type] = frozenset(
    {str, int, bool, bytes, type(None)}
)  # whose values differ if they are unequal: 0.0 equals -0.0

KeyOf = Callable[[tuple[Any, ...], dict[str, Any]], str]
Renew = Callable[[], tuple[Identity, KeyOf]]


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


def make_quick(write: KeyOf, prefix: str, closures: str, defaults: ParameterDefaults) -> KeyOf:
    """Return *write* with a short way for calls of plain arguments by position.

    Recent keys are remembered, which takes a third of the time to write one. It is a closure because each look at an
    attribute of an object would cost 3 % more.
    """
    short_text = _short_text(defaults, closures)
    remembered: dict[tuple[Any, ...], str] = {}
    are_distinct = (defaults.plain & DISTINCT).issuperset

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

    return of


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


def make_watching(renew: Renew) -> KeyOf:
    """Return how keys are made of a function that depends on variables: *renew* tells what it is when one changed.

    The look at the variables is code with one ``is`` for each, made when they are known: two cells cost 0.09 us, four
    globals 0.2 us, where a loop over them costs 0.6. Never ``==``: a frame in one would raise.
    """
    current: KeyOf

    def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        return current(args, kwargs)

    def first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        nonlocal current
        now, key_of = renew()
        # A thread that finds other variables meanwhile makes its own; each is whole, so it does not matter which stays.
        current = _watch(now.variables, key_of, first) if now.complete else first
        return key_of(args, kwargs)

    current = first
    return of


def _watch(variables: list[Variable], of: KeyOf, renew: KeyOf) -> KeyOf:
    """Return *of*, and *renew* as soon as a variable holds something else than it did."""
    cells = {id(item.holder): item for item in variables if isinstance(item.holder, CellType)}
    homes: dict[int, dict[str, Variable]] = {}
    for item in variables:
        if not isinstance(item.holder, CellType):
            homes.setdefault(id(item.holder), {})[item.name] = item
    given: list[Any] = []
    for item in cells.values():
        given += [item.holder, item.value]
    for named in homes.values():
        first = next(iter(named.values()))
        given += [first.holder, itemgetter(*named), *(item.value for item in named.values())]
    make: Callable[..., KeyOf] = _maker(len(cells), tuple(map(len, homes.values())))
    return make(of, renew, *given)


@lru_cache(64)
def _maker(cells: int, homes: tuple[int, ...]) -> Callable[..., KeyOf]:
    """Return the code for so many cells, and so many names in each of several globals."""
    given, checks, reads = [], [], []
    for number in range(cells):
        given += [f"c{number}", f"v{number}"]
        checks.append(f"c{number}.cell_contents is v{number}")
    for home, count in enumerate(homes):
        names = [f"g{home}_{number}" for number in range(count)]
        given += [f"home{home}", f"get{home}", *(f"was_{name}" for name in names)]
        reads.append(f"{', '.join(names)} = get{home}(home{home})")
        checks += [f"{name} is was_{name}" for name in names]
    source = f"""
def make(of, renew, {", ".join(given)}):
    def watching(args, kwargs):
        try:
            {"; ".join(reads) or "pass"}
            same = {" and ".join(checks) or "True"}
        except (KeyError, ValueError):  # one is not bound any more
            same = False
        return of(args, kwargs) if same else renew(args, kwargs)
    return watching
"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - numbers of variables are all that it is made of
    make: Callable[..., KeyOf] = namespace["make"]
    return make
