"""Shape of the package: small modules, short functions, and one word for one thing."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import sqlitedict_kv

PACKAGE = Path(sqlitedict_kv.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
MAX_NAMES = 22  # at the top of the package
MAX_LINES = 400  # of a module
SHORT_BODY = 15  # lines; nine of ten functions have at most as many
MAX_CORE_LINES = (
    # So that it can be read in one sitting. 100 of them are the argument tags= of each verb that writes, 10 the
    # comparison of merge() within a transaction, 30 are mapped= of what reads, and 10 are memoized() of a store.
    4650
)
NOT_CORE = ("adapters/", "cli/", "tools/")

# What one reads to know how a value gets into a file and out of it. Kinds of values, keys of other types, recovery,
# administration, places of files, the LRU and its coherence, tasks, locks and memoize are modules of their own, which
# the core can be read without.
CORE = (
    "store.py",
    "namespace/namespace.py",
    "namespace/reader.py",
    "transaction.py",
    "codecs/registry.py",
    "codecs/msgpack.py",
    "engines/protocol.py",
    "engines/record.py",
    "engines/sqlite/*.py",
)
BESIDE_THE_CORE = {
    "engines/sqlite/limits.py",  # for stores with max_bytes or max_entries alone
    "engines/sqlite/group_commit.py",  # for tasks alone, as aio/worker.py is
    "engines/sqlite/tag_table.py",  # for entries with tags alone
    "engines/sqlite/open_transaction.py",  # for the blocks of exclusive() alone, as exclusive.py is
}


@cache
def tree_of(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def lines_of(name):
    return len(MODULES[name].read_text(encoding="utf-8").splitlines())


def test_the_top_of_the_package_has_few_names():
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix in {".py", ""} and path.name != "__pycache__"}
    assert len(found) <= MAX_NAMES, sorted(found)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_not_long(name):
    assert lines_of(name) <= MAX_LINES


def test_no_class_name_stands_for_two_things_in_the_core():
    places = {}
    for name in MODULES:
        if not name.startswith(NOT_CORE):
            for node in ast.walk(tree_of(name)):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, set()).add(name)
    assert {name: sorted(found) for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_with_a_noun_what_it_is(name):
    docstring = ast.get_docstring(tree_of(name))
    assert docstring or not tree_of(name).body
    assert not docstring or docstring.split()[0] not in {"What", "Who", "How", "Which", "Whether", "Where", "When"}


def test_most_functions_are_short():
    bodies = {}
    for name in MODULES:
        for node in ast.walk(tree_of(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
                if statements:
                    bodies[name, node.name, node.lineno] = node.end_lineno - statements[0].lineno + 1
    long = [where for where, lines in bodies.items() if lines > SHORT_BODY]
    assert len(long) <= len(bodies) * 0.1, f"{len(long)} of {len(bodies)}: {long}"


def test_the_core_can_be_read_in_one_sitting():
    core = sorted({path for pattern in CORE for path in PACKAGE.glob(pattern)})
    names = {path.relative_to(PACKAGE).as_posix() for path in core} - BESIDE_THE_CORE
    lines = {name: lines_of(name) for name in names}
    assert sum(lines.values()) <= MAX_CORE_LINES, lines


def test_no_two_modules_of_tests_have_one_name():
    """Pytest imports them by their last name."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
