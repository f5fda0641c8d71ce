"""Manual of the program ``sqlitedict-kv``, made from its commands: `python docs/_tools/manual.py` writes the page."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import click

from sqlitedict_kv.cli import WITHOUT_EXTRA, copy, diagnose
from sqlitedict_kv.cli.exit_status import MEANINGS
from sqlitedict_kv.cli.program import NAME, SECTIONS, program

PAGE = Path(__file__).parents[1] / "reference" / "shell.md"
INTRODUCTION = """# Shell commands

<!-- Made by docs/_tools/manual.py from the commands; edit those. -->

`sqlitedict-kv COMMAND STORE [NAMESPACE [KEY]]`, or `python -m sqlitedict_kv COMMAND ...`. STORE is the path of a file,
or the address of servers such as `valkey://host:6379`. A command that does not say that it writes only reads.
`sqlitedict-kv COMMAND --help` shows what stands here. [Shell](../guide/shell.md) explains how they work together.

| for | commands |
|---|---|
"""
FORMATS = """
## Output

On a terminal a table is drawn. Into a pipe or a file, a table is a line of titles and a line for each row, with a tab
between the columns. `--json` prints the same as JSON, with times as ISO 8601 in UTC and sizes in bytes. No key and no
value controls the terminal: characters that it would obey are shown escaped, as in Python's `\\x1b`.

## Exit status

| status | meaning |
|---:|---|
"""


def manual() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    parts += [f"| {title.lower()} | {', '.join(map(_link, names))} |\n" for title, names in SECTIONS.items()]
    parts.append(FORMATS)
    parts += [f"| {status} | {meaning} |\n" for status, meaning in MEANINGS.items()]
    for names in SECTIONS.values():
        parts += [f"\n## {name}\n\n{_describe(name)}" for name in names]
    return "".join(parts)


def _link(name: str) -> str:
    return f"[`{name}`](#{name})"


def _describe(name: str) -> str:
    if name == "diagnose":
        _, summary, example = diagnose.HELP.split("\n\n")
        return _page(f"{NAME} diagnose STORE", summary.replace("\n", " "), [], example)
    if name in WITHOUT_EXTRA:
        parser = copy.parser()
        actions = [action for action in parser._actions if action.dest != "help"]  # noqa: SLF001 - no other way
        words = [action.metavar or action.dest for action in actions if not action.option_strings]
        rows = [
            (_name_of(action.option_strings, action.metavar or action.dest), action.help or "") for action in actions
        ]
        return _page(f"{NAME} {name} [OPTIONS] {' '.join(words)}", parser.description or "", rows, parser.epilog or "")
    command = program.get_command(click.Context(program), name)
    assert command is not None
    words = [part.metavar or part.name.upper() for part in command.params if isinstance(part, click.Argument)]
    options = [part for part in command.params if isinstance(part, click.Option)]
    usage = " ".join([NAME, name, *(["[OPTIONS]"] if options else []), *words])
    return _page(usage, inspect.cleandoc(command.help or ""), [_option(each) for each in options], command.epilog or "")


def _page(usage: str, text: str, rows: list[tuple[str, str]], examples: str) -> str:
    lines = [line.strip() for line in examples.splitlines() if line.strip().startswith(NAME)]
    lines += [
        line.strip() for line in examples.splitlines() if f"| {NAME}" in line and not line.strip().startswith(NAME)
    ]
    paragraphs = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    table = "".join(f"| `{name}` | {_escape(help_text)} |\n" for name, help_text in rows)
    table = f"\n| | |\n|---|---|\n{table}" if table else ""
    return f"```text\n{usage}\n```\n\n{_escape(paragraphs)}\n{table}\n```text\n{chr(10).join(lines)}\n```\n"


def _escape(text: str) -> str:
    return re.sub(r"([<>|*_])", r"\\\1", text)


def _name_of(names: list[str], value: str) -> str:
    return f"{', '.join(names)} {value}" if names and value.isupper() else ", ".join(names) or value


def _option(option: click.Option) -> tuple[str, str]:
    help_text = option.help or ""
    if option.show_default:
        help_text += f" Left out: {option.default}."
    names = ", ".join(sorted(option.opts, key=lambda name: -len(name)))
    return (names if option.is_flag else f"{names} {_value_of(option)}"), help_text


def _value_of(option: click.Option) -> str:
    kind: Any = option.type
    if option.metavar:
        return option.metavar
    if isinstance(kind, click.Choice):
        return " / ".join(map(str, kind.choices))
    if isinstance(kind, click.types.IntRange | click.types.FloatRange):
        return "N"
    return "FILE" if isinstance(kind, click.File | click.Path) else "TEXT"


if __name__ == "__main__":
    PAGE.write_text(manual(), encoding="utf-8")
