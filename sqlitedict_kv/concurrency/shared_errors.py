"""Copies of an exception for callers that share what raised it: each adds its own traceback to the one it gets."""

from __future__ import annotations

from copy import copy
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def copy_error(error: E) -> E:
    """Return an exception that says the same; the same one if its class cannot be copied truthfully."""
    try:
        other = copy(error)
        same = type(other) is type(error) and other.args == error.args and str(other) == str(error)
    except Exception:  # its class is called with something else than its arguments
        return error
    if not same or other is error:
        return error
    other.__cause__, other.__context__ = error.__cause__, error.__context__
    other.__suppress_context__ = error.__suppress_context__
    return other.with_traceback(error.__traceback__)
