"""LangChain's caches: its own standard tests, real models, and what the suites do not ask."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from suites import report, run_pytest, version_of

from tests.support.processes import Worker, environment

CORE = version_of("langchain-core")
SUITES = version_of("langchain-tests")

from langchain_core.embeddings import DeterministicFakeEmbedding  # noqa: E402
from langchain_core.globals import set_llm_cache  # noqa: E402
from langchain_core.language_models import FakeListChatModel, FakeListLLM  # noqa: E402
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage  # noqa: E402
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk  # noqa: E402
from langchain_core.prompts import PromptTemplate  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from sqlitedict_kv import AsyncStore, CodecError, DamagedEntryError, Store  # noqa: E402
from sqlitedict_kv.adapters import langchain  # noqa: E402
from sqlitedict_kv.adapters.langchain import SQLiteByteStore, SQLiteCache  # noqa: E402

ANSWERS = [
    Generation(text="plain", generation_info={"finish_reason": "stop", "logprobs": [0.5, None]}),
    GenerationChunk(text="a chunk"),
    ChatGeneration(
        message=AIMessage(
            content=[{"type": "text", "text": "é"}],
            tool_calls=[{"name": "add", "args": {"a": 1, "lc": 2}, "id": "1"}],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            response_metadata={"model": "m"},
        )
    ),
    ChatGenerationChunk(message=AIMessageChunk(content="a chunk")),
    ChatGeneration(message=HumanMessage("from a person")),
]


@pytest.fixture
def store(make_store, path):
    return make_store(path, lru_bytes="1 MB")


@pytest.fixture
def cache(store):
    return SQLiteCache(store)


@pytest.mark.timeout(600)  # of a whole suite
def test_it_passes_the_standard_tests_of_langchain(tmp_path):
    ini = tmp_path / "suite.ini"
    ini.write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    suite = Path(__file__).with_name("langchain_suite.py")
    counts = run_pytest("-c", ini, suite, directory=tmp_path, coroutines=True)
    report("LangChain", f"{CORE} (langchain-tests {SUITES})", counts)
    assert counts.failed == counts.skipped == 0, (tmp_path / "suite.log").read_text(encoding="utf-8")
    assert counts.passed >= 40


# -- answers of models


def test_an_answer_comes_back_as_it_was_in_either_face(cache):
    cache.update("prompt", "model", ANSWERS)
    assert cache.lookup("prompt", "model") == ANSWERS
    assert [type(answer) for answer in cache.lookup("prompt", "model")] == [type(answer) for answer in ANSWERS]

    async def main():
        assert await cache.alookup("prompt", "model") == ANSWERS
        await cache.aupdate("prompt", "other", ANSWERS[:1])
        await cache.aupdate("none", "model", [])

    asyncio.run(main())
    assert cache.lookup("prompt", "other") == ANSWERS[:1]
    assert cache.lookup("none", "model") == []


def test_prompt_and_model_are_never_run_together(cache):
    pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ('a", "b', "c"),
        ("a", 'b", "c'),
        ("", "abc"),
        ("x" * 10_000, ""),
        ("\ud800", ""),
    ]
    for number, pair in enumerate(pairs):
        cache.update(*pair, [Generation(text=str(number))])
    assert [cache.lookup(*pair)[0].text for pair in pairs] == [str(number) for number in range(len(pairs))]


def test_clear_removes_the_answers_of_this_cache_alone(store, cache):
    other = SQLiteCache(store, namespace="other")
    for each in (cache, other):
        each.update("p", "m", ANSWERS)
    cache.clear()
    assert cache.lookup("p", "m") is None
    asyncio.run(other.aclear())
    assert other.lookup("p", "m") is None


def test_answers_expire(store, clock):
    cache = SQLiteCache(store, ttl=60)
    cache.update("p", "m", ANSWERS)
    asyncio.run(cache.aupdate("q", "m", ANSWERS))
    clock.advance(59.999)
    assert cache.lookup("p", "m") == cache.lookup("q", "m") == ANSWERS
    clock.advance(0.001)
    assert cache.lookup("p", "m") is asyncio.run(cache.alookup("q", "m")) is None


@pytest.mark.parametrize(
    "bad",
    [object(), (1, 2), {1}, b"bytes", {1: 2}, 1j, datetime(2026, 1, 1), Decimal(1), UUID(int=1)],
    ids=lambda bad: type(bad).__name__,
)
@pytest.mark.filterwarnings("error")
def test_an_answer_that_would_not_come_back_is_not_kept_and_warned_of_once(store, bad):
    cache = SQLiteCache(store)
    cache.update("p", "m", ANSWERS)
    answers = [
        [Generation(text="secret", generation_info={"bad": bad})],
        [ChatGeneration(message=AIMessage("secret", response_metadata={"bad": bad}))],
    ]
    for number, answer in enumerate(answers):
        with (
            pytest.warns(RuntimeWarning, match="not kept.*LangChain's JSON") if not number else nullcontext() as caught
        ):
            cache.update("p", "m", answer)
        assert not number or caught is None
        asyncio.run(cache.aupdate("p", "m", answer))
        cache.update("new", "m", answer)
    assert cache.lookup("p", "m") == ANSWERS
    assert cache.lookup("new", "m") is None
    other = SQLiteCache(store)
    with pytest.warns(RuntimeWarning) as caught:
        asyncio.run(other.aupdate("p", "m", answers[0]))
    assert "secret" not in str(caught[0].message)


@pytest.mark.filterwarnings("error")
def test_an_answer_that_is_too_large_is_not_kept(make_store, path):
    cache = SQLiteCache(make_store(path, max_value_bytes=1000))
    cache.update("p", "m", [Generation(text="x" * 2000)])  # where warnings are errors it is still no error
    assert cache.lookup("p", "m") is None


class Weather(BaseModel):
    """What a model is asked to fill in."""

    city: str
    degrees: float


class Own(AIMessage):
    """A message of a program's own class."""


