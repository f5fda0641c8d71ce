"""Parameters that commands share, with their completion."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from sqlitedict_kv.cli.opening import is_file, open_store

F = TypeVar("F", bound=Callable[..., Any])
MOST_PROPOSED = 50


def complete_store(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell propose files."""
    del ctx, param
    return [CompletionItem(incomplete, type="file")]


def complete_namespace(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Propose the namespaces of the store."""
    del param
    return _propose(ctx, incomplete, lambda store: store.namespaces())


def complete_key(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Propose the first keys of the namespace."""
    del param
    name = ctx.params.get("namespace")
    if not name:
        return []
    return _propose(ctx, incomplete, lambda store: store.ns(name).list(incomplete, limit=MOST_PROPOSED).keys)


def _propose(ctx: click.Context, incomplete: str, find: Callable[[Any], Any]) -> list[CompletionItem]:
    address = ctx.params.get("store")
    if not address or not is_file(address):  # servers may be far away
        return []
    try:
        with open_store(address, timeout=0.2) as store:
            found = [text for text in find(store) if text.startswith(incomplete) and text.isprintable()]
    except Exception:  # a shell that completes shows no errors
        return []
    return [CompletionItem(text) for text in found[:MOST_PROPOSED]]


store_argument = click.argument("store", metavar="STORE", shell_complete=complete_store)
namespace_argument = click.argument("namespace", metavar="NAMESPACE", shell_complete=complete_namespace)
optional_namespace = click.argument(
    "namespace", metavar="[NAMESPACE]", required=False, shell_complete=complete_namespace
)
key_argument = click.argument("key", metavar="KEY", shell_complete=complete_key)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def yes_option(what: str) -> Callable[[F], F]:
    """Return the option that spares the question before *what* is done."""
    return click.option("--yes", "-y", "sure", is_flag=True, help=f"Do not ask before {what}.")


def demand_consent(question: str, *, sure: bool) -> None:
    """Ask before something that cannot be undone; without a terminal, *sure* must be given."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes to go on: there is no terminal to ask at.")
    click.confirm(question, abort=True, err=True)


def examples(*lines: str) -> str:
    """Return the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
