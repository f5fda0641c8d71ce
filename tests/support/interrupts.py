"""Interrupts at any of the points at which CPython lets one in.

These are the end of a call of a function in C, the begin of a Python function, the point after a ``yield``, and the
end of a round of a loop. There is none between, such as from the return of the ``__enter__`` of a lock to the begin of
its block; a trace function that raises at any line or opcode would find faults that are not there.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

LETS_IN = {dis.opmap[name] for name in ("RESUME", "JUMP_BACKWARD") if name in dis.opmap}
AFTER_YIELD = 1  # the argument of RESUME; higher ones, after `yield from` and `await`, let none in


class Interrupt:
    """Raises KeyboardInterrupt at one of the points of a call.

    Attributes:
        error: the interrupt as it came out of the call, with the frames in its traceback; None if it did not.
        where: where it was raised; None if the call had fewer points.
    """

    def __init__(self, number: int, within: str = "") -> None:
        """Raise at the point with this number, beginning with 1, among those in files whose path has *within*."""
        self._within = within
        self.error: BaseException | None = None
        self.where: str | None = None
        self._left = number
        self._last: tuple[FrameType, int] | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function and interrupt it."""
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        try:
            function(*arguments)
        except KeyboardInterrupt as error:
            self.error = error
        finally:
            self._stop()

    def _stop(self) -> None:
        sys.settrace(None)
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_return" and self._counts(frame):
            self._point(frame)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not self._counts(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._last = (frame, frame.f_lasti)  # of RESUME, which has no event of its own
        return self._opcode

    def _counts(self, frame: FrameType) -> bool:
        path = frame.f_code.co_filename
        return path != __file__ and self._within in path

    def _opcode(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            last, self._last = self._last, (frame, frame.f_lasti)
            if last is not None and last[0] is frame and self._lets_in(frame.f_code, last[1], frame.f_lasti):
                self._point(frame)
        return self._opcode

    def _lets_in(self, code: CodeType, last: int, now: int) -> bool:
        """Return whether an interrupt may come after one instruction, and is handled as one before the next."""
        opcode, argument = code.co_code[last], code.co_code[last + 1]
        return (
            opcode in LETS_IN
            and (opcode != dis.opmap["RESUME"] or argument & 3 <= AFTER_YIELD)
            and _handler(code, last) == _handler(code, now)
        )

    def _point(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left == 0:
            self._stop()
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"
            raise KeyboardInterrupt


def _handler(code: CodeType, offset: int) -> Any:
    """Return where an exception at an instruction is handled."""
    return next((entry.target for entry in dis._parse_exception_table(code) if entry.start <= offset < entry.end), None)
