"""Digests of what is too long to stand in a key, and the error of what cannot stand in one."""

from __future__ import annotations

from typing import Any

DIGEST_BYTES = 20
CODE_DIGEST_BYTES = 5  # of the few bodies that one function ever has


class NoCanonicalFormError(TypeError):
    """Says that a value cannot be a part of a key; for the use of this package, users get a TypeError."""


def digest_of(text: str, size: int = DIGEST_BYTES) -> str:
    """Return the digest of a text in hexadecimal."""
    return digest_of_bytes(text.encode(), size)


def digest_of_bytes(body: Any, size: int = DIGEST_BYTES) -> str:
    """Return the digest of bytes, or of several that are read as one."""
    from hashlib import blake2b  # noqa: PLC0415 - few keys need one, and it takes long to import

    return blake2b(body, digest_size=size).hexdigest()
