"""Identity of a memoized function: its name, and its code and closures where they are part of it."""

from __future__ import annotations

import builtins
import re
import warnings
import weakref
from collections.abc import Callable
from types import CellType, CodeType
from typing import Any, Literal, NamedTuple

from sqlitedict_kv.codecs.qualified_name import is_of_main, qualified_name
from sqlitedict_kv.memoization import function_forms
from sqlitedict_kv.memoization.argument_forms import ClosureForm, Form
from sqlitedict_kv.memoization.code_text import names_of
from sqlitedict_kv.memoization.digests import CODE_DIGEST_BYTES, NoCanonicalFormError, digest_of
from sqlitedict_kv.memoization.function_forms import Variable
from sqlitedict_kv.memoization.syntax_tree import read_lines

MAX_NAME_BYTES = 200  # with the arguments and what stands between them, below the 1,024 bytes of a key
NAME = re.compile(r"[\w.<>:/-]+")
VERSION = re.compile(r"[\w.+-]{1,50}")
CODE_MARK = "@~"  # a version cannot begin with ~


class Watched(NamedTuple):
    """The variables of a function itself that are looked at in each call: its cells, and the globals that it names."""

    cells: list[CellType]
    home: dict[str, Any]
    names: list[str]


CodeChoice = bool | Literal["deep"] | None


class Identity(NamedTuple):
    """What a function is at a moment.

    Attributes:
        prefix: its name, with the version or the digest of its code.
        closures: what it closes over, as text.
        variables: what was read for that; as long as each holds the same object, all this stays as it is.
        complete: whether that is all; if not, it has to be read again for each call.
        parts: what the digest was made of.
    """

    prefix: str
    closures: str
    variables: list[Variable]
    complete: bool
    parts: dict[str, Any]


