"""Refusal of a value that cannot be kept: of which class it is, where it lies, and the way out."""

from __future__ import annotations

from sqlitedict_kv.codecs.objects import family_of
from sqlitedict_kv.errors import CodecError

NOT_ALLOWED = "is not allowed in this store"
ADVICE = {
    "generator": "keep list(...) of it",
    "memoryview": "keep bytes(...) of it",
    "memmap": "keep numpy.asarray(...) of it",
    "Pattern": "keep its pattern and its flags",
    "dict_keys": "keep list(...) of it",
    "dict_values": "keep list(...) of it",
    "dict_items": "keep list(...) of it",
    "module": "keep its name",
    "function": "keep its name",
    "type": "keep its name",
    "lock": "take one from sqlitedict_kv.locks",
}


class RefusalError(CodecError):
    """Says why a value, or one within it, cannot be kept, on its way out; no part of it shows a value.

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

    def as_codec_error(self) -> CodecError:
        """Return the error that a user sees."""
        error = CodecError(str(self))
        error.for_result = self._for_result()
        return error

    def _for_result(self) -> str | None:
        """Return the message for the result of a function, which an annotation may allow."""
        if self.subject is None or NOT_ALLOWED not in self.reason:
            return None
        example = self.subject.partition(" ")[0].rpartition(".")[2]
        if self.within[-1:] == ["list"]:
            example = f"list[{example}]"
        unresolved = self.reason.partition("; ")[2]
        return (
            f'it holds {self.subject}, which is not allowed; annotate the function with "-> {example}", or write '
            f"memoize(type={example}){unresolved and f'; {unresolved}'}"
        )

    def __str__(self) -> str:
        """Return the message, with the way to the refused value."""
        if not self.within:
            return self.reason if self.subject is None else f"{self.subject} {self.reason}"
        way = ", ".join(f"in {with_article(name)}" for name in reversed(self.within))
        found = f": {self.reason}" if self.subject is None else f", there is {self.subject}, which {self.reason}"
        return f"the value cannot be kept: {way}{found}"


def with_article(noun: str) -> str:
    """Return a noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def advice_for(cls: type, unresolved: str = "") -> str:
    """Return why values of a class are refused and what to do, as a predicate; *unresolved* goes to its end."""
    name = cls.__name__
    if family_of(cls) is not None:
        return f"{NOT_ALLOWED}: Store(..., types=[{name}]), or ns(name, type={name}){unresolved}"
    if cls.__module__ == "builtins" or name in ADVICE:
        way = ADVICE.get(name) or ("keep list(...) of it" if hasattr(cls, "__next__") else "keep its parts")
        return f"cannot be kept; {way}{unresolved}"
    way = f"Store(..., types=[Kind({name}, encode=..., decode=...)])"
    return f"cannot be kept; keep its parts, or say how: {way}{unresolved}"
