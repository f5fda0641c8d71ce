"""Decoding of a body, with errors that name the entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlitedict_kv.errors import DecodeError, NotKeptHereError


def make_value(
    namespace: str, key: str, content_type: str, decoder: Callable[[Any], Any], body: bytes | memoryview
) -> Any:
    """Return what a decoder makes of a body.

    Raises:
        DecodeError: it cannot, or the entry holds what is not allowed here.
        MemoryError: there is not enough memory for it.
    """
    entry = f"the entry {key!r} in namespace {namespace!r}"
    try:
        return decoder(body)
    except NotKeptHereError as error:
        raise type(error)(f"{entry} {error}") from None
    except MemoryError:
        raise MemoryError(f"{entry} takes more memory than there is; it may be intact") from None
    except Exception as error:
        # from None: a parser's message may quote the value.
        raise DecodeError(
            f"{entry} does not decode as {content_type} "
            f"({type(error).__name__}); overwrite it, or read it with the codec that wrote it"
        ) from None
