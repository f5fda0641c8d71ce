"""Bars for what takes long, and what a store in a file tells besides."""

import importlib.util

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.operations.progress import report


@pytest.fixture
def filled(make_store, path):
    store = make_store(path)
    store.ns("users").set_many({f"{number:05}": b"x" * 500 for number in range(20_000)})
    return store


def test_a_backup_tells_its_pages_and_is_of_one_moment(filled, tmp_path):
    users, told = filled.ns("users"), []

    def tell(done, total):
        users[f"later {done}"] = 1  # others write between its steps
        told.append((done, total))

    filled.backup(tmp_path / "copy.db", progress=tell)

    assert len(told) > 1
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    with Store(tmp_path / "copy.db") as copy:
        assert len(copy.ns("users")) == 20_000
        assert copy.check().ok
    assert len(users) == 20_000 + len(told)


def test_a_vacuum_tells_steps_whose_number_is_not_known(filled):
    filled.drop("users")
    filled.ns("users").set_many({f"{number:05}": b"x" * 500 for number in range(20_000)})
    told = []
    filled.vacuum(progress=lambda *step: told.append(step))
    assert told == [(number, None) for number in range(1, len(told) + 1)]
    assert told


def without(monkeypatch, *missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))


@pytest.mark.frameworks
@pytest.mark.parametrize("missing", [(), ("ipywidgets",), ("ipywidgets", "tqdm")])
def test_true_shows_a_bar(monkeypatch, capsys, missing):
    pytest.importorskip("tqdm")
    pytest.importorskip("rich")
    without(monkeypatch, *missing)
    with report(True, "counting [bold]sheep") as tell:
        tell(1, 3)
        tell(3, 3)
    shown = "".join(capsys.readouterr())
    assert "counting" in shown
    assert "3/3" in shown.replace("3.00/3.00", "3/3")


def test_a_bar_needs_one_of_two_libraries(monkeypatch):
    without(monkeypatch, "tqdm", "rich")
    with pytest.raises(ImportError, match="pip install tqdm"), report(True, "counting"):
        pass
