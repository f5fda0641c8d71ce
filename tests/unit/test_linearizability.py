"""The checker of histories itself: it takes the good ones and refuses the bad ones."""

from __future__ import annotations

import itertools
import random
from math import inf

import pytest

from tests.support.linearizability import Operation, first_fault, is_linearizable, main


def history(*rows):
    return [Operation(kind, "k", value, invoked, returned) for kind, value, invoked, returned in rows]


GOOD = {
    "nothing": [],
    "a miss before anything was written": [("get", None, 0, 1)],
    "one after the other": [("set", 1, 0, 1), ("get", 1, 2, 3), ("delete", True, 4, 5), ("get", None, 6, 7)],
    "a read beside a write gives the old value": [("set", 1, 0, 1), ("set", 2, 2, 9), ("get", 1, 3, 4)],
    "a read beside a write gives the new value": [("set", 1, 0, 1), ("set", 2, 2, 9), ("get", 2, 3, 4)],
    "reads beside a write see it one after the other": [("set", 1, 0, 9), ("get", None, 1, 2), ("get", 1, 3, 4)],
    "writes beside each other, in either order": [("set", 1, 0, 9), ("set", 2, 0, 9), ("get", 1, 10, 11)],
    "a long read": [("set", 1, 0, 1), ("get", 1, 2, 100), ("set", 2, 3, 4), ("get", 2, 5, 6)],
    "a write that took effect though nobody heard of it": [("set", 1, 0, inf), ("get", 1, 5, 6)],
    "a write that never took effect": [("set", 1, 0, inf), ("get", None, 5, 6), ("get", None, 7, 8)],
    "a delete that found nothing": [("delete", False, 0, 1), ("set", 1, 2, 3), ("get", 1, 4, 5)],
    "the same value again": [("set", 1, 0, 1), ("delete", True, 2, 3), ("set", 1, 4, 5), ("get", 1, 6, 7)],
    "two threads that need a choice to be undone": [
        ("set", 1, 0, 10),
        ("set", 2, 0, 10),
        ("set", 3, 0, 10),
        ("get", 2, 1, 11),
        ("get", 1, 12, 13),
    ],
}
BAD = {
    "a stale read": [("set", 1, 0, 1), ("set", 2, 2, 3), ("get", 1, 4, 5)],
    "a read of what was deleted": [("set", 1, 0, 1), ("delete", True, 2, 3), ("get", 1, 4, 5)],
    "a read of what nobody wrote": [("set", 1, 0, 1), ("get", 7, 2, 3)],
    "a read from the future": [("get", 1, 0, 1), ("set", 1, 2, 3)],
    "a write that was lost": [("set", 1, 0, 1), ("get", None, 2, 3)],
    "new and then old, beside the write": [("set", 1, 0, 1), ("set", 2, 2, 20), ("get", 2, 3, 4), ("get", 1, 5, 6)],
    "two readers that disagree on an order": [
        ("set", 1, 0, 9),
        ("set", 2, 0, 9),
        ("get", 1, 10, 11),
        ("get", 2, 12, 13),
        ("get", 1, 14, 15),
    ],
    "a delete that found nothing where something was": [("set", 1, 0, 1), ("delete", False, 2, 3)],
    "a delete that found something where nothing was": [("delete", True, 0, 1)],
    "an unheard write seen, and then unseen": [("set", 1, 0, inf), ("get", 1, 5, 6), ("get", None, 7, 8)],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_an_order_explains_is_accepted(name):
    assert is_linearizable(history(*GOOD[name]))


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_order_explains_is_refused(name):
    assert not is_linearizable(history(*BAD[name]))


def explained(operations):
    """Try every order: too slow for more than a few operations, and too simple to be wrong."""
    for order in itertools.permutations(operations):
        if any(later.returned < earlier.invoked for earlier, later in itertools.combinations(order, 2)):
            continue
        state, fits = None, True
        for operation in order:
            if operation.kind == "get":
                fits = operation.value == state
            elif operation.kind == "delete":
                fits, state = operation.value is (state is not None), None
            else:
                state = operation.value
            if not fits:
                break
        if fits:
            return True
    return False


def test_the_checker_agrees_with_the_trial_of_every_order():
    dice = random.Random(5)
    verdicts = []
    for _ in range(3000):
        operations = []
        for _ in range(dice.randint(1, 5)):
            kind = dice.choice(("get", "get", "set", "delete"))
            value = dice.random() < 0.5 if kind == "delete" else dice.choice((1, 2))
            if kind == "get":
                value = dice.choice((None, 1, 2))
            invoked = dice.random()
            operations.append(Operation(kind, "k", value, invoked, invoked + dice.random() * dice.choice((0.1, 1))))
        verdicts.append(is_linearizable(operations))
        assert verdicts[-1] == explained(operations), operations
    assert 300 < sum(verdicts) < 2700


def test_keys_are_registers_of_their_own_and_the_bad_one_is_named():
    good = [Operation("set", "good", 1, 0, 1), Operation("get", "good", 1, 2, 3)]
    bad = [Operation("set", "bad", 1, 0, 1), Operation("get", "bad", None, 2, 3)]
    assert first_fault(good) is None
    assert first_fault([*good, *bad]) == ("bad", bad)


def test_a_long_history_takes_no_recursion_and_one_stale_read_at_its_end_is_found():
    operations = []
    for number in range(0, 20_000, 4):
        operations += history(("set", number, number, number + 5), ("get", number, number + 3, number + 6))
    assert is_linearizable(operations)
    assert not is_linearizable([*operations, *history(("get", 0, 30_000, 30_001))])


def test_the_command_prints_its_progress_its_verdict_and_its_seed(capsys):
    few = ["--operations", "2000", "--processes", "2", "--threads", "2", "--keys", "3", "--seed", "7"]
    assert main(few) == 0
    out = capsys.readouterr().out
    assert "so far" in out
    assert out.splitlines()[-1].startswith("linearizable: {")
    assert out.endswith("--seed 7\n")
    assert main([*few, "--sabotage", "stale"]) == 1
    assert "NOT linearizable: --seed 7" in capsys.readouterr().out
