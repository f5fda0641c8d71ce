"""Operations whose speed is promised, and what each of them executes: statements, calls, and system calls.

Each is counted in a process of its own: `python -m tests.support.operations NAME PATH` prints its calls as JSON, with
a number it repeats the operation so often, for strace. PATH is a file that is not there yet, or the URL of servers.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import sqlitedict_kv

PACKAGE = str(Path(sqlitedict_kv.__file__).parent)
WARM = 20  # repetitions before anything is counted
REPEATED = 40
# No calls since Python 3.12; and how a store looks after its file, now and then.
NOT_COUNTED = {"<listcomp>", "<dictcomp>", "<setcomp>", "_look", "is_here"}
COUNTED = ("statements", "sqlite3", "python", "builtins")
# What SQLite and redis-py ask of the kernel. Waits of threads for each other differ from run to run; so does stat, as a
# store looks after its file every now and then.
SYSTEM_CALLS = "openat,read,write,pread64,pwrite64,fcntl,fsync,fdatasync,unlink,ftruncate,sendto,recvfrom"


def square(number):
    return number * number


@contextmanager
def _blocking(path, prepare, **options):
    with sqlitedict_kv.Store(path, **options) as store:
        operation = prepare(store)

        def repeat(count):
            for _ in range(count):
                operation()

        yield repeat


def _get(store):
    n = store.ns("n")
    n["k"] = "value"
    return lambda: n.get("k")


def _set(store):
    n = store.ns("n")
    return lambda: n.set("k", "value")


def _memoized(store):
    memoized = store.memoize(name="square", version=1)(square)
    return lambda: memoized(3)


@contextmanager
def _async_set(path):
    async def repeat(n, count):
        for _ in range(count):
            await n.set("k", "value")

    with asyncio.Runner() as runner:
        store = sqlitedict_kv.AsyncStore(path)
        n = store.ns("n")
        yield lambda count: runner.run(repeat(n, count))
        runner.run(store.close())


OPERATIONS = {  # each is given a path, and yields what repeats it
    "get": lambda path: _blocking(path, _get),
    "set": lambda path: _blocking(path, _set),
    "LRU hit": lambda path: _blocking(path, _get, lru_bytes="1 MB"),
    "memoize hit": lambda path: _blocking(path, _memoized),
    "async set": _async_set,
    "server get": lambda path: _blocking(path, _get),
}


class Watch:
    """Counts of what all threads of this process execute while it is on; there is one, made before what it watches."""

    def __init__(self):
        self.counts = Counter()
        self.on = False
        self._connections = []
        sys.addaudithook(self._audit)
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _audit(self, event, arguments):
        if event == "sqlite3.connect/handle":
            self._connections.append(arguments[0])

    def begin(self):
        for connection in self._connections:
            try:
                connection.set_trace_callback(self._trace)
            except sqlite3.ProgrammingError as error:
                if "closed" not in str(error):
                    raise
        self.on = True

    def _trace(self, statement):
        self.counts["statements"] += self.on

    def _profile(self, frame, event, argument):
        if not self.on:
            return
        ours = frame.f_code.co_filename.startswith(PACKAGE) and frame.f_code.co_name not in NOT_COUNTED
        if event == "call":
            self.counts["python"] += ours
        elif event == "c_call":
            self.counts["sqlite3"] += isinstance(
                getattr(argument, "__self__", None), sqlite3.Connection | sqlite3.Cursor
            )
            self.counts["builtins"] += ours


def watch(name, path):
    """Return how many SQL statements, calls of sqlite3, of our functions and of builtins by them an operation takes."""
    seen = Watch()
    with OPERATIONS[name](path) as repeat:
        repeat(WARM)
        seen.begin()
        repeat(REPEATED)
        seen.on = False
    return {what: round(seen.counts[what] / REPEATED) for what in COUNTED}


def count_calls(name, path, environment):
    """Return what watch() returns in a process of its own."""
    command = [sys.executable, "-m", "tests.support.operations", name, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    return json.loads(done.stdout)


def has_strace():
    """Return whether system calls can be counted here."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "true"], capture_output=True, check=False).returncode == 0


def count_system_calls(name, path, environment):
    """Return how many system calls on files and sockets an operation takes."""
    few, many = (
        _system_calls([sys.executable, "-m", "tests.support.operations", name, path, str(count)], environment)
        for count in (WARM, WARM + 4 * REPEATED)
    )
    return round((many - few) / (4 * REPEATED))


def _system_calls(command, environment):
    traced = ["strace", "-f", "-qq", "-e", f"trace={SYSTEM_CALLS}", *command]
    done = subprocess.run(traced, capture_output=True, text=True, check=True, env=environment, timeout=120)
    return len(re.findall(r"^(?:\[pid +\d+\] )?\w+\(", done.stderr, re.MULTILINE))


if __name__ == "__main__":
    which, where, *times = sys.argv[1:]
    if times:
        with OPERATIONS[which](where) as repeat_it:
            repeat_it(int(times[0]))
    else:
        print(json.dumps(watch(which, where)))  # noqa: T201
