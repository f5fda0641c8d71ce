"""What a real kernel shows of stores, and what it completes."""

import os

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
kernels = pytest.importorskip("tests.support.kernels")
pytestmark = pytest.mark.filterwarnings("ignore")  # what Jupyter warns of is its own


@pytest.fixture(scope="module")
def kernel():
    kernel = kernels.Kernel()
    yield kernel
    kernel.close()


@pytest.fixture
def notebook(kernel, tmp_path):
    """The kernel with a store in a file of the test."""
    path = str(tmp_path / "app.db")
    *_, error = kernel.run(f"from sqlitedict_kv import Store; store = Store({path!r}); users = store.ns('users')")
    assert not error
    return kernel


def test_a_cell_shows_stores_namespaces_and_previews_as_tables(notebook):
    notebook.run("users.set_many({'ada': {'name': '<b>Ada</b>'}, 'bob': b'12345'})")
    shown, _, error = notebook.run("users")
    assert not error
    assert shown["text/plain"].startswith("<Namespace 'users' of ")
    assert "<td" in shown["text/html"]
    assert "Ada" not in shown["text/html"]
    shown, _, _ = notebook.run("store")
    assert "1 namespace" in shown["text/html"]
    shown, _, _ = notebook.run("users.preview()")
    assert "&lt;b&gt;Ada&lt;/b&gt;" in shown["text/html"]
    assert "ns.edit(key)" in shown["text/plain"]
    shown, _, _ = notebook.run("users.get_with_meta('bob')")
    assert "5 B" in shown["text/html"]


def test_keys_are_completed(notebook):
    notebook.run("users.set_many({'ada': 1, 'alan': 2})")
    assert {match.strip("'\"[]") for match in notebook.complete("users['a")} >= {"ada", "alan"}


def test_a_closed_store_names_its_cell(notebook):
    _, printed, _ = notebook.run("print(get_ipython().execution_count)")
    opened_in = int(printed) - 1
    notebook.run("store.close()")
    *_, error = notebook.run("users['ada']")
    assert f"run cell [{opened_in}] again" in error
    shown, *_ = notebook.run("users")
    assert "is closed" in shown["text/html"]


def test_progress_is_shown(notebook):
    pytest.importorskip("tqdm")
    shown, printed, error = notebook.run("_ = users.set_many({str(n): n for n in range(3000)}, progress=True)")
    assert not error
    if "application/vnd.jupyter.widget-view+json" not in shown:  # where ipywidgets is installed
        assert "writing" in printed
        assert "3.00k/3.00k" in printed


def test_a_cell_that_opens_a_store_may_be_run_often(notebook, tmp_path):
    count = "import os; print(len(os.listdir('/proc/self/fd')))"
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("descriptors are counted on Linux")
    cell = f"store = Store({str(tmp_path / 'often.db')!r}); users = store.ns('users'); users['k'] = 1\nstore"
    notebook.run(cell)
    _, before, _ = notebook.run(count)
    for _ in range(40):
        *_, error = notebook.run(cell)
        assert not error
    _, after, _ = notebook.run(count)
    assert int(after) < int(before) + 40, "each held three, and the kernel has files of its own"
