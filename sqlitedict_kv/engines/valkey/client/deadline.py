"""The time that one call may take, with all its attempts."""

from __future__ import annotations

import random
import time

SHORTEST_PAUSE = 0.005  # seconds
LONGEST_PAUSE = 0.25


class Deadline:
    """A deadline, and pauses that grow until it."""

    def __init__(self, timeout: float, since: float | None = None) -> None:
        """Wait for at most *timeout* seconds, from now on or from a moment of time.monotonic()."""
        self.timeout = timeout
        self._deadline = (time.monotonic() if since is None else since) + timeout
        self._pause = SHORTEST_PAUSE

    def remaining(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._deadline - time.monotonic())

    def pause(self) -> bool:
        """Sleep a little before the next attempt; return False, at once, if the time is up."""
        left = self.remaining()
        if not left:
            return False
        # An uneven length keeps those who lost the same server from coming back in step.
        time.sleep(min(left, self._pause * random.uniform(0.5, 1)))  # noqa: S311 - nothing secret
        self._pause = min(LONGEST_PAUSE, self._pause * 2)
        return True
