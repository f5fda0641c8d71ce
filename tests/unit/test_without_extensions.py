"""Values where the modules in C cannot be imported: orjson, msgspec, isal and msgpack's own, as in a subinterpreter."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import array, collections, dataclasses, datetime, decimal, fractions, pathlib, sys, uuid

import msgpack
from sqlitedict_kv import CodecError, Store
from sqlitedict_kv.codecs.json_engine import installed_engine


@dataclasses.dataclass
class User:
    name: str
    tags: list


VALUES = [
    None, 1.5, 2**64, 2**70, "é", b"x", {"a": [1, 2.5, None, {"b": False}]}, (1, {2}), {(1, "a"): {1: frozenset()}},
    decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    uuid.UUID(int=7), collections.Counter("aab"), collections.deque([1], 2), pathlib.PurePosixPath("/t"), float("inf"),
    User("Ada", ["m"]), [User("Ada", []), User("Alan", [(1,)])], (User("Ada", []), array.array("d", range(1000))),
]
CONTENT_TYPES = {
    "application/json", "application/json; as=objects", "application/msgpack", "application/octet-stream",
    "application/vnd.sqlitedict-kv.bundle",
}

with Store("kv.db", types=[User], lru_bytes="1 MB") as store:
    entries, seen = store.ns("n"), set()
    for value in VALUES:
        for _ in range(2):
            entries["k"] = value
            found = entries.get_with_meta("k")
            assert found.value == value, value
            assert type(found.value) is type(value), value
            seen.add(found.meta.content_type)
    assert seen == CONTENT_TYPES, seen
    try:
        entries["k"] = ["\\ud800"]
    except CodecError as error:
        assert "lone surrogate" in str(error)
    else:
        raise AssertionError("a lone surrogate was kept")

    @store.memoize(ttl=60)
    def load(number: int) -> list[User]:
        calls.append(number)
        return [User("Ada", [number])]

    calls = []
    assert load(1) == load(1) == [User("Ada", [1])]
    assert calls == [1]

with open("done", "w") as file:
    print(installed_engine().name, msgpack.Packer.__module__, file=file)
"""
BLOCKED = "import sys\nsys.modules['orjson'] = sys.modules['msgspec'] = sys.modules['isal'] = None\n"
IN_A_SUBINTERPRETER = f"""
import _interpreters
created = _interpreters.create("isolated")
failed = _interpreters.exec(created, {PROGRAM!r})
assert failed is None, failed.errdisplay
_interpreters.destroy(created)
"""


def run(program, directory):
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MSGPACK_PUREPYTHON": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return (directory / "done").read_text(encoding="utf-8").split()


def test_all_that_a_store_keeps_is_kept_without_any_module_in_c(tmp_path):
    assert run(BLOCKED + PROGRAM, tmp_path) == ["json", "msgpack.fallback"]


if find_spec("_interpreters"):  # Python 3.13; in 3.12 the standard library's zoneinfo cannot be imported there

    def test_all_that_a_store_keeps_is_kept_in_an_isolated_subinterpreter(tmp_path):
        assert run(IN_A_SUBINTERPRETER, tmp_path)[1] == "msgpack.fallback"
