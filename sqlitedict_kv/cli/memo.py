"""Command ``memo``: the results of memoized functions."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

from sqlitedict_kv.cli.exit_status import NOT_FOUND
from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import (
    demand_consent,
    examples,
    json_option,
    optional_namespace,
    store_argument,
    yes_option,
)
from sqlitedict_kv.cli.set import duration_of
from sqlitedict_kv.cli.table import Column, print_table
from sqlitedict_kv.display.figures import ago, counted, from_now, iso, number, size
from sqlitedict_kv.memoization.inventory import CallFilter, FunctionResults, KeptCall, MemoizedResults
from sqlitedict_kv.validation import check_duration

FUNCTIONS = (
    Column("function"),
    Column("version"),
    Column("body", lambda former: "former" if former else ""),
    Column("entries", number, right=True),
    Column("size", size, right=True),
    Column("oldest", ago),
    Column("newest", ago),
)
CALLS = (
    Column("function"),
    Column("version"),
    Column("arguments"),
    Column("kind"),
    Column("size", size, right=True),
    Column("written", ago),
    Column("expires", from_now),
)


@click.command(
    epilog=examples(
        "sqlitedict-kv memo results.db",
        "sqlitedict-kv memo results.db --function app.report --calls",
        "sqlitedict-kv memo results.db --function app.report --arguments \"'2026-11', 3\" --forget",
        "sqlitedict-kv memo results.db --tag user:7 --forget",
        "sqlitedict-kv memo results.db --former --forget",
        "sqlitedict-kv memo results.db --older-than '30 days' --forget --yes",
    )
)
@store_argument
@optional_namespace
@click.option("--function", help="Of this function alone, by the name of module and function.")
@click.option("--version", help="Of this version, or of the body with this digest, such as ~787f66f13f.")
@click.option("--arguments", help="Of the call with these arguments, as --calls shows them.")
@click.option("--older-than", metavar="DURATION", help="What was written longer ago, such as '7 days'.")
@click.option("--tag", help="What has this tag; see memoize(tags=).")
@click.option("--former", is_flag=True, help="Of bodies that the function does not have any more.")
@click.option("--calls", is_flag=True, help="List single calls.")
@click.option("--forget", is_flag=True, help="Remove what was found. It writes.")
@yes_option("forgetting")
@json_option
def command(store: str, namespace: str | None, **options: Any) -> int:
    """List the functions whose results STORE keeps: their versions and former bodies, with entries and bytes.

    With options that choose, or --calls, list single calls; with --forget remove these: they are computed again.
    NAMESPACE is that of the results, 'memoize' if left out.
    """
    forgets, as_json = options["forget"], options["as_json"]
    with open_store(store, writes=forgets) as opened:
        name = "memoize" if namespace is None else namespace
        existing(opened, name)
        results, chosen = opened.memoized(name), _choice(options)
        if forgets:
            if not chosen:
                raise click.UsageError("say what to forget, such as --function or --older-than; 'drop' removes all")
            return _forget(results, chosen, sure=options["sure"])
        if chosen or options["calls"]:
            _print_calls(list(results.calls(**chosen)), as_json=as_json)
        else:
            _print_functions(list(results), as_json=as_json)
    return 0


def _choice(options: dict[str, Any]) -> CallFilter:
    """Return what calls are to be."""
    chosen = {name: options[name] for name in ("function", "version", "arguments", "tag")}
    age = duration_of(options["older_than"])
    chosen["older_than"] = None if age is None else check_duration(age, "--older-than")
    chosen["former"] = options["former"] or None
    return cast("CallFilter", {name: value for name, value in chosen.items() if value is not None})


def _forget(results: MemoizedResults, chosen: CallFilter, *, sure: bool) -> int:
    found = list(results.calls(**chosen))
    if not found:
        sys.stderr.write("nothing was found\n")
        return NOT_FOUND
    single = len({call.key for call in found}) == 1
    demand_consent(f"Forget {counted(len(found), 'result', 'results')}?", sure=sure or single)
    sys.stdout.write(f"{counted(results.forget_calls(found))} removed\n")
    return 0


def _print_functions(functions: list[FunctionResults], *, as_json: bool) -> None:
    if as_json:
        columns = tuple(
            Column(name) for name in ("function", "version", "former", "entries", "bytes", "oldest", "newest")
        )
        print_table(columns, [(*each[:5], iso(each.oldest), iso(each.newest)) for each in functions], as_json=True)
    else:
        print_table(FUNCTIONS, functions, as_json=False)


def _print_calls(calls: list[KeptCall], *, as_json: bool) -> None:
    if as_json:
        names = ("key", "function", "version", "arguments", "kind", "bytes", "updated_at", "expires_at")
        columns = tuple(map(Column, names))
        print_table(columns, [(*each[:6], iso(each.updated_at), iso(each.expires_at)) for each in calls], as_json=True)
    else:
        print_table(CALLS, [each[1:] for each in calls], as_json=False)
