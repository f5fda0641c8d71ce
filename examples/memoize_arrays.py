"""A notebook that keeps its slow arrays: run a cell again, or the whole notebook tomorrow, and nothing is computed.

Each part between ``# %%`` lines is a cell, as editors and jupytext have them. numpy has to be installed.

Run it with ``python examples/memoize_arrays.py``; it works in a temporary directory unless a path is given.
"""

# %% Open the file that outlives the kernel

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sqlitedict_kv import Store

directory = None if len(sys.argv) > 1 else TemporaryDirectory()
store = Store(sys.argv[1] if directory is None else Path(directory.name, "notebook.db"))
calls = []


# %% A simulation that takes its time; version= starts afresh when the code changes


@store.memoize(version=1)
def walks(seed: int, count: int = 500, steps: int = 1000) -> np.ndarray:
    """Return random walks, one a row."""
    calls.append(("walks", seed))
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([-1, 1], dtype=np.int16), size=(count, steps)).cumsum(axis=1, dtype=np.int16)


@store.memoize(version=1)
def spread(paths: np.ndarray) -> np.ndarray:
    """Return the standard deviation after each step; an array as argument is known by its content."""
    calls.append(("spread", paths.shape))
    return paths.std(axis=0)


walks.cache_clear()
spread.cache_clear()

# %% The first time it is computed

first = walks(42)
print("computed:", first.shape, first.dtype)
assert calls == [("walks", 42)]

# %% The same call, however it is spelt, is read from the file, bit for bit and with its dtype

again = walks(seed=42, steps=1000)
assert np.array_equal(first, again)
assert again.dtype == np.int16
assert calls == [("walks", 42)]
print("read:", walks.peek(42).meta.content_type)

# %% What a cell does to its array is its own affair

again[:] = 0
assert np.array_equal(walks(42), first)

# %% Arrays as arguments

deviation = spread(first)
assert np.array_equal(spread(walks(42)), deviation)
assert calls == [("walks", 42), ("spread", (500, 1000))]
print(f"spread after 1000 steps: {deviation[-1]:.1f}, in theory {1000**0.5:.1f}")
assert abs(deviation[-1] - 1000**0.5) < 3

# %% What is there

for key, entry in store.ns("memoize").scan():
    print("kept:", key, entry.value.shape, entry.value.dtype)
print("calls of the functions:", len(calls))

# %% Tomorrow

store.close()
if directory is not None:
    directory.cleanup()
