"""Parts of the tests that a plain run leaves out, since they need more than the extra `test`, or more time.

A plain run is `python -m pytest` with neither a path nor `-m`. It uses all cores, and says at its end what it left
out. A path or `-m` runs what it names: `python -m pytest tests` runs everything, one test after the other.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PARTS = ("frameworks", "servers", "slow")  # markers; pyproject.toml says what each needs
PLAIN = " and ".join(f"not {part}" for part in (*PARTS, "browser"))  # for which `.ci/run browser` is there
LEFT_OUT = " or ".join(PARTS)
ADVICE = f'python -m pip install -e ".[test,{",".join(PARTS)}]" && python -m pytest -n auto -m "{LEFT_OUT}"'

# What a module does that cannot be imported with the extra `test` alone; those of adapters do so in functions too.
NEEDS_MORE = re.compile(r"^(?:\w+ = )?(?:pytest\.importorskip|version_of)\(", re.MULTILINE)
NEEDS_FRAMEWORK = re.compile(r"\b(?:importorskip|version_of)\(")
SERVER_FIXTURE = re.compile(r"(shared_(valkey|redis|cluster)|start_(server|cluster|replicated)|cluster|server|either)$")
SERVER_PARAMETERS = {"engine", "kind", "kinds", "pair", "places", "binary"}
SERVER = re.compile(r"\b(valkey|redis|cluster)\b")

_left_out = pytest.StashKey[Counter]()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config):
    option = config.option
    if config.args_source is config.ArgsSource.ARGS or option.markexpr:
        return
    option.markexpr = PLAIN
    is_worker = hasattr(config, "workerinput")  # it gets the same arguments
    if not is_worker and getattr(option, "numprocesses", 0) is None and not option.usepdb:
        option.numprocesses = config.hook.pytest_xdist_auto_num_workers(config=config)
        option.dist = "worksteal"  # a module stays on its worker as long as the others have work


def pytest_configure(config):
    config.stash[_left_out] = Counter()


@cache
def needs_frameworks(path):
    """Return whether a module can only be imported where more than the extra `test` is installed."""
    pattern = NEEDS_FRAMEWORK if path.is_relative_to(TESTS / "adapters") else NEEDS_MORE
    return pattern.search(path.read_text(encoding="utf-8")) is not None


def pytest_ignore_collect(collection_path, config):
    if (
        config.option.markexpr != PLAIN
        or not collection_path.match("test_*.py")
        or not needs_frameworks(collection_path)
    ):
        return None
    config.stash[_left_out]["modules"] += 1
    return True


def pytest_itemcollected(item):
    if " at 0x" in item.name:
        raise pytest.UsageError(f"{item.nodeid} is called otherwise in each process: ids=shown of tests/support/ids.py")
    if needs_frameworks(item.path):
        item.add_marker(pytest.mark.frameworks)
    if _needs_servers(item):
        item.add_marker(pytest.mark.servers)


def _needs_servers(item):
    if any(map(SERVER_FIXTURE.match, getattr(item, "fixturenames", ()))):
        return True
    parameters = {"engine": getattr(item.cls, "engine", None)} | (
        item.callspec.params if hasattr(item, "callspec") else {}
    )
    return any(name in SERVER_PARAMETERS and SERVER.search(str(value)) for name, value in parameters.items())


def pytest_deselected(items):
    for item in items:
        if part := next((part for part in PARTS if item.get_closest_marker(part)), None):
            item.config.stash[_left_out][part] += 1


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[_left_out])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what a worker of pytest-xdist left out; all leave out the same."""
    node.config.stash[_left_out] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter, config):
    found = config.stash[_left_out]
    if config.option.markexpr != PLAIN or not found:
        return
    terminalreporter.section("left out")
    meanings = dict(line.split(": ", 1) for line in config.getini("markers") if ": " in line)
    for part in PARTS:
        modules = f" and {found['modules']} modules" if part == "frameworks" else ""
        terminalreporter.line(f"{part}: {found[part]} tests{modules}; {meanings[part]}")
    terminalreporter.line(f"To run them: {ADVICE}")
