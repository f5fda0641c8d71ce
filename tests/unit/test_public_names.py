"""The public names are the same whatever was imported before: no module of the package takes the place of one."""

import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, warnings
import sqlitedict_kv

warnings.simplefilter("ignore")  # those of frameworks
before = {name: getattr(sqlitedict_kv, name) for name in sqlitedict_kv.__all__}
missing = []
found = 0
for module in pkgutil.walk_packages(sqlitedict_kv.__path__, "sqlitedict_kv.", onerror=missing.append):
    if module.name.endswith("__main__"):
        continue
    found += 1
    try:
        importlib.import_module(module.name)
    except ImportError as error:  # a framework that is not installed
        assert not (error.name or "").startswith("sqlitedict_kv"), error
assert found > 100, found
changed = [name for name in sqlitedict_kv.__all__ if getattr(sqlitedict_kv, name) is not before[name]]
assert not changed, changed

from sqlitedict_kv import Store, copy, diagnose

source, target = Store(), Store()
source.ns("users")["ada"] = 1
assert copy(source, target).copied == 1
assert target.ns("users")["ada"] == 1
assert callable(diagnose)
"""


def test_importing_every_module_leaves_the_public_names_as_they_are():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
