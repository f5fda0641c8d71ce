"""Many processes and threads on one file."""

from __future__ import annotations

import itertools
import random
import sqlite3
import sys
import threading
from contextlib import ExitStack
from time import monotonic

import pytest

from sqlitedict_kv import Store, StoreBusyError
from tests.support.processes import Worker


def workers(stack, count, code, *arguments):
    """Start processes and return when all of them said a line, that is, stand at the start."""
    started = [stack.enter_context(Worker(code, number, *arguments)) for number in range(count)]
    for worker in started:
        worker.hear()
    return started


def integrity(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()


@pytest.mark.slow
def test_many_processes_open_a_new_file_at_the_same_instant(tmp_path):
    rounds, count = 8, 16
    with ExitStack() as stack:
        started = workers(
            stack,
            count,
            """
            import time
            number, rounds = sys.argv[1], int(sys.argv[2])
            say("ready")
            for round in range(rounds):
                path, start = hear().split("|")
                while time.monotonic() < float(start):  # all of them at the same instant
                    pass
                with Store(path) as store:
                    store.ns("n")[number] = round
                say("opened")
            """,
            rounds,
        )
        for turn in range(rounds):
            path = tmp_path / f"new {turn}" / "store.db"
            if turn % 2:  # once with the directory to make, once without
                path.parent.mkdir()
            start = monotonic() + 0.1
            for worker in started:
                worker.say(f"{path}|{start}")
            assert [worker.hear() for worker in started] == ["opened"] * count
            with Store(path) as store:
                assert dict(store.ns("n")) == {str(number): turn for number in range(count)}
                assert store.check().ok
        for worker in started:
            worker.finish()


COUNTERS = {
    "incr": "n.incr('k')",
    "cas_set": """
while True:
    entry = n.get_with_meta('k')
    try:
        if entry is None:
            n.cas_set('k', 1, 0)
        else:
            n.cas_set('k', entry.value + 1, entry.meta.version)
    except ConflictError:
        continue
    break""",
    "modify": "n.modify('k', lambda value: value + 1, default=0)",
    "atomic": "with store.atomic() as tx:\n    tx.ns('n').incr('k')\n    tx.ns('n').incr('other', 2)",
    "delete and add": """
while True:
    entry = n.get_with_meta('k')
    try:
        with store.atomic() as tx:
            tx.ns('n').check('k', version=entry.meta.version if entry else 0)
            if entry:
                tx.ns('n').delete('k')
            tx.ns('n').add('k', entry.value + 1 if entry else 1)
    except ConflictError:
        continue
    break""",
}


@pytest.mark.parametrize("verb", COUNTERS)
def test_counters_of_several_processes_lose_nothing(tmp_path, verb):
    path, count, times = tmp_path / "store.db", 4, 150
    body = "\n".join("    " + line for line in COUNTERS[verb].strip().splitlines())
    with ExitStack() as stack:
        started = workers(
            stack,
            count,
            'store = Store(sys.argv[2]); n = store.ns("n"); say("ready"); hear()\n'
            f"for _ in range(int(sys.argv[3])):\n{body}\nstore.close()\n",
            path,
            times,
        )
        for worker in started:
            worker.say("go")
        for worker in started:
            worker.finish()
    with Store(path) as store:
        assert store.ns("n")["k"] == count * times
        assert store.ns("n").get_with_meta("k").meta.version >= count * times
        if verb == "atomic":
            assert store.ns("n")["other"] == 2 * count * times
        assert store.check().ok


def test_one_process_wins_each_setdefault_and_each_pop(tmp_path):
    path, count, keys = tmp_path / "store.db", 4, 200
    code = """
    store = Store(sys.argv[2])
    n = store.ns("n")
    me = int(sys.argv[1])
    say("ready"); hear()
    seen = [n.setdefault(str(key), me) for key in range(int(sys.argv[3]))]
    say(seen); hear()
    popped = [key for key in range(int(sys.argv[3])) if n.pop(str(key), None) is not None]
    say(popped)
    """
    with ExitStack() as stack:
        started = workers(stack, count, code, path, keys)
        for worker in started:
            worker.say("go")
        seen = [worker.hear() for worker in started]
        assert len(set(seen)) == 1, "all of them see the value of the one that won"
        for worker in started:
            worker.say("go")
        popped = [eval(worker.hear()) for worker in started]
        for worker in started:
            worker.finish()
    assert sorted(itertools.chain(*popped)) == list(range(keys))


def test_one_process_gets_each_item_of_popitem(tmp_path):
    path, count, keys = tmp_path / "store.db", 3, 150
    with Store(path) as store:
        store.ns("n").set_many({f"{key:04}": key for key in range(keys)})
    code = """
    n = Store(sys.argv[2]).ns("n")
    say("ready"); hear()
    taken = []
    try:
        while True:
            taken.append(n.popitem()[1])
    except KeyError:
        say(taken)
    """
    with ExitStack() as stack:
        started = workers(stack, count, code, path)
        for worker in started:
            worker.say("go")
        taken = [eval(worker.hear()) for worker in started]
    assert sorted(itertools.chain(*taken)) == list(range(keys))


def test_a_busy_file_raises_after_the_timeout_and_stays_as_it_was(tmp_path):
    path = tmp_path / "store.db"
    with Store(path) as store:
        store.ns("n")["k"] = "old"
    code = """
    import sqlite3
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("held"); hear()
    connection.execute("COMMIT")
    connection.close()
    say("left"); hear()
    """
    with Store(path, timeout=0.05) as store, Worker(code, path) as holder:
        holder.hear()
        n = store.ns("n")
        writes = [
            lambda: n.set("k", "new"),
            lambda: n.set("x", "new"),
            lambda: n.cas_set("k", "new", 1),
            lambda: n.delete("k"),
            lambda: n.incr("x"),
            lambda: n.touch("k", 1),
            lambda: n.set_many({"k": 1, "x": 2}),
            lambda: n.set_many({str(i): 1 for i in range(2500)}),
            lambda: n.delete_many(["k"]),
            n.clear,
            lambda: n.pop("k"),
            n.popitem,
            lambda: n.setdefault("x", 1),
            lambda: n.modify("k", str.upper),
            lambda: store.drop("n"),
            store.purge_expired,
            store.sync,
            store.vacuum,
        ]
        for number, write in enumerate(writes):
            with pytest.raises(StoreBusyError, match="0.05 s") as caught:
                write()
            assert isinstance(caught.value, TimeoutError), number
            assert n.copy() == {"k": "old"}, number
            assert n.get_with_meta("k").meta.version == 1
        assert store.healthcheck().ok is False
        holder.say()
        holder.hear()

        assert n.set("k", "new") == 2
        assert store.healthcheck().ok
        holder.say()


def test_a_writer_waits_for_the_lock_within_the_timeout(tmp_path):
    path = tmp_path / "store.db"
    with Store(path, timeout=30) as store:
        blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.1, lambda: blocker.execute("COMMIT"))
        release.start()
        assert store.ns("n").set("k", 1) == 1
        release.join()
        blocker.close()


