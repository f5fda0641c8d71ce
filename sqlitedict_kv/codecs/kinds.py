"""Kind of value that a user allows: a class with its stored name, and how its objects are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A class whose objects a store may keep and make: ``Store(..., types=[Kind(User, was=["app.User"])])``.

    For a dataclass, an attrs class, a pydantic model, a named tuple, a ``msgspec.Struct`` or an enum, the class alone
    in ``types=`` is enough. Their fields are kept, and an object is made of them without its constructor, except for a
    Struct. Any other class needs *encode* and *decode*.

    Attributes:
        cls: the class; its subclasses are others.
        name: what is stored for it; None is its module and its qualified name.
        was: names under which it was stored before, such as ``["app.models.User"]``.
        encode: returns what to keep for an object: any value that the store keeps.
        decode: makes an equal object of the same class of that value, which may come from anybody who can write to
            the store.
        key: returns what stands for an object in the keys of memoized calls.
        upgrade: takes the fields of an object as they were stored, a dict, and returns those that the class has now;
            it is called only where their names differ.
    """

    cls: type
    name: str | None = None
    was: Sequence[str] = ()
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    key: Callable[[Any], Any] | None = None
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    def __init__(
        self,
        cls: type,
        *,
        name: str | None = None,
        was: Sequence[str] = (),
        encode: Callable[[Any], Any] | None = None,
        decode: Callable[[Any], Any] | None = None,
        key: Callable[[Any], Any] | None = None,
        upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        """Describe how objects of a class are kept; see the attributes.

        Raises:
            TypeError, ValueError: an argument is not as described.
        """
        if not isinstance(cls, type):
            raise TypeError(f"cls must be a class, not {type(cls).__name__}")
        if name is not None:
            _check_name(name, "name")
        if isinstance(was, str) or not isinstance(was, Sequence):
            raise TypeError(f"was must be a sequence of names, not {type(was).__name__}")
        for former in was:
            _check_name(former, "was")
        functions = {"encode": encode, "decode": decode, "key": key, "upgrade": upgrade}
        for option, function in functions.items():
            if function is not None and not callable(function):
                raise TypeError(f"{option} must be a function, not {type(function).__name__}")
        if (encode is None) != (decode is None):
            raise TypeError(f"Kind({cls.__name__}) needs both encode and decode, or neither")
        if encode is not None and upgrade is not None:
            raise ValueError(f"Kind({cls.__name__}): upgrade has no meaning beside decode, which sees what was stored")
        for option, value in {"cls": cls, "name": name, "was": tuple(was), **functions}.items():
            object.__setattr__(self, option, value)


def _check_name(name: object, option: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{option} must be a str, not {type(name).__name__}")
    if not name or not name.isprintable():
        raise ValueError(f"{option} must be a name of printable characters, not {name!r:.80}")
