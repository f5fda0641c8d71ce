"""Code of a function as text that tells two bodies apart, and the names that it reads and writes."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from sqlitedict_kv.memoization.syntax_tree import constant_text, source_text

BODIES_REMEMBERED = 1024
EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
READS_BY_NAME = frozenset(dis.opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in dis.opmap)
READS_GLOBAL = dis.opmap["LOAD_GLOBAL"]
WRITES_GLOBAL = frozenset({dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"]})
WRITES_CELL = frozenset({dis.opmap["STORE_DEREF"], dis.opmap["DELETE_DEREF"]})
FLAG_BITS = int(sys.implementation.name == "cpython")  # of LOAD_GLOBAL's argument, below the index of the name


class Names(NamedTuple):
    """What a body and the functions in it do with names that are not its own.

    Attributes:
        globals_read: global names that are read and never written: what it writes is an output.
        cells_written: variables of functions around it that it writes.
    """

    globals_read: tuple[str, ...]
    cells_written: frozenset[str]


@lru_cache(BODIES_REMEMBERED)
def code_text(code: CodeType) -> str:
    """Return the normalized syntax tree, or the bytecode with the release of Python where there is no source."""
    source = None if code.co_name == "<lambda>" else source_text(code)
    return f"{sys.implementation.cache_tag} {_bytecode_text(code)}" if source is None else source


def _bytecode_text(code: CodeType) -> str:
    parts = [
        code.co_code.hex(), code.co_exceptiontable.hex(), str(code.co_argcount), str(code.co_posonlyargcount),
        str(code.co_kwonlyargcount), str(code.co_flags), *map(_constant, code.co_consts),
    ]  # fmt: skip
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return f"({' '.join(parts)} {names!a})"


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _bytecode_text(value)
    if isinstance(value, tuple):
        return f"({' '.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"frozenset({' '.join(sorted(map(_constant, value)))})"
    return constant_text(value)


@lru_cache(BODIES_REMEMBERED)
def names_of(code: CodeType) -> Names:
    """Return the names that a body reads and writes, those of the functions in it included."""
    read: dict[str, None] = {}
    written: set[str] = set()
    cells: set[str] = set()
    for inner in _with_inner(code):
        first_free = len({*inner.co_varnames, *inner.co_cellvars})
        for operation, argument in instructions_of(inner.co_code):
            if operation == READS_GLOBAL:
                read[inner.co_names[argument >> FLAG_BITS]] = None
            elif operation in READS_BY_NAME:
                read[inner.co_names[argument]] = None
            elif operation in WRITES_GLOBAL:
                written.add(inner.co_names[argument])
            elif operation in WRITES_CELL and argument >= first_free:
                cells.add(inner.co_freevars[argument - first_free])
    # __name__ and its like, which the body of a class reads, are other ones in a process that was spawned.
    return Names(tuple(name for name in read if name not in written and name[:2] != "__"), frozenset(cells))


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def instructions_of(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield operations and arguments; dis does it fifty times as slowly."""
    high = 0
    for operation, low in zip(body[::2], body[1::2], strict=True):
        argument = high | low
        high = argument << 8 if operation == EXTENDED_ARG else 0
        yield operation, argument
