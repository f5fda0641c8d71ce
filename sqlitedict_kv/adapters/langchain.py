"""Caches of LangChain: answers of models, and bytes such as embeddings."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from langchain_core import messages
from langchain_core.caches import BaseCache
from langchain_core.load import dumps, loads
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk
from langchain_core.stores import BaseStore
from pydantic import BaseModel

from sqlitedict_kv import CodecError, KVError, Store, TooLargeError
from sqlitedict_kv.adapters.support import BYTES, TEXT
from sqlitedict_kv.aio import AsyncStore

KEYS_PER_PAGE = 1000
UNKEPT = (CodecError, TooLargeError)  # what is wrong with an answer, not with the store

# The classes that an answer consists of: no other class is ever made from the file.
ANSWERS = [Generation, GenerationChunk, ChatGeneration, ChatGenerationChunk] + [
    kind
    for kind in (getattr(messages, name) for name in messages.__all__)
    if isinstance(kind, type) and issubclass(kind, BaseMessage)
]

with warnings.catch_warnings():
    # LangChain warns once per process that its loads may change. A user of this cache can do nothing about it.
    warnings.simplefilter("ignore")
    loads("null", allowed_objects=ANSWERS)


class SQLiteCache(BaseCache):
    """Keeps the answers of models: ``set_llm_cache(SQLiteCache(store))``; for threads, tasks and processes.

    An answer that LangChain's own JSON cannot keep, with a date in its metadata for example, was paid for, so it is
    returned and not kept; the first such answer gives a warning.
    """

    def __init__(self, store: Store, *, namespace: str = "langchain", ttl: float | None = None) -> None:
        """Keep answers in a namespace of *store*, which remains its owner's to close.

        Args:
            store: where to keep them.
            namespace: the name of the namespace.
            ttl: seconds until an answer expires, None is never.
        """
        self._answers = store.ns(namespace, ttl=ttl, content_type=TEXT)
        self._awaitable = AsyncStore.over(store).ns(namespace, ttl=ttl, content_type=TEXT)
        self._has_warned = False

    def _warn(self, error: KVError) -> None:
        """Warn once that an answer is not kept, even where warnings are errors: the answer must not be lost."""
        if not self._has_warned:
            self._has_warned = True
            with suppress(Warning):
                warnings.warn(f"an answer was not kept in the cache: {error}", RuntimeWarning, stacklevel=3)

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the answer of a model to a prompt, None if it is absent."""
        return _answer(self._answers.get(_key(prompt, llm_string)))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep an answer, unless LangChain's own JSON would not give it back as it is."""
        try:
            self._answers.set(_key(prompt, llm_string), _text(return_val))
        except UNKEPT as error:
            self._warn(error)

    def clear(self, **kwargs: Any) -> None:  # noqa: ARG002 - the interface has them
        """Remove all answers."""
        self._answers.clear()

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the answer of a model to a prompt, None if it is absent."""
        return _answer(await self._awaitable.get(_key(prompt, llm_string)))

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep an answer, unless LangChain's own JSON would not give it back as it is."""
        try:
            await self._awaitable.set(_key(prompt, llm_string), _text(return_val))
        except UNKEPT as error:
            self._warn(error)

    async def aclear(self, **kwargs: Any) -> None:  # noqa: ARG002 - the interface has them
        """Remove all answers."""
        await self._awaitable.clear()


class SQLiteByteStore(BaseStore[str, bytes]):
    """Keeps bytes in a namespace of a store, for ``CacheBackedEmbeddings`` and others.

    Keys are of at most 1,024 bytes of UTF-8, because they can be listed; hash longer ones, as ``CacheBackedEmbeddings``
    does by itself.
    """

    def __init__(self, store: Store, *, namespace: str = "langchain.bytes", ttl: float | None = None) -> None:
        """Keep values in a namespace of *store*, which remains its owner's to close.

        Args:
            store: where to keep them.
            namespace: the name of the namespace.
            ttl: seconds until a value expires, None is never.
        """
        self._values = store.ns(namespace, ttl=ttl, content_type=BYTES)
        self._awaitable = AsyncStore.over(store).ns(namespace, ttl=ttl, content_type=BYTES)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of keys, None for each that has none, as of one moment."""
        found = self._values.get_many(keys)
        return [found.get(key) for key in keys]

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Write all the values, or none."""
        self._values.set_many(dict(key_value_pairs))

    def mdelete(self, keys: Sequence[str]) -> None:
        """Remove those keys that are there, in one step."""
        self._values.delete_many(keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """Yield the keys that begin with *prefix*, in order."""
        cursor = None
        while True:
            page = self._values.list(prefix or "", limit=KEYS_PER_PAGE, cursor=cursor)
            yield from page.keys
            cursor = page.cursor
            if cursor is None:
                return

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of keys, None for each that has none, as of one moment."""
        found = await self._awaitable.get_many(keys)
        return [found.get(key) for key in keys]

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Write all the values, or none."""
        await self._awaitable.set_many(dict(key_value_pairs))

    async def amdelete(self, keys: Sequence[str]) -> None:
        """Remove those keys that are there, in one step."""
        await self._awaitable.delete_many(keys)

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """Yield the keys that begin with *prefix*, in order."""
        cursor = None
        while True:
            page = await self._awaitable.list(prefix or "", limit=KEYS_PER_PAGE, cursor=cursor)
            for key in page.keys:
                yield key
            cursor = page.cursor
            if cursor is None:
                return


def _key(prompt: str, llm_string: str) -> str:
    """Return a key that no other pair of prompt and model has; prompts are mostly longer than a key may be."""
    return sha256(json.dumps([prompt, llm_string]).encode()).hexdigest()


def _text(answer: Sequence[Generation]) -> str:
    """Return the JSON of an answer; LangChain writes what it cannot read, and only says so when it is read."""
    # One by one: dumps() turns the parsed model of structured output into a dict in a generation, not within a list.
    text = f"[{', '.join(dumps(generation) for generation in answer)}]"
    try:
        found = loads(text, allowed_objects=ANSWERS)
    except Exception as error:  # whatever the classes of an answer raise; the message may quote it
        raise CodecError(f"LangChain's JSON cannot keep this answer ({type(error).__name__})") from None
    if found != [_without_parsed_model(generation) for generation in answer]:
        raise CodecError("LangChain's JSON would change this answer; it turns a tuple into a list, for example")
    return text


def _without_parsed_model(generation: Generation) -> Generation:
    """Return a generation as LangChain keeps it: a parsed model of structured output as a dict."""
    if not isinstance(generation, ChatGeneration):
        return generation
    parsed = generation.message.additional_kwargs.get("parsed")
    if not isinstance(parsed, BaseModel):
        return generation
    kept = generation.model_copy(deep=True)
    kept.message.additional_kwargs["parsed"] = parsed.model_dump()
    return kept


def _answer(text: str | None) -> Sequence[Generation] | None:
    if text is None:
        return None
    answer: Sequence[Generation] = loads(text, allowed_objects=ANSWERS)
    return answer
