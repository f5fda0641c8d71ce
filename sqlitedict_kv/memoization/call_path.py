"""The path of the calls of a memoized function, which depends on its mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.flow import OFF_KEY, Flow
from sqlitedict_kv.memoization.quick_key import KeyOf
from sqlitedict_kv.operations.memoize_modes import Mode

Read = Callable[..., Any]  # takes a key, and returns what is kept
Fill = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]  # makes a call that found nothing
Bind = Callable[[KeyOf, Read, Fill], None]


class CallPath:
    """Binds the three steps of a call into the wrapper, which so asks for no mode: a key, a read, and what if not.

    Attributes:
        mode: on, off or only.
    """

    def __init__(
        self, keys: CallKeys, flow: Flow, bind: Bind, *, read: Callable[[], Read], nothing: Read, fill: Fill
    ) -> None:
        """Bind the steps by *bind*.

        Args:
            keys: makes the keys.
            flow: of the function.
            bind: takes the three steps.
            read: returns how to read now.
            nothing: reads that there is nothing, without the store.
            fill: makes a call that found nothing.
        """
        self._keys = keys
        self._flow = flow
        self._bind = bind
        self._read = read
        self._nothing = nothing
        self._fill = fill
        self.mode: Mode = "on"
        keys.let_use(self._use)

    def _use(self, _: KeyOf) -> None:
        self.rebind()

    def set_mode(self, mode: Mode) -> None:
        """Make the calls that begin from now on in another mode."""
        self.mode = mode
        self._flow.set_mode(mode)
        self.rebind()

    def rebind(self) -> None:
        """Bind the steps again, as one has changed."""
        if self.mode == "off":
            self._bind(_no_key, self._nothing, self._flow.bypass)
        else:
            self._bind(self._keys.of, self._read(), self._fill)


def _no_key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:  # noqa: ARG001 - as others make keys
    return OFF_KEY
