"""The canonical key of a call: readable text that is the same in every process and run.

A key is ``module.function@version(arguments; closures)``. Arguments are bound to the signature of what is called, so
all spellings of a call are one key.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from types import FunctionType
from typing import Any

from sqlitedict_kv.memoization.argument_forms import KeyFunctions, make_form
from sqlitedict_kv.memoization.bound_function import Parameter, name_of_method, parameters_of, unbind
from sqlitedict_kv.memoization.digests import NoCanonicalFormError
from sqlitedict_kv.memoization.identity import CODE_MARK, CodeChoice, FunctionIdentity, Identity, shortened
from sqlitedict_kv.memoization.long_arguments import shorten_arguments
from sqlitedict_kv.memoization.quick_key import (
    PLAIN,
    PLAIN_UNTYPED,
    KeyOf,
    ParameterDefaults,
    Remembered,
    make_quick,
    make_watching,
)

MAX_ARGUMENTS = 200  # characters, at most 4 bytes each; what is longer is shortened and has a digest

Key = Callable[..., Any] | Mapping[str, Callable[[Any], Any]]


class CallKeys:
    """Makes the keys of one function's calls.

    Attributes:
        of: takes the arguments of a call, by position and by name, and returns its key.
        identity: which function it is.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        version: str | int | None = None,
        code: CodeChoice = None,
        was: str | Collection[str] = (),
        ignore: Collection[str] = (),
        typed: bool = True,
        key: Key | None = None,
        key_functions: KeyFunctions | None = None,
        place: object = None,
    ) -> None:
        """Prepare for *function*; the arguments are those of memoize.

        *key_functions* is that of :func:`make_form`, and *place* stands for where the results are kept: a warning
        tells if another function of the same name keeps its own there.

        Raises:
            TypeError, ValueError: an argument is not as described there.
        """
        self._bound = unbind(function)
        target = self._bound.function
        self._key = None if isinstance(key, Mapping) else key
        self._was = _check_names(was)
        chosen = name
        if name is None and self._bound.receiver and getattr(target, "__module__", None) is None:
            chosen = name_of_method(target, self._bound.receiver[0])
        ignored = _check_ignore(ignore)
        self.identity = FunctionIdentity(target, name=chosen, version=version, code=code, ignore=ignored)
        self.name = self.identity.name
        self._chosen: Mapping[str, Callable[[Any], Any]] = {}
        self._ignored = ignored
        self._form = make_form(typed=typed, key_functions=key_functions)
        self._plain = PLAIN if typed else PLAIN_UNTYPED
        if place is not None and (name, version, code) == (None, None, None):
            self.identity.warn_of_another(place)
        # What the first call can find out takes more time than all the rest of a decoration.
        self._users: list[Callable[[KeyOf], None]] = []
        self.of: KeyOf = self._of_first_call
        if key is not None or ignored or not isinstance(target, FunctionType):  # or there may be errors to raise
            self._read_parameters(target)
            self._chosen = _check_choices(key, self._parameters) if isinstance(key, Mapping) else {}
            self._ignored = self._check_parameters(ignored)

    @property
    def counts_code(self) -> bool:
        """Whether code is part of the keys."""
        return bool(self.identity.code)

    def current(self) -> Identity:
        """Return what the function is now."""
        return self.identity.read(self._form)

    def parameter_names(self) -> list[str]:
        """Return the names of the parameters whose values are in a key; known once one was made."""
        return [name for name, _ in self._slots if name not in self._ignored]

    def clear_prefixes(self) -> tuple[str, ...]:
        """Return what all keys of the function begin with, those of former bodies included."""
        if self.counts_code:
            name = shortened(self.name)
            return f"{name}{CODE_MARK}", f"{name}("
        return (f"{self.identity.label}(",)

    def former_keys(self, key: str) -> list[str]:
        """Return under which keys the result of a call may be that had one of the names before."""
        if not self._was:
            return []
        arguments = key[key.index("(") :]
        return [f"{name}{arguments}" for name in self._was]

    def let_use(self, use: Callable[[KeyOf], None]) -> None:
        """Call *use* with :attr:`of`, now and when the first call has made a quicker one."""
        self._users.append(use)
        use(self.of)

    # -- ways to a key

    def _of_first_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        self._read_parameters(self._bound.function)
        of = self.of = self._with_bound(self._unbound_of())
        for use in self._users:
            use(of)
        return of(args, kwargs)

    def _read_parameters(self, target: Callable[..., Any]) -> None:
        self._parameters = self._all_parameters(target)
        self._slots = tuple((parameter.name, parameter.default) for parameter in self._parameters)
        kinds = [parameter.kind for parameter in self._parameters]
        self._variable = inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
        self._positional_only = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
        self._positional = len(kinds) - kinds.count(inspect.Parameter.KEYWORD_ONLY)

    def _unbound_of(self) -> KeyOf:
        identity = self.identity
        if identity.is_fixed:
            return self._quick(identity.label, "").of
        return make_watching(identity.watched(), self._plain, self._renew)

    def _renew(self) -> tuple[Identity, Remembered]:
        """Return what the function is, and how keys are made as long as it is that."""
        now = self.current()
        return now, self._quick(now.prefix, now.closures)

    def _quick(self, prefix: str, closures: str) -> Remembered:
        write, defaults = self._writer(prefix, closures), self._defaults()
        return Remembered(write, {}) if defaults is None else make_quick(write, prefix, closures, defaults)

    def _with_bound(self, of: KeyOf) -> KeyOf:
        bound = (*self._bound.receiver, *self._bound.args)
        named = self._bound.kwargs
        if not bound and not named:
            return of
        return lambda args, kwargs: of(bound + args, {**named, **kwargs})

    def _defaults(self) -> ParameterDefaults | None:
        """Return what the short way needs to know; None where there is none."""
        only_named = self._slots[self._positional :]
        plain = self._plain.issuperset(type(item) for _, item in only_named)
        if self._key or self._chosen or self._ignored or self._variable or not plain:
            return None
        tail = ", ".join(f"{name}={self._form(default)}" for name, default in only_named)
        return ParameterDefaults(tuple(default for _, default in self._slots[: self._positional]), tail, self._plain)

    def _writer(self, prefix: str, closures: str) -> KeyOf:
        def write(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            parts = self._bound_parts(args, kwargs) if self._key is None else self._chosen_parts(args, kwargs)
            text = ", ".join(parts)
            if closures:
                text = f"{text}; {closures}"
            if len(text) > MAX_ARGUMENTS - 2:
                text = shorten_arguments([*parts, closures] if closures else parts, text, MAX_ARGUMENTS - 2)
            return f"{prefix}({text})"

        return write

    # -- text of arguments

    def _chosen_parts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        assert self._key is not None
        receivers = len(self._bound.receiver)
        named = self._slots[0][0] if self._slots else "self"
        chosen = self._key(*args[receivers:], **kwargs)
        try:
            text = self._form(chosen)
        except NoCanonicalFormError as error:
            raise TypeError(f"key= of {self.name} returned {error}; let it return a str, or a tuple of them") from None
        # The object whose method it is counts beside what key= says, which does not see it.
        shown = [self._text(named, receiver) for receiver in args[:receivers] if named not in self._ignored]
        return [*shown, text]

    def _bound_parts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        if self._variable:
            return self._variable_parts(args, kwargs)
        text, ignored, positional = self._text, self._ignored, self._positional
        return [
            text(name, value) if place < positional else f"{name}={text(name, value)}"
            for place, ((name, _), value) in enumerate(zip(self._slots, self._bind(args, kwargs), strict=True))
            if name not in ignored
        ]

    def _variable_parts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        parts = []
        for parameter, value in zip(self._parameters, self._bind_any(args, kwargs), strict=True):
            name = parameter.name
            if name in self._ignored:
                continue
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                parts += [self._text(name, item) for item in value]
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                names = sorted(set(value) - self._ignored)
                # a keyword that is no name, as in f(**{"a=1, b": 2}), is quoted
                parts += [f"{_identifier(other)}={self._text(other, value[other])}" for other in names]
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                parts.append(f"{name}={self._text(name, value)}")
            else:
                parts.append(self._text(name, value))
        return parts

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Return a value for each parameter; Signature.bind does it four times as slowly."""
        count = len(args)
        if count < self._positional_only or count > self._positional:
            return self._bind_any(args, kwargs)
        values = [*args]
        unused = len(kwargs)
        for name, default in self._slots[count:]:
            if name in kwargs:
                values.append(kwargs[name])
                unused -= 1
            elif default is inspect.Parameter.empty:
                return self._bind_any(args, kwargs)
            else:
                values.append(default)
        return self._bind_any(args, kwargs) if unused else values

    def _bind_any(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        try:
            bound = self._signature().bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        bound.apply_defaults()
        return [bound.arguments[parameter.name] for parameter in self._parameters]

    def _signature(self) -> inspect.Signature:
        parameters = [inspect.Parameter(name, kind, default=default) for name, kind, default in self._parameters]
        return inspect.Signature(parameters)

    def _text(self, name: str, value: Any) -> str:
        choose = self._chosen.get(name)
        if choose is not None:
            value = choose(value)
        try:
            return self._form(value)
        except NoCanonicalFormError as error:
            raise TypeError(
                f"argument {name!r} of {self.name} cannot be a part of a cache key: it is or holds {error}. Say what "
                f"the result depends on with memoize(key=lambda ...: ...), or leave the argument out with "
                f"memoize(ignore=({name!r},)); a class of yours may define __cache_key__(self)"
            ) from None
        except RecursionError:
            raise TypeError(
                f"argument {name!r} of {self.name} is nested too deeply to be a part of a cache key"
            ) from None

    # -- checks

    def _all_parameters(self, target: Callable[..., Any]) -> list[Parameter]:
        try:
            parameters = parameters_of(target)
        except ValueError:
            if self._key is None:
                raise ValueError(
                    f"{getattr(target, '__qualname__', 'a function in C')} does not say what its parameters are; say "
                    f"what its results depend on with memoize(key=lambda ...: ...)"
                ) from None
            return []
        if self._bound.receiver and getattr(target, "__self__", None) is self._bound.receiver[0]:
            return [Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *parameters]
        return parameters

    def _check_parameters(self, ignored: frozenset[str]) -> frozenset[str]:
        """Return the parameters that are ignored, where each name is that of one or of a variable closed over."""
        if not ignored:
            return ignored
        known = {parameter.name for parameter in self._parameters}
        free = {name for layer in self.identity.layers for name in layer.__code__.co_freevars}
        takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in self._parameters)
        for name in sorted(ignored - known - free):
            if not takes_any:
                raise ValueError(
                    f"ignore names {name!r}, and the parameters are {', '.join(sorted(known | free)) or 'none'}"
                )
        chosen = ignored - free
        receiver = {self._parameters[0].name} if self._bound.receiver and self._parameters else set()
        if self._key is not None and chosen - receiver:
            raise ValueError("ignore has no meaning beside key, which says all that the result depends on")
        return chosen


def _check_ignore(ignore: object) -> frozenset[str]:
    if ignore == ():
        return frozenset()
    if isinstance(ignore, str) or not isinstance(ignore, Collection):
        raise TypeError(f"ignore must be a collection of names such as ('self',), not {type(ignore).__name__}")
    for name in ignore:
        if not isinstance(name, str):
            raise TypeError(f"ignore must hold names of parameters, not {type(name).__name__}")
    return frozenset(ignore)


def _check_names(was: str | Collection[str]) -> tuple[str, ...]:
    names = (was,) if isinstance(was, str) else tuple(was)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"was must hold former names such as 'app.report', not {type(name).__name__}")
        if not name or "(" in name:
            raise ValueError(f"was must hold former names such as 'app.report' or 'app.report@2', not {name!r:.80}")
    return tuple(map(shortened, names))


def _check_choices(
    key: Mapping[str, Callable[[Any], Any]], parameters: list[Parameter]
) -> Mapping[str, Callable[[Any], Any]]:
    known = {parameter.name for parameter in parameters}
    for name, choose in key.items():
        if name not in known:
            raise ValueError(f"key names {name!r}, and the parameters are {', '.join(sorted(known)) or 'none'}")
        if not callable(choose):
            raise TypeError(f"key must map names of parameters to functions, not {name!r} to {type(choose).__name__}")
    return dict(key)


def _identifier(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else ascii(name)
