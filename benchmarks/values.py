"""What encoding and decoding cost, beside pickle, and writing and reading, beside peers; `python benchmarks/values.py`.

Each figure is the median of rounds in which all take turns, so that what else the machine does strikes all of them.
Encoding and decoding are CPU time; writing and reading are wall time in a file in a temporary directory.
"""

from __future__ import annotations

import dataclasses
import gc
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlitedict_kv import Store

ROUNDS = 9
SECONDS = 0.05  # of one round of one peer


@dataclasses.dataclass
class Person:
    name: str
    age: int
    mail: str
    score: float
    active: bool


def person(number: int) -> Person:
    return Person(f"Ada{number}", number, "ada@example.org", number / 7, active=True)


def values() -> dict[str, tuple[Any, float | None]]:
    """Return values by name, each with the most times that it may take what pickle takes; None is no target."""
    found: dict[str, tuple[Any, float | None]] = {
        "one dataclass": (person(36), 1.3),
        "1,000 dataclasses": ([person(number) for number in range(1000)], 2.0),
        "a plain dict": ({"name": "Ada", "age": 36, "tags": ["a", "b"], "score": 9.75}, None),
        "1,000 plain dicts": ([dataclasses.asdict(person(number)) for number in range(1000)], None),
        "a tuple": ((1, "a", 2.5), None),
        "1,000 tuples": ([(number, "a", 2.5) for number in range(1000)], None),
    }
    if find_spec("pydantic"):
        import pydantic

        model = pydantic.create_model("Model", __module__=__name__, name=(str, ...), age=(int, ...))
        globals()["Model"] = model
        found["one pydantic model"] = (model(name="Ada", age=36), None)
        found["100 pydantic models"] = ([model(name="Ada", age=age) for age in range(100)], None)
    if find_spec("numpy"):
        import numpy as np

        found["an array of 10 floats, in a list"] = ([np.arange(10.0)], None)
        found["a dict of three arrays of 1 MB"] = (arrays(), None)
    return found


def arrays() -> dict[str, Any]:
    import numpy as np

    return {name: np.random.default_rng(1).random(125_000) for name in ("x", "y", "z")}


def medians(calls: dict[str, Callable[[], Any]], clock: Callable[[], float], rounds: int) -> dict[str, float]:
    """Return the microseconds that each call takes."""
    counts = {}
    for name, call in calls.items():
        start = clock()
        call()
        counts[name] = max(1, int(SECONDS / max(clock() - start, 1e-6)))
    figures: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            gc.disable()
            start = clock()
            for _ in range(counts[name]):
                call()
            figures[name].append((clock() - start) / counts[name] * 1e6)
            gc.enable()
    return {name: statistics.median(taken) for name, taken in figures.items()}


def encoding(rounds: int) -> None:
    """Print what a value costs without a store around it."""
    print("| value | encode µs | decode µs | pickle.dumps | pickle.loads | times pickle | at most | bytes | pickle |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    cases = values()
    allowed = [Person, *([globals()["Model"]] if "Model" in globals() else [])]
    with Store(types=allowed) as store:
        codecs = store._context.codecs
        for name, (value, most) in cases.items():
            body, content_type = codecs.encode(value)
            pickled = pickle.dumps(value, 5)
            took = medians(
                {
                    "encode": lambda v=value: codecs.encode(v),
                    "decode": lambda b=body, c=content_type: codecs.decode("", "", b, c),
                    "dumps": lambda v=value: pickle.dumps(v, 5),
                    "loads": lambda p=pickled: pickle.loads(p),
                },
                time.process_time,
                rounds,
            )
            times = (took["encode"] + took["decode"]) / (took["dumps"] + took["loads"])
            figures = " | ".join(f"{took[step]:.1f}" for step in ("encode", "decode", "dumps", "loads"))
            print(f"| {name} | {figures} | {times:.2f} | {most or ''} | {len(body)} | {len(pickled)} |")


def storing(rounds: int, directory: Path) -> None:
    """Print what writing and reading a dict of three arrays costs, beside pickled bytes and peers."""
    value = arrays()
    with Store(directory / "ours.db") as store:
        ours, pickled = store.ns("ours"), store.ns("pickled")

        def as_value() -> None:
            ours["k"] = value
            ours["k"]

        def as_pickle() -> None:
            pickled["k"] = pickle.dumps(value, 5)
            pickle.loads(pickled["k"])

        calls: dict[str, Callable[[], Any]] = {"sqlitedict_kv": as_value, "sqlitedict_kv, pickled bytes": as_pickle}
        if find_spec("diskcache"):
            import diskcache

            cache = diskcache.Cache(str(directory / "diskcache"))
            calls["diskcache"] = lambda: (cache.set("k", value), cache.get("k"))
        if find_spec("joblib"):
            import joblib

            calls["joblib"] = lambda: (joblib.dump(value, directory / "j"), joblib.load(directory / "j"))
        took = medians(calls, time.perf_counter, rounds)
    base = took["sqlitedict_kv, pickled bytes"]
    print("\n| a dict of three arrays of 1 MB, written and read | ms | times pickled bytes |\n|---|---:|---:|")
    for name, figure in took.items():
        print(f"| {name} | {figure / 1000:.2f} | {figure / base:.2f} |")


def main(arguments: list[str]) -> None:
    rounds = int(arguments[0]) if arguments else ROUNDS
    encoding(rounds)
    if find_spec("numpy"):
        with tempfile.TemporaryDirectory() as directory:
            storing(rounds, Path(directory))


if __name__ == "__main__":
    main(sys.argv[1:])
