"""Values in files that are mapped into memory instead of read: `mapped=True`."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sqlitedict_kv import AsyncStore, DamagedFileError, MissingFileError, Store
from sqlitedict_kv.engines.sqlite.value_files import mapping
from tests.engines.sqlite.test_value_files import folder_of, names_in
from tests.support.processes import forked, run

ABOVE = 2**16
ARRAY = np.arange(20_000.0)


@pytest.fixture
def large_store(path):
    with Store(path, files_above=ABOVE) as store:
        yield store


def is_mapped(path, name):
    """Return whether a file of the store lies in the memory of this process."""
    return f"{folder_of(path).name}/{name}" in Path("/proc/self/maps").read_text()


def lies_in(path, name, array):
    """Return whether an array lies in the memory of a file; threads may keep maps of others for a moment."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(address, 16) for address in line.split()[0].split("-"))
        if begin <= array.ctypes.data < end:
            return f"{folder_of(path).name}/{name}" in line
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")


@needs_proc
def test_an_array_lies_in_the_memory_of_its_file(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = ARRAY
    (name,) = names_in(path)
    read = ns["k"]
    assert not is_mapped(path, name)
    array = ns.get("k", mapped=True)
    assert is_mapped(path, name)
    assert np.array_equal(array, read)
    assert array.dtype == read.dtype
    assert array.ctypes.data % 64 == 0
    del array
    assert not is_mapped(path, name)


def test_what_is_changed_is_the_caller_s_alone(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = ARRAY
    (name,) = names_in(path)
    before = (folder_of(path) / name).read_bytes()
    first, second = ns.get("k", mapped=True), ns.get("k", mapped=True)
    first[:] = -1
    assert np.array_equal(second, ARRAY)
    assert np.array_equal(ns.get("k", mapped=True), ARRAY)
    assert (folder_of(path) / name).read_bytes() == before
    assert large_store.check().ok


@needs_proc
def test_all_arrays_of_one_value_are_mapped_as_one(large_store, path):
    value = {"epoch": 7, "layers": [{"w": ARRAY + number, "name": f"layer {number}"} for number in range(5)]}
    ns = large_store.ns("n")
    ns["k"] = value
    (name,) = names_in(path)
    found = ns.get("k", mapped=True)
    assert Path("/proc/self/maps").read_text().count(f"{folder_of(path).name}/{name}") == 1
    assert found["epoch"] == 7
    for kept, mapped in zip(value["layers"], found["layers"], strict=True):
        assert np.array_equal(kept["w"], mapped["w"])
        assert mapped["name"] == kept["name"]
        mapped["w"][0] = 1  # may be changed


@pytest.mark.parametrize(
    "value",
    [
        np.asfortranarray(np.arange(40_000.0).reshape(200, 200)),
        np.arange(40_000, dtype=">i4"),
        np.zeros(10_000, dtype=[("a", "<f8"), ("b", "<i4")]),
        b"x" * 70_000,
        "text" * 30_000,
        [list(range(30_000))],
    ],
    ids=["fortran", "big-endian", "structured", "bytes", "text", "list"],
)
def test_any_value_comes_back_as_it_is(large_store, path, value):
    ns = large_store.ns("n")
    ns["k"] = value
    assert len(names_in(path)) == 1
    found = ns.get("k", mapped=True)
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.flags.writeable
        assert np.array_equal(found, value)
    else:
        assert found == value


def test_a_value_in_its_row_is_a_new_one_as_ever(large_store):
    ns = large_store.ns("n")
    ns.set_many({"array": np.arange(10), "number": 1})
    assert ns.get("number", mapped=True) == 1
    found = ns.get("array", mapped=True)
    found[0] = 5
    assert ns["array"][0] == 0
    assert ns.get("absent", "none", mapped=True) == "none"
    assert ns.get("number", mapped=True, content_type="application/x-npy") is None


def test_a_store_in_memory_returns_its_values(make_store):
    ns = make_store().ns("n", mapped=True)
    ns["k"] = ARRAY
    assert np.array_equal(ns["k"], ARRAY)
    assert np.array_equal(ns.get("k", mapped=True), ARRAY)


@pytest.mark.parametrize("wrong", [1, "yes", None])
def test_mapped_is_true_or_false(large_store, wrong):
    with pytest.raises(TypeError, match="mapped"):
        large_store.ns("n", mapped=wrong)
    if wrong:
        with pytest.raises(TypeError, match="mapped"):
            large_store.ns("n").get("k", mapped=wrong)


@needs_proc
def test_a_view_maps_whatever_it_reads(large_store, path):
    ns = large_store.ns("n", mapped=True)
    ns["k"] = ARRAY
    (name,) = names_in(path)
    readings = (
        lambda: ns["k"],
        lambda: ns.get_many(["k"])["k"],
        lambda: ns.get_with_meta("k").value,
        lambda: next(iter(ns.values())),
        lambda: dict(ns.items())["k"],
        lambda: next(iter(ns.scan()))[1].value,
        lambda: ns.copy()["k"],
        lambda: large_store.ns("n", type=np.ndarray, mapped=True)["k"],
        lambda: large_store.ns("n", keys=str, mapped=True)["k"],
        lambda: pickle.loads(pickle.dumps(ns))["k"],
    )
    for number, read in enumerate(readings):
        array = read()
        assert is_mapped(path, name), number
        assert np.array_equal(array, ARRAY)
        del array
        assert not is_mapped(path, name)


@needs_proc
def test_through_the_lru(path):
    with Store(path, files_above=ABOVE, lru_bytes=2**20) as store:
        ns = store.ns("n")
        ns["k"] = ARRAY
        (name,) = names_in(path)
        for _ in range(3):
            array = ns.get("k", mapped=True)
            assert is_mapped(path, name)
            assert np.array_equal(array, ARRAY)
            array[:] = 0


def test_a_map_outlives_its_entry_and_its_store(path):
    with Store(path, files_above=ABOVE) as store:
        ns = store.ns("n")
        ns["k"] = ARRAY
        array = ns.get("k", mapped=True)
        ns["k"] = ARRAY + 1
        store.vacuum()
        assert len(names_in(path)) == 1
        assert np.array_equal(array, ARRAY)
        assert np.array_equal(ns.get("k", mapped=True), ARRAY + 1)
        ns.clear()
    assert np.array_equal(array, ARRAY)


def test_a_store_that_is_only_read_maps(path):
    with Store(path, files_above=ABOVE) as store:
        store.ns("n")["k"] = ARRAY
    with Store(path, readonly=True) as store:
        assert np.array_equal(store.ns("n").get("k", mapped=True), ARRAY)


def test_a_child_maps_too_and_keeps_what_its_parent_mapped(large_store):
    ns = large_store.ns("n")
    ns["k"] = ARRAY
    array = ns.get("k", mapped=True)

    def child():
        array[0] = 77
        assert np.array_equal(ns.get("k", mapped=True), ARRAY)

    assert forked(child) == 0
    assert array[0] == 0


# -- what is wrong with a file


def damage(path, name, at=5_000):
    file = folder_of(path) / name
    status = file.stat()
    with open(file, "r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 1]))
    return status


def test_a_damaged_file_is_noticed_when_it_is_mapped_for_the_first_time(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = ARRAY
    damage(path, *names_in(path))
    for _ in range(2):
        with pytest.raises(DamagedFileError, match="'k'"):
            ns.get("k", mapped=True)


def test_a_file_is_verified_once_as_long_as_nobody_writes_to_it(large_store, path, monkeypatch):
    verified = []
    verify = mapping.verify
    monkeypatch.setattr(mapping, "verify", lambda *given: (verified.append(given), verify(*given)))
    ns = large_store.ns("n")
    ns["k"] = ARRAY
    for _ in range(3):
        ns.get("k", mapped=True)
    assert len(verified) == 1
    (name,) = names_in(path)
    os.utime(folder_of(path) / name, ns=(1, 1))
    ns.get("k", mapped=True)
    assert len(verified) == 2
    status = damage(path, name)
    os.utime(folder_of(path) / name, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(DamagedFileError):
        ns.get("k", mapped=True)


def test_a_file_of_another_size_or_none_at_all_is_an_error(large_store, path):
    ns = large_store.ns("n")
    ns["k"] = ARRAY
    ns.get("k", mapped=True)
    (name,) = names_in(path)
    os.truncate(folder_of(path) / name, 1000)
    with pytest.raises(DamagedFileError, match="1000 bytes"):
        ns.get("k", mapped=True)
    os.unlink(folder_of(path) / name)
    with pytest.raises(MissingFileError):
        ns.get("k", mapped=True)


def test_what_is_remembered_of_files_has_an_end(large_store, monkeypatch):
    monkeypatch.setattr(mapping, "MOST_VERIFIED", 3)
    ns = large_store.ns("n")
    for number in range(10):
        ns["k"] = ARRAY + number
        assert ns.get("k", mapped=True)[0] == number
    assert len(mapping._verified) <= 3


# -- what the system does not give


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource")
def test_many_maps_leave_descriptors_for_others(path):
    lines = run(
        """
        import resource
        import numpy as np
        resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
        with Store(sys.argv[1], files_above=2**16) as store:
            ns = store.ns("n")
            ns["k"] = np.arange(20_000.0)
            kept = [ns.get("k", mapped=True) for _ in range(200)]
            ns["more"] = np.arange(20_000.0)
            say(all(np.array_equal(each, ns["k"]) for each in kept))
            say(len(os.listdir("/dev/fd")) < 60)
        """,
        path,
    )
    assert lines == ["True", "True"]


def test_what_cannot_be_mapped_is_read(large_store, monkeypatch):
    def refuse(*_, **__):
        raise OSError(19, "No such device")

    ns = large_store.ns("n")
    ns["k"] = ARRAY
    monkeypatch.setattr(mapping, "mmap", SimpleNamespace(mmap=refuse, ACCESS_COPY=3))
    array = ns.get("k", mapped=True)
    array[0] = 3
    assert np.array_equal(array[1:], ARRAY[1:])


# -- tasks, and results of functions


@needs_proc
def test_tasks_map(path):
    async def main():
        async with AsyncStore(path, files_above=ABOVE) as store:
            ns = store.ns("n")
            await ns.set("k", ARRAY)
            (name,) = names_in(path)
            view, keyed = store.ns("n", mapped=True), store.ns("n", keys=str, mapped=True)
            found = [await ns.get("k", mapped=True), await view.get("k"), await keyed.get("k")]
            found += [each async for each in view.values()]
            found += (await view.get_many(["k"])).values()
            for array in found:
                assert np.array_equal(array, ARRAY)
                assert lies_in(path, name, array)
            assert not lies_in(path, name, await ns.get("k"))

    asyncio.run(main())


@needs_proc
def test_results_of_functions_are_mapped(path):
    calls = []
    with Store(path, files_above=ABOVE) as store:

        @store.memoize(mapped=True)
        def made(number: int) -> np.ndarray:
            calls.append(number)
            return ARRAY + number

        first = made(1)
        (name,) = names_in(path)
        assert np.array_equal(first, ARRAY + 1)
        second = made(1)
        assert is_mapped(path, name)
        second[:] = 0
        assert np.array_equal(made(1), ARRAY + 1)
        assert np.array_equal(made.peek(1).value, ARRAY + 1)
        assert calls == [1]
        del first, second

        @store.memoize(name="read")
        def read(number):
            return ARRAY

        read(1)
        array = read(1)
        assert is_mapped(path, name) is False
        assert np.array_equal(array, ARRAY)


def test_a_result_whose_file_is_damaged_or_missing_is_computed_again(path):
    calls = []
    with Store(path, files_above=ABOVE) as store:

        @store.memoize(mapped=True)
        def made():
            calls.append(1)
            return ARRAY

        made()
        damage(path, *names_in(path))
        assert np.array_equal(made(), ARRAY)
        assert len(calls) == 2
        made()
        for name in names_in(path):
            os.unlink(folder_of(path) / name)
        assert np.array_equal(made(), ARRAY)
        assert len(calls) == 3


@needs_proc
def test_results_of_async_functions_are_mapped(path):
    async def main():
        async with AsyncStore(path, files_above=ABOVE) as store:

            @store.memoize(mapped=True)
            async def made():
                return ARRAY

            await made()
            (name,) = names_in(path)
            array = await made()
            assert lies_in(path, name, array)
            assert np.array_equal(array, ARRAY)

    asyncio.run(main())


@needs_proc
@pytest.mark.frameworks
def test_the_columns_of_a_frame_that_need_no_conversion_are_mapped(large_store, path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": ARRAY, "b": np.arange(20_000), "text": ["x", "y"] * 10_000})
    ns = large_store.ns("n")
    ns["k"] = frame
    (name,) = names_in(path)
    found = ns.get("k", mapped=True)
    assert is_mapped(path, name)
    pd.testing.assert_frame_equal(found, frame)
    found.iloc[0, 0] = 5.0
    pd.testing.assert_frame_equal(ns["k"], frame)
