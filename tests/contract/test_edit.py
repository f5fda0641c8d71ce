"""A value that is changed in place, in a block, is written back unless somebody else wrote meanwhile."""

import asyncio

import pytest

from sqlitedict_kv import AsyncStore, ConflictError, Store


def test_what_the_block_changes_is_written(store):
    users = store.ns("users")
    users["k"] = [1, 2]
    with users.edit("k") as value:
        value.append(3)
    assert users["k"] == [1, 2, 3]
    assert users.get_with_meta("k").meta.version > 1


def test_an_absent_entry_begins_with_a_copy_of_the_default(store):
    users, default = store.ns("users"), []
    for number in range(2):
        with users.edit("k", default=default) as value:
            value.append(number)
    assert users["k"] == [0, 1]
    assert default == []


def test_without_a_default_an_absent_entry_is_a_key_error(store):
    users = store.ns("users")
    with pytest.raises(KeyError, match="k"), users.edit("k"):
        raise AssertionError("the block was run")
    assert users == {}


@pytest.mark.parametrize("there", [True, False])
def test_somebody_else_who_writes_meanwhile_wins(store, there):
    users = store.ns("users")
    if there:
        users["k"] = [1]
    with pytest.raises(ConflictError) as caught, users.edit("k", default=[]) as value:
        value.append(2)
        users["k"] = ["of another"]
    assert caught.value.key == "k"
    assert users["k"] == ["of another"]


def test_an_entry_that_was_removed_meanwhile_stays_so(store):
    users = store.ns("users")
    users["k"] = [1]
    with pytest.raises(ConflictError), users.edit("k") as value:
        value.append(2)
        del users["k"]
    assert "k" not in users


def test_a_block_that_raises_writes_nothing(store):
    users = store.ns("users")
    users["k"] = [1]
    with pytest.raises(RuntimeError, match="of the block"), users.edit("k") as value:
        value.append(2)
        raise RuntimeError("of the block")
    assert users["k"] == [1]


def test_a_block_that_changes_nothing_writes_nothing(store):
    users = store.ns("users")
    users["k"] = [1]
    before = users.get_with_meta("k").meta
    with users.edit("k") as value:
        assert value == [1]
    assert users.get_with_meta("k").meta == before


def test_the_time_to_live_stays(store, clock):
    users = store.ns("users", ttl=100)
    users.set("k", [1], ttl=10)
    clock.advance(5)
    with users.edit("k") as value:
        value.append(2)
    clock.advance(4.999)
    assert users["k"] == [1, 2]
    clock.advance(0.001)
    assert "k" not in users
    with users.edit("k", default=[]) as value:
        value.append(3)
    clock.advance(99)
    assert users["k"] == [3]


def test_typed_keys_are_edited_and_named(store):
    numbers = store.ns("numbers", keys=int)
    with numbers.edit(7, default=[]) as value:
        value.append("x")
    assert numbers[7] == ["x"]
    with pytest.raises(KeyError) as caught, numbers.edit(8):
        pass
    assert caught.value.args == (8,)
    with pytest.raises(ConflictError) as caught, numbers.edit(7) as value:
        value.append("y")
        numbers[7] = []
    assert caught.value.key == 7


def test_an_edit_in_an_exclusive_block_is_part_of_it(tmp_path):
    with Store(tmp_path / "app.db") as store:
        with store.exclusive() as alone, alone.ns("users").edit("k", default=[]) as value:
            value.append(1)
        assert store.ns("users")["k"] == [1]


def test_a_value_in_a_file_is_edited(tmp_path):
    async def edit():
        async with AsyncStore(tmp_path / "app.db", files_above=2**16) as store:
            ns = store.ns("n")
            await ns.set("k", list(range(50_000)))
            async with ns.edit("k") as value:
                value[0] = "first"
            async with ns.edit("k") as value:
                assert value[:2] == ["first", 1]
            return await ns.get("k")

    assert asyncio.run(edit()) == ["first", *range(1, 50_000)]
    with Store(tmp_path / "app.db", files_above=2**16) as store:
        ns = store.ns("n")
        with ns.edit("k") as value:
            value.append("last")
        assert ns["k"] == ["first", *range(1, 50_000), "last"]
        assert store.check().ok
