"""A notebook session: results that took long are still there when the kernel is not.

Each ``# %%`` begins a cell; Jupyter (through jupytext), VS Code and Spyder show this file as a notebook. As a
script, ``python examples/notebook_session.py`` runs all cells, in a temporary directory unless a path is given.
"""

# %% The store: in a notebook this is just Store("results.db")
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import CodecError, Store

scratch = TemporaryDirectory()
path = sys.argv[1] if len(sys.argv) > 1 else str(Path(scratch.name, "results.db"))
store = Store(path)
results = store.ns("primes below")
results.clear()
print(results)

# %% A function that is slow, and a cell that computes only what is not there yet
computed = []


def primes_below(limit):
    computed.append(limit)
    sieve = bytearray([1]) * limit
    sieve[:2] = bytes(2)
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return sum(sieve)


for limit in (1_000, 100_000, 1_000_000):
    key = f"{limit:>9,}"
    if key not in results:
        results[key] = primes_below(limit)
print(results.copy())
assert results["  100,000"] == 9_592
assert computed == [1_000, 100_000, 1_000_000]

# %% Values keep their types: tuples, sets, dates, keys that are no str
runs = store.ns("runs")
runs["last"] = {"when": datetime(2026, 3, 1, 9, 30, tzinfo=UTC), "shape": (3, 4), "tags": {"draft", "primes"}, 7: None}
assert runs["last"]["shape"] == (3, 4)
assert runs["last"][7] is None
print("kept as", runs.get_with_meta("last").meta.content_type)

# %% What could not come back as it was is refused, and what was there stays
try:
    runs["last"] = lambda: None
except CodecError as error:
    print("refused:", str(error).split(";")[0])
assert runs["last"]["shape"] == (3, 4)

# %% A value that is read is a copy: change the store with modify, not the copy
results["notes"] = []
results["notes"].append("lost")
assert results["notes"] == []
results.modify("notes", lambda notes: [*notes, "checked against a table"])
assert results.pop("notes") == ["checked against a table"]

# %% Another kernel works on the same file, and dies without closing anything
OTHER_KERNEL = """
import os, sys
from sqlitedict_kv import Store
results = Store(sys.argv[1]).ns("primes below")
results[f"{10:>9,}"] = 4
os._exit(9)  # as when a kernel is restarted: no clean-up of any kind
"""
died = subprocess.run([sys.executable, "-c", OTHER_KERNEL, path], check=False)
assert died.returncode == 9
print("from the other kernel:", results["       10"], "primes below 10")
assert results["       10"] == 4

# %% The next day, in a new kernel: open the file, and the loop from above computes nothing again
store.close()
computed.clear()
store = Store(path)
results = store.ns("primes below")
for limit in (10, 1_000, 100_000, 1_000_000):
    key = f"{limit:>9,}"
    if key not in results:
        results[key] = primes_below(limit)
    print(key, results[key])
assert computed == []
print("computed again:", len(computed))

# %% How much there is
stats = store.stats()
print(f"{stats.entries} entries in {stats.namespaces} namespaces")
assert stats.entries == 5

# %% The end; a kernel that just stops does no harm either
store.close()
scratch.cleanup()
