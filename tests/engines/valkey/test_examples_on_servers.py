"""The examples that move from a file to servers: the same program, through the loss of a primary."""

import os
import subprocess
import sys

import pytest
from redis.crc import key_slot

from sqlitedict_kv import Store
from tests.project.test_examples import EXAMPLES, assert_shows, run_example
from tests.support.servers import until

OPTIONS = "?confirm=1&timeout=60"
PATIENCE = 240.0  # seconds


def progress_of_sessions(url):
    """Return how many requests have left their mark."""
    with Store(url, clock=lambda: 1_767_225_600.0) as store:
        return sum(len(entry.value) - 1 for _, entry in store.ns("sessions").scan() if len(entry.value) > 3)


def progress_of_files(url):
    """Return how many files have been summarised."""
    with Store(url) as store:
        return len(store.ns("memoize"))


@pytest.mark.parametrize(
    ("name", "namespace", "progress", "begun", "done"),
    [
        ("sessions.py", "sessions", progress_of_sessions, 1, 400),
        ("memoize_files.py", "memoize", progress_of_files, 20, 500),
    ],
)
def test_an_example_goes_on_when_the_primary_that_serves_it_is_killed(
    cluster, tmp_path, record, name, namespace, progress, begun, done
):
    slot = key_slot(b"{%s:0}" % namespace.encode())
    primary = cluster.node_of_slot(slot)
    example = subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLES / name, cluster.url + OPTIONS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with example:
        try:
            until(lambda: example.poll() is not None or progress(cluster.url) >= begun, "the beginning of the work")
            primary.kill()
            until(lambda: cluster.node_of_slot(slot) is not primary, "a failover")
            # Nothing is confirmed before there is a replica again, so the rest is still to be done.
            assert example.poll() is None
            record("of the work was done before the primary was lost", progress(cluster.url))
            assert begun <= progress(cluster.url) < done
            primary.start()
            out, err = example.communicate(timeout=PATIENCE)
        except BaseException:
            example.kill()
            raise
    assert example.returncode == 0, err
    assert err == ""
    assert_shows(name, out.splitlines())


@pytest.mark.parametrize("name", ["sessions.py", "memoize_files.py"])
def test_an_example_shows_on_a_cluster_what_it_shows_on_a_file(cluster, tmp_path, name):
    assert_shows(name, run_example(name, tmp_path, cluster.url))
    assert list(tmp_path.iterdir()) == []
