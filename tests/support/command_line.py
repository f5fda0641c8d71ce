"""The installed program, run in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import PATIENCE, environment

SCRIPT = shutil.which("sqlitedict-kv", path=str(Path(sys.executable).parent))
# A checkout that was installed before it had the program has no script of it.
PROGRAM = [sys.executable, SCRIPT] if SCRIPT and os.name == "posix" else [sys.executable, "-m", "sqlitedict_kv"]


class Done(NamedTuple):
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """What it printed as JSON."""
        return json.loads(self.out)

    @property
    def rows(self):
        """What it printed as a table, without the titles."""
        return [line.split("\t") for line in self.out.splitlines()[1:]]


def run_program(*arguments, given=None, variables=None):
    """Run the program with arguments and what is given to it, and return what it left; no traceback is allowed."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=given.encode() if isinstance(given, str) else given or b"",
        capture_output=True,
        env=environment() | {"PYTHONUTF8": "1"} | (variables or {}),
        timeout=PATIENCE,
        check=False,
    )
    found = Done(done.returncode, done.stdout.decode(errors="surrogateescape"), done.stderr.decode())
    assert "Traceback" not in found.err, found.err
    return found


def well(*arguments, **options):
    """Run the program, which must succeed, and return what it left."""
    done = run_program(*arguments, **options)
    assert done.code == 0, done
    return done
