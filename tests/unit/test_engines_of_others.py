"""An engine of another distribution is found by its entry point, and only when its scheme is asked for."""

import pytest

from sqlitedict_kv import AsyncStore, Store, UnsupportedError
from sqlitedict_kv.engines import registry
from sqlitedict_kv.engines.registry import is_address, names_servers
from tests.engines import toy_engine as toy
from tests.support.processes import run


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Let each test ask for the first time."""
    monkeypatch.setattr(registry, "_BY_SCHEME", {})


def test_it_is_opened_by_its_scheme(toy_engine):
    assert is_address("toy://here")
    assert names_servers("TOY://here")
    with Store("toy://here") as store, Store("toy://here") as again:
        store.ns("users")["ada"] = {"name": "Ada"}
        assert again.ns("users")["ada"] == {"name": "Ada"}
        assert repr(store) == "<Store 'toy://here'>"


def test_without_it_the_scheme_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_address("toy2://here")
    for kind in (Store, AsyncStore):
        with pytest.raises(ValueError, match="toy2:// is neither"):
            kind("toy2://here")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"durability": "power"}, {"max_bytes": "1 MB"}, {"prefix": "x"}, {"confirm": 1}])
def test_options_that_it_does_not_take_are_refused(toy_engine, options):
    with pytest.raises(
        UnsupportedError, match=rf"{next(iter(options))} is not for toy://x: its engine does not take it"
    ):
        Store("toy://x", **options)


def test_an_lru_is_refused_where_nothing_tells_of_changes(toy_engine, monkeypatch):
    closed = []
    monkeypatch.setattr(toy.ToyEngine, "close", lambda self: closed.append(self.label))
    with pytest.raises(UnsupportedError, match="lru_bytes is not for toy://x"):
        Store("toy://x", lru_bytes="1 MB")
    assert len(closed) == 1


def test_its_own_options_are_given_in_the_address(monkeypatch):
    seen = []

    def open_it(target, options):
        seen.append((target, options["shade"], options["timeout"]))
        return toy.ToyEngine("")

    spec = toy.SPEC._replace(
        open=open_it,
        options={"readonly": bool, "timeout": float, "shade": str.lower},
        address_options={"shade": str, "timeout": float},
    )
    monkeypatch.setitem(registry._BY_SCHEME, "toy", spec)
    Store("toy://a?shade=RED&timeout=2").close()
    assert seen == [("toy://a", "red", 2.0)]
    with pytest.raises(TypeError, match="unexpected keyword argument 'shade'"):
        Store("toy://a", shade="red")


def test_an_entry_point_to_something_else_is_refused(monkeypatch):
    class Entry:
        value = "builtins:dict"

        def load(self):
            return dict

    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [Entry()])
    with pytest.raises(TypeError, match="builtins:dict must name an EngineSpec"):
        Store("odd://x")


def test_entry_points_are_not_read_for_what_is_built_in(path):
    program = """
        from sqlitedict_kv import AsyncStore, Store
        Store(sys.argv[1], lru_bytes="1 MB").close()
        AsyncStore("valkey://host")
        say("importlib.metadata" in sys.modules)
    """
    assert run(program, path) == ["False"]