def test_the_parsed_model_of_structured_output_is_kept_as_langchain_keeps_it(cache):
    parsed = Weather(city="Rome", degrees=30.5)
    answer = [ChatGeneration(message=AIMessage("{}", additional_kwargs={"parsed": parsed, "refusal": None}))]
    cache.update("p", "m", answer)
    (found,) = cache.lookup("p", "m")
    assert found.message.additional_kwargs == {"parsed": {"city": "Rome", "degrees": 30.5}, "refusal": None}
    assert answer[0].message.additional_kwargs["parsed"] is parsed


def test_a_message_of_another_class_is_not_kept(cache):
    with pytest.warns(RuntimeWarning, match="not kept"):
        cache.update("p", "m", [ChatGeneration(message=Own("x"))])
    assert cache.lookup("p", "m") is None


class Structured(FakeListChatModel):
    """A model whose every answer has what JSON cannot keep."""

    def _generate(self, *args, **kwargs):
        result = super()._generate(*args, **kwargs)
        result.generations[0].message.response_metadata["at"] = datetime(2026, 1, 1)
        return result


def test_a_model_whose_answers_cannot_be_kept_answers_all_the_same(cache):
    set_llm_cache(cache)
    try:
        model = Structured(responses=["first", "second"])
        with pytest.warns(RuntimeWarning, match="not kept"):
            assert model.invoke("hello").content == "first"
        assert model.invoke("hello").content == "second"
    finally:
        set_llm_cache(None)


def test_only_answers_are_ever_made_of_what_the_file_holds(store, cache):
    cache.update("p", "m", ANSWERS)
    (key,) = store.ns("langchain")
    assert store.ns("langchain").get_with_meta(key).meta.content_type == "text/plain; charset=utf-8"
    harmful = langchain.dumps(PromptTemplate.from_template("{x}"))
    store.ns("langchain")[key] = harmful
    with pytest.raises(ValueError, match="not allowed"):
        cache.lookup("p", "m")


def test_a_damaged_answer_is_an_error_and_no_miss(cache, path):
    cache.update("p", "m", ANSWERS)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE kv SET value = x'5b5d'")
    with pytest.raises(DamagedEntryError):
        cache.lookup("p", "m")


