"""Metrics of stores, LRUs and functions, as Prometheus and OpenTelemetry get them."""

import pytest

from sqlitedict_kv.tools.metrics import METRICS, check_watched, once_in


@pytest.fixture
def watched(make_store, path):
    """A store with an LRU, two reads and a memoized function that was called three times."""
    store = make_store(path, lru_bytes="1 MB")
    users = store.ns("users")
    users["ada"] = 1
    users.get("ada")
    users.get("nobody")

    @store.memoize
    def double(number):
        return 2 * number

    double(1)
    double(1)
    double(2)
    return store, double


def test_prometheus_gets_stores_and_functions(watched):
    prometheus = pytest.importorskip("prometheus_client")
    from sqlitedict_kv.adapters.prometheus import StoreCollector

    store, double = watched
    registry = prometheus.CollectorRegistry()
    registry.register(StoreCollector({"app": store}, functions=[double]))

    def value(name, **labels):
        return registry.get_sample_value(f"sqlitedict_kv_{name}", labels)

    name = f"{double.__module__}.{double.__qualname__}"
    assert value("up", store="app") == 1
    assert value("entries", store="app") == store.stats().entries
    assert value("size_bytes", store="app") == store.stats().bytes_on_disk
    assert value("read_misses_total", store="app") >= 1
    assert value("lru_entries", store="app") >= 1
    assert value("memoize_hits_total", function=name) == 1
    assert value("memoize_computed_total", function=name) == 2
    text = prometheus.generate_latest(registry).decode()
    assert "# HELP sqlitedict_kv_entries Entries that can be read." in text
    assert "ada" not in text


def test_prometheus_learns_that_a_store_is_down(watched):
    prometheus = pytest.importorskip("prometheus_client")
    from sqlitedict_kv.adapters.prometheus import StoreCollector

    store, _ = watched
    store.close()
    registry = prometheus.CollectorRegistry()
    registry.register(StoreCollector(store))
    assert registry.get_sample_value("sqlitedict_kv_up", {"store": "store"}) == 0
    assert registry.get_sample_value("sqlitedict_kv_entries", {"store": "store"}) is None


def test_opentelemetry_gets_stores_and_functions(watched):
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    from sqlitedict_kv.adapters.opentelemetry import observe

    store, double = watched
    reader = export.InMemoryMetricReader()
    provider = sdk.MeterProvider([reader])
    observe({"app": store}, [double], meter=provider.get_meter("test"))

    (resource,) = reader.get_metrics_data().resource_metrics
    (scope,) = resource.scope_metrics
    found = {
        (metric.name, *point.attributes.values()): point.value
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    name = f"{double.__module__}.{double.__qualname__}"
    assert found["sqlitedict_kv.up", "app"] == 1
    assert found["sqlitedict_kv.entries", "app"] == store.stats().entries
    assert found["sqlitedict_kv.memoize_hits", name] == 1
    assert {metric.name for metric in scope.metrics} == {f"sqlitedict_kv.{metric.name}" for metric in METRICS}
    provider.shutdown()


def test_without_an_sdk_no_store_is_ever_asked(watched, monkeypatch):
    pytest.importorskip("opentelemetry.metrics")
    from sqlitedict_kv.adapters.opentelemetry import observe

    store, double = watched
    monkeypatch.setattr(type(store), "stats", None)
    observe(store, [double])


def test_all_metrics_of_a_collection_come_from_one_look(watched, monkeypatch):
    store, _ = watched
    recent = once_in(3600, check_watched(store, ()))
    first = recent()
    monkeypatch.setattr(type(store), "stats", None)
    assert recent() is first
    assert once_in(0, check_watched({}, ()))() == []


@pytest.mark.parametrize("stores", [None, "app.db", {"app": "app.db"}])
def test_what_is_no_store_is_refused(stores):
    with pytest.raises(TypeError, match="stores must be a Store"):
        check_watched(stores, ())


def test_a_function_that_is_not_memoized_is_refused(watched):
    with pytest.raises(TypeError, match="functions must be memoized"):
        check_watched(watched[0], [len])
