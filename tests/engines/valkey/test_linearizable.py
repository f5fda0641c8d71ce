"""What processes see on servers could have come from one plain dict."""

import pytest

from tests.conftest import ON_SERVERS
from tests.support.linearizability import Plan, first_fault, record


@pytest.mark.parametrize("engine", ON_SERVERS, indirect=True)
def test_what_processes_and_threads_see_is_linearizable(where):
    plan = Plan(where, operations=6000, processes=2, threads=2, keys=5, reads=0.6, lru_bytes=None)
    history, _ = record(plan)

    assert len(history) >= 6000
    assert {operation.kind for operation in history} == {"get", "set", "delete"}
    assert first_fault(history) is None
