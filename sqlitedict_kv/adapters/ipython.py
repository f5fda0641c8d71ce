"""Magics and completion for IPython and Jupyter: ``%load_ext sqlitedict_kv``.

::

    %%memoize df, model --ttl 1h --store app.db
    df = pd.read_csv("large.csv")
    model = fit(df, depth)
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from sqlitedict_kv import KVError, Store
from sqlitedict_kv.display.figures import ago, span
from sqlitedict_kv.display.html import table
from sqlitedict_kv.memoization.argument_forms import make_form
from sqlitedict_kv.memoization.cell_identity import CellIdentity, identify_cell
from sqlitedict_kv.validation import check_duration

NAMESPACE = "cells"
DEFAULT_STORE = "memoize.db"  # in the current directory
NAME = re.compile(r"[^\W\d]\w*")
OPENING = re.compile(r"""\b([^\W\d]\w*)\.ns\(\s*(['"])([^'"\\]*)$""")
MOST_COMPLETIONS = 1000
NO_INPUTS = frozenset({"get_ipython", "display", "exit", "quit"})  # of IPython: what a magic is told is in the code


class Run(NamedTuple):
    """What became of a cell with ``%%memoize``.

    Attributes:
        names: the variables that are kept.
        computed: whether the cell was run; else they came from the store.
        seconds: how long it took, either way.
        place: the store.
        identity: what the cell was known by.
    """

    names: tuple[str, ...]
    computed: bool
    seconds: float
    place: str
    identity: CellIdentity


class Runs:
    """The last run of each cell with ``%%memoize``, as a table in a notebook and as text elsewhere."""

    def __init__(self, runs: Mapping[tuple[str, ...], Run]) -> None:
        """Show *runs*."""
        self.runs = tuple(runs.values())

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table."""
        return [
            (
                ", ".join(run.names),
                "computed" if run.computed else "from the store",
                span(run.seconds),
                run.place,
                "\n".join(f"{name}: {text}" for name, text in run.identity.parts.items()),
                run.identity.key[:10],
            )
            for run in self.runs
        ]

    def _repr_html_(self) -> str:
        columns = ("variables", "last time", "took", "store", "it reads", "key")
        notes = () if self.runs else ("no cell with %%memoize has been run",)
        return table("Memoized cells", columns, self.rows(), notes=notes)

    def __repr__(self) -> str:
        """Return the rows as lines of text."""
        lines = ["  ".join(cell.replace("\n", ", ") for cell in row) for row in self.rows()]
        return "\n".join(lines or ["no cell with %%memoize has been run"])


@magics_class
class MemoizeMagics(Magics):
    """The magics of the extension."""

    def __init__(self, shell: Any) -> None:
        """Serve a shell of IPython."""
        super().__init__(shell)
        self._stores: dict[str, Store] = {}
        self._runs: dict[tuple[str, ...], Run] = {}

    @magic_arguments()
    @argument("names", nargs="+", help="The variables to keep, with commas or without.")
    @argument("--ttl", help="How long they are kept, such as 1h or '30 min'; without it, until they are removed.")
    @argument(
        "--store", help="A file, an address of servers, or a variable that holds a Store; else the variable store."
    )
    @argument(
        "--ignore", action="append", default=[], help="A variable that is read and does not count; several times."
    )
    @cell_magic
    def memoize(self, line: str, cell: str) -> None:
        """Keep variables of this cell in a store; run it only if its code, or a variable that it reads, has changed."""
        given = parse_argstring(self.memoize, line)
        names = _names(given.names)
        store, place = self._store(_unquoted(given.store))
        ttl = None if given.ttl is None else _checked_ttl(_unquoted(given.ttl))
        identity = self._identity(cell, names, store, given.ignore)
        start = time.perf_counter()
        computed = False

        def compute(_key: str) -> dict[str, Any]:
            nonlocal computed
            computed = True
            return self._run(cell, names)

        keeps = store.memoize(
            ns=NAMESPACE, name=f"cell/{'/'.join(names)}", ttl=ttl, code=False, ignore=("self", "cell", "names")
        )(compute)
        entry = keeps.peek(identity.key)
        values = keeps(identity.key)
        self.shell.user_ns.update(values)
        self._runs[names] = Run(names, computed, time.perf_counter() - start, place, identity)
        self._tell(self._runs[names], kept=not computed or keeps.peek(identity.key) is not None, entry=entry)

    @line_magic
    def memoize_info(self, _line: str) -> Runs:
        """Return what became of the cells with %%memoize, and what is in their keys."""
        return Runs(self._runs)

    def _identity(self, cell: str, names: tuple[str, ...], store: Store, ignored: list[str]) -> CellIdentity:
        code = self.shell.transform_cell(cell)
        if self.shell.should_run_async(cell, transformed_cell=code):
            raise UsageError("a cell with %%memoize cannot await; memoize an async function with AsyncStore.memoize")
        form = make_form(key_functions=store._context.codecs.key_functions)  # noqa: SLF001 - as memoize does
        try:
            return identify_cell(code, names, self.shell.user_ns, form, {*_names(ignored), *NO_INPUTS})
        except SyntaxError:
            self._run(cell, names)  # raises, and IPython shows where
            raise
        except TypeError as error:
            raise UsageError(str(error)) from None

    def _run(self, cell: str, names: tuple[str, ...]) -> dict[str, Any]:
        """Run a cell as IPython does, and return the variables that it made."""
        result = self.shell.run_cell(cell, store_history=False)
        if not result.success:
            raise UsageError("the cell raised, so nothing is kept")
        missing = [name for name in names if name not in self.shell.user_ns]
        if missing:
            raise UsageError(f"the cell makes no variable {missing[0]!r}; nothing is kept")
        return {name: self.shell.user_ns[name] for name in names}

    def _store(self, given: str | None) -> tuple[Store, str]:
        """Return the store to keep variables in, and what to call it."""
        named = self.shell.user_ns.get("store" if given is None else given)
        if isinstance(named, Store):
            return named, repr(named)
        path = given or DEFAULT_STORE
        known = path if "://" in path else os.path.realpath(os.path.expanduser(path))
        if known not in self._stores:
            try:
                self._stores[known] = Store(path)
            except (KVError, ValueError, ImportError) as error:
                raise UsageError(f"--store {path}: {error}") from None
        return self._stores[known], path

    @staticmethod
    def _tell(run: Run, *, kept: bool, entry: Any) -> None:
        """Print what was done."""
        names = ", ".join(run.names)
        if not run.computed:
            when = "" if entry is None else f", written {ago(entry.meta.updated_at, datetime.now(UTC))}"
            print(f"{names}: from {run.place}{when}")  # noqa: T201 - to the notebook
        elif kept:
            print(f"{names}: computed in {span(run.seconds)}, kept in {run.place}")  # noqa: T201 - likewise
        else:
            print(f"{names}: computed in {span(run.seconds)}, not kept: no codec of {run.place} keeps them")  # noqa: T201


def _names(given: list[str]) -> tuple[str, ...]:
    """Return names that were given with commas or without, each once, in order."""
    names = [name for text in given for name in re.split(r"[,\s]+", text) if name]
    for name in names:
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not the name of a variable")
    return tuple(sorted(set(names)))


def _unquoted(text: str | None) -> str | None:
    return text if text is None else text.strip("'\"")


def _checked_ttl(text: str | None) -> float:
    try:
        return check_duration(text, "--ttl")
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def make_matcher(shell: Any) -> Any:
    """Return what completes names of namespaces after ``store.ns("``."""

    @context_matcher()
    def namespace_matcher(context: Any) -> dict[str, Any]:
        match = OPENING.search(context.text_until_cursor)
        store = shell.user_ns.get(match[1]) if match else None
        names: list[str] = []
        if match and isinstance(store, Store):
            begun = len(match[3]) - len(context.token)  # what a delimiter in the name has cut off
            try:
                names = [name[max(begun, 0) :] for name in store.namespaces() if name.startswith(match[3])]
            except KVError:
                names = []
        return {"completions": [SimpleCompletion(name, type="namespace") for name in names[:MOST_COMPLETIONS]]}

    return namespace_matcher


def load(shell: Any) -> None:
    """Add the magics and the completion to a shell; ``%load_ext sqlitedict_kv`` calls it."""
    shell.register_magics(MemoizeMagics(shell))
    shell.Completer.custom_matchers.append(make_matcher(shell))