def test_no_writer_starves_among_four(tmp_path):
    path, count, seconds = tmp_path / "store.db", 4, 1.5
    code = """
    from time import perf_counter
    store = Store(sys.argv[2])
    n = store.ns("n")
    say("ready"); hear()
    done = longest = 0
    end = perf_counter() + float(sys.argv[3])
    before = perf_counter()
    while before < end:
        n.set(sys.argv[1], done)
        after = perf_counter()
        longest, done, before = max(longest, after - before), done + 1, after
    say(f"{done} {longest}")
    """
    with ExitStack() as stack:
        started = workers(stack, count, code, path, seconds)
        for worker in started:
            worker.say("go")
        results = [worker.hear().split() for worker in started]
        for worker in started:
            worker.finish()
    writes = [int(done) for done, _ in results]
    longest = max(float(wait) for _, wait in results)
    print(f"\n{count} processes, {seconds} s: {writes} writes, longest {1000 * longest:.1f} ms")  # noqa: T201
    assert min(writes) * 20 > max(writes), writes
    with Store(path) as store:
        assert dict(store.ns("n")) == {str(number): done - 1 for number, done in enumerate(writes)}


WRITER = """
number = int(sys.argv[1])
store = Store(sys.argv[2])
n = store.ns("n")
say("ready")
step = 0
while True:
    step += 1
    match step % 5:
        case 0:  # a transaction: both or none
            with store.atomic() as tx:
                tx.ns("n")[f"a{number}"] = step
                tx.ns("n")[f"b{number}"] = step
            say(f"pair {step}")
        case 1:
            n[f"{number}:{step % 50}"] = [step, "x" * (step * 37 % 3000)]
            say(f"set {step}")
        case 2:
            n.set_many({f"m{number}:{i}": step for i in range(20)})
            say(f"many {step}")
        case 3:
            n.incr(f"i{number}")
            say(f"incr {step}")
        case 4:
            n.incr("all")
            say(f"all {step}")
"""


