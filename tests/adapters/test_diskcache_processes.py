"""Several processes use one directory, with an LRU in front, and across forks."""

import multiprocessing

import pytest

from sqlitedict_kv.adapters import diskcache
from tests.support.processes import Worker

OPEN = """
    from sqlitedict_kv.adapters import diskcache
    cache = diskcache.{kind}(sys.argv[1], lru_bytes="1 MB")
"""


@pytest.mark.parametrize("kind", ["Cache", "FanoutCache"])
def test_no_process_reads_what_another_one_has_replaced(tmp_path, kind):
    code = (
        OPEN.format(kind=kind)
        + """
    while (line := hear()) != "end":
        cache["k"] = line
        say("written")
    """
    )
    with getattr(diskcache, kind)(tmp_path, lru_bytes="1 MB") as cache, Worker(code, tmp_path) as worker:
        for number in range(50):
            worker.say(number)
            assert worker.hear() == "written"
            assert cache["k"] == cache.get("k") == str(number)
        worker.say("end")
        worker.finish()


def test_increments_pushes_and_pulls_of_processes_lose_nothing(tmp_path):
    code = (
        OPEN.format(kind="Cache")
        + """
    hear()
    pulled = 0
    for number in range(100):
        cache.incr("n", retry=True)
        cache.push(number, retry=True)
        with cache.transact(retry=True):
            cache["m"] = cache.get("m", 0) + 1
        pulled += cache.pull(retry=True)[0] is not None
    say(pulled)
    """
    )
    with diskcache.Cache(tmp_path) as cache:
        workers = [Worker(code, tmp_path) for _ in range(3)]
        for worker in workers:
            worker.say("go")
        pulled = sum(int(worker.finish()[-1]) for worker in workers)
        assert (cache["n"], cache["m"]) == (300, 300)
        assert pulled + len(cache) - 2 == 300
        assert cache.check() == []


def test_a_lock_is_held_by_one_process(tmp_path):
    code = (
        OPEN.format(kind="Cache")
        + """
    hear()
    for _ in range(30):
        with diskcache.RLock(cache, "lock"):
            inside = cache.get("inside", 0)
            assert inside == 0
            cache["inside"] = 1
            cache["inside"] = 0
    say("done")
    """
    )
    workers = [Worker(code, tmp_path) for _ in range(3)]
    for worker in workers:
        worker.say("go")
    for worker in workers:
        assert worker.finish() == ["done"]


def test_processes_that_open_a_new_directory_at_once_share_it(tmp_path):
    code = """
    from sqlitedict_kv.adapters import diskcache
    hear()
    with diskcache.FanoutCache(sys.argv[1], shards=2) as cache:
        cache.incr("n", retry=True)
    say("done")
    """
    workers = [Worker(code, tmp_path / "new") for _ in range(4)]
    for worker in workers:
        worker.say("go")
    for worker in workers:
        assert worker.finish() == ["done"]
    with diskcache.FanoutCache(tmp_path / "new", shards=2) as cache:
        assert cache["n"] == 4


def _work_in_child(cache, queue):
    try:
        cache["child"] = cache["parent"]
        with cache.transact():
            cache.incr("n")
        queue.put(sorted(cache))
    except BaseException as error:
        queue.put(repr(error))
        raise


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_cache_works_on_in_a_child_and_in_its_parent(tmp_path, method):
    context = multiprocessing.get_context(method)
    with diskcache.Cache(tmp_path, lru_bytes="1 MB") as cache:
        cache["parent"] = 1
        queue = context.Queue()
        child = context.Process(target=_work_in_child, args=(cache, queue))
        child.start()
        assert queue.get(timeout=60) == ["child", "n", "parent"]
        child.join(60)
        assert child.exitcode == 0
        assert cache["child"] == 1
        assert cache.incr("n") == 2


def test_a_kill_in_a_transaction_leaves_nothing_of_it(tmp_path):
    code = (
        OPEN.format(kind="FanoutCache")
        + """
    with cache.transact():
        for number in range(20):
            cache[number] = "half"
        say("half")
        hear()
    """
    )
    with diskcache.FanoutCache(tmp_path, timeout=1) as cache:
        for number in range(20):
            cache[number] = "whole"
        with Worker(code, tmp_path) as worker:
            assert worker.hear() == "half"
            assert not cache.set(0, "ours")
            worker.kill()
        assert {cache[number] for number in range(20)} == {"whole"}
        assert cache.set(0, "ours")
