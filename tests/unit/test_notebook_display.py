"""What a real kernel shows of stores, and what it completes."""

import pytest

from tests.support.processes import environment

jupyter = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")
pytestmark = pytest.mark.filterwarnings("ignore")  # what Jupyter warns of is its own

WAIT = 120  # seconds until a kernel that does not answer is a failure


class Kernel:
    """Run cells in a kernel."""

    def __init__(self):
        self.manager, self.client = jupyter.start_new_kernel(startup_timeout=WAIT, env=environment())

    def run(self, code):
        """Run a cell; return what it shows by MIME type, what it prints, and the text of its error."""
        shown, printed, errors = {}, [], []

        def note(message):
            content = message["content"]
            if message["msg_type"] in {"execute_result", "display_data"}:
                shown.update(content["data"])
            elif message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                errors.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, timeout=WAIT, output_hook=note)
        return shown, "".join(printed), "".join(errors)

    def complete(self, code):
        """Return what follows *code* by the Tab key."""
        return self.client.complete(code, reply=True, timeout=WAIT)["content"]["matches"]

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
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
    _, printed, error = notebook.run("_ = users.set_many({str(n): n for n in range(3000)}, progress=True)")
    assert not error
    assert "writing" in printed
    assert "3.00k/3.00k" in printed
