"""The standard library's own source, parsed and summarised by several processes at once, cold and warm.

Four processes go through all files of the standard library, each in an order of its own, as the workers of a tool
that indexes code would. Parsing takes the time: the first process that comes to a file does it, and the others use its
summary. A file is known by its path, size and time of change, so one that is edited is parsed again.

Run it with ``python examples/memoize_files.py``; it works in a temporary directory unless a path is given, or the
address of servers: ``"valkey+cluster://node1,node2,node3?confirm=1&timeout=30"``.
"""

import ast
import multiprocessing
import random
import sys
import sysconfig
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import Store

WORKERS = 4
LEFT_OUT = {"test", "tests", "idle_test", "idlelib", "lib2to3", "site-packages", "__pycache__"}


def source_files():
    """Return the files of the standard library of this Python."""
    library = Path(sysconfig.get_path("stdlib"))
    return sorted(path for path in library.rglob("*.py") if not LEFT_OUT.intersection(path.relative_to(library).parts))


def summarise_in(store):
    """Return the function that summarises a file, with its results in *store*."""

    def what_counts(path):
        status = path.stat()
        return path, status.st_size, status.st_mtime_ns

    @store.memoize(key=what_counts, version=1)
    def summarise(path):
        source = path.read_bytes()
        tree = ast.parse(source, str(path))
        nodes = list(ast.walk(tree))
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        return {
            "lines": source.count(b"\n"),
            "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
            "functions": len(functions),
            "documented": sum(ast.get_docstring(node) is not None for node in functions),
            "longest": max(((node.end_lineno - node.lineno + 1, node.name) for node in functions), default=None),
        }

    return summarise


def work(database, files, seed, begin, answers):
    """Summarise all files in an order of one's own, and answer with the sums, the time and what was computed."""
    with Store(database) as store:
        summarise = summarise_in(store)
        mine = list(files)
        random.Random(seed).shuffle(mine)
        begin.wait()
        start = time.perf_counter()
        summaries = {path: summarise(path) for path in mine}
        seconds = time.perf_counter() - start
        totals = {name: sum(summaries[path][name] for path in files) for name in ("lines", "classes", "functions")}
        answers.put((totals, seconds, summarise.cache_info().computed))


def run(title, database, files):
    """Let all workers go through the files at once; return the sums and the number of computations."""
    context = multiprocessing.get_context("spawn")
    begin, answers = context.Barrier(WORKERS), context.Queue()
    workers = [context.Process(target=work, args=(database, files, seed, begin, answers)) for seed in range(WORKERS)]
    for worker in workers:
        worker.start()
    told = [answers.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    totals = [total for total, _, _ in told]
    assert totals == totals[:1] * WORKERS, "every worker sees the same summaries"
    seconds, computed = max(seconds for _, seconds, _ in told), sum(computed for _, _, computed in told)
    print(f"{title}: {WORKERS} processes, {len(files)} files each, {computed} parsed, {seconds:.2f} s")
    return totals[0], computed, seconds


def main(database):
    files = source_files()
    with Store(database) as store:
        summarise_in(store).cache_clear()

    totals, computed, cold = run("cold", database, files)
    assert computed == len(files), "each file is parsed exactly once, by the first that comes"
    again, computed, warm = run("warm", database, files)
    assert again == totals
    assert computed == 0
    print(f"the second time took {warm / cold:.1%} of the first")
    print("the standard library:", ", ".join(f"{count} {name}" for name, count in totals.items()))

    with Store(database) as store:
        summarise = summarise_in(store)
        longest, path = max((summarise(path)["longest"] or (0, ""), path) for path in files)
        print(f"its longest function: {longest[1]} in {path.name}, {longest[0]} lines")
        assert type(longest) is tuple, "results come back as what they were"
        assert summarise.cache_info().computed == 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(Path(directory, "summaries.db"))
