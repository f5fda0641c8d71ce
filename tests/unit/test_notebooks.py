"""Two notebooks on one file, in real kernels: each has its own results, whatever is edited, undone or restarted."""

import pytest

from tests.support.processes import environment

jupyter = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")
pytestmark = pytest.mark.filterwarnings("ignore")  # what Jupyter warns of is its own

WAIT = 120  # seconds until a kernel that does not answer is a failure
SETUP = """
from sqlitedict_kv import Store
store = Store({path!r})
calls = []
"""
CELL = """
@store.memoize
def f(x):
    # what is computed is noted
    calls.append(x)
    return helper(x) + {number}
"""
HELPER = "def helper(x): return x * {factor}"


class Notebook:
    """Run cells in a kernel of their own."""

    def __init__(self, path):
        self.path = str(path)
        self.kernel, self.client = jupyter.start_new_kernel(startup_timeout=WAIT, env=environment())
        self.begin()

    def begin(self):
        """Run the first cells."""
        self.run(SETUP.format(path=self.path))
        self.run(HELPER.format(factor=10))

    def run(self, cell):
        """Run a cell and return what it prints."""
        printed, errors = [], []

        def note(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                errors.append("\n".join(message["content"]["traceback"]))

        self.client.execute_interactive(cell, timeout=WAIT, output_hook=note)
        assert not errors, errors[0]
        return "".join(printed).strip()

    def define(self, number):
        """Run the cell of the function, as it is or edited."""
        self.run(CELL.format(number=number))

    def ask(self, x):
        """Return the result of a call, and whether it was computed."""
        value, computed = self.run(f"before = len(calls); print(f({x}), len(calls) - before)").split()
        return int(value), computed == "1"

    def restart(self):
        """Restart the kernel."""
        self.kernel.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=WAIT)
        self.begin()

    def close(self):
        self.client.stop_channels()
        self.kernel.shutdown_kernel(now=True)


@pytest.fixture
def notebooks(tmp_path):
    """Two notebooks that use one file."""
    opened = [Notebook(tmp_path / "results.db") for _ in range(2)]
    yield opened
    for notebook in opened:
        notebook.close()


@pytest.mark.slow
def test_two_notebooks_with_one_name_on_one_file(notebooks):
    one, other = notebooks
    one.define(1)
    other.define(2)
    assert (one.ask(1), one.ask(1)) == ((11, True), (11, False))
    assert (other.ask(1), other.ask(1)) == ((12, True), (12, False))
    assert one.ask(1) == (11, False)

    # a cell is edited, and the edit is undone
    one.define(5)
    assert one.ask(1) == (15, True)
    one.define(1)
    assert one.ask(1) == (11, False)

    # a helper in another cell is edited, and the edit is undone
    one.run(HELPER.format(factor=100))
    assert one.ask(1) == (101, True)
    one.run("# a comment\n" + HELPER.format(factor=10))
    assert one.ask(1) == (11, False)

    # the kernel is restarted in the middle; the other notebook finds what this one computed, once its cell is the same
    one.restart()
    one.define(1)
    assert one.ask(1) == (11, False)
    assert other.ask(1) == (12, False)
    other.define(1)
    assert other.ask(1) == (11, False)
    assert one.run("print(f.cache_key(1))").startswith("__main__.f@~")
