"""Arrays of any layout come back as they were, over bytes and over memory of their own, and may be changed."""

import io
import threading

import pytest

from sqlitedict_kv import CodecError, Store
from sqlitedict_kv.codecs.registry import Codecs
from tests.support.buffers import own_buffer
from tests.support.exact import assert_same

np = pytest.importorskip("numpy")

ITEMS = 20_000  # of 8 bytes: large enough to be a view
BASE = np.arange(2.0 * ITEMS)
RECORD = np.dtype([("a", "<i4"), ("b", ">f8"), ("c", "S3")])


def read_only(array):
    """Return a view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


ARRAYS = {
    "contiguous": BASE.copy,
    "every second item": lambda: BASE[::2],
    "backwards": lambda: BASE[::-1],
    "a column": lambda: BASE.reshape(-1, 4)[:, 1],
    "some columns": lambda: BASE.reshape(-1, 4)[:, 1:3],
    "Fortran": lambda: np.asfortranarray(BASE.reshape(-1, 4)),
    "a part of Fortran": lambda: np.asfortranarray(BASE.reshape(-1, 8))[:-1, 1:],
    "transposed": lambda: BASE.reshape(20, 50, -1).transpose(2, 0, 1),
    "broadcast": lambda: np.broadcast_to(BASE[:3], (ITEMS, 3)),
    "0-d": lambda: np.array(1.5),
    "empty": lambda: np.zeros((0, 3)),
    "empty in the middle": lambda: np.zeros((3, 0, 2), order="F"),
    "big-endian": lambda: BASE.astype(">f8"),
    "bools": lambda: BASE % 3 == 0,
    "complex": lambda: BASE * 1j,
    "half": lambda: BASE.astype("f2"),
    "texts": lambda: np.array(["é", "word"] * ITEMS),
    "times": lambda: BASE.astype("M8[us]"),
    "records": lambda: np.zeros(ITEMS, RECORD),
    "records, every third": lambda: np.ones(ITEMS, RECORD)[::3],
    "aligned records": lambda: np.zeros(ITEMS, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "subarrays": lambda: np.zeros(ITEMS, np.dtype([("a", "f4", (2, 3))])),
    "a field of records": lambda: np.ones(ITEMS, RECORD)["b"],
    "read-only": lambda: read_only(BASE),
}


@pytest.fixture(params=[None, 0], ids=["in a row", "in a file"])
def codecs(request):
    """Codecs of a store that keeps large values in the row, or each in a file."""
    return Codecs(files_above=request.param)


@pytest.mark.parametrize("wrap", [lambda array: array, lambda array: {"a": [array, b"x"]}], ids=["alone", "inside"])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_any_layout_comes_back_and_may_be_changed(codecs, name, wrap):
    value = wrap(ARRAYS[name]())
    body, content_type = codecs.encode(value)
    for read in (codecs.decode, lambda *given: codecs.view(*given[:2], own_buffer(given[2]), given[3])):
        made = read("n", "k", body, content_type)
        assert_same(value, made)
        array = made["a"][0] if isinstance(made, dict) else made
        assert array.flags.writeable
        array[...] = array.reshape(-1)[::-1].reshape(array.shape)
        assert_same(value, read("n", "k", body, content_type))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_each_version_of_the_format_is_read(codecs, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, BASE, version=version)
    for made in (
        codecs.decode("n", "k", file.getvalue(), "application/x-npy"),
        codecs.view("n", "k", own_buffer(file.getvalue()), "application/x-npy"),
    ):
        assert_same(BASE, made)
        made[0] = 7


def test_a_view_begins_at_a_multiple_of_64_wherever_an_array_can(codecs):
    values = {name: make() for name, make in ARRAYS.items()}
    made = codecs.view("n", "k", own_buffer(codecs.encode(values)[0]), codecs.encode(values)[1])
    views = [array for array in made.values() if not array.flags.owndata]
    assert len(views) > len(values) // 2
    assert all(array.ctypes.data % 64 == 0 for array in views)


def test_an_array_of_a_file_is_refused_and_the_message_says_what_to_keep(tmp_path, store):
    mapped = np.memmap(tmp_path / "array", "f8", "w+", shape=(10,))
    with pytest.raises(CodecError, match=r"keep numpy.asarray\(\.\.\.\) of it"):
        store.ns("n")["k"] = mapped
    store.ns("n")["k"] = np.asarray(mapped)
    assert type(store.ns("n")["k"]) is np.ndarray


@pytest.mark.parametrize("durability", ["process", "power"])
def test_an_array_that_another_thread_changes_meanwhile_is_never_read_as_damaged(tmp_path, durability):
    array, stop = np.zeros(2**15), threading.Event()

    def change():
        while not stop.is_set():
            np.add(array, 1, out=array)

    with Store(tmp_path / "kv.db", durability=durability) as store:
        values, changing = store.ns("n"), threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(10):
                values["k"] = array
                values["several"] = {"a": array, "b": [array]}
                assert values["k"].shape == values["several"]["a"].shape == array.shape
        finally:
            stop.set()
            changing.join()


def test_a_part_of_an_array_is_encoded_without_a_copy_of_all_of_it():
    array = np.zeros((2000, 2000))[:, ::2]
    parts, _ = Codecs(files_above=0).encode_parts(array)
    assert len(parts) == array.nbytes + 128
    assert max(len(part) for part in parts) <= 2**20
    assert parts.join()[128:] == array.tobytes()
    assert parts.join()[128:] == array.tobytes(), "it can be written twice"
