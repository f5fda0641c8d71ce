"""Command ``completion``: the script by which a shell completes commands, namespaces and keys."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from sqlitedict_kv.cli.parameters import examples

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_SQLITEDICT_KV_COMPLETE"


@click.command(
    epilog=examples(
        "sqlitedict-kv completion bash > ~/.local/share/bash-completion/completions/sqlitedict-kv",
        "sqlitedict-kv completion zsh > ~/.zfunc/_sqlitedict-kv",
        "sqlitedict-kv completion fish > ~/.config/fish/completions/sqlitedict-kv.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that completes commands, options, files, namespaces and keys in SHELL."""
    from sqlitedict_kv.cli.program import NAME, program  # noqa: PLC0415 - it imports this module

    kind = get_completion_class(shell)
    assert kind is not None
    sys.stdout.write(kind(program, {}, NAME, VARIABLE).source() + "\n")
