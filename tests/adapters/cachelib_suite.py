"""cachelib's conformance tests on our cache; pytest runs them where cachelib's tests can be imported."""

from itertools import count

import pytest
from clear import ClearTests
from common import CommonTests
from has import HasTests
from test_simple_cache import TestSimpleCache as SimpleCacheTests

from sqlitedict_kv.adapters.cachelib import SQLiteCache

try:
    from serializer import SerializerTests
except ImportError:  # before 0.16

    class SerializerTests:
        """Has no tests."""


# Those tests of cachelib's own SimpleCache that look at nothing inside of it.
SEMANTICS = [
    "test_add_on_expired_key_succeeds",
    "test_has_on_expired_key_returns_false",
    "test_delete_nonexistent_returns_false",
    "test_concurrent_inc_is_consistent",
    "test_concurrent_add_only_one_winner",
]
OF_SIMPLE_CACHE = type(
    "OfSimpleCache", (), {n: vars(SimpleCacheTests)[n] for n in SEMANTICS if n in vars(SimpleCacheTests)}
)
del SimpleCacheTests

numbers = count()


@pytest.fixture(autouse=True)
def cache_factory(request, tmp_path):
    def factory(self, *args, **kwargs):
        return request.cls.CLASS(tmp_path / f"{next(numbers)}.db", *args, **kwargs)

    request.cls.cache_factory = factory


class TestSQLiteCache(CommonTests, HasTests, ClearTests, SerializerTests, OF_SIMPLE_CACHE):
    CLASS = SQLiteCache


class PickledCache(SQLiteCache):
    """Serializes as cachelib's own SimpleCache does."""

    from cachelib.serializers import SimpleSerializer

    serializer = SimpleSerializer()


class TestPickledCache(TestSQLiteCache):
    CLASS = PickledCache
