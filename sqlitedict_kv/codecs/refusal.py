"""Refusal of a value that cannot be kept: of which class it is, where it lies, and the way out."""

from __future__ import annotations

from sqlitedict_kv.errors import CodecError


class RefusalError(CodecError):
    """Says why a value, or one within it, cannot be kept; no part of it shows a value.

    Attributes:
        subject: the class of what is refused, None where *reason* says it.
        reason: why, and what to do; a predicate of the subject, if there is one.
        within: the classes of the containers around it, from the innermost to the outermost.
    """

    def __init__(self, reason: str, subject: str | None = None) -> None:
        """Refuse a value."""
        super().__init__(reason)
        self.subject = subject
        self.reason = reason
        self.within: list[str] = []

    def __str__(self) -> str:
        """Return the message, with the way to the refused value."""
        if not self.within:
            return self.reason if self.subject is None else f"{self.subject} {self.reason}"
        way = ", ".join(f"in {_a(name)}" for name in reversed(self.within))
        found = f": {self.reason}" if self.subject is None else f", there is {self.subject}, which {self.reason}"
        return f"the value cannot be kept: {way}{found}"


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
