"""Guard of the operations whose speed is promised: what they execute does not grow, whatever the machine."""

import os
import tomllib
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.operations import COUNTED, OPERATIONS, count_calls, count_system_calls, has_strace
from tests.support.processes import environment

ROOT = Path(__file__).parents[2]
FIGURES = tomllib.loads((ROOT / "tests" / "project" / "operation_counts.toml").read_text(encoding="utf-8"))
TRIES = 5  # a timer that goes off, or a thread that waits, adds some calls to one run, a change to all
ON_SERVERS = [name for name in OPERATIONS if name.startswith("server")]
ON_FILES = [name for name in OPERATIONS if name not in ON_SERVERS]


def variables():
    return environment(measured=False) | {"PYTHONPATH": os.pathsep.join([str(ROOT), environment()["PYTHONPATH"]])}


def grown(name, count, new_path):
    """Return the counts above their figures in that of some runs which has the fewest."""
    fewest = None
    for _ in range(TRIES):
        found = {what: (number, FIGURES[name][what]) for what, number in count(name, new_path(), variables()).items()}
        above = {what: pair for what, pair in found.items() if pair[0] > pair[1]}
        if not above:
            return {}
        fewest = above if fewest is None or len(above) < len(fewest) else fewest
    return fewest


def system_calls(name, path, variables):
    return {"system": count_system_calls(name, path, variables)}


COUNTS = {"calls": count_calls} | ({"system calls": system_calls} if has_strace() else {})


@pytest.mark.parametrize("counted", COUNTS)
@pytest.mark.parametrize("name", ON_FILES)
def test_an_operation_on_a_file_executes_no_more_than_before(name, counted, tmp_path):
    assert grown(name, COUNTS[counted], lambda: str(tmp_path / f"{uuid4().hex}.db")) == {}


@pytest.mark.parametrize("counted", COUNTS)
@pytest.mark.parametrize("name", ON_SERVERS)
def test_an_operation_on_a_server_executes_no_more_than_before(name, counted, shared_valkey):
    assert grown(name, COUNTS[counted], lambda: f"{shared_valkey.url}?prefix={uuid4().hex}") == {}


def test_each_operation_has_its_figures_and_a_reason():
    assert set(FIGURES) == set(OPERATIONS)
    for figures in FIGURES.values():
        assert set(figures) == {*COUNTED, "system", "reason"}
        assert figures["reason"]
