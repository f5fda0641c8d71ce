"""The support of adapters is enough: ours use nothing else, and a small one of somebody else's works with it."""

import ast
from pathlib import Path

import pytest

import sqlitedict_kv
from sqlitedict_kv import Store
from sqlitedict_kv.adapters import support

ADAPTERS = Path(sqlitedict_kv.__file__).parent / "adapters"
PUBLIC = {"sqlitedict_kv", "sqlitedict_kv.locks", "sqlitedict_kv.aio", "sqlitedict_kv.adapters"}
BELOW = {  # what these need and no other adapter does
    # The code of MessagePack's extension type for a tuple: `_packed_flat` writes it by itself, as `pack` would take ten
    # times as long for the key of a call.
    ("_compat/key_encoding.py", "sqlitedict_kv.codecs"),
    # The one fork hook of the package: a lock of a drop-in must be free in a child.
    ("_compat/forklock.py", "sqlitedict_kv.concurrency.fork"),
    # They show the library itself, and keep nothing for others: its metrics, tables, pages, and a cell as a function.
    ("prometheus.py", "sqlitedict_kv.tools.metrics"),
    ("opentelemetry.py", "sqlitedict_kv.tools.metrics"),
    ("ipython.py", "sqlitedict_kv.display.figures"),
    ("ipython.py", "sqlitedict_kv.display.html"),
    ("ipython.py", "sqlitedict_kv.memoization.argument_forms"),
    ("ipython.py", "sqlitedict_kv.memoization.cell_identity"),
    ("ipython.py", "sqlitedict_kv.validation"),
    ("datasette/listing.py", "sqlitedict_kv.memoization.inventory"),
    ("datasette/listing.py", "sqlitedict_kv.operations.usage"),
    ("datasette/listing.py", "sqlitedict_kv.tools.summaries"),
    ("datasette/pages.py", "sqlitedict_kv.display.figures"),
    ("datasette/pages.py", "sqlitedict_kv.display.short"),
    ("datasette/pages.py", "sqlitedict_kv.memoization.inventory"),
    ("datasette/pages.py", "sqlitedict_kv.tools.stored_values"),
    ("datasette/pages.py", "sqlitedict_kv.tools.summaries"),
    ("datasette/routes.py", "sqlitedict_kv.display.figures"),
    ("datasette/routes.py", "sqlitedict_kv.display.short"),
    ("datasette/value_parts.py", "sqlitedict_kv.display.short"),
    ("datasette/value_parts.py", "sqlitedict_kv.tools.value_tree"),
}


def imports_of(source):
    """Return the modules of the package, with the names, that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used"
            for alias in node.names:
                yield node.module, alias.name


def is_refused(module, name, *, ours):
    """Return whether an adapter must not import a name of a module."""
    if module.split(".")[0] != "sqlitedict_kv":
        return False
    if module == "sqlitedict_kv":
        return name not in sqlitedict_kv.__all__ and f"sqlitedict_kv.{name}" not in PUBLIC
    if module == "sqlitedict_kv.adapters.support":
        return name not in support.__all__
    if module.startswith("sqlitedict_kv.adapters.support."):
        return True
    return module not in PUBLIC and not (ours and module.startswith("sqlitedict_kv.adapters."))


MODULES = sorted(path for path in ADAPTERS.rglob("*.py") if path.relative_to(ADAPTERS).parts[0] != "support")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ADAPTERS).as_posix())
def test_an_adapter_imports_public_names_and_the_support_alone(path):
    place = path.relative_to(ADAPTERS).as_posix()
    refused = [
        f"{module}: {name}"
        for module, name in imports_of(path.read_text())
        if is_refused(module, name, ours=True) and (place, module) not in BELOW
    ]
    assert not refused


def test_the_rule_refuses_what_is_inside():
    refused = [
        "import sqlitedict_kv.validation",
        "from sqlitedict_kv.engines.registry import names_servers",
        "from sqlitedict_kv import validation",
        "from sqlitedict_kv.adapters.support.packing import pack",
        "from sqlitedict_kv.adapters.support import Mapping",
    ]
    assert all(is_refused(*next(imports_of(line)), ours=True) for line in refused)


def test_every_name_of_the_support_is_there_and_documented():
    for name in support.__all__:
        thing = getattr(support, name)
        assert (
            f"``{name}``" in support.__doc__
            or f":func:`{name}`" in support.__doc__
            or f":class:`{name}`" in (support.__doc__)
        ), name
        if callable(thing):
            assert thing.__doc__


THIRD_PARTY = '''
"""A backend of a cache interface that somebody else has: get, set with seconds or None, increase, delete."""

from sqlitedict_kv import CodecError
from sqlitedict_kv.adapters.support import (
    STORE_OPTIONS, Codecs, check_int, fitting_key, fitting_ttl, pack, shared_store, unpack
)


class Backend:
    """Keeps values of any length of key, for any time, and objects of the framework as MessagePack."""

    def __init__(self, path, *, retries=3, **options):
        if unknown := options.keys() - STORE_OPTIONS:
            raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
        self.retries = check_int(retries, "retries", lowest=0)
        self.entries = shared_store(path, options).ns("third-party")

    def get(self, key):
        kept = self.entries.get(fitting_key(key))
        return None if kept is None else unpack(kept)

    def set(self, key, value, seconds=None):
        try:
            Codecs().encode(value)
        except CodecError:
            return False
        self.entries.set(fitting_key(key), pack(value), ttl=fitting_ttl(seconds))
        return True

    def delete(self, key):
        return self.entries.delete(fitting_key(key))
'''


def test_a_small_adapter_of_somebody_else_works_with_the_support_alone(tmp_path):
    assert not [line for line in imports_of(THIRD_PARTY) if is_refused(*line, ours=False)]
    module: dict = {}
    exec(compile(THIRD_PARTY, "third_party.py", "exec"), module)
    try:
        backend, other = module["Backend"](tmp_path / "cache.db"), module["Backend"](str(tmp_path / "cache.db"))
        assert backend.set("k" * 10_000, {"a": (1, 2)}, seconds=10**12)
        assert other.get("k" * 10_000) == {"a": (1, 2)}
        assert not backend.set("object", object())
        assert other.delete("k" * 10_000)
        assert backend.get("k" * 10_000) is None
        assert backend.entries.get_with_meta("k" * 1000) is None
        with pytest.raises(TypeError, match="unknown options: surprise"):
            module["Backend"](tmp_path / "cache.db", surprise=1)
        with pytest.raises(ValueError, match="retries must be from 0"):
            module["Backend"](tmp_path / "cache.db", retries=-1)
    finally:
        support.close_shared_stores()
    with Store(tmp_path / "cache.db", readonly=True) as store:
        assert store.check().ok
