"""Keys of caches whose files are called by a hash of the key: found again among those that somebody names."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import md5, sha256

from sqlitedict_kv.adapters._compat.migration import UnreadableError
from sqlitedict_kv.adapters.support import fitting_key

NO_KEY = "its file is called by a hash of its key, and no key that was named has this hash"


class HashedKeys:
    """Keys by their hashes, as lower-case hexadecimal digits."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Take the keys as a program passes them, or as Django makes them of these."""
        self._keys: dict[str, str] = {}
        for key in keys:
            encoded = key.encode(errors="surrogatepass")
            for make in (md5, sha256):
                self._keys[make(encoded, usedforsecurity=False).hexdigest()] = key

    def find(self, digest: str) -> str:
        """Return the key of a hash, as the adapter of a framework keeps it; raise UnreadableError if it is unknown."""
        key = self._keys.get(digest.lower())
        if key is None:
            raise UnreadableError(NO_KEY)
        return fitting_key(key)
