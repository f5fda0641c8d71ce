"""The contract holds for every engine and for every face."""

import pytest

from tests.conftest import ON_SERVERS, ON_SQLITE

SQLITE = (*ON_SQLITE, "awaited")
on_sqlite = pytest.mark.parametrize("engine", SQLITE, indirect=True)  # else see test_capabilities.py
on_shared = pytest.mark.parametrize("engine", ["file", "awaited", *ON_SERVERS, "awaited-cluster"], indirect=True)
# On one machine: a namespace is whole and its keys are in order, whatever layout is asked for.
UNDIVIDED = (*SQLITE, "toy")
# Engines into which entries can be copied; the others are in test_capabilities.py.
on_restorable = pytest.mark.parametrize(
    "engine", [*SQLITE, *ON_SERVERS, "lru-cluster", "sharded-cluster"], indirect=True
)
# Without namespaces in several shards: those have no transactions of several keys.
WHOLE = (*SQLITE, "toy", *ON_SERVERS, "lru-cluster")
on_whole = pytest.mark.parametrize("engine", WHOLE, indirect=True)


@pytest.fixture(params=[*WHOLE, "sharded-cluster"])
def engine(request):
    """What the stores of a test are on."""
    return request.param
