"""A process that is killed or stopped before every single call of a step on the files of large values."""

from __future__ import annotations

import json

import pytest

from tests.faults.campaign import UnavailableError
from tests.faults.syscalls import lines_of, watched

pytestmark = pytest.mark.slow

CODE = "from tests.faults.value_files.each_call import work_at_every_call as work; work(*sys.argv[1:]); say('end')"


@pytest.mark.parametrize(("way", "durability"), [("nameless", "power"), ("renamed", "process")])
@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSTOP"])
def test_a_signal_before_any_call_on_a_large_value_loses_nothing_and_leaves_nothing(tmp_path, signal, way, durability):
    try:
        with watched(CODE, tmp_path / "store.db", signal, way, durability, directory=tmp_path) as worker:
            *problems, last = map(json.loads, lines_of(worker))
    except UnavailableError as reason:
        pytest.skip(str(reason))
    assert problems == []
    calls = [last["figures"][step] for step in ("set", "vacuum", "backup")]
    assert min(calls) >= 5, calls
