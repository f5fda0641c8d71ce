"""Cells that are kept: ``%%memoize`` in a real kernel, and what it completes and tells."""

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
kernels = pytest.importorskip("tests.support.kernels")
pytestmark = pytest.mark.filterwarnings("ignore")  # what Jupyter warns of is its own

SETUP = """
import os; os.chdir({directory!r})
%load_ext sqlitedict_kv
runs = []
factor = 3
def helper(x):
    return x * 10
"""
CELL = """%%memoize first, second --store app.db {options}
runs.append(1)  # a comment
first = helper(factor)
second = [first, {{"a": (1, 2)}}]
"""


@pytest.fixture(scope="module")
def kernel():
    kernel = kernels.Kernel()
    yield kernel
    kernel.close()


@pytest.fixture
def notebook(kernel, tmp_path):
    kernel.run("%reset -f")
    _, _, error = kernel.run(SETUP.format(directory=str(tmp_path)))
    assert not error
    return kernel


def run(notebook, cell):
    _, printed, error = notebook.run(cell)
    assert not error, error
    return printed


def failure(notebook, cell):
    """Return what a cell that fails tells; IPython prints the mistakes of a magic."""
    _, printed, error = notebook.run(cell)
    return printed + error


def keep(notebook, options="--ignore runs"):
    return run(notebook, CELL.format(options=options))


def test_a_cell_is_run_once_and_kept_for_other_kernels(notebook, tmp_path):
    printed = keep(notebook)
    assert "first, second: computed in" in printed
    assert "kept in app.db" in printed
    run(notebook, "del first, second")
    assert "first, second: from app.db, written" in keep(notebook)
    assert run(notebook, "print(first, second, len(runs))") == "30 [30, {'a': (1, 2)}] 1\n"

    other = kernels.Kernel()
    try:
        other.run(SETUP.format(directory=str(tmp_path)))
        assert "first, second: from app.db" in keep(other)
        assert run(other, "print(first, len(runs))") == "30 0\n"
    finally:
        other.close()


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ("factor = 4", True),
        ("factor = 3.0", True),
        ("def helper(x): return x * 11", True),
        ("def helper(x):\n    # another comment\n    return x * 10", False),
        ("runs.append('ignored')", False),
        ("unrelated = 5", False),
    ],
)
def test_what_the_cell_reads_decides_whether_it_runs_again(notebook, change, counts):
    keep(notebook)
    run(notebook, change)
    assert ("computed in" in keep(notebook)) is counts


def test_its_code_decides_and_its_layout_does_not(notebook):
    keep(notebook)
    cell = CELL.format(options="--ignore runs")
    assert "from app.db" in run(notebook, cell.replace("# a comment", "").replace("second = [", "second =  [ "))
    assert "computed in" in run(notebook, cell.replace("{{", "{").replace("(1, 2)", "(1, 3)"))


def test_the_last_expression_is_shown_as_in_any_cell(notebook):
    shown, printed, _ = notebook.run("%%memoize y --store app.db\ny = 5\nprint('printed')\ny + 1")
    assert shown["text/plain"] == "6"
    assert "printed" in printed


def test_a_cell_that_raises_keeps_nothing(notebook):
    error = failure(notebook, "%%memoize y --store app.db\ny = 1\nraise RuntimeError('of the cell')")
    assert "RuntimeError: of the cell" in error
    assert "nothing is kept" in error
    error = failure(notebook, "%%memoize y --store app.db\nx = 1")
    assert "computed in" in error, "y is there from the cell before"
    error = failure(notebook, "%%memoize nothing_of_that_name --store app.db\nx = 1")
    assert "makes no variable 'nothing_of_that_name'" in error


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%memoize 1x\n1", "is not the name of a variable"),
        ("%%memoize y --ttl soon\ny = 1", "--ttl must be"),
        ("%%memoize y --store no/such/directory.db\ny = 1", "no/such/directory.db"),
    ],
)
def test_mistakes_are_told_in_a_line(notebook, cell, message):
    error = failure(notebook, cell)
    assert message in error


def test_a_variable_without_a_form_is_named(notebook):
    run(notebook, "import threading; class_of_lock = type; socket = __import__('socket').socket()")
    error = failure(notebook, "%%memoize y --store app.db\ny = socket.fileno()")
    assert "the cell reads 'socket'" in error
    assert "--ignore socket" in error
    assert "computed" in run(notebook, "%%memoize y --store app.db --ignore socket\ny = socket.fileno() > 0")
    run(notebook, "socket.close()")


def test_a_store_of_the_notebook_and_a_time_to_live(notebook):
    run(notebook, "from sqlitedict_kv import Store; store = Store('own.db')")
    assert "own.db" in run(notebook, "%%memoize y --ttl '30 min'\ny = 1")
    assert run(notebook, "print([bool(e.meta.expires_at) for _, e in store.ns('cells').scan()])") == "[True]\n"
    run(notebook, "store.close()")


def test_info_has_the_cells_and_what_is_in_their_keys(notebook):
    keep(notebook)
    keep(notebook)
    shown, _, error = notebook.run("%memoize_info")
    assert not error
    assert "first, second" in shown["text/html"]
    assert "factor: 3" in shown["text/html"]
    assert "helper: " in shown["text/html"]
    assert "from the store" in shown["text/plain"]


def test_namespaces_are_completed(notebook):
    run(
        notebook,
        "from sqlitedict_kv import Store; store = Store(); store.ns('users')['k'] = 1; store.ns('user log')['k'] = 1",
    )
    assert {"users", "user log"} <= {match.strip("'\"") for match in notebook.complete("store.ns('us")}
    assert "log" in {match.strip("'\"") for match in notebook.complete("store.ns('user l")}


def test_a_cell_may_have_magics_and_show_things(notebook):
    cell = "%%memoize y --store app.db\n%precision 3\ny = 5\ndisplay(y)"
    assert "computed in" in run(notebook, cell)
    assert "from app.db" in run(notebook, cell)


def test_a_cell_that_cannot_be_kept_says_why(notebook):
    told = failure(notebook, "%%memoize y --store app.db\nimport asyncio\nawait asyncio.sleep(0)\ny = 5")
    assert "a cell with %%memoize cannot await" in told
    told = failure(notebook, "%%memoize y --store app.db\ny = = 5")
    assert "SyntaxError" in told
    assert "cell_identity" not in told
    told = run(notebook, "%%memoize y --store app.db\nimport warnings; warnings.simplefilter('ignore')\ny = object()")
    assert "not kept" in told
