"""Metrics for OpenTelemetry, by its API alone.

::

    observe({"app": store}, functions=[report])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from sqlitedict_kv import Store
from sqlitedict_kv.tools.metrics import METRICS, Metric, Sample, check_watched, once_in

PREFIX = "sqlitedict_kv."
COLLECTED_TOGETHER = 1.0  # seconds: all metrics of one collection come from one look at the stores


def observe(stores: Store | Mapping[str, Store], functions: Iterable[Any] = (), *, meter: Meter | None = None) -> None:
    """Report the figures of stores, of their LRUs and of memoized functions to OpenTelemetry whenever it collects.

    Nothing is measured in between, so that reads and writes cost what they cost without it; where no SDK is configured
    nothing is ever asked. What is observed is held as long as the meter.

    Args:
        stores: stores by the names that they are shown under, or one store, shown as ``store``.
        functions: functions that ``memoize`` made.
        meter: makes the instruments; None is that of the global provider.

    Raises:
        TypeError: an argument is something else.
    """
    recent = once_in(COLLECTED_TOGETHER, check_watched(stores, functions))
    chosen = metrics.get_meter("sqlitedict_kv") if meter is None else meter
    for metric in METRICS:
        make = chosen.create_observable_counter if metric.kind == "counter" else chosen.create_observable_gauge
        make(f"{PREFIX}{metric.name}", [_callback(metric, recent)], unit=metric.unit, description=metric.help)


def _callback(metric: Metric, recent: Callable[[], list[Sample]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observations(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(each.value, dict(each.labels)) for each in recent() if each.metric == metric]

    return observations
