"""dogpile.cache's own suite for backends, which its wheel ships, on ours; run by pytest with a directory to work in."""

import os
from pathlib import Path

from dogpile.cache.proxy import ProxyBackend
from dogpile.testing.fixtures import (
    _GenericBackendTestSuite,
    _GenericMutexTestSuite,
    _GenericSerializerTestSuite,
)

DIRECTORY = Path(os.environ["SUITE_DIRECTORY"])


def configuration(name, **more):
    return {"arguments": {"path": str(DIRECTORY / f"{name}.db"), **more}}


class TestBackend(_GenericBackendTestSuite):
    backend = "sqlitedict_kv"
    config_args = configuration("backend")


class TestSerializer(_GenericSerializerTestSuite, TestBackend):
    config_args = configuration("serializer")


class TestProxy(TestBackend):
    config_args = {**configuration("proxy"), "wrap": [ProxyBackend]}


class TestWithinTheProcess(TestBackend):
    config_args = configuration("process", distributed_lock=False, ttl=3600, lru_bytes="1 MB")


class TestMutex(_GenericMutexTestSuite):
    backend = "sqlitedict_kv"
    config_args = configuration("mutex")
