"""Forms of functions: by name where they are of an importable module, by code and closures where they are not."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple, Protocol

from sqlitedict_kv.codecs.qualified_name import is_of_main, qualified_name
from sqlitedict_kv.memoization.class_text import class_parts, functions_of, is_constant
from sqlitedict_kv.memoization.code_text import code_text, names_of
from sqlitedict_kv.memoization.digests import CODE_DIGEST_BYTES, NoCanonicalFormError, digest_of

OUTSIDE = frozenset({"threading", "_thread", "asyncio.locks", "multiprocessing.synchronize"})  # locks and their like


class Variable(NamedTuple):
    """A variable that was read, and what it held: *holder* is its cell, or the globals in which *name* is."""

    holder: CellType | dict[str, Any]
    name: str
    value: Any


class Reading(Protocol):
    """Writes values, and remembers the variables that were read for it.

    Attributes:
        variables: those that were read.
        open: the functions and classes that are being written.
        complete: whether no variable was without a value, which then has to be looked at again.
    """

    variables: list[Variable]
    open: list[FunctionType | type]
    complete: bool

    def __call__(self, value: Any, /) -> str:
        """Return the form of a value."""


# -- functions that call functions


def layers(function: Any) -> list[FunctionType]:
    """Return a function and those that it wraps as functools.wraps says, the innermost last, that count.

    A wrapper from another module does not: a library that tries again has state of its own.
    """
    found: list[FunctionType] = []
    while function is not None and function not in found:
        function = getattr(function, "__func__", function)
        if isinstance(function, FunctionType):
            found.append(function)
        function = getattr(function, "__wrapped__", None)
    return [layer for layer in found if layer.__globals__ is found[-1].__globals__]


def memoized_keys(function: Any) -> Any:
    """Return the keys of a memoized function, None of any other; what wraps one has copied its attributes."""
    made_here = isinstance(function, FunctionType) and str(function.__globals__.get("__name__")).startswith(PACKAGE)
    return vars(function).get("_call_keys") if made_here else None


PACKAGE = f"{__name__.partition('.')[0]}."


# -- functions as values


def function_form(function: FunctionType, reading: Reading) -> str:
    """Return the name of a function; if it is no function of an importable module, its code and closures too."""
    counted = layers(function)
    keys = memoized_keys(function)
    name = qualified_name(counted[-1]) if keys is None else keys.identity.label
    if counted[-1] in reading.open:
        return f"function({name})"
    try:
        with_code = has_no_name_of_its_own(counted[-1]) if keys is None else keys.counts_code
        code = f"~{code_digest(counted, reading)}" if with_code else ""
        closures = ", ".join(f"{name}={text}" for name, text in closure_items(counted, reading))
    except NoCanonicalFormError as error:
        raise NoCanonicalFormError(f"a function, and {error}") from None
    return f"function({name}{code}{'; ' if closures else ''}{closures})"


def class_form(cls: type, reading: Reading) -> str:
    """Return the name of a class; if it was made in a function, its code and what that closes over too."""
    name = qualified_name(cls)
    if "<locals>" not in cls.__qualname__ or cls in reading.open:
        return f"<{name}>"
    reading.open.append(cls)
    try:
        home = next((function.__globals__ for _, function in functions_of(cls)), {})
        _, text = class_parts(cls, home, reading)
        closures = [
            f"{method}.{variable}={value}"
            for parent in reversed(cls.__mro__)
            if parent.__module__ == cls.__module__
            for method, function in functions_of(parent)
            for variable, value in closure_items([function], reading)
        ]
    except NoCanonicalFormError as error:
        raise NoCanonicalFormError(f"a class, and {error}") from None
    finally:
        reading.open.pop()
    return f"<{name}~{digest_of(text, CODE_DIGEST_BYTES)}{'; ' if closures else ''}{', '.join(closures)}>"


def has_no_name_of_its_own(function: FunctionType) -> bool:
    """Return whether other functions may have the name of this one: inner ones, lambdas, those that are edited."""
    return "<" in function.__qualname__ or is_of_main(function)


def builtin_form(value: Any, form: Callable[[Any], str]) -> str:
    """Return the name of a function in C; of a method of an object, the object too."""
    holder = getattr(value, "__self__", None)
    if holder is None or isinstance(holder, ModuleType):
        return f"function({value.__module__}.{value.__qualname__})"
    return f"method({value.__qualname__}, {form(holder)})"


def global_form(value: Any) -> str:
    """Return the name of something callable that its module has under it; anything else has no form.

    Raises:
        NoCanonicalFormError: it is anything else.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if callable(value) and isinstance(name, str) and getattr(sys.modules.get(str(module)), name, None) is value:
        return f"function({module}.{name})"
    kind = type(value)
    raise NoCanonicalFormError(f"a {qualified_name(kind)}")


