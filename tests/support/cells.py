"""Cells of a notebook that run in this process."""

import functools
import linecache
import textwrap

serial = iter(range(10**6))


def session(*cells, module="__main__"):
    """Run cells as a notebook does, each from lines that Python can look up, in one namespace; return that."""
    namespace = {"__name__": module, "functools": functools}
    for cell in cells:
        run_cell(namespace, cell)
    return namespace


def run_cell(namespace, cell):
    """Run one more cell in a namespace."""
    source = textwrap.dedent(cell)
    filename = f"<cell {next(serial)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)
