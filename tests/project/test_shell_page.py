"""The pages on the shell tell the truth: the commands of the guide print what it says, and the manual is up to date."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sqlitedict_kv.cli.program import IN_ORDER
from tests.support.command_line import PROGRAM
from tests.support.processes import PATIENCE, environment
from tests.support.programs import blocks

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide" / "shell.md").read_text(encoding="utf-8")
ANYTHING = "…"


def steps_of(block):
    """Return the commands of a block, and what each is to print."""
    return [
        (part.partition("\n")[0], part.partition("\n")[2])
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)
        if part
    ]


@pytest.mark.skipif(os.name != "posix", reason="the pages are for a shell of POSIX")
def test_the_commands_of_the_guide_print_what_it_says(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sqlitedict-kv").write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    (tools / "sqlitedict-kv").chmod(0o700)
    variables = environment() | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    (program,) = blocks("python", GUIDE)
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "-c", program], cwd=home, env=variables, check=True, capture_output=True)
    steps = [step for block in blocks("console", GUIDE) for step in steps_of(block)]
    assert len(steps) > 15
    for command, promised in steps:
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=home, env=variables, capture_output=True, timeout=PATIENCE, check=False
        )
        printed = (done.stdout + done.stderr).decode()
        assert fits(promised, printed) or fits(promised, (done.stderr + done.stdout).decode()), (command, printed)


def fits(promised, printed):
    """Return whether text was printed as promised, but for white space and what stands for anything."""
    expected = [re.escape(line) for line in (" ".join(line.split()) for line in promised.splitlines())]
    pattern = "\n".join(line.replace(re.escape(ANYTHING), ".*") for line in expected)
    return re.fullmatch(pattern, "\n".join(" ".join(line.split()) for line in printed.splitlines())) is not None


def manual():
    place = ROOT / "docs" / "_tools" / "manual.py"
    spec = importlib.util.spec_from_file_location("manual", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manual_is_that_of_the_commands():
    made = manual()
    written = made.PAGE.read_text(encoding="utf-8")
    assert written == made.manual(), "run python docs/_tools/manual.py"


def test_every_command_is_in_the_guide_and_every_module_is_a_command():
    for name in IN_ORDER:
        assert f"`{name}`" in GUIDE or f"sqlitedict-kv {name}" in GUIDE or f"`{name} " in GUIDE, name
    modules = {path.stem.rstrip("_") for path in (ROOT / "sqlitedict_kv" / "cli").glob("*.py")}
    assert set(IN_ORDER) <= modules
