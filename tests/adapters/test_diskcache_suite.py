"""diskcache's own tests, from its source distribution, run against the adapter."""

import shutil

import pytest

from tests.adapters.suites import failures_in, report, run_pytest, source_of, version_of

FILES = ("test_core.py", "test_fanout.py", "test_deque.py", "test_index.py", "test_recipes.py")

SHIM = """
import sys
from sqlitedict_kv.adapters import diskcache
sys.modules["diskcache"] = diskcache
for part in ("core", "fanout", "persistent", "recipes"):
    sys.modules[f"diskcache.{part}"] = diskcache
    setattr(diskcache, part, diskcache)
"""

INSIDE = "it looks into, or replaces, what is inside of diskcache: its connection, its statements, its files"
POLICY = "policies that count reads evict as least-recently-stored does, and policies in SQL are refused"
EXPIRED = "it counts, or lists, entries that have expired, which are absent here"
OWN_DISK = "its Disk gives files of values their names, and there are no files of values"
EVICTION = "it counts what each write evicts; here writes evict in rounds"
HANDLE = "what read=True gives has no name of a file, for there is none"
PICKLED_KEY = "it uses a file as a key, which only pickle could keep"

FAILING = {
    "test_core.py": {
        "test_custom_filename_disk": OWN_DISK,
        "test_pragma_error": INSIDE,
        "test_close_error": INSIDE,
        "test_getsetdel": PICKLED_KEY,
        "test_get_keyerror4": INSIDE,
        "test_set_twice": HANDLE,
        "test_set_timeout": INSIDE,
        "test_get_ioerror_fast_path": INSIDE,
        "test_pop_ioerror": INSIDE,
        "test_path": HANDLE,
        "test_expire_rows": EXPIRED,
        "test_least_recently_stored": EVICTION,
        "test_least_recently_used": POLICY,
        "test_least_frequently_used": POLICY,
        "test_check": INSIDE,
        "test_integrity_check": INSIDE,
        "test_clear_timeout": INSIDE,
        "test_add_timeout": INSIDE,
        "test_iter_expire": EXPIRED,
        "test_pull_ioerror": INSIDE,
        "test_cull_timeout": INSIDE,
        "test_custom_eviction_policy": POLICY,
        "test_cleanup_dirs": INSIDE,
        "test_disk_write_os_error": INSIDE,
    },
    "test_fanout.py": {
        "test_getsetdel": PICKLED_KEY,
        "test_expire": EXPIRED,
        "test_iter_expire": EXPIRED,
        "test_custom_filename_disk": OWN_DISK,
    },
}


@pytest.mark.timeout(450)
def test_what_fails_of_diskcaches_own_tests_is_what_differs_by_design(tmp_path):
    version = version_of("diskcache")
    for name in FILES:
        shutil.copy(source_of("diskcache", version) / "tests" / name, tmp_path)
    (tmp_path / "replaced.py").write_text(SHIM)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    counts = run_pytest("-p", "replaced", "-q", "--tb=line", *FILES, directory=tmp_path, path=(tmp_path,))

    log = (tmp_path / "suite.log").read_text(encoding="utf-8")
    report("diskcache", version, counts)
    failed = {tuple(name.split("::")) for name in failures_in(log)}
    assert failed == {(file, name) for file, names in FAILING.items() for name in names}
    assert counts.passed >= 151
