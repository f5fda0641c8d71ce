"""The pages on frameworks tell the truth: the programs of a page run, one after the other, and print what they say."""

import subprocess
import sys
from pathlib import Path

import pytest
from suites import version_of

from tests.support.processes import environment
from tests.support.programs import blocks, promised_output

FOLDER = Path(__file__).parents[2] / "docs" / "frameworks"
DISTRIBUTIONS = {
    "cachelib": "flask-session",
    "django": "django",
    "dogpile": "dogpile.cache",
    "flask-caching": "flask-caching",
    "key-value": "py-key-value-aio",
    "langchain": "langchain-core",
    "litestar": "litestar",
}


def test_every_page_has_a_program():
    assert {path.stem for path in FOLDER.glob("*.md")} == {*DISTRIBUTIONS, "index", "your-own"}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_programs_of_a_page_print_what_they_say(name, tmp_path):
    version_of(DISTRIBUTIONS[name])
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    program = "\n".join(blocks("python", page))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(measured=False),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if not line.startswith("INFO")] == promised_output(program)
    assert list(tmp_path.glob("*.db"))
