"""LangChain's standard tests of caches and byte stores, on ours; run by test_langchain.py."""

import pytest
from langchain_tests.integration_tests import (
    AsyncCacheTestSuite,
    BaseStoreAsyncTests,
    BaseStoreSyncTests,
    SyncCacheTestSuite,
)

from sqlitedict_kv import Store
from sqlitedict_kv.adapters.langchain import SQLiteByteStore, SQLiteCache


@pytest.fixture
def opened(tmp_path):
    with Store(tmp_path / "app.db", lru_bytes="1 MB") as store:
        yield store


class TestCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, opened):
        return SQLiteCache(opened)


class TestAsyncCache(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, opened):
        return SQLiteCache(opened)


class TestByteStore(BaseStoreSyncTests):
    @pytest.fixture
    def kv_store(self, opened):
        return SQLiteByteStore(opened)

    @pytest.fixture
    def three_values(self):
        return b"\x00", b"", b"buzz"


class TestAsyncByteStore(BaseStoreAsyncTests):
    @pytest.fixture
    async def kv_store(self, opened):
        return SQLiteByteStore(opened)

    @pytest.fixture
    def three_values(self):
        return b"\x00", b"", b"buzz"
