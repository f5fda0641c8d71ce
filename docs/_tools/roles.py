"""Docstrings as the reference shows them.

Roles of reStructuredText become Markdown: ``:class:`Store``` becomes `Store`. The options of a store, which its
signature takes as ``**options``, are shown as ``help(Store)`` shows them.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|attr|mod|data|exc):`~?([^`]+)`")
LITERAL = re.compile(r"``([^`]+)``")
BLOCK = re.compile(r"^( *)(.*?)::\n\n", re.MULTILINE)

TAKING_OPTIONS = {  # where they are defined: whose signature is shown
    "sqlitedict_kv.store.Store.__init__": "Store",
    "sqlitedict_kv.aio.store.AsyncStore.__init__": "AsyncStore",
}


class Docstrings(griffe.Extension):
    """Changes docstrings, and the signatures with options, before they are rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change an object in place."""
        if obj.docstring is None:
            return
        if isinstance(obj, griffe.Function) and obj.path in TAKING_OPTIONS:
            _show_options(obj)
        text = ROLE.sub(r"`\1`", obj.docstring.value)
        text = LITERAL.sub(r"`\1`", text)
        obj.docstring.value = BLOCK.sub(_introduction, text)


def _show_options(function: griffe.Function) -> None:
    """Show the options of a store one by one."""
    shown = getattr(importlib.import_module("sqlitedict_kv"), TAKING_OPTIONS[function.path])
    function.docstring.value = inspect.getdoc(shown.__init__) or ""
    given = [one for one in function.parameters if one.kind is not griffe.ParameterKind.var_keyword]
    function.parameters = griffe.Parameters(*given, *_options(inspect.signature(shown), given))


def _options(signature: inspect.Signature, given: list[griffe.Parameter]) -> list[griffe.Parameter]:
    names = {one.name for one in given}
    return [
        griffe.Parameter(
            one.name,
            annotation=one.annotation if isinstance(one.annotation, str) else getattr(one.annotation, "__name__", None),
            kind=griffe.ParameterKind.keyword_only,
            default="time.time" if callable(one.default) else repr(one.default),
        )
        for one in signature.parameters.values()
        if one.kind is one.KEYWORD_ONLY and one.name not in names
    ]


def _introduction(match: re.Match[str]) -> str:
    """Return what stands before an indented block of code: ``so::`` becomes ``so:``, a lone ``::`` goes."""
    indent, text = match[1], match[2]
    return f"{indent}{text}:\n\n" if text else "\n"
