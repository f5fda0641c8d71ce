"""The script that compares us with others runs, and leaves nobody out without a word."""

import importlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import valkey_binary

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "compare.py"
PEERS = {
    "sqlitedict_kv": "sqlitedict_kv",
    "raw sqlite3": "sqlite3",
    "diskcache": "diskcache",
    "sqlitedict": "sqlitedict",
    "shelve": "shelve",
    "dbm.sqlite3": "dbm.sqlite3",
    "py-lmdb": "lmdb",
    "rocksdict": "rocksdict",
}
ONE_PROCESS_ONLY = {"shelve", "rocksdict"}
ROWS = [
    "set, new key",
    "set, existing key",
    "get",
    "get, missing",
    "get_many of 1,000",
    "set_many of 1,000",
    "set_many of 1,000, per entry",
    "set_many of 1,000 in a row",
    "set_many of 1,000 in a row, per entry",
    "list, a page of 100 keys",
    "delete",
    "incr",
    "set, 100 kB of bytes",
    "get, 100 kB of bytes",
    "2 processes writing",
    "2 processes, 10 % writes",
    "re-open, and first get",
    "import",
]
TINY = ["--entries", "1000", "--rounds", "1", "--processes", "2", "--seconds", "0.05"]
WITHOUT_DISKCACHE = """
import runpy, sys
sys.modules["diskcache"] = None
sys.path.insert(0, {folder!r})
sys.argv = {arguments!r}
runpy.run_path({script!r}, run_name="__main__")
"""
WITH_A_PEER_THAT_FORGETS = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from measure import prepare
from peers import SqlitedictKV

class Forgetful(SqlitedictKV):
    def __init__(self, directory):
        super().__init__(directory)
        self.{verb} = lambda *_: None

prepare([Forgetful], Path(sys.argv[1]), 1000, print)
"""


def run(*command, check=True):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=240,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def without_diskcache(*arguments, check=True):
    code = WITHOUT_DISKCACHE.format(
        folder=str(SCRIPT.parent), script=str(SCRIPT), arguments=[str(SCRIPT), *map(str, arguments)]
    )
    return run("-c", code, check=check)


def table_of(text):
    """Return the first table, the cells of each row by the row's title and the column's."""
    first = text[text.index("\n|") + 1 :].partition("\n\n")[0]
    lines = [line.strip("|").split("|") for line in first.splitlines()]
    titles = [cell.strip() for cell in lines[0]]
    table = {}
    for cells in lines[2:]:
        if len(cells) != len(titles) or set(cells[0].strip()) == {"-"}:
            break
        table[cells[0].strip()] = dict(zip(titles[1:], (cell.strip() for cell in cells[1:]), strict=True))
    return table


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run everything once: what was printed, the Markdown file, the JSON file, the directory of the stores."""
    folder = tmp_path_factory.mktemp("benchmark")
    stores = folder / "stores"
    stores.mkdir()
    markdown, figures = folder / "table.md", folder / "figures.json"
    done = run(SCRIPT, *TINY, "--dir", stores, "--markdown", markdown, "--json", figures)
    return done.stdout, markdown.read_text(encoding="utf-8"), json.loads(figures.read_text()), stores


def test_the_table_has_every_row_in_the_order_of_the_issue(whole):
    assert list(table_of(whole[0])) == ROWS


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_is_a_column_if_it_is_installed_and_else_named_as_not_run(whole, peer):
    text = whole[0]
    columns = {column for cells in table_of(text).values() for column in cells}
    installed = find_spec(PEERS[peer]) is not None
    assert (peer in columns, f"- not run: {peer} (no module" in text) == (installed, not installed)


def test_every_cell_is_a_figure_but_those_of_peers_for_one_process(whole):
    empty = {(row, peer) for row, cells in table_of(whole[0]).items() for peer, cell in cells.items() if cell == "-"}
    columns = set(table_of(whole[0])["get"])
    assert empty == {(row, peer) for row in ROWS if row.startswith("2 proc") for peer in ONE_PROCESS_ONLY & columns}


def test_a_ratio_is_the_peers_median_over_ours_and_ours_over_theirs_for_a_rate(whole):
    table, figures = table_of(whole[0]), whole[2]["figures"]
    raw, ours = (figures["get"][name]["median"] for name in ("raw sqlite3", "sqlitedict_kv"))
    assert float(table["get"]["raw sqlite3"].split("(")[1].rstrip(")")) == pytest.approx(raw / ours, rel=0.01)
    raw, ours = (figures["writers"][name]["median"] for name in ("raw sqlite3", "sqlitedict_kv"))
    shown = table["2 processes writing"]["raw sqlite3"].split("(")[1].rstrip(")")
    assert float(shown) == pytest.approx(ours / raw, rel=0.01)


