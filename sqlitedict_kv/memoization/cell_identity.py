"""Identity of a notebook's cell: its code, and the values of the variables that it reads."""

from __future__ import annotations

import ast
import builtins
import dis
from collections.abc import Collection, Iterable, Sequence
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from sqlitedict_kv.memoization.argument_forms import ClosureForm, Form, canonical
from sqlitedict_kv.memoization.code_text import instructions_of, names_of
from sqlitedict_kv.memoization.digests import NoCanonicalFormError, digest_of
from sqlitedict_kv.memoization.function_forms import deep_parts
from sqlitedict_kv.memoization.syntax_tree import tree_text

STORES_NAME = frozenset({dis.opmap["STORE_NAME"], dis.opmap["STORE_GLOBAL"]})
LONGEST_PART = 200  # characters of a value's form; a longer one is shown as its digest


class CellIdentity(NamedTuple):
    """What a cell is at a moment.

    Attributes:
        key: a digest of all that counts.
        parts: what counts of the variables that it reads, by name, and of the functions that these call.
    """

    key: str
    parts: dict[str, str]


def identify_cell(
    source: str,
    outputs: Sequence[str],
    space: dict[str, Any],
    form: Form = canonical,
    ignored: Collection[str] = (),
) -> CellIdentity:
    """Return what a cell is, before it is run.

    Layout and comments of the code do not count. Functions and classes of the notebook count with their code and that
    of what they call, those of modules by their name.

    Args:
        source: the code of the cell, plain Python.
        outputs: the names of the variables that are to be kept.
        space: the variables of the notebook.
        form: writes a value.
        ignored: names of variables that do not count.

    Raises:
        SyntaxError: it is not Python.
        TypeError: it reads something that cannot be part of a key.
    """
    tree = ast.parse(source)
    definition = _as_function(tree)
    read = [name for name in inputs_of(tree) if name in space and name not in ignored]
    reading = ClosureForm(form)
    deep = deep_parts([_function_of(definition, space)], reading)
    parts = {name: text for name, text in deep.items() if name not in ignored}
    for name in read:
        if name not in parts:
            parts[name] = _part(name, space[name], reading)
    parts = {name: text if len(text) <= LONGEST_PART else digest_of(text) for name, text in sorted(parts.items())}
    return CellIdentity(digest_of(f"{tree_text(definition)} {parts!r} {sorted(outputs)!r}"), parts)


def _part(name: str, value: Any, reading: ClosureForm) -> str:
    try:
        return reading(value)
    except NoCanonicalFormError as error:
        raise TypeError(
            f"the cell reads {name!r}, {error}, which cannot be part of a key; leave it out with --ignore {name}"
        ) from None
    except RecursionError:
        raise TypeError(f"the cell reads {name!r}, which is nested too deeply to be part of a key") from None


def _as_function(tree: ast.Module) -> ast.FunctionDef:
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    function = ast.FunctionDef(name="cell", args=nothing, body=tree.body or [ast.Pass()], decorator_list=[])
    function.type_params = []  # type: ignore[attr-defined,unused-ignore] # from Python 3.12 on
    return ast.fix_missing_locations(ast.copy_location(function, tree.body[0] if tree.body else ast.Pass(lineno=1)))


def _function_of(definition: ast.FunctionDef, space: dict[str, Any]) -> FunctionType:
    """Return the cell as a function that is never called: what it reads of the notebook are its global names."""
    if any(isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in ast.walk(definition)):
        parts = {name: getattr(definition, name) for name in definition._fields}
        definition = ast.copy_location(ast.AsyncFunctionDef(**parts), definition)  # type: ignore[assignment]
    module = compile(ast.Module([definition], []), "<cell>", "exec", dont_inherit=True)
    (code,) = (constant for constant in module.co_consts if isinstance(constant, CodeType))
    return FunctionType(code, space)


# -- what is read before it is bound


def inputs_of(tree: ast.Module) -> list[str]:
    """Return the names that a cell may read before it binds them, in the order of the text, builtins left out.

    What is bound in a branch or a loop alone may not be bound behind it, so a name that is read there is an input.
    """
    bound: set[str] = set()
    flow = _Flow()
    flow.block(tree.body, bound)
    later = (name for name in flow.later if name not in bound)
    return [name for name in dict.fromkeys([*flow.read, *later]) if not hasattr(builtins, name)]


class _Flow:
    """The names that statements read, in order: at once, or later, when a function that they define is called."""

    def __init__(self) -> None:
        self.read: dict[str, None] = {}
        self.later: dict[str, None] = {}

    def block(self, statements: Iterable[ast.stmt], bound: set[str]) -> None:
        """Go through statements, and add to *bound* what they bind in any case."""
        for statement in statements:
            self.statement(statement, bound)

    def statement(self, node: ast.stmt, bound: set[str]) -> None:
        """Go through one statement."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self.later.update(dict.fromkeys(_effects(node)[0]))
                bound.add(node.name)
            case ast.If() | ast.While():
                self.expression(node.test, bound)
                self._branches(bound, node.body, node.orelse, always=isinstance(node, ast.If))
            case ast.For() | ast.AsyncFor():
                self.expression(node.iter, bound)
                self._branches(bound | _targets(node.target), node.body, always=False)
                self._branches(bound, node.orelse, always=False)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    self.expression(item.context_expr, bound)
                    bound |= set() if item.optional_vars is None else _targets(item.optional_vars)
                self.block(node.body, bound)
            case ast.Try() | ast.TryStar():
                handlers = [handler.body for handler in node.handlers]
                names = {handler.name for handler in node.handlers if handler.name}
                self._branches(bound, [*node.body, *node.orelse], always=False)
                for kind in (handler.type for handler in node.handlers if handler.type is not None):
                    self.expression(kind, bound)
                self._branches(bound | names, *handlers, always=False)
                self.block(node.finalbody, bound)
            case ast.Break() | ast.Continue() | ast.Pass():
                return
            case _:
                self._take(*_effects(node), bound)

    def expression(self, node: ast.expr, bound: set[str]) -> None:
        """Go through an expression."""
        self._take(*_effects(ast.copy_location(ast.Expr(node), node)), bound)

    def _take(self, read: Iterable[str], stored: set[str], bound: set[str]) -> None:
        self.read.update(dict.fromkeys(name for name in read if name not in bound))
        bound |= stored

    def _branches(self, bound: set[str], *blocks: list[ast.stmt], always: bool) -> None:
        """Go through blocks of which one is taken; *always* is whether one is in any case."""
        ends = []
        for block in blocks:
            ends.append(set(bound))
            self.block(block, ends[-1])
        if always:
            bound |= set.intersection(*ends)


def _targets(node: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _effects(node: ast.stmt) -> tuple[tuple[str, ...], set[str]]:
    """Return the names that a statement reads, and those that it binds."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(ast.Module([node], []), "<cell>", "exec", flags=flags, dont_inherit=True)
    stored = {
        code.co_names[argument] for operation, argument in instructions_of(code.co_code) if operation in STORES_NAME
    }
    return names_of(code).globals_read, stored
