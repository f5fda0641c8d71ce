"""A terminal in which the program runs, and a picture of what it shows."""

import inspect
import io
import os
import re
import subprocess

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.support.command_line import PROGRAM
from tests.support.processes import PATIENCE, environment

COLUMNS, LINES = 110, 40
# rich's pictures load a font from another server; the reader's own serves as well.
FONT_FACE = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def on_terminal(*arguments, program=PROGRAM, cwd=None, codes=(0,), typed=b"", errors=True):
    """Return what the program writes to a terminal of 110 columns, its errors if wanted; something may be typed."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    variables = environment() | {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):  # pytest-xdist sets the width of its own terminal
        variables.pop(name, None)
    started = subprocess.Popen(
        [*program, *map(str, arguments)],
        stdin=follower,
        stdout=follower,
        stderr=follower if errors else subprocess.DEVNULL,
        env=variables,
        cwd=cwd,
    )
    os.close(follower)
    os.write(leader, typed)
    written = b""
    while more := _read(leader):
        written += more
    os.close(leader)
    assert started.wait(PATIENCE) in codes, written
    return written.decode()


def _read(leader):
    try:
        return os.read(leader, 65_536)
    except OSError:  # the other side is closed
        return b""


def picture_of(shown, title):
    """Return an SVG picture of what a terminal showed; it loads nothing."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(shown.replace("\r\n", "\n")))
    form = inspect.signature(Console.export_svg).parameters["code_format"].default
    form = FONT_FACE.sub("", form).replace("Fira Code, monospace", "monospace")
    return console.export_svg(title=title, theme=DIMMED_MONOKAI, code_format=form, unique_id="terminal")


def words_of(picture):
    """Return the words of a picture without figures, which differ from run to run."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    text = " ".join(texts).replace("&#160;", " ")
    return re.sub(r"\s+", " ", re.sub(r"[\d.,]+", "", text)).strip()