def test_importing_and_using_it_warns_of_nothing(tmp_path):
    program = """
import sys
from langchain_core.outputs import Generation
from sqlitedict_kv import Store
from sqlitedict_kv.adapters.langchain import SQLiteCache

with Store(sys.argv[1]) as store:
    cache = SQLiteCache(store)
    cache.update("p", "m", [Generation(text="x")])
    print(cache.lookup("p", "m")[0].text)
"""
    command = [sys.executable, "-W", "error", "-c", program, tmp_path / "app.db"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("x\n", "")


@pytest.fixture
def as_the_global_cache(cache):
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


@pytest.mark.usefixtures("as_the_global_cache")
@pytest.mark.parametrize("model", [FakeListChatModel, FakeListLLM])
def test_a_model_is_asked_once_by_either_face(model):
    def said(answer):
        return answer if isinstance(answer, str) else answer.content

    asked = model(responses=["first", "second", "third"])
    assert [said(asked.invoke(prompt)) for prompt in ("hello", "hello", "bye", "hello")] == [
        "first",
        "first",
        "second",
        "first",
    ]

    async def main():
        return [said(await asked.ainvoke(prompt)) for prompt in ("bye", "new", "new")]

    assert asyncio.run(main()) == ["second", "third", "third"]


@pytest.mark.usefixtures("as_the_global_cache")
def test_many_tasks_may_ask_at_the_same_time():
    """LangChain's own SQLite cache fails here, for several tasks insert the same row."""
    asked = FakeListChatModel(responses=["same"])

    async def main():
        return await asyncio.gather(*(asked.ainvoke(f"hello {turn % 3}") for turn in range(60)))

    assert {answer.content for answer in asyncio.run(main())} == {"same"}


# -- bytes


def test_bytes_are_kept_for_both_faces_and_other_values_are_refused(store):
    values = SQLiteByteStore(store)
    vector = repr(DeterministicFakeEmbedding(size=8).embed_query("hello")).encode()
    values.mset([("a", b"1"), ("b", vector), ("a", b"2")])
    assert values.mget(["b", "nope", "a"]) == [vector, None, b"2"]
    for bad in ("text", None, 5, bytearray(b"x")):
        with pytest.raises(CodecError):
            values.mset([("a", b"3"), ("c", bad)])

    async def main():
        assert await values.amget(["b", "nope", "a"]) == [vector, None, b"2"]
        await values.amset([("c", b"3")])
        await values.amdelete(["a", "nope"])
        assert [key async for key in values.ayield_keys()] == ["b", "c"]

    asyncio.run(main())
    values.mdelete(["b"])
    assert list(values.yield_keys()) == ["c"]


def test_keys_are_listed_by_a_prefix_that_is_taken_literally(store, monkeypatch):
    monkeypatch.setattr(langchain, "KEYS_PER_PAGE", 10)
    values = SQLiteByteStore(store)
    keys = [f"a%{number:02}" for number in range(25)]
    values.mset([(key, b"") for key in [*keys, "ab", "b"]])

    async def listed(prefix):
        return [key async for key in values.ayield_keys(prefix=prefix)]

    for prefix, found in (("a%", keys), (None, [*keys, "ab", "b"]), ("c", []), ("", [*keys, "ab", "b"])):
        assert list(values.yield_keys(prefix=prefix)) == found
        assert asyncio.run(listed(prefix)) == found


def test_bytes_expire_where_a_ttl_is_given(store, clock):
    values = SQLiteByteStore(store, namespace="mine", ttl=1)
    values.mset([("a", b"1")])
    clock.advance(1)
    assert values.mget(["a"]) == [None]
    assert list(values.yield_keys()) == []


# -- processes

OTHER = """
    from langchain_core.outputs import Generation
    from sqlitedict_kv.adapters.langchain import SQLiteByteStore, SQLiteCache

    with Store(sys.argv[1], lru_bytes="1 MB") as store:
        cache, values = SQLiteCache(store), SQLiteByteStore(store)
        while (line := hear()) != "end":
            cache.update("p", "m", [Generation(text=line)])
            assert cache.lookup("p", "m")[0].text == line
            values.mset([("k", line.encode())])
            say("done")
"""


def test_what_another_process_wrote_is_seen_at_the_next_read_whatever_the_lru_holds(path):
    with Worker(OTHER, path) as other, Store(path, lru_bytes="1 MB") as store:
        cache, values = SQLiteCache(store), SQLiteByteStore(store)

        async def read(turn):
            assert (await cache.alookup("p", "m"))[0].text == str(turn)
            assert await values.amget(["k"]) == [str(turn).encode()]

        for turn in range(50):
            other.say(turn)
            assert other.hear() == "done"
            assert [cache.lookup("p", "m")[0].text for _ in range(3)] == [str(turn)] * 3
            assert values.mget(["k"]) == [str(turn).encode()]
            asyncio.run(read(turn))
        assert store.stats().lru.hits >= 50
        other.say("end")
        assert other.finish() == []


def test_a_store_of_the_other_face_is_refused(path):
    for adapter in (SQLiteCache, SQLiteByteStore):
        with pytest.raises(TypeError, match="Store"):
            adapter(AsyncStore(path))
