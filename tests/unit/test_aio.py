"""What the asynchronous face adds to the contract: one commit for many, cancellation, loops, threads and forks."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from textwrap import dedent

import pytest

import sqlitedict_kv
from sqlitedict_kv import (
    AsyncStore,
    CodecError,
    ConflictError,
    DamagedEntryError,
    LocationError,
    ReadOnlyError,
    Store,
    StoreBusyError,
    StoreClosedError,
)
from sqlitedict_kv.aio import worker
from tests.conftest import on_shared
from tests.support.loops import WAIT, locked, pending, steps_of, turns
from tests.support.processes import Worker


class Commits:
    """Counts the commits of a store."""

    def __init__(self, store):
        self.count = 0
        store.sync_store._engine.observe_commits(self)

    def notify_commit(self, keys, before, after, *, alone):
        self.count += 1


class Gate:
    """A clock at which a thread that is not the test's own can be held: inside of a transaction, say."""

    def __init__(self):
        self.closed = False
        self.reached = threading.Event()
        self._open = threading.Event()
        self._owner = threading.current_thread()

    def __call__(self):
        if self.closed and threading.current_thread() is not self._owner:
            self.reached.set()
            assert self._open.wait(WAIT)
        return 1_700_000_000.0

    def open(self):
        self.closed = False
        self._open.set()


async def reached(event):
    assert await asyncio.to_thread(event.wait, WAIT)


# -- opening and closing


