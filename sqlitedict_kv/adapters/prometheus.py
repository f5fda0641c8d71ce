"""Collector of metrics for Prometheus.

::

    REGISTRY.register(StoreCollector({"app": store}, functions=[report]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sqlitedict_kv import Store
from sqlitedict_kv.tools.metrics import METRICS, Metric, check_watched, collect

PREFIX = "sqlitedict_kv_"


class StoreCollector(Collector):
    """Collects the figures of stores, of their LRUs and of memoized functions when Prometheus asks for them.

    Nothing is measured in between, so that reads and writes cost what they cost without it. Counters are those of this
    process: with several worker processes, each serves its own.
    """

    def __init__(self, stores: Store | Mapping[str, Store], functions: Iterable[Any] = ()) -> None:
        """Collect from stores and functions.

        Args:
            stores: stores by the names that they are shown under, or one store, shown as ``store``.
            functions: functions that ``memoize`` made.

        Raises:
            TypeError: an argument is something else.
        """
        self._watched = check_watched(stores, functions)

    def describe(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Return the names of the metrics; no store is asked, so that one that is down can be registered."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Return the metrics as they are now."""
        families = {metric: _family(metric) for metric in METRICS}
        for metric, labels, value in collect(self._watched):
            families[metric].add_metric(list(labels.values()), value)
        return [family for family in families.values() if family.samples]


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    label = "function" if metric.name.startswith("memoize_") else "store"
    return kind(f"{PREFIX}{metric.name}", metric.help, labels=[label])
