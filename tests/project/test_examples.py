"""Each example runs alone, as a reader would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sqlitedict_kv

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"

# What a line of the output must match, by example: one line per thing that the example is there to show.
EXPECTED = {
    "async_service.py": [
        r"hits: 400 of 400",
        r"the report: \{'number': 12, 'square': 144\}, computed by one worker of 3: 1 time",
        r"two who changed the same note: 200 and 412",
        r"the note: \{'text': 'swim'\}; a note that is none: 404",
        r"workers that answered: [123] at most 3",
    ],
    "memoize_files.py": [
        r"cold: 4 processes, (\d{3}) files each, \1 parsed, .* s",
        r"warm: 4 processes, \d{3} files each, 0 parsed, .* s",
        r"its longest function: .*, \d+ lines",
    ],
    "memoize_async.py": [
        r"200 at once: 1 request",
        r"one client went away, the others got their answer: 2 requests",
        r"five times what does not exist: 3 requests",
        r"refreshed while it was served: 4 requests",
        r"down and up again: 7 requests, 1 answered with an old rate",
    ],
    "memoize_arrays.py": [
        r"computed: \(500, 1000\) int16",
        r"read: application/x-npy",
        r"kept: .*\.walks@1\(42, 500, 1000\) \(500, 1000\) int16",
        r"calls of the functions: 2",
    ],
    "large_results.py": [
        r"one process was killed, the others went on: [1-4] results",
        r"results that are right: 4 of 4",
        r"sqlitedict_kv: set \d+ ms, get \d+ ms",
        r"joblib: .*",
        r"memory at the peak: \d+ MB",
    ],
    "averager.py": [
        r"200 latencies of 4 processes, 3525\.0 ms in all",
        r"average: 17\.625 ms, as computed at once: 17\.625 ms",
        r"after pop: None",
    ],
    "locks.py": [
        r"balance: 200 of 200",
        r"at the scanner at once [12] at most",
        r"calls: 40 in \d+\.\d s, 20 at once and then 20 a second",
        r"reports: 1 and refused: 3",
        r"taken from a killed process, at version \d+",
        r"refused: the lock 'job' in namespace 'locks' is no longer ours: .*",
        r"tasks: (ada in, ada out, alan in, alan out|alan in, alan out, ada in, ada out)",
    ],
    "counters.py": [r"hits: 400 of 400", r"balance: 2000 at version \d+", r"by worker: .*'worker 3': 100.*"],
    "notebook_session.py": [
        r"kept as application/msgpack",
        r"refused: a function cannot be kept",
        r"from the other kernel: 4 primes below 10",
        r"computed again: 0",
    ],
    "notebook_values.py": [
        r"experiment  application/vnd\.sqlitedict-kv\.bundle",
        r"found again, all equal: 4 results, and a model of slope 3\.0",
    ],
    "quickstart.py": [
        r"users: \['ada', 'alan', 'photo'\]",
        r"refused: expected version \d+ under 'ada' .*, found version \d+; .*",
        r"after reopening: \{'name': 'Ada', 'born': 1815, 'field': 'mathematics'\}",
    ],
    "real_data.py": [
        r"Unicode 3\.2\.0: 12771 characters in 26 namespaces",
        r"  162 names begin with GREEK SMALL LETTER, .*",
        r"  \d{3} characters were changed in place since, .*",
        r"  refused: expected version \d+ under '.*', found version \d+; .*",
        r"  9\d\d mathematical symbols have expired",
        r"reopened: 3\d{4} characters, all as they were, in \d+\.\d MB",
    ],
    "sessions.py": [
        r"and alan, who left, is not: None",
        r"what two requests changed: \{'user': 'ada', 'basket': \['book'\], 'language': 'en'\}",
        r"expired sessions removed: 2",
        r"4 processes answered 400 requests of two visitors, and 400 left their mark",
    ],
}


def run_example(name, directory, *arguments):
    """Return the lines that it prints; warnings are errors, and nothing may go to stderr."""
    package = str(Path(sqlitedict_kv.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": package, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def assert_shows(name, lines):
    for pattern in EXPECTED[name]:
        assert any(re.fullmatch(pattern, line) for line in lines), f"{name}: no line {pattern!r} in {lines}"


def test_every_example_is_run():
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_shows_what_it_claims_and_leaves_nothing_behind(name, tmp_path):
    assert_shows(name, run_example(name, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_runs_again_on_the_file_that_it_is_given(name, tmp_path):
    path = tmp_path / "mine.db"

    run_example(name, tmp_path, path)
    assert path.exists()

    assert_shows(name, run_example(name, tmp_path, path))
    with sqlitedict_kv.Store(path, readonly=True) as store:
        assert store.check().ok
