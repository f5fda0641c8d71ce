"""The contract holds for every engine and for every face."""

import pytest

from sqlitedict_kv import Store
from tests.awaited import AwaitedStore


@pytest.fixture(params=["file", "memory", "awaited"])
def open_store(request, make_store, path):
    """Open stores with options; all that one test opens on the file engine share one file."""

    def open_one(**options):
        kind = AwaitedStore if request.param == "awaited" else Store
        return make_store(":memory:" if request.param == "memory" else path, kind, **options)

    return open_one
