"""Program of the commands: how they are found, and how what they raise becomes an exit status."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from types import ModuleType

import click

from sqlitedict_kv import __version__
from sqlitedict_kv.cli import WITHOUT_EXTRA, give_up_output
from sqlitedict_kv.cli.exit_status import FAILED, INTERRUPTED, PIPE_CLOSED, describe, status_of
from sqlitedict_kv.cli.parameters import complete_store

NAME = "sqlitedict-kv"
VERSION_LINE = "%(prog)s %(version)s"

# The commands by what they are for, in the order of the help; the module of each has its name.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Look": ("ls", "usage", "top", "keys", "get", "stats", "memo", "watch", "serve"),
    "Write": ("set", "rm", "ttl"),
    "Clean up": ("purge", "evict", "drop", "vacuum"),
    "Keep safe": ("check", "diagnose", "backup", "restore"),
    "Carry over": ("copy", "merge", "move", "export", "import"),
    "This program": ("bench", "completion"),
}
IN_ORDER = [name for names in SECTIONS.values() for name in names]
PIPE_ERRORS = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)
KEYWORDS = ("import",)  # which no module can be called


class Commands(click.Group):
    """Commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        del ctx
        return IN_ORDER

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, None if there is none."""
        del ctx
        if cmd_name not in IN_ORDER:
            return None
        module = import_module(f"sqlitedict_kv.cli.{cmd_name}{'_' if cmd_name in KEYWORDS else ''}")
        command: click.Command = _wrap(cmd_name, module) if cmd_name in WITHOUT_EXTRA else module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that arguments name; propose the nearest for one that does not exist."""
        if args and not args[0].startswith("-") and args[0] not in IN_ORDER:
            from difflib import get_close_matches  # noqa: PLC0415 - for a mistake only

            nearest = get_close_matches(args[0], IN_ORDER, 1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        width = max(map(len, IN_ORDER))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                commands = [(name.ljust(width), self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name, command.get_short_help_str(100)) for name, command in commands if command])


def _wrap(name: str, module: ModuleType) -> click.Command:
    """Return a command that reads its arguments itself, as it must also run where click is not installed."""
    rest = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED, shell_complete=complete_store)
    return click.Command(
        name,
        params=[rest],
        callback=lambda arguments: module.main(list(arguments)),
        help=module.SUMMARY,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )


@click.group(
    NAME,
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="'sqlitedict-kv COMMAND --help' shows options and examples. STORE is the path of a file or the address of "
    "servers, such as valkey://host:6379. Commands that do not say that they write only read.",
)
@click.version_option(__version__, prog_name=NAME, message=VERSION_LINE)
def program() -> None:
    """Look into stores of sqlitedict_kv, and handle them."""


def run(arguments: list[str]) -> int:
    """Run the program; return its exit status."""
    try:
        status = program.main(arguments, NAME, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except SystemExit as end:  # by which click ends when the pipe is closed
        return _give_up_output() if end.code == 1 else int(end.code or 0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PIPE_ERRORS:
            return _give_up_output()
        line = describe(error)
        if line is None:
            raise
        sys.stderr.write(f"{NAME}: {line}\n")
        if isinstance(error, OSError) and error.errno == errno.EBADF:  # the standard output is closed
            give_up_output()
        return status_of(error)
    return status if isinstance(status, int) else 0


def _give_up_output() -> int:
    """Let nothing be written any more to a pipe that nobody reads."""
    return PIPE_CLOSED if give_up_output() else FAILED
