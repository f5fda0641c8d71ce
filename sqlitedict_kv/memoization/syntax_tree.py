"""Normalized text of a function's syntax tree: its code without layout, comments, docstrings and annotations.

It is written by us because ``ast.unparse`` and ``ast.dump`` differ between releases of Python, and bytecode differs
between nearly all of them.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

Definition = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# ctx follows from where a node stands; kind is the u of u"text"
LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params", "returns", "simple"})
FILES_REMEMBERED = 32


def read_lines(function: FunctionType) -> None:
    """Have the lines of a function's file remembered as they are now, which is as they were loaded.

    A file that is edited while the process runs changes nothing afterwards. A file in an archive is read by its loader.
    """
    filename = function.__code__.co_filename
    linecache.lazycache(filename, function.__globals__)
    linecache.getlines(filename)


def source_text(code: CodeType) -> str | None:
    """Return the text of the ``def`` that a code object was made of, None if its source is not there."""
    definition = _definitions("".join(linecache.getlines(code.co_filename))).get((code.co_firstlineno, code.co_name))
    if definition is None or _parameters_of(definition) != _parameters_of_code(code):
        return None
    return tree_text(definition)


@lru_cache(FILES_REMEMBERED)
def _definitions(source: str) -> dict[tuple[int, str], Definition]:
    """Return the functions of a file by their first line, decorators included, and name."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found = (node for node in ast.walk(tree) if isinstance(node, DEFINITIONS))
    return {(min([node.lineno, *(item.lineno for item in node.decorator_list)]), node.name): node for node in found}


def _parameters_of(definition: Definition) -> list[str]:
    given = definition.args
    plain = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [parameter.arg for parameter in (*plain, given.vararg, given.kwarg) if parameter is not None]


def _parameters_of_code(code: CodeType) -> list[str]:
    variable = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args and **kwargs
    return list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + variable])


def tree_text(definition: Definition) -> str:
    """Return the names and the fields of the nodes of a function, without its name, decorators and defaults.

    The stack is a list because a long sum is nested more deeply than Python's own stack allows.
    """
    reads_docs = any(getattr(node, "attr", getattr(node, "id", "")) == "__doc__" for node in ast.walk(definition))
    parameters = ast.arguments(**{**dict(ast.iter_fields(definition.args)), "defaults": [], "kw_defaults": []})
    written: list[str] = [type(definition).__name__]
    stack: list[ast.AST | str] = [*reversed(_body_of(definition, reads_docs=reads_docs)), parameters]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            written.append(item)
        else:
            stack.extend(reversed(list(_parts(item, reads_docs=reads_docs))))
    return " ".join(written)


def _parts(node: ast.AST, *, reads_docs: bool) -> Iterator[ast.AST | str]:
    """Yield the text of one node and the nodes in it, in order."""
    if isinstance(node, ast.Constant):
        yield from ("(Constant", constant_text(node.value), ")")
        return
    if isinstance(node, ast.AnnAssign) and not getattr(node, "keeps_annotation", False):
        node = _plain_assignment(node)
    yield f"({type(node).__name__}"
    for name, value in ast.iter_fields(node):
        if name in LEFT_OUT or (name == "annotation" and isinstance(node, ast.arg)):
            continue
        if name == "body" and isinstance(node, (*DEFINITIONS, ast.ClassDef)):
            value = _body_of(node, reads_docs=reads_docs)  # noqa: PLW2901 - the same without its docstring
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _joined(value)  # noqa: PLW2901 - the same in fewer parts
        if value is None or value == []:
            continue
        yield name
        yield from _listed(value)
    yield ")"


def _listed(value: Any) -> Iterator[ast.AST | str]:
    if not isinstance(value, list):
        yield value if isinstance(value, ast.AST) else constant_text(value)
        return
    yield "["
    for item in value:
        yield item if isinstance(item, ast.AST) else constant_text(item)
    yield "]"


def _body_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, *, reads_docs: bool) -> list[ast.stmt]:
    """Return the statements without the docstring; those of a class keep annotations, which make its fields."""
    body = node.body
    first = body[0] if body else None
    text = first.value if isinstance(first, ast.Expr) else None
    is_doc = isinstance(text, ast.Constant) and isinstance(text.value, str)
    if isinstance(node, ast.ClassDef):
        for statement in body:
            if isinstance(statement, ast.AnnAssign):
                statement.keeps_annotation = True  # type: ignore[attr-defined] # nodes take attributes of anybody
    return body[1:] if is_doc and not reads_docs else body


def _plain_assignment(node: ast.AnnAssign) -> ast.AST:
    """Return ``x = 1`` for ``x: int = 1``; ``x: int`` alone makes x a local variable and stays as that."""
    if node.value is None:
        return ast.AnnAssign(target=node.target, annotation=ast.Constant(None), value=None, simple=0)
    return ast.Assign(targets=[node.target], value=node.value)


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Return the parts of an f-string with its constants put together, which releases of Python split otherwise."""
    parts: list[ast.expr] = []
    for value in values:
        last = parts[-1] if parts else None
        if not isinstance(value, ast.Constant):
            parts.append(value)
        elif isinstance(last, ast.Constant):
            parts[-1] = ast.Constant(str(last.value) + str(value.value))
        elif value.value:
            parts.append(value)
    return parts


def constant_text(value: Any) -> str:
    """Return type and text of a constant in code, in ASCII: what repr escapes depends on the release of Unicode."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"int {value:#x}"  # in hexadecimal, which no setting of Python limits
    return f"{type(value).__name__} {value!a}"
