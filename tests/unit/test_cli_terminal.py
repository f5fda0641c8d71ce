"""The program on a terminal: tables and bars are drawn, questions asked, and nothing of a store is obeyed.

`PICTURES=docs/pictures python -m pytest tests/unit/test_cli_terminal.py` writes the picture of the guide.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sqlitedict_kv import Store
from tests.support.command_line import PROGRAM, run_program, well
from tests.support.processes import PATIENCE, environment, take_interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are pseudoterminals")
if os.name == "posix":
    from tests.support.terminal import on_terminal, picture_of, words_of

HOSTILE = "evil\x1b[31m\x07\x9b2J\u202e"
PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "shell.svg"
DAY = 24 * 3600


def test_a_value_is_escaped_and_keeps_its_lines(path):
    with Store(path) as store:
        store.ns("n").update(text=f"two\nlines {HOSTILE}", raw=b"\x1b[2J", tree={"a": [1]})
        store.ns("n")["long"] = b"x" * 10_000
    text = on_terminal("get", path, "n", "text")
    assert "two\r\nlines evil\\x1b[31m" in text
    assert "\x1b" not in text
    assert on_terminal("get", path, "n", "raw") == "b'\\x1b[2J'\r\n"
    assert on_terminal("get", path, "n", "tree").split() == ["{", '"a":', "[", "1", "]", "}"]
    assert "10,000 bytes, --raw writes them all" in on_terminal("get", path, "n", "long")


def test_an_export_is_escaped_as_json_does_it(path):
    with Store(path) as store:
        store.ns("n")[HOSTILE] = HOSTILE
    shown = on_terminal("export", path)
    assert '"key":"evil\\u001b[31m\\u0007\\u009b2J\\u202e"' in shown


def test_a_table_is_drawn_and_fits_however_long_the_keys_are(path):
    with Store(path) as store:
        store.ns("n").update({HOSTILE: 1, "[bold]no markup[/bold]": 2, "k" * 300: 3})
    shown = on_terminal("keys", path, "n", "--long")
    assert "──" in shown
    assert "[bold]no markup[/bold]" in shown
    assert "evil\\x1b[31m" in shown
    assert "\x07" not in shown


def test_a_bar_shows_how_far_an_import_is(path, tmp_path):
    with Store(path) as store:
        store.ns("n").set_many({str(number): number for number in range(3000)})
    (tmp_path / "lines").write_text(well("export", path).out)
    at_once = "from sqlitedict_kv.cli import main, progress; progress.DELAY = 0; raise SystemExit(main())"
    shown = on_terminal("import", tmp_path / "new.db", tmp_path / "lines", program=[sys.executable, "-c", at_once])
    assert "import" in shown
    assert "3000/?" in shown
    assert "3,000 entries of 1 namespace imported" in shown


def test_a_question_is_asked_before_something_is_lost(path):
    with Store(path) as store:
        store.ns("n").update(a=1, b=2)
    assert "Remove 2 entries of namespace 'n'? [y/N]" in on_terminal("drop", path, "n", typed=b"n\n", codes=(130,))
    assert well("keys", path, "n").out == "a\nb\n"
    assert "2 entries removed" in on_terminal("drop", path, "n", typed=b"y\n")
    assert run_program("keys", path, "n").code == 3


def test_an_interrupt_ends_a_command_in_words(path):
    with Store(path) as store:
        store.ns("n")["k"] = 1
    program = subprocess.Popen(
        [*PROGRAM, "watch", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=take_interrupts,  # noqa: PLW1509 - it takes no lock
    )
    assert program.stderr.readline() == f"watching {path}\n"
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE)
    assert (out, err.strip()) == ("", "interrupted")
    assert program.returncode == 130


def test_the_picture_of_the_guide_shows_what_a_terminal_shows(tmp_path):
    started = time.time() - 3 * DAY
    with Store(tmp_path / "app.db", clock=lambda: started) as store:
        users = store.ns("users")
        users.update({f"user{number:03}": {"name": f"User {number}", "visits": number} for number in range(120)})
        store.ns("sessions").set_many({f"token{number}": os.urandom(40) for number in range(30)}, ttl=90.5 * DAY)
        store.ns("images").update({"logo.png": os.urandom(48_000), "map.png": os.urandom(1_900_000)})
        store.memoize(name="app.report", version=2)(lambda month: [month] * 40)("2026-11")
    commands = (
        ("usage", "app.db"),
        ("top", "app.db", "-n", "3"),
        ("get", "app.db", "users", "user007"),
        ("memo", "app.db"),
    )
    shown = "".join(
        f"$ sqlitedict-kv {' '.join(words)}\r\n{on_terminal(*words, cwd=tmp_path, errors=False)}" for words in commands
    )
    picture = picture_of(shown, "sqlitedict-kv")
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    if folder := os.environ.get("PICTURES"):
        Path(folder, PICTURE.name).write_text(picture, encoding="utf-8")
    assert words_of(picture) == words_of(PICTURE.read_text(encoding="utf-8")), "see the docstring of this module"
