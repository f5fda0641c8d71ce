"""The command `move`, on what the libraries themselves have written."""

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.adapters.migration import detect_kind
from tests.support.command_line import run_program, well

VALUES = {f"key{number}": {"number": number, "list": [number]} for number in range(300)}


@pytest.mark.parametrize("package", ["diskcache", "diskcache_community"])
def test_a_directory_of_diskcache(tmp_path, package):
    diskcache = pytest.importorskip(package)
    with diskcache.Cache(tmp_path / "old") as cache:
        for key, value in VALUES.items():
            cache.set(key, value, expire=1000)
        cache["code"] = object
    assert detect_kind(tmp_path / "old") == "diskcache"
    done = run_program("move", tmp_path / "new", tmp_path / "old")
    assert done.code == 6
    assert done.out.splitlines()[0].startswith("300 entries moved")
    assert "1 skipped" in done.out
    from sqlitedict_kv.adapters.diskcache import Cache

    with Cache(tmp_path / "new") as cache:
        assert {key: cache[key] for key in VALUES} == VALUES


def test_a_file_of_sqlitedict(tmp_path):
    sqlitedict = pytest.importorskip("sqlitedict")
    with sqlitedict.SqliteDict(tmp_path / "old.sqlite") as table:
        table.update(VALUES)
        table.commit()
    assert detect_kind(tmp_path / "old.sqlite") == "sqlitedict"
    assert well("move", tmp_path / "new.db", tmp_path / "old.sqlite").out.startswith("300 entries moved")
    from sqlitedict_kv.adapters.sqlitedict import SqliteDict

    with SqliteDict(tmp_path / "new.db") as table:
        assert dict(table.items()) == VALUES


def test_results_of_joblib(tmp_path):
    joblib = pytest.importorskip("joblib")
    numpy = pytest.importorskip("numpy")

    def simulate(seed):
        return {"seed": seed} if seed else numpy.arange(3)

    cached = joblib.Memory(tmp_path / "old", verbose=0).cache(simulate)
    for seed in range(3):
        cached(seed)
    done = run_program("move", tmp_path / "new.db", tmp_path / "old")
    assert done.code == 6
    assert done.out.startswith("2 entries moved")
    well("move", tmp_path / "new.db", tmp_path / "old", "--unpickle", "all", "-y")
    with Store(tmp_path / "new.db") as store:
        (array,) = (value for value in store.ns("joblib").values() if not isinstance(value, dict))
        assert array.tolist() == [0, 1, 2]
        assert all("seed=" in key for key in store.ns("joblib"))


def test_a_cache_of_cachelib_is_found_by_its_adapter(tmp_path):
    cachelib = pytest.importorskip("cachelib")
    old = cachelib.FileSystemCache(str(tmp_path / "old"), default_timeout=1000)
    for key, value in VALUES.items():
        old.set(key, value)
    old.set("forever", 1, timeout=0)
    (tmp_path / "keys").write_text("".join(f"{key}\n" for key in [*VALUES, "forever"]))
    well("move", tmp_path / "new.db", tmp_path / "old", "--keys", tmp_path / "keys")
    from sqlitedict_kv.adapters.cachelib import SQLiteCache

    cache = SQLiteCache(tmp_path / "new.db")
    assert {key: cache.get(key) for key in VALUES} == VALUES
    assert cache.get("forever") == 1


def test_a_cache_of_django_is_found_by_its_adapter(tmp_path):
    pytest.importorskip("django")
    from django.core.cache.backends.filebased import FileBasedCache

    from sqlitedict_kv.adapters.django.cache import SQLiteCache

    old = FileBasedCache(str(tmp_path / "old"), {"TIMEOUT": 1000, "OPTIONS": {"MAX_ENTRIES": 10_000}})
    for key, value in VALUES.items():
        old.set(key, value)
    old.set("forever", 1, timeout=None)
    (tmp_path / "keys").write_text("".join(f"{old.make_key(key)}\n" for key in [*VALUES, "forever"]))
    well("move", tmp_path / "new.db", tmp_path / "old", "--keys", tmp_path / "keys")
    cache = SQLiteCache(str(tmp_path / "new.db"), {})
    assert {key: cache.get(key) for key in VALUES} == VALUES
    assert cache.get("forever") == 1
