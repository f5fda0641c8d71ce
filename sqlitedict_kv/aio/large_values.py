"""Large values of tasks, which threads write to their files and read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.lru import NotHeldError
from sqlitedict_kv.operations.context import StoreContext

E = TypeVar("E", bound=Edit)


class UnwrittenBody(bytes):
    """The place of a large value in an edit, until a thread has written it to a file."""

    parts: bytes | BodyParts
    content_type: str


def defer(parts: bytes | BodyParts, content_type: str) -> tuple[bytes, str]:
    """Return what stands in an edit for a value that is still to be written."""
    body = UnwrittenBody()
    body.parts, body.content_type = parts, content_type
    return body, FILE


def is_unwritten(edit: Edit) -> bool:
    """Return whether the value of an edit is still to be written."""
    return type(edit) is Put and type(edit.body) is UnwrittenBody


def write_files(context: StoreContext, edits: Sequence[E]) -> list[E]:
    """Return edits whose large values are in files; it blocks."""
    first: Edit = edits[0]
    if len(edits) == 1 and type(first) is Put:
        context.demand(first.namespace, first.key, first.expected)
    return [_write_file(context, edit) for edit in edits]


def _write_file(context: StoreContext, edit: Any) -> Any:
    if not is_unwritten(edit):
        return edit
    body, content_type = context.put_elsewhere(edit.body.parts, edit.body.content_type)
    return edit._replace(body=body, content_type=content_type)


def codecs_that_do_not_block(context: StoreContext) -> Codecs:
    """Return codecs that raise NotHeldError for a value that is in a file."""

    def refuse(*_: object) -> NoReturn:
        context.counters.hits -= 1  # the thread that reads it counts it
        raise NotHeldError

    return context.codecs.reading_files_by(refuse)
