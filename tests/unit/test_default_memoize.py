"""Memoize without a store of one's own."""

import asyncio
import os
import subprocess
import sys

import pytest

from sqlitedict_kv import Store, memoize
from sqlitedict_kv.aio.default_memoize import FILE, VARIABLE, cache_directory, default_address


@pytest.fixture
def address(path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_results_go_to_the_store_that_the_environment_names_which_the_first_call_opens(address):
    calls = []

    @memoize(ttl=60, name="load")
    def load(x):
        calls.append(x)
        return [x]

    assert not address.exists(), "to decorate opens nothing"
    assert load(1) == load(1) == [1]
    assert calls == [1]
    assert load.cache_info().hits == 1
    with Store(address) as store:
        assert store.ns("memoize").get(load.cache_key(1)) == [1]


def test_it_needs_no_brackets_and_takes_a_namespace(address):
    @memoize
    def plain(x):
        return (x,)

    @memoize(ns="other", name="load")
    def load(x):
        return [x]

    assert plain(1) == plain(1) == (1,)
    assert load(1) == [1]
    assert load.forget(1)
    with Store(address) as store:
        assert "other" not in store.namespaces()


def test_coroutines_and_typed_results_are_kept(address):
    calls = []

    @memoize(name="load")
    async def load(x) -> list[complex]:
        calls.append(x)
        return [complex(x)]

    async def main():
        return await load(1), await load(1)

    assert asyncio.run(main()) == ([1 + 0j], [1 + 0j])
    assert calls == [1]


def test_its_modes_are_those_of_this_store(address):
    calls = []

    @memoize(name="load")
    def load(x):
        calls.append(x)

    with memoize.disabled():
        load(1)
        load(1)
    assert not address.exists()
    assert calls == [1, 1]


CODE = """
import sys
from sqlitedict_kv import memoize

@memoize(name="f")
def f(x):
    print("computing")
    return x

print(f(1), f(1))
"""


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the directory of Linux and the BSDs")
def test_without_the_environment_results_are_in_the_cache_directory_of_the_user(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    command = [sys.executable, "-c", CODE]
    outputs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout.split()
        for _ in range(2)
    ]
    assert outputs == [["computing", "1", "1"], ["1", "1"]]
    file = tmp_path / "cache" / "sqlitedict_kv" / FILE
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


def test_the_address_is_that_of_the_environment_or_of_the_cache_directory(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "valkey://host")
    assert default_address() == "valkey://host"
    monkeypatch.delenv(VARIABLE)
    assert default_address() == str(cache_directory() / FILE)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sqlitedict_kv.aio.default_memoize.sys.platform", "linux")
    assert cache_directory() == tmp_path / ".cache" / "sqlitedict_kv"
    monkeypatch.setattr("sqlitedict_kv.aio.default_memoize.sys.platform", "darwin")
    assert cache_directory() == tmp_path / "Library" / "Caches" / "sqlitedict_kv"


def test_calls_are_computed_where_the_cache_directory_cannot_be_made(tmp_path, monkeypatch, caplog):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.delenv(VARIABLE, raising=False)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "taken"))

    @memoize(name="nowhere")
    def f(x):
        return [x]

    assert f(1) == [1]
    assert f(1) == [1]
    assert f.cache_info().storage_errors == 2
    assert "cannot be made" in caplog.text
    assert VARIABLE in caplog.text
