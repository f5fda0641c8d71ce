"""Files that release 0.1.0 wrote are read exactly, and damaged ones are told; tests/fixtures/0.1.0 has them."""

import runpy
import shutil
from pathlib import Path

import pytest

from sqlitedict_kv import CorruptStoreError, DamagedEntryError, Store
from tests.conftest import VirtualClock

FIXTURES = Path(__file__).parents[2] / "fixtures" / "0.1.0"
MADE = runpy.run_path(str(FIXTURES / "make.py"))
NOW, FILLER = MADE["NOW"], MADE["FILLER"]
CONTENT_TYPES = {
    "json": "application/json",
    "msgpack": "application/msgpack",
    "bytes": "application/octet-stream",
    "text": "text/plain; charset=utf-8",
}


@pytest.fixture
def clock():
    return VirtualClock(int(NOW * 10**9))


@pytest.fixture
def open_old(tmp_path, make_store):
    """Open a copy of a file."""

    def open_copy(name, **options):
        for file in FIXTURES.glob(f"{name}*"):
            shutil.copy(file, tmp_path)
        return make_store(tmp_path / name, **options)

    return open_copy


def same(found, kept):
    """Whether a value is another one down to its types, the sign of zero and the order of dicts, not of sets."""
    if type(found) is not type(kept) or found != kept:
        return False
    if isinstance(kept, dict):
        return all(map(same, found.items(), kept.items()))
    if isinstance(kept, list | tuple):
        return all(map(same, found, kept))
    return isinstance(kept, set | frozenset) or repr(found) == repr(kept)


@pytest.mark.parametrize("readonly", [False, True], ids=["rw", "readonly"])
@pytest.mark.parametrize("name", CONTENT_TYPES)
def test_every_value_of_every_content_type_is_read_exactly(open_old, name, readonly):
    entries = dict(open_old("values.kv", readonly=readonly).ns(name).scan())
    kept = MADE[name.upper()]
    assert set(entries) == set(kept)
    for key, value in kept.items():
        assert same(entries[key].value, value), key
        assert entries[key].meta.content_type == CONTENT_TYPES[name]
        assert entries[key].meta.version == 1
        assert entries[key].meta.updated_at.timestamp() == NOW


@pytest.mark.frameworks
def test_arrays_and_tables_are_read_exactly(open_old):
    import numpy as np
    import pandas as pd

    store = open_old("arrays.kv")
    arrays, frames = MADE["arrays"](), MADE["frames"]()
    assert set(store.ns("npy")) == set(arrays)
    for key, array in arrays.items():
        found = store.ns("npy")[key]
        assert (found.dtype, found.shape, found.flags.f_contiguous) == (
            array.dtype,
            array.shape,
            array.flags.f_contiguous,
        )
        np.testing.assert_array_equal(found, array, strict=True)
    assert set(store.ns("arrow")) == set(frames)
    for key, frame in frames.items():
        found = store.ns("arrow")[key]
        assert type(found) is type(frame)
        if isinstance(frame, pd.DataFrame):
            pd.testing.assert_frame_equal(found, frame, check_freq=False)  # Arrow has no place for it
        else:
            assert found.schema == frame.schema
            assert found.equals(frame)


def test_times_to_live_go_on(open_old, clock):
    ttls = open_old("values.kv").ns("ttls")
    assert dict(ttls) == MADE["TTLS"]
    for key, ttl in sorted(MADE["TTLS"].items(), key=lambda item: item[1]):
        assert ttls.get_with_meta(key).meta.expires_at.timestamp() == pytest.approx(NOW + ttl, abs=1e-6)
    clock.advance(0.001)
    assert sorted(ttls) == ["a century", "an hour"]
    clock.advance(3600)
    assert list(ttls) == ["a century"]


def test_versions_go_on_above_those_of_what_was_removed(open_old):
    store = open_old("values.kv")
    assert store.ns("floors").get_with_meta("kept").meta.version == 8
    assert store.ns("floors").set("deleted", 1) == 8
    assert store.ns("cleared").set("new", 1) == 10


def test_the_file_is_whole(open_old):
    report = open_old("values.kv").check()
    assert (report.ok, report.entries, report.unchecked, report.problems) == (True, 35, 0, ())


def test_a_log_that_a_killed_process_left_is_read(open_old):
    assert dict(open_old("killed.kv").ns("n")) == FILLER


def test_results_of_a_memoized_function_are_found(open_old):
    store = open_old("memoize.kv")
    assert {key: store.ns("memoize")[key] for key in store.ns("memoize")} == {
        f"square@3({number})": MADE["square"](number) for number in range(3)
    }

    @store.memoize(name="square", version=3, ttl=3600)
    def square(number):
        raise AssertionError(f"{number} was kept")

    assert [square(number) for number in range(3)] == [MADE["square"](number) for number in range(3)]


def test_a_lease_whose_owner_is_gone_ends_and_the_result_is_computed(open_old, clock):
    store = open_old("leased.kv")
    assert list(store.ns("memoize.leases")) == ["slow@1(5)"]
    clock.advance(11)  # a lease is for 10 seconds

    @store.memoize(name="slow", version=1)
    def computed(number):
        return -number

    assert computed(5) == -5
    assert store.ns("memoize")["slow@1(5)"] == -5


def test_damaged_entries_are_reported_and_the_others_read(open_old):
    store = open_old("damaged-rows.kv")
    ns = store.ns("n")
    for key in ("key 0007", "key 0009"):
        with pytest.raises(DamagedEntryError, match=key):
            ns[key]
    assert (
        ns.get_with_meta("key 0008").meta.version == 2
    )  # changed by hand, body and all: nothing says that it is wrong
    assert {key: ns[key] for key in FILLER if key not in {"key 0007", "key 0009"}} == {
        key: value for key, value in FILLER.items() if key not in {"key 0007", "key 0009"}
    }
    report = store.check()
    assert (report.ok, report.entries, report.unchecked, len(report.problems)) == (False, 200, 1, 2)


def test_a_file_with_a_damaged_page_shows_no_wrong_entry(tmp_path):
    shutil.copy(FIXTURES / "damaged-page.kv", tmp_path)
    raised = 0
    with Store(tmp_path / "damaged-page.kv", clock=lambda: NOW) as store:
        for key, value in FILLER.items():
            try:
                assert store.ns("n")[key] == value
            except (CorruptStoreError, DamagedEntryError):
                raised += 1
        assert not store.check().ok
    assert raised


def test_a_file_of_the_first_sqlitekv_is_read_and_written(open_old):
    store = open_old("seed.kv")
    assert {name: dict(store.ns(name)) for name in store.namespaces()} == MADE["SEED_VALUES"]
    assert store.ns("users").get_with_meta("Ünïcode ☃").meta.version == 7
    assert store.ns("users").set("ada", 1) == 2
    assert store.check().ok


def test_no_file_is_forgotten():
    """Each file beside the program is opened above."""
    source = Path(__file__).read_text(encoding="utf-8")
    for file in FIXTURES.glob("*.kv"):
        assert f'"{file.name}"' in source
