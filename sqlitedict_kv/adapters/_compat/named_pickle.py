"""Reader of pickles that name types of the standard library, which it makes by itself from a fixed table.

Nothing is looked up by the names of the pickle, so nothing is imported. The steps of a pickle that call something are
replaced: they call the functions of the table, and refuse everything else. The steps that set attributes are refused,
except for the number of a UUID, so no class and no function can be changed.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sized
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, NoReturn
from uuid import UUID

LATIN = ("latin1", "latin-1")
FRACTION = re.compile(r"-?\d+(/\d+)?")  # no exponent, which could make a number of any length
RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "pathlib._local": "pathlib"}
UUID_BITS = 128


class Maker(NamedTuple):
    """What stands for a name of the table while a pickle is read."""

    name: str
    make: Callable[..., Any]


def _encode(text: str = "", encoding: str = "latin1") -> bytes:
    """Return bytes, which old pickles write as text."""
    if type(text) is not str or encoding not in LATIN:
        raise pickle.UnpicklingError("its bytes are not as pickle writes them")
    return text.encode("latin-1")


def _bytearray(content: bytes | str = b"", encoding: str = "latin1") -> bytearray:
    """Return a bytearray of content; of a number it would be one of that size."""
    return bytearray(content if type(content) is bytes else _encode(content, encoding))  # type: ignore[arg-type] # str


def _empty_bytes() -> bytes:
    return b""


def _fraction(numerator: int | str, denominator: int = 1) -> Fraction:
    if type(numerator) is str and FRACTION.fullmatch(numerator):
        return Fraction(numerator)
    if type(numerator) is int and type(denominator) is int:
        return Fraction(numerator, denominator)
    raise pickle.UnpicklingError("its Fraction is not as pickle writes it")


def _path_of(cls: type[Path | PurePosixPath | PureWindowsPath]) -> Callable[..., Any]:
    return lambda *parts: cls(*(part for part in parts if type(part) is str))


def _new_uuid() -> UUID:
    return UUID.__new__(UUID)


MAKE: Mapping[str, Callable[..., Any]] = {
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _empty_bytes,
    "builtins.complex": complex,
    "builtins.frozenset": frozenset,
    "builtins.set": set,
    "_codecs.encode": _encode,
    "collections.Counter": Counter,
    "collections.OrderedDict": OrderedDict,
    "collections.deque": deque,
    "datetime.date": date,
    "datetime.datetime": datetime,
    "datetime.time": time,
    "datetime.timedelta": timedelta,
    "datetime.timezone": timezone,
    "decimal.Decimal": Decimal,
    "fractions.Fraction": _fraction,
    **{f"pathlib.{cls.__name__}": _path_of(cls) for cls in (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)},
    "uuid.UUID": _new_uuid,
}
MAKERS = MappingProxyType({name: Maker(name, make) for name, make in MAKE.items()})


class NamedUnpickler(pickle._Unpickler):  # noqa: SLF001 - that in C has no steps to replace
    """Reads one pickle."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]]
    stack: list[Any]
    memo: dict[int, Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def __init__(self, pickled: bytes, most_parts: int) -> None:
        """Read *pickled*, and make containers of *most_parts* in all."""
        super().__init__(io.BytesIO(pickled))
        self._size = len(pickled)
        self._left = most_parts

    def find_class(self, module: str, name: str) -> Maker:
        """Return what the table has by a name."""
        maker = MAKERS.get(f"{RENAMED.get(module, module)}.{name}")
        if maker is None:
            raise pickle.UnpicklingError(f"it needs {module}.{name}")
        return maker

    def make(self, maker: Any, arguments: Any) -> Any:
        """Return what a function of the table makes."""
        if type(maker) is not Maker or type(arguments) is not tuple:
            raise pickle.UnpicklingError("it calls something that is not of its table")
        # A step of three bytes can copy a container: without a limit a small pickle could fill the memory.
        self._left -= sum(len(argument) for argument in arguments if isinstance(argument, Sized))
        if self._left < 0:
            raise pickle.UnpicklingError("it becomes more parts than are allowed")
        return maker.make(*arguments)

    def load_reduce(self) -> None:
        """Replace a function and its arguments by the result."""
        arguments = self.stack.pop()
        self.stack[-1] = self.make(self.stack[-1], arguments)

    def load_build(self) -> None:
        """Give a UUID its number."""
        state, value = self.stack.pop(), self.stack[-1]
        number = state.get("int") if type(state) is dict else None
        if type(value) is not UUID or type(number) is not int or not 0 <= number < 2**UUID_BITS:
            raise pickle.UnpicklingError("it sets attributes of an object")
        self.stack[-1] = UUID(int=number)
        for place, known in self.memo.items():
            if known is value:
                self.memo[place] = self.stack[-1]

    def load_bytearray8(self) -> None:
        """Read a bytearray, of which the memory is taken before its bytes are there."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:
            raise pickle.UnpicklingError("it ends within a bytearray")
        self.append(bytearray(self.read(size)))

    def refuse(self) -> NoReturn:
        """Refuse a step."""
        raise pickle.UnpicklingError("it makes an object of a class")


NamedUnpickler.dispatch = {
    **pickle._Unpickler.dispatch,  # noqa: SLF001 - see above
    pickle.REDUCE[0]: NamedUnpickler.load_reduce,
    pickle.NEWOBJ[0]: NamedUnpickler.load_reduce,  # a class and its arguments, of which only UUID is made so
    pickle.BUILD[0]: NamedUnpickler.load_build,
    pickle.BYTEARRAY8[0]: NamedUnpickler.load_bytearray8,
    **{
        step[0]: NamedUnpickler.refuse
        for step in (
            pickle.INST,
            pickle.OBJ,
            pickle.NEWOBJ_EX,
            pickle.EXT1,
            pickle.EXT2,
            pickle.EXT4,
            pickle.PERSID,
            pickle.BINPERSID,
            pickle.NEXT_BUFFER,
            pickle.READONLY_BUFFER,
        )
    },
}