@pytest.mark.slow
def test_kill_9_takes_nothing_that_was_acknowledged(tmp_path):
    path, count = tmp_path / "store.db", 3
    generator = random.Random(5)
    for turn in range(6):
        with Store(path) as store:
            store.ns("n").clear()
        with ExitStack() as stack:
            started = workers(stack, count, WRITER, path)
            acks = [[worker.hear() for _ in range(generator.randrange(1, 200))] for worker in started]
            acks = [lines + worker.kill() for lines, worker in zip(acks, started, strict=True)]
        with Store(path) as store:
            n = store.ns("n")
            for number, lines in enumerate(acks):
                _verify(n, number, lines)
            assert n.get("all", 0) >= sum(line.startswith("all") for lines in acks for line in lines)
            assert store.check().ok, turn
        assert integrity(path) == [("ok",)]


def _verify(n, number, lines):
    last = {}
    for line in lines:
        verb, step = line.split()
        last[verb] = int(step)
    assert n.get(f"a{number}", 0) == n.get(f"b{number}", 0) >= last.get("pair", 0)
    many = n.get_many([f"m{number}:{i}" for i in range(20)])
    assert len(set(many.values())) <= 1
    assert len(many) in (0, 20)
    assert min(many.values(), default=0) >= last.get("many", 0)
    steps = [value[0] for key, value in n.items() if key.startswith(f"{number}:")]
    assert max(steps, default=0) >= last.get("set", 0)
    assert all(value[1] == "x" * (value[0] * 37 % 3000) for key, value in n.items() if key.startswith(f"{number}:"))
    assert n.get(f"i{number}", 0) >= (last.get("incr", 0) + 2) // 5


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_threads_that_share_a_store_never_get_the_rows_of_others(tmp_path, kind):  # noqa: C901 - a mix of verbs
    """The sqlite3 module alone gives wrong rows when threads share a connection."""
    threads, steps, keys = 8, 600, 40
    problems = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def value_of(key, step):
        return [key, step, f"{key}-" * (int(key) * 7 % 50)]

    def work(number):
        generator = random.Random(number)
        try:
            barrier.wait()
            for step in range(steps):
                key = str(generator.randrange(keys))
                match generator.randrange(6):
                    case 0:
                        n[key] = value_of(key, step)
                    case 1:
                        n.set_many({other: value_of(other, step) for other in (key, str((int(key) + 1) % keys))})
                    case 2:
                        found = n.get_many([str(other) for other in range(keys)])
                        for other, value in found.items():
                            assert value == value_of(other, value[1])
                    case 3 if step % 9 == 0:
                        for other, value in n.items():
                            assert value == value_of(other, value[1])
                    case _:
                        value = n.get(key)
                        assert value is None or value == value_of(key, value[1])
        except BaseException as error:
            problems.append(error)

    with Store(tmp_path / "store.db" if kind == "file" else ":memory:") as store:
        n = store.ns("n")
        barrier = threading.Barrier(threads)
        crew = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        try:
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert problems == []
        assert store.check().ok


def test_threads_count_without_loss(tmp_path):
    with Store(tmp_path / "store.db") as store:
        n = store.ns("n")
        crew = [threading.Thread(target=lambda: [n.incr("k") for _ in range(200)]) for _ in range(8)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        assert n["k"] == 1600
        assert n.get_with_meta("k").meta.version == 1600


def test_a_backup_taken_while_others_write_is_one_moment(tmp_path):
    path = tmp_path / "store.db"
    code = """
    store = Store(sys.argv[2])
    say("ready")
    step = 0
    while True:
        step += 1
        with store.atomic() as tx:
            tx.ns("n")["a"] = step
            tx.ns("n")["b"] = step
            tx.ns("n")[f"pad{step % 100}"] = "x" * 2000
    """
    with Store(path) as store, Worker(code, 0, path) as worker:
        worker.hear()
        for number in range(5):
            store.backup(tmp_path / f"copy{number}.db")
        worker.kill()
    last = 0
    for number in range(5):
        with Store(tmp_path / f"copy{number}.db") as copy:
            assert copy.check().ok
            assert copy.ns("n").get("a") == copy.ns("n").get("b")
            assert copy.ns("n").get("a", 0) >= last
            last = copy.ns("n").get("a", 0)
