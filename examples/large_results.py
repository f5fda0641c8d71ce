"""Results of 300 MB, made by two processes at once of which one is killed in the middle, and kept in files.

Run it with ``python examples/large_results.py``; it works in a temporary directory unless a path is given. The arrays
have 3 MB, with ``--full`` 300 MB. numpy has to be installed; joblib is measured beside it where it is.
"""

import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory

import numpy as np

from sqlitedict_kv import Store

arguments = [argument for argument in sys.argv[1:] if argument != "--full"]
megabytes = 300 if "--full" in sys.argv else 3
SEEDS = range(4)


def make(seed: int) -> dict[str, np.ndarray]:
    """Return two arrays, which take their time."""
    print("computing", seed, flush=True)
    rows = megabytes * 125_000 // 2
    generator = np.random.default_rng(seed)
    return {"signal": generator.standard_normal(rows), "noise": generator.standard_normal(rows)}


def is_right(seed: int, found: dict[str, np.ndarray]) -> bool:
    """Return whether a result is what the function makes."""
    generator = np.random.default_rng(seed)
    return all(np.array_equal(found[name], generator.standard_normal(len(found[name]))) for name in ("signal", "noise"))


def memory() -> float:
    """Return the memory of this process at its peak, in MB."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def work(path: str) -> None:
    """Be one of the processes: get every result, computed by whoever comes first."""
    with Store(path, files_above="1 MiB") as store:
        kept = store.memoize(version=1)(make)
        for seed in SEEDS:
            kept(seed)


def start(path: str) -> Popen[str]:
    """Start one of the processes."""
    command = [sys.executable, __file__, "--work", path, *(["--full"] if "--full" in sys.argv else [])]
    return Popen(command, stdout=PIPE, text=True)


def lines_of(process: Popen[str]) -> list[str]:
    """Return what a process says until its end, which must be a good one."""
    said, _ = process.communicate()
    assert process.returncode == 0
    return said.splitlines()


def compare(directory: Path, store: Store) -> None:
    """Print times beside those of joblib."""
    value = make(99)
    ns = store.ns("compared")
    begin = time.perf_counter()
    ns["value"] = value
    written = time.perf_counter()
    assert np.array_equal(ns["value"]["signal"], value["signal"])
    print(f"sqlitedict_kv: set {(written - begin) * 1e3:.0f} ms, get {(time.perf_counter() - written) * 1e3:.0f} ms")
    try:
        import joblib  # noqa: PLC0415 - may not be there
    except ImportError:
        print("joblib: not installed")
        return
    begin = time.perf_counter()
    joblib.dump(value, directory / "value.joblib")
    written = time.perf_counter()
    assert np.array_equal(joblib.load(directory / "value.joblib")["signal"], value["signal"])
    print(f"joblib: dump {(written - begin) * 1e3:.0f} ms, load {(time.perf_counter() - written) * 1e3:.0f} ms")


def main(path: str, directory: Path) -> None:
    """Run two processes, kill one while it computes, start it again, and look at what is there."""
    with Store(path, files_above="1 MiB") as store:
        store.memoize(version=1)(make).cache_clear()
    first, second = start(path), start(path)
    assert first.stdout is not None
    first.stdout.readline()  # it computes, or the other does
    first.kill()
    first.communicate()
    again = start(path)
    computed = lines_of(second) + lines_of(again)
    print(f"one process was killed, the others went on: {len(set(computed))} results")

    with Store(path, files_above="1 MiB") as store:
        kept = store.memoize(version=1)(make)
        right = sum(is_right(seed, kept(seed)) for seed in SEEDS)
        print(f"results that are right: {right} of {len(SEEDS)}")
        assert store.check().ok
        compare(directory, store)
    print(f"memory at the peak: {memory():.0f} MB")


if __name__ == "__main__":
    if "--work" in arguments:
        work(arguments[1])
    elif arguments:
        with TemporaryDirectory() as directory:
            main(arguments[0], Path(directory))
    else:
        with TemporaryDirectory() as directory:
            main(str(Path(directory, "results.db")), Path(directory))
