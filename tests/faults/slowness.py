"""A process that is held up again and again, at any machine instruction: what a race needs to come true."""

from __future__ import annotations

import ctypes
import signal
import sys

CLOCK_MONOTONIC = 1
POSSIBLE = sys.platform == "linux"


def hold_up(every: int) -> None:
    """Let this process sleep for some 100 us whenever so many microseconds have passed, where that is possible.

    The C function usleep is made the handler of a signal: called with the signal's number, it sleeps for that many
    microseconds, in the middle of whatever SQLite was doing.
    """
    if not POSSIBLE:
        return
    number = int(signal.SIGRTMAX)
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(number, ctypes.cast(libc.usleep, ctypes.c_void_p))
    event = (ctypes.c_int * 16)()  # struct sigevent: value, signal, how to notify (0: by the signal)
    event[2] = number
    timer = ctypes.c_void_p()
    if libc.timer_create(CLOCK_MONOTONIC, event, ctypes.byref(timer)):
        raise OSError("timer_create failed")
    times = (ctypes.c_long * 4)(0, every * 1000, 0, every * 1000)
    if libc.timer_settime(timer, 0, times, None):
        raise OSError("timer_settime failed")
