"""Roles of reStructuredText in docstrings, as Markdown: ``:class:`Store``` becomes `Store`."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|attr|mod|data|exc):`~?([^`]+)`")
LITERAL = re.compile(r"``([^`]+)``")
BLOCK = re.compile(r"^( *)(.*?)::\n\n", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object in place."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            text = LITERAL.sub(r"`\1`", text)
            obj.docstring.value = BLOCK.sub(_introduction, text)


def _introduction(match: re.Match[str]) -> str:
    """Return what stands before an indented block of code: ``so::`` becomes ``so:``, a lone ``::`` goes."""
    indent, text = match[1], match[2]
    return f"{indent}{text}:\n\n" if text else "\n"