def decides_nothing(value: Any) -> bool:
    """Return whether a value does work without having a part in results: stores, loggers and locks."""
    kind = type(value)
    if kind.__module__ in OUTSIDE or kind.__module__.startswith(PACKAGE):
        return True
    logging = sys.modules.get("logging")
    return logging is not None and isinstance(value, logging.Logger | logging.LoggerAdapter)


# -- what they close over


def closure_items(
    counted: list[FunctionType], reading: Reading, ignored: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the names and forms of the variables that functions close over.

    What a function writes is an output, and what it calls itself by decides nothing.

    Raises:
        NoCanonicalFormError: one has no form.
    """
    reading.open.append(counted[-1])
    try:
        for layer, name, value in _closed_over(counted, reading, ignored):
            if value is getattr(layer, "__wrapped__", None) or decides_nothing(value):
                continue
            inner = layers(value) if isinstance(value, FunctionType) else []
            if inner and inner[-1] in reading.open:
                continue
            try:
                yield name, reading(value)
            except NoCanonicalFormError as error:
                raise NoCanonicalFormError(f"{layer.__qualname__} closes over {name!r}, {error}") from None
    finally:
        reading.open.pop()


def _closed_over(
    counted: Iterable[FunctionType], reading: Reading, ignored: Collection[str]
) -> Iterator[tuple[FunctionType, str, Any]]:
    for layer in counted:
        for name, cell in zip(layer.__code__.co_freevars, layer.__closure__ or (), strict=True):
            if name == "__class__" or name in ignored or name in names_of(layer.__code__).cells_written:
                continue
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                reading.complete = False
                continue
            reading.variables.append(Variable(cell, name, value))
            yield layer, name, value


# -- what their code is


def code_digest(counted: list[FunctionType], reading: Reading) -> str:
    """Return the digest of code and defaults, and of the code that it reads where that is edited too."""
    text = own_text(counted, reading)
    if is_of_main(counted[-1]):
        reading.open.append(counted[-1])
        parts = deep_parts(counted, reading)
        reading.open.pop()
        text = f"{text} {sorted(parts.items())!r}" if parts else text
    return digest_of(text, CODE_DIGEST_BYTES)


def own_text(counted: list[FunctionType], reading: Reading, without: FunctionType | None = None) -> str:
    """Return the code of functions and their defaults; those of one that is called are arguments already."""
    texts = [code_text(layer.__code__) for layer in counted]
    for layer in counted:
        if layer is without:
            continue
        for defaults in filter(None, (layer.__defaults__, layer.__kwdefaults__)):
            try:
                texts.append(reading(defaults))
            except NoCanonicalFormError:
                texts.append("?")
    return " ".join(texts)


def deep_parts(counted: list[FunctionType], reading: Reading) -> dict[str, str]:
    """Return the global names that code reads, transitively in its module, each with what counts of its value."""
    home = counted[-1].__globals__
    parts: dict[str, str] = {}
    seen: set[str] = set()
    queue = [layer.__code__ for layer in counted]
    while queue:
        for name in names_of(queue.pop()).globals_read:
            if name in seen:
                continue
            seen.add(name)
            if name not in home:
                reading.complete = reading.complete and hasattr(builtins, name)
                continue
            value = home[name]
            reading.variables.append(Variable(home, name, value))
            text = _part_text(value, home, reading, queue)
            if text is not None:
                parts[name] = text
    return parts


def _part_text(  # noqa: PLR0911 - a list of kinds
    value: Any, home: dict[str, Any], reading: Reading, queue: list[Any]
) -> str | None:
    """Return what counts of the value of a global name, and put the code in it on the queue."""
    if is_constant(value):
        return reading(value)
    if isinstance(value, type):
        if value.__module__ != home.get("__name__"):
            return f"<{qualified_name(value)}>"
        codes, text = class_parts(value, home, reading)
        queue += codes
        return digest_of(text, CODE_DIGEST_BYTES)
    if isinstance(value, FunctionType):
        return _function_part(value, home, reading, queue)
    if isinstance(value, ModuleType):
        return f"module({value.__name__})"
    if isinstance(value, partial):
        try:
            return reading(value)
        except NoCanonicalFormError:
            return None
    return None


def _function_part(function: FunctionType, home: dict[str, Any], reading: Reading, queue: list[Any]) -> str | None:
    counted = layers(function)
    keys = memoized_keys(function)
    if counted[-1] in reading.open:
        return None  # itself
    if counted[-1].__globals__ is not home or (keys is not None and not keys.counts_code):
        return f"function({qualified_name(function) if keys is None else keys.identity.label})"
    try:
        closures = list(closure_items(counted, reading))
    except NoCanonicalFormError as error:
        closures = [("?", str(error))]
    queue += [layer.__code__ for layer in counted]
    return digest_of(f"{own_text(counted, reading)} {closures!r}", CODE_DIGEST_BYTES)
