"""The error for calls of memoized functions that would wait for each other without end."""

from __future__ import annotations

from collections.abc import Sequence


def deadlock(keys: Sequence[str]) -> RuntimeError:
    """Return the error for calls that would wait for each other without end."""
    names = list(dict.fromkeys(keys))
    if len(names) == 1:
        return RuntimeError(
            f"{names[0]} needs its own result: the function calls itself with the same arguments, directly or in a "
            f"thread, task or process that it waits for, or is memoized twice in the same place"
        )
    return RuntimeError(
        f"{' and '.join(names)} wait for each other's results: each is computed by a call that needs the other"
    )
