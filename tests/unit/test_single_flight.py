"""One computation per key, shared by those who ask."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlitedict_kv.memoization.single_flight import KEPT, SingleFlight
from tests.support.processes import forked


def test_the_first_who_asks_computes_and_the_others_wait():
    flights = SingleFlight()
    flight, first = flights.board("k")
    assert first

    with ThreadPoolExecutor(4) as pool:
        same = [flights.board("k") for _ in range(4)]
        assert all(other is flight and not new for other, new in same)
        waiting = [pool.submit(flight.wait) for _ in range(4)]
        assert flights.close(flight) == 5
        flight.land("result")
        assert [future.result(10) for future in waiting] == ["result"] * 4
    assert "k" not in flights
    assert flights.board("k")[1]


def test_other_keys_do_not_wait():
    flights = SingleFlight()
    assert flights.board("a")[1]
    assert flights.board("b")[1]


def test_an_error_reaches_all_who_wait():
    flights = SingleFlight()
    flight, _ = flights.board("k")
    flights.board("k")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(flight.wait)
        flights.close(flight)
        flight.land(error=ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            waiting.result(10)
    with pytest.raises(ValueError, match="no"):
        flight.wait()


def test_only_the_first_landing_counts():
    flight, _ = SingleFlight().board("k")
    flight.land("one")
    flight.land("two", ValueError())
    assert flight.wait() == "one"


def test_one_that_leaves_takes_nothing_from_the_others():
    flights = SingleFlight()
    flight, _ = flights.board("k")
    flights.board("k")
    assert not flights.leave(flight)
    assert "k" in flights
    assert flights.leave(flight)
    assert "k" not in flights


def test_after_forget_the_old_flight_does_not_close_the_new_one():
    flights = SingleFlight()
    old, _ = flights.board("k")
    flights.forget("k")
    new, first = flights.board("k")
    assert first
    assert new is not old
    flights.close(old)
    assert "k" in flights
    newest = flights.start("k")
    flights.close(new)
    assert flights.board("k") == (newest, False)
    flights.forget()
    assert "k" not in flights


def test_a_listener_is_called_once_before_or_after_landing():
    flight, _ = SingleFlight().board("k")
    heard = []
    flight.when_landed(lambda: heard.append("before"))
    flight.land()
    flight.when_landed(lambda: heard.append("after"))
    assert heard == ["before", "after"]
    assert flight.result() is KEPT
    assert repr(KEPT) == "KEPT"


def test_a_forked_child_does_not_wait_for_a_thread_that_it_does_not_have():
    flights = SingleFlight()
    begun, end = threading.Event(), threading.Event()

    def compute():
        flight, _ = flights.board("k")
        begun.set()
        end.wait(10)
        flights.close(flight)
        flight.land()

    thread = threading.Thread(target=compute)
    thread.start()
    begun.wait(10)

    def child():
        assert flights.board("k")[1]

    try:
        assert forked(child) == 0
    finally:
        end.set()
        thread.join()