def test_asyncio_is_imported_only_for_those_who_use_it():
    code = """
    assert "asyncio" not in sys.modules
    sqlitedict_kv.AsyncStore
    assert "asyncio" in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", "import sys, sqlitedict_kv" + dedent(code)], check=False)
    assert done.returncode == 0


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="AsyncStorm"):
        _ = sqlitedict_kv.AsyncStorm


def test_bad_options_are_refused_before_anything_is_made(path):
    for options in ({"timeout": -1}, {"codecs": "x"}, {"durability": "no"}, {"lru_bytes": 0}, {"readonly": 1}):
        with pytest.raises((TypeError, ValueError)):
            AsyncStore(path, **options)
    store = AsyncStore(path)
    for arguments in ({"name": ""}, {"name": 5}, {"name": "n", "ttl": 0}, {"name": "n", "content_type": "no/such"}):
        with pytest.raises((TypeError, ValueError)):
            store.ns(**arguments)
    with pytest.raises(TypeError, match="Store"):
        AsyncStore.over("app.db")
    assert not path.exists()


def test_the_first_verb_that_is_awaited_opens_the_store_however_many_are_first(path):
    async def main():
        store = AsyncStore(path)
        users = store.ns("users")
        assert not path.exists()
        await asyncio.gather(*(users.set(f"k{number}", number) for number in range(20)))
        assert await users.count() == 20
        await store.close()

    asyncio.run(main())


def test_a_store_that_is_closed_before_it_is_opened_makes_no_file_and_stays_closed(path):
    async def main():
        store = AsyncStore(path)
        await store.close()
        with pytest.raises(StoreClosedError):
            await store.ns("users").set("k", 1)
        await store.close()

    asyncio.run(main())
    assert not path.exists()


def test_what_keeps_a_store_from_opening_is_raised_by_every_verb_and_can_be_mended(tmp_path):
    async def main():
        place = tmp_path / "place"
        place.mkdir()
        store = AsyncStore(place)
        with pytest.raises(LocationError):
            async with store:
                pass
        with pytest.raises(LocationError):
            await store.ns("users").get("k")
        place.rmdir()
        assert await store.ns("users").set("k", 1) == 1
        await store.close()

    asyncio.run(main())


def test_writes_that_were_asked_for_before_the_close_are_made_and_those_after_it_refused(path):
    async def main():
        store = AsyncStore(path)
        users = store.ns("users")
        await users.set("first", 0)
        before = pending(*(users.set(f"k{number}", number) for number in range(30)))
        await turns()
        await store.close()
        assert await asyncio.gather(*before) == [1] * 30
        for verb in (users.set("k", 1), users.get("k"), users.count(), store.stats(), users.pop("k"), store.sync()):
            with pytest.raises(StoreClosedError):
                await verb

    asyncio.run(main())
    with Store(path) as store:
        assert len(store.ns("users")) == 31


def test_both_faces_of_one_store_see_each_other(make_store, path):
    store = make_store(path, lru_bytes="1 MB")

    async def main():
        users = AsyncStore.over(store).ns("users")
        store.ns("users")["k"] = 1
        assert [await users.get("k"), await users.get("k")] == [1, 1]
        store.ns("users")["k"] = 2
        assert await users.get("k") == 2
        await users.set("k", 3)
        assert store.ns("users")["k"] == 3
        await users.update(store.ns("users"), j=4)
        await users.update(users, i=5)
        assert store.ns("users") == {"k": 3, "j": 4, "i": 5}
        assert users.sync_namespace == store.ns("users")
        assert AsyncStore.over(store).sync_store is store

    asyncio.run(main())


def test_the_blocking_face_opens_the_store_by_itself(path):
    store = AsyncStore(path)
    store.ns("users").sync_namespace["k"] = 1
    assert path.exists()
    assert store.sync_store.ns("users")["k"] == 1
    asyncio.run(store.close())


def test_repr_asks_nothing(path):
    store = AsyncStore(path)
    assert (repr(store), repr(store.ns("n"))) == (f"<AsyncStore '{path}'>", f"<AsyncNamespace 'n' of '{path}'>")
    assert store.ns("n").name == "n"
    assert not path.exists()


@pytest.mark.parametrize("verb", ["get_many", "get_many_with_meta", "delete_many"])
def test_keys_are_looked_through_before_the_first_await(path, verb):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set_many({"a": 1, "b": 2})
            keys = ["a", "b"]
            call = asyncio.ensure_future(getattr(users, verb)(keys))
            await asyncio.sleep(0)
            keys.clear()
            found = await call
            assert (found if verb == "delete_many" else len(found)) == 2

    asyncio.run(main())


# -- group commit


def test_writes_that_wait_together_are_one_commit_each_with_its_own_outcome(path):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set_many({"there": 1, "text": "t", "gone": 1, "twice": 0})
            commits = Commits(store)
            with locked(path):
                tasks = pending(
                    users.set("new", 1),
                    users.cas_set("there", 2, 7),
                    users.cas_set("there", 2, 1),
                    users.add("there", 3),
                    users.add("absent", 3),
                    users.delete("gone"),
                    users.delete("gone"),
                    users.delete("there", version=9),
                    users.incr("text"),
                    users.incr("number", 5),
                    users.incr("number"),
                    users.touch("new", 100),
                    users.touch("nothing", 100),
                    users.delete_many(["text", "nothing"]),
                    users.set("twice", 1),
                    users.set("twice", 2),
                )

                async def block():
                    async with store.atomic() as tx:
                        tx.ns("users").set("half", 1)
                        tx.ns("users").delete("new")
                        tx.ns("users").check("absent", 99)

                async def removal():
                    async with store.atomic() as tx:
                        tx.ns("other").set("half", 1)
                        del tx.ns("users")["nothing"]

                tasks += pending(block(), removal(), users.set("last", 1), users.get("there"))
                assert await tasks.pop() == 1  # a read waits for nobody
                await turns()
                assert not any(task.done() for task in tasks)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert commits.count == 1
            shown = [type(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes]
            assert shown == [
                1, ConflictError, 2, None, 1, True, False, ConflictError, TypeError, 5, 6, True, False, 1, 2, 3,
                ConflictError, KeyError, 2,
            ]  # fmt: skip
            assert (outcomes[1].expected, outcomes[1].actual) == (7, 1)
            assert outcomes[16].key == "absent"
            assert await users.copy() == {
                "there": 2, "new": 1, "absent": 3, "number": 6, "twice": 2, "last": 1,
            }  # fmt: skip
            assert await store.namespaces() == ["users"]
            assert (await store.check()).ok

    asyncio.run(main())


def test_each_write_of_a_crowd_to_one_key_has_a_version_of_its_own(path):
    async def main():
        async with AsyncStore(path, lru_bytes="1 MB") as store:
            users = store.ns("users")
            versions = await asyncio.gather(*(users.set("k", number) for number in range(700)))
            assert versions == list(range(1, 701))
            assert await users.get("k") == 699
            sums = await asyncio.gather(*(users.incr("n") for _ in range(700)))
            assert sorted(sums) == list(range(1, 701))

    asyncio.run(main())


@on_shared
def test_the_writes_of_a_crowd_to_one_key_take_effect_one_after_the_other(where):
    async def main():
        async with AsyncStore(where) as store:
            users = store.ns("users")
            versions = await asyncio.gather(*(users.set("k", number) for number in range(300)))
            assert versions == sorted(set(versions))
            assert await users.get("k") == 299
            entry = await users.get_with_meta("k")
            assert entry.meta.version == versions[-1]
            verbs = [users.incr("n") if number % 3 else users.set(f"k{number}", number) for number in range(300)]
            outcomes = await asyncio.gather(*verbs)
            assert sorted(outcomes[number] for number in range(300) if number % 3) == list(range(1, 201))
            assert await users.count() == 102

    asyncio.run(main())


def test_a_group_is_bounded_and_nobody_is_left_out(path):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set("k", 1)
            commits = Commits(store)
            with locked(path):
                tasks = pending(*(users.set(f"k{number}", number) for number in range(3 * worker.EDITS_PER_GROUP)))
                many = pending(users.set_many({f"m{number}": number for number in range(2 * worker.EDITS_PER_GROUP)}))
                large = pending(*(users.set(f"large{number}", bytes(worker.BYTES_PER_GROUP)) for number in range(2)))
                await turns()
            await asyncio.gather(*tasks, *many, *large)
            assert commits.count == 3 + 1 + 2
            assert await users.count() == 1 + 5 * worker.EDITS_PER_GROUP + 2

    asyncio.run(main())


def test_a_lock_that_is_not_to_be_had_is_told_to_all_who_waited_and_nothing_is_written(path):
    async def main():
        async with AsyncStore(path, timeout=0.05) as store:
            users = store.ns("users")
            await users.set("k", 1)
            with locked(path):
                tasks = pending(users.set("k", 2), users.set("j", 2), users.incr("n"), users.set_many({"a": 1}))
                errors = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(error) for error in errors] == [StoreBusyError] * 4
            assert len({id(error) for error in errors}) == 4
            assert len({str(error) for error in errors}) == 1
            assert await users.copy() == {"k": 1}
            assert await users.set("k", 2) == 2

    asyncio.run(main())


def test_a_store_that_only_reads_tells_each_writer_so(path):
    Store(path).close()

    async def main():
        async with AsyncStore(path, readonly=True) as store:
            users = store.ns("users")
            errors = await asyncio.gather(*(users.set("k", 1) for _ in range(5)), return_exceptions=True)
            assert [type(error) for error in errors] == [ReadOnlyError] * 5
            assert await users.get("k") is None

    asyncio.run(main())


def test_a_damaged_entry_fails_its_own_call_alone(path):
    with Store(path) as store:
        store.ns("users").update(bad=1, good=1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE kv SET content_type = CAST(x'ff' AS TEXT) WHERE key = 'bad'")

    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            with locked(path):
                tasks = pending(users.incr("good"), users.incr("bad"), users.set("new", 1))
                await turns()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert (outcomes[0], outcomes[2]) == (2, 1)
            assert isinstance(outcomes[1], DamagedEntryError)
            assert outcomes[1].key == "bad"

    asyncio.run(main())


def test_a_value_is_encoded_before_the_first_await(path):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set("warm", 1)
            value = [1]
            with locked(path):
                task = asyncio.ensure_future(users.set("k", value))
                await turns()
                value.append(2)
            await task
            assert await users.get("k") == [1]
            with pytest.raises(CodecError):
                await users.set("k", object())

    asyncio.run(main())


def test_writes_of_several_namespaces_share_a_statement_and_keep_their_floors(path):
    async def main():
        async with AsyncStore(path) as store:
            a, b = store.ns("a"), store.ns("b")
            for _ in range(5):
                await a.set("k", 1)
            await a.delete("k")
            with locked(path):
                tasks = pending(a.set("k", 2), b.set("k", 2), a.set("j", 2), b.set("j", 2))
                await turns()
            assert await asyncio.gather(*tasks) == [6, 1, 6, 1]

    asyncio.run(main())


# -- the loop


def test_the_loop_goes_on_while_another_process_holds_the_lock(path):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set("k", 1)
            holder = """
            import sqlite3
            connection = sqlite3.connect(sys.argv[1], isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            say("locked")
            hear()
            connection.execute("ROLLBACK")
            connection.close()
            """
            with Worker(holder, path) as worker:
                assert worker.hear() == "locked"
                ticks = 0
                write = asyncio.ensure_future(users.set("k", 2))
                transaction = asyncio.ensure_future(users.incr("n"))
                for _ in range(200):
                    await asyncio.sleep(0.001)
                    ticks += 1
                    assert await users.get("k") == 1
                assert ticks == 200
                assert not write.done()
                assert not transaction.done()
                worker.say()
                assert await write == 2
                assert await transaction == 1
                worker.finish()

    asyncio.run(main())


def test_what_the_lru_holds_is_read_without_leaving_the_loop(path):
    async def main():
        async with AsyncStore(path, lru_bytes="1 MB") as store:
            users = store.ns("users")
            await users.set("k", {"n": 1})
            assert await users.get("k") == {"n": 1}
            assert steps_of(users.get("k")) == {"n": 1}
            assert steps_of(users.contains("k")) is True
            with pytest.raises(AssertionError, match="it waited"):
                steps_of(users.get("absent"))
            Worker("with Store(sys.argv[1]) as store: store.ns('users')['k'] = 2", path).finish()
            with pytest.raises(AssertionError, match="it waited"):
                steps_of(users.get("k"))
            assert await users.get("k") == 2

    asyncio.run(main())


def test_an_lru_whose_mark_has_to_be_asked_is_asked_in_a_thread():
    async def main():
        async with AsyncStore(lru_bytes="1 MB") as store:
            users = store.ns("users")
            await users.set("k", 1)
            assert await users.get("k") == 1
            with pytest.raises(AssertionError, match="it waited"):
                steps_of(users.get("k"))
            assert await users.get("k") == 1
            assert (await store.stats()).lru.hits > 0

    asyncio.run(main())


def test_an_entry_in_the_lru_expires(path, clock):
    async def main():
        async with AsyncStore(path, lru_bytes="1 MB", clock=clock) as store:
            users = store.ns("users", ttl=5)
            await users.set("k", 1)
            assert [await users.get("k"), steps_of(users.get("k"))] == [1, 1]
            clock.advance(5)
            assert steps_of(users.get("k", "gone")) == "gone"
            assert steps_of(users.contains("k")) is False

    asyncio.run(main())


def test_several_loops_threads_and_both_faces_use_one_store_at_once(path):
    store = Store(path, lru_bytes="1 MB")
    face = AsyncStore.over(store)
    users = face.ns("users")

    async def main():
        for _ in range(20):
            await asyncio.gather(
                *(users.incr("n") for _ in range(10)), users.get("n"), users.modify("m", up, default=0)
            )

    def up(value):
        return value + 1

    def blocking():
        for _ in range(100):
            store.ns("users").incr("n")

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    threads.append(threading.Thread(target=blocking))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert store.ns("users").copy() == {"n": 700, "m": 60}
    store.close()


@on_shared
def test_one_store_serves_one_loop_after_the_other(where):
    store = AsyncStore(where)
    users = store.ns("users")
    for number in range(3):
        assert asyncio.run(users.incr("n")) == number + 1
    asyncio.run(store.close())


def test_a_loop_that_ends_with_work_under_way_leaves_the_store_usable(path):
    store = AsyncStore(path)
    users = store.ns("users")
    tasks = []

    async def main():
        tasks.extend(pending(users.set("k", 2), users.incr("n"), users.set_many({"a": 1})))
        await turns()

    asyncio.run(users.set("k", 1))
    with locked(path):
        asyncio.run(main())
        assert all(task.cancelled() for task in tasks[:2])
    assert asyncio.run(users.copy()) == {"k": 1}
    assert asyncio.run(users.set("k", 3)) == 2
    asyncio.run(store.close())


def test_a_thread_that_had_nothing_to_do_is_gone_and_comes_back(path, monkeypatch):
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)

    others = set(threading.enumerate())

    def threads():
        return {thread for thread in threading.enumerate() if thread.name.startswith("sqlitedict_kv ")} - others

    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            for number in range(5):
                assert await users.incr("n") == number + 1
                assert await users.get("n") == number + 1
                for thread in threads():
                    await asyncio.to_thread(thread.join, WAIT)
                assert not threads()

    asyncio.run(main())


# -- cancellation


def test_a_write_that_is_cancelled_while_others_hold_the_lock_is_not_made_and_the_others_are(path):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set("k", 1)
            with locked(path):
                cancelled, kept = pending(users.set("k", 2), users.set("j", 2))
                await turns()
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled  # at once: the lock is still held
                assert not kept.done()
            assert await kept == 1
            assert await users.copy() == {"k": 1, "j": 2}

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["set", "incr", "set_many", "atomic", "clear"])
def test_a_write_that_is_cancelled_inside_its_transaction_ends_first(path, verb):
    gate = Gate()

    async def main():
        async with AsyncStore(path, lru_bytes="1 MB", clock=gate) as store:
            users = store.ns("users")
            await users.set("k", 1)
            assert await users.get("k") == 1

            async def write():
                if verb == "atomic":
                    async with store.atomic() as tx:
                        tx.ns("users").set("k", 2)
                elif verb == "set_many":
                    await users.set_many({"k": 2})
                elif verb == "clear":
                    await users.clear()
                else:
                    await getattr(users, verb)("k", 2 if verb == "set" else 1)

            gate.closed = True
            task = asyncio.ensure_future(write())
            await reached(gate.reached)
            for _ in range(3):
                task.cancel()
                await turns()
                assert not task.done()
            gate.open()
            with pytest.raises(asyncio.CancelledError):
                await task
            with locked(path):  # so no transaction was left open
                assert await users.get("k") == (None if verb == "clear" else 2)
            with Store(path, clock=gate) as fresh:
                assert fresh.ns("users") == await users.copy()

    asyncio.run(main())


def test_a_timeout_of_the_caller_ends_a_wait_for_the_lock(path):
    async def main():
        async with AsyncStore(path, timeout=WAIT) as store:
            users = store.ns("users")
            await users.set("k", 1)
            with locked(path):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(users.set("k", 2), 0.01)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(users.modify("k", lambda value: value + 1), 0.01)
            assert await users.get("k") == 1

    asyncio.run(main())


def test_a_block_that_is_cancelled_sends_nothing(path):
    async def main():
        async with AsyncStore(path) as store:

            async def block():
                async with store.atomic() as tx:
                    tx.ns("users").set("k", 1)
                    await asyncio.Event().wait()

            task = asyncio.ensure_future(block())
            await turns()
            while not store._lazy.opened:
                await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await store.namespaces() == []

    asyncio.run(main())