def test_the_longest_waits_of_writers_are_told_for_each_peer_that_many_processes_can_use(whole):
    columns = set(table_of(whole[0])["get"]) - {"unit"}
    assert set(whole[2]["longest_wait_ms"]) == columns - ONE_PROCESS_ONLY


def test_the_markdown_file_is_what_was_printed(whole):
    assert whole[1].rstrip() == whole[0].rstrip()


def test_nothing_is_left_in_the_directory(whole):
    assert not list(whole[3].iterdir())


def test_a_larger_run_compares_get_with_that_among_ten_thousand(tmp_path):
    figures = tmp_path / "figures.json"
    run(
        SCRIPT, "--entries", "10100", "--rounds", "1", "--only", "get,get-small", "--peers", "sqlitedict_kv",
        "--dir", tmp_path, "--json", figures,
    )  # fmt: skip
    found = json.loads(figures.read_text())
    assert list(found["figures"]) == ["get", "get-small"]
    assert list(found["targets"]) == ["get: times that among 10,000 entries"]


def test_a_peer_that_is_not_installed_is_named(tmp_path):
    done = without_diskcache("--entries", "1000", "--rounds", "1", "--only", "get", "--dir", tmp_path)
    assert "- not run: diskcache (no module diskcache)" in done.stdout
    assert "diskcache" not in table_of(done.stdout)["get"]


def test_a_peer_that_was_asked_for_and_is_not_installed_is_an_error(tmp_path):
    done = without_diskcache("--peers", "sqlitedict_kv,diskcache", "--dir", tmp_path, check=False)
    assert done.returncode != 0
    assert "diskcache: no module diskcache" in done.stderr


@pytest.mark.parametrize("option", [["--peers", "redis"], ["--only", "fly"], ["--entries", "999"], ["--rounds", "0"]])
def test_an_option_that_makes_no_sense_is_refused(option):
    done = run(SCRIPT, *option, check=False)
    assert done.returncode == 2
    assert option[0] in done.stderr


@pytest.mark.parametrize("verb", ["get", "get_bytes", "set", "get_many", "set_many", "page", "delete", "incr"])
def test_a_peer_whose_verb_does_something_else_is_not_measured(tmp_path, verb):
    code = WITH_A_PEER_THAT_FORGETS.format(folder=str(SCRIPT.parent), verb=verb)
    done = run("-c", code, tmp_path, check=False)
    assert done.returncode != 0
    assert "does not do what is to be measured" in done.stderr


def test_servers_are_compared_with_plain_redis_py():
    valkey_binary()  # or it is skipped
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import servers; servers.KEYS = servers.MANY;"
        "servers.CALLS, servers.PROCESSES, servers.SECONDS, servers.SIZED = 3, 2, 0.05, 1000; servers.main(1)"
    )
    lines = run("-c", code).stdout.splitlines()
    for verb in ("get", "set", "get_many of 1,000", "set_many of 1,000"):
        assert len([line for line in lines if line.startswith(f"| {verb} |") and "(ours: " in line]) == 2
    assert [line for line in lines if line.startswith("| with a ttl |")]
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| 1", "| 3", "| 6"]


def test_large_values_are_compared_with_what_is_installed():
    pytest.importorskip("numpy")
    text = run(SCRIPT.parent / "large_values.py", "--quick").stdout
    for verb in ("set", "get", "mapped"):
        assert f"| {verb}, ms (CPU) | 64 kB | 1 MB | 100 arrays, 1 MB | a frame, 1 MB |" in text
    for peer, module in {"sqlitedict_kv": "sqlite3", "joblib": "joblib", "safetensors": "safetensors"}.items():
        assert (f"| {peer} |" in text) == (find_spec(module) is not None)
    assert text.count("\n| goal | wanted | reached | met |") == 1
    assert "| get, 1 MB: times np.load (CPU) | ≤ 1.2 |" in text


# -- the pictures


def load_plot(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("plot")


def test_the_pictures_are_those_of_the_recorded_figures(monkeypatch):
    plot = load_plot(monkeypatch)
    charts = plot.charts(plot.FIGURES.read_text(encoding="utf-8"))

    pictures = {path.name for path in plot.PICTURES.glob("*.svg")} - {"shell.svg"}  # that one is of a terminal
    assert {f"{chart.name}.svg" for chart in charts} == pictures
    for chart in charts:
        assert (plot.PICTURES / f"{chart.name}.svg").read_text(encoding="utf-8") == plot.drawn(chart), chart.name


def test_another_figure_is_another_picture(monkeypatch):
    plot = load_plot(monkeypatch)
    page = plot.FIGURES.read_text(encoding="utf-8")
    one, other = (plot.charts(text)[0] for text in (page, page.replace("| get | us | 8.87 |", "| get | us | 8.88 |")))
    assert plot.drawn(one) != plot.drawn(other)
