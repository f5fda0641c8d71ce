"""A notebook's values: data, a fitted model, scores and records are there again after the kernel was restarted.

Nothing is registered, and nothing is told but the classes of one's own. Each ``# %%`` begins a cell, as in
notebook_session.py. It needs ``pip install pandas pyarrow polars pydantic scikit-learn``.
"""

# %% The store: in a notebook this is just Store("results.db", types=[Run])
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import polars as pl
from pydantic import BaseModel
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from sqlitedict_kv import Store


class Run(BaseModel):
    """A row of the laboratory's log."""

    number: int
    note: str = ""
    factors: tuple[float, ...] = ()


scratch = TemporaryDirectory()
path = sys.argv[1] if len(sys.argv) > 1 else str(Path(scratch.name, "results.db"))
store = Store(path, types=[Run])
results = store.ns("results")


# %% Data, a model that is fitted to it, and how good that is
def measure():
    days = pd.date_range("2026-01-01", periods=200, freq="D", tz="Europe/Berlin", name="day")
    light = np.random.default_rng(7).random(200)
    grown = 3 * light + np.random.default_rng(8).normal(0, 0.1, 200)
    return pd.DataFrame({"light": light, "grown": grown, "bed": list("abcd") * 50}, index=days)


def evaluate():
    plants = measure()
    inputs = plants[["light"]]
    return {
        "model": LinearRegression().fit(inputs, plants["grown"]),
        "X": inputs,
        "scores": {"r2": cross_val_score(LinearRegression(), inputs, plants["grown"]), "n": np.int64(len(plants))},
    }


def measured():
    """Return all that is kept, made from the beginning."""
    beds = pl.DataFrame({"bed": ["a", "b"], "soil": [["sand"], ["clay", "peat"]]})
    runs = [Run(number=1, note="dry"), Run(number=2, factors=(0.5, 1.5))]
    return {"plants": measure(), "experiment": evaluate(), "beds": beds, "runs": runs}


# %% One assignment keeps each
if "--again" not in sys.argv:
    results.update(measured())
    for key in results:
        print(f"{key:<11} {results.get_with_meta(key).meta.content_type}")

# %% The kernel is restarted: another interpreter finds all of it equal
if "--again" in sys.argv:
    expected, found = measured(), dict(results.items())
    pd.testing.assert_frame_equal(found["plants"], expected["plants"], check_exact=True, check_freq=True)
    assert found["plants"].index.freq == "D"
    assert found["beds"].equals(expected["beds"])
    assert found["runs"] == expected["runs"]
    assert type(found["runs"][1].factors) is tuple
    ours, theirs = found["experiment"], expected["experiment"]
    pd.testing.assert_frame_equal(ours["X"], theirs["X"], check_exact=True)
    assert np.array_equal(ours["scores"]["r2"], theirs["scores"]["r2"])
    assert type(ours["scores"]["n"]) is np.int64
    assert np.array_equal(ours["model"].predict(ours["X"]), theirs["model"].predict(theirs["X"]))
    print(f"found again, all equal: {len(found)} results, and a model of slope {ours['model'].coef_[0]:.1f}")
else:
    restarted = subprocess.run([sys.executable, __file__, path, "--again"], check=True, capture_output=True, text=True)
    print(restarted.stdout, end="")

# %% The end
store.close()
scratch.cleanup()
