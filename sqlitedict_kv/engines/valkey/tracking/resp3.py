"""The messages of RESP3, from bytes as they come.

redis-py reads a reply that was asked for, and waits for its end. A listener does not wait: it takes what has arrived.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

PUSH: Final = ord(">")
ERRORS: Final = b"-!"
TEXTS: Final = b"$!="  # their length comes first; of a verbatim one ("="), the first four bytes are its format
GROUPS: Final = b"*>~%|"  # the number of their elements comes first, of maps half of it
NULLS: Final = (b"$-1", b"*-1")  # of RESP2


class Message(NamedTuple):
    """One message: a byte that says what it is, and what it says."""

    kind: int
    value: Any  # bytes, None, or a list of such


class Reader:
    """Parses bytes into messages; an incomplete one is kept until the rest comes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = b""
        self._open: list[tuple[int, int, list[Any]]] = []  # incomplete groups: kind, length and items so far

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that end in *data*; raise ValueError if it is not RESP."""
        data = self._rest + data
        at = 0
        messages: list[Message] = []
        while (end := data.find(b"\r\n", at)) >= 0:
            kind, head = data[at], data[at + 1 : end]
            item: Any = head
            after = end + 2
            if kind in TEXTS and data[at:end] not in NULLS:
                after += int(head) + 2
                if len(data) < after:
                    break
                item = data[end + 2 : after - 2]
            elif kind in GROUPS and data[at:end] not in NULLS:
                self._open.append((kind, int(head) * (2 if kind in b"%|" else 1), []))
                item = None
                if self._open[-1][1]:
                    at = after
                    continue
                kind, _, item = self._open.pop()
            elif kind in b"_$*":
                item = None
            at = after
            self._close(kind, item, messages)
        self._rest = data[at:]
        return messages

    def _close(self, kind: int, item: Any, messages: list[Message]) -> None:
        """Add a complete item to its group, which may complete that one too."""
        while self._open:
            group = self._open[-1]
            group[2].append(item)
            if len(group[2]) < group[1]:
                return
            kind, _, item = self._open.pop()
        messages.append(Message(kind, item))
