"""The options of memoize that say what is kept, for how long, and what happens otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from sqlitedict_kv.errors import TagError
from sqlitedict_kv.validation import NO_TAGS, Duration, check_duration, check_tags, check_ttl

Unstorable = Literal["return", "raise"]
OnError = Literal["compute", "raise"]
Undecodable = Literal["recompute", "raise"]


class Policy(NamedTuple):
    """The options of memoize beside those that make the key; checked."""

    ttl: float | Callable[[Any], Duration | None] | None
    condition: Callable[[Any], Any] | None
    cache_exceptions: dict[type[Exception], float | None]
    refresh_before: float | None
    stale_if_error: float | None
    unstorable: Unstorable
    on_error: OnError
    undecodable: Undecodable
    lease: float
    content_type: str | None
    batch: bool = False
    tags: tuple[str, ...] | Callable[..., Any] = NO_TAGS
    max_entries: int | None = None  # of this function
    max_bytes: int | None = None

    def check_together(self) -> None:
        """Raise ValueError if two options contradict each other."""
        ttl = self.ttl
        if ttl is None and (self.refresh_before is not None or self.stale_if_error is not None):
            raise ValueError("refresh_before and stale_if_error need a ttl; a result without one never expires")
        if self.batch and (self.refresh_before is not None or self.stale_if_error is not None or self.cache_exceptions):
            raise ValueError("batch goes with none of refresh_before, stale_if_error and cache_exceptions")
        if self.refresh_before is not None and not callable(ttl) and ttl is not None and self.refresh_before >= ttl:
            raise ValueError(f"refresh_before must be less than ttl, {ttl} seconds, not {self.refresh_before}")

    def tags_for(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
        """Return the tags of the result of a call.

        Raises:
            TagError: there are none that can be.
        """
        if not callable(self.tags):
            return self.tags
        try:
            return check_tags(self.tags(value, *args, **kwargs))
        except Exception as error:
            raise TagError(f"its tags= failed, {type(error).__name__}: {error}") from error

    def lifetime(self, value: Any) -> float | None:
        """Return for how many seconds a result is kept, None is forever; 0 is not at all."""
        if not callable(self.ttl):
            return self.ttl
        chosen: Any = self.ttl(value)
        if type(chosen) in (int, float, timedelta) and not chosen:
            return 0.0
        return check_ttl(chosen)


def check_lifetime(ttl: Any) -> Any:
    """Return the ttl of memoize: seconds, None, or a function that returns them."""
    if callable(ttl):
        if isinstance(ttl, type) or hasattr(ttl, "cache_key"):
            raise TypeError("ttl must be seconds, None, or a function of the result that returns them")
        return ttl
    return check_ttl(ttl)


def check_tags_option(tags: Any) -> Any:
    """Return the tags of memoize: of all results, or a function that returns those of one."""
    return tags if callable(tags) else check_tags(tags)


def check_seconds(value: object, name: str) -> float | None:
    """Return a duration in seconds; None is none."""
    return None if value is None else check_duration(value, name)


def check_exceptions(named: object) -> dict[type[Exception], float | None]:
    """Return which exceptions are kept, each with its seconds."""
    if named is None:
        return {}
    if not isinstance(named, Mapping):
        raise TypeError(f"cache_exceptions must map types to seconds, such as {{LookupError: 5}}, not {named!r:.80}")
    for kind in named:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            raise TypeError(f"cache_exceptions must name subclasses of Exception, not {kind!r:.80}")
    return {kind: check_ttl(ttl) for kind, ttl in named.items()}