class FunctionIdentity:
    """Which function it is.

    Attributes:
        name: of module and function, or as the user says.
        label: the name with its version.
        code: what of its code counts: False, True or "deep".
        layers: the function and what it wraps, as far as it counts.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        version: str | int | None = None,
        code: CodeChoice = None,
        ignore: frozenset[str] = frozenset(),
    ) -> None:
        """Look at a function; what it closes over and reads is read later, for it may not be there yet.

        Raises:
            TypeError, ValueError: an argument is not as memoize describes it, or the function has no name that lasts.
        """
        self.layers = function_forms.layers(function)
        self.code = self._check_code(code, version)
        self.name = self._check_name(function, name)
        self.label = shortened(self.name if version is None else f"{self.name}@{_check_version(version)}")
        self._ignored = ignore
        if self.code:
            for layer in self.layers:
                read_lines(layer)

    @property
    def is_fixed(self) -> bool:
        """Whether nothing but the name is part of it."""
        return not self.code and not self.free_variables()

    def free_variables(self) -> set[str]:
        """Return the names of the variables that it closes over and does not write."""
        return {
            name
            for layer in self.layers
            for name in layer.__code__.co_freevars
            if name != "__class__" and name not in names_of(layer.__code__).cells_written
        } - self._ignored

    def watched(self) -> Watched:
        """Return the variables of the function itself that have to be looked at in each call."""
        free = self.free_variables()
        cells = [
            cell
            for layer in self.layers
            for name, cell in zip(layer.__code__.co_freevars, layer.__closure__ or (), strict=True)
            if name in free
        ]
        home = self.layers[-1].__globals__
        read = [name for layer in self.layers for name in names_of(layer.__code__).globals_read]
        names = [name for name in dict.fromkeys(read) if name in home or not hasattr(builtins, name)]
        return Watched(list({id(cell): cell for cell in cells}.values()), home, names if self.code == "deep" else [])

    def read(self, form: Form) -> Identity:
        """Return what it is now.

        Raises:
            TypeError: it closes over something that cannot be part of a key.
        """
        reading = ClosureForm(form)
        closures = self._closures(reading)
        parts: dict[str, Any] = {}
        prefix = self.label
        if self.code:
            parts = self._parts(reading)
            prefix = f"{shortened(self.name)}{CODE_MARK}{parts['code']}"
        text = ", ".join(f"{name}={value}" for name, value in closures)
        return Identity(prefix, text, reading.variables, reading.complete, {**parts, "closure": dict(closures)})

    def _closures(self, reading: ClosureForm) -> list[tuple[str, str]]:
        if not self.layers:
            return []
        try:
            return list(function_forms.closure_items(self.layers, reading, self._ignored))
        except NoCanonicalFormError as error:
            named = re.search(r"closes over ('\w+')", str(error))
            variable = named[1] if named else "..."
            raise TypeError(
                f"{error}, which cannot be part of a cache key; leave it out with memoize(ignore=({variable},)), or "
                f"pass it as an argument"
            ) from None
        except RecursionError:
            raise TypeError(f"what {self.name} closes over is nested too deeply to be part of a cache key") from None

    def _parts(self, reading: ClosureForm) -> dict[str, Any]:
        reading.open.append(self.layers[-1])
        text = function_forms.own_text(self.layers, reading, without=self.layers[0])
        parts = function_forms.deep_parts(self.layers, reading) if self.code == "deep" else {}
        reading.open.pop()
        if parts:
            text = f"{text} {sorted(parts.items())!r}"
        return {**parts, "code": digest_of(text, CODE_DIGEST_BYTES)}

    def _check_code(self, code: CodeChoice, version: object) -> bool | Literal["deep"]:
        if code is not None and not isinstance(code, bool) and code != "deep":
            raise ValueError(f"code must be True, False or 'deep', not {code!r:.80}")
        if code and version is not None:
            raise ValueError("version stands for the code of a function; give version or code, not both")
        if code and not self.layers:
            raise ValueError("its code cannot be read; say version= and raise it when the code changes")
        if code is None:
            return "deep" if version is None and self.layers and is_of_main(self.layers[-1]) else False
        return code

    def _check_name(self, function: Callable[..., Any], name: str | None) -> str:
        if name is not None:
            if not isinstance(name, str):
                raise TypeError(f"name must be a str, not {type(name).__name__}")
            if not NAME.fullmatch(name):
                raise ValueError(f"name must be letters, digits and any of _ . : / - < >, not {name!r}")
            return name
        if not hasattr(function, "__qualname__") or not hasattr(function, "__module__"):
            raise TypeError(f"a {type(function).__name__} has no name that lasts; give one with memoize(name=...)")
        if "<lambda>" in function.__qualname__ and not self.code:
            raise ValueError("all lambdas of a module share one name; use def, or give one with memoize(name=...)")
        return qualified_name(function, self.layers[-1] if self.layers else function)

    def warn_of_another(self, place: object) -> None:
        """Warn if a function of other code has the name in a place: they would get each other's results."""
        code = self.layers[-1].__code__ if self.layers and not self.code else None
        if code is None or "<locals>" in self.name:
            return
        other = _seen.setdefault((place, self.label), code)
        if other != code and self.label not in _warned:
            _warned.add(self.label)
            warnings.warn(
                f"two functions named {self.name} memoize in one place and get each other's results; give one of them "
                f"name=, or code=True",
                UserWarning,
                stacklevel=4,
            )


_seen: weakref.WeakValueDictionary[tuple[object, str], CodeType] = weakref.WeakValueDictionary()
_warned: set[str] = set()


def shortened(name: str) -> str:
    """Return a name as it is, or if it is long, with a digest in the place of its end."""
    body = name.encode()
    if len(body) <= MAX_NAME_BYTES:
        return name
    digest = digest_of(name)
    head = body[: MAX_NAME_BYTES - len(digest) - 1].decode(errors="ignore")
    return f"{head}#{digest}"


def _check_version(version: object) -> str:
    if isinstance(version, bool) or not isinstance(version, str | int):
        raise TypeError(f"version must be a str or an int, not {type(version).__name__}")
    if not VERSION.fullmatch(str(version)):
        raise ValueError(f"version must be 1 to 50 letters, digits and any of _ . + -, not {version!r}")
    return str(version)
