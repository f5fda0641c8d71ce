"""Values of libraries: what is refused, with the way out, and parts from a file that no value has."""

import io
import sqlite3
from contextlib import closing

import pytest

from sqlitedict_kv import CodecError, DecodeError
from sqlitedict_kv.codecs import library_kinds
from tests.support.exact import assert_same

np = pytest.importorskip("numpy")


@pytest.fixture
def users(make_store):
    return make_store().ns("users")


def build(name, *parts):
    return library_kinds.kind_named(name).build(list(parts))


# -- refused, with the way out


def png():
    image = pytest.importorskip("PIL.Image")
    raw = io.BytesIO()
    image.new("RGB", (2, 2)).save(raw, "png")
    return image.open(raw)


def polars_objects(inner=None):
    pl = pytest.importorskip("polars")
    column = pl.Series("o", [{1}], dtype=pl.Object)
    return pl.DataFrame([column, pl.Series("n", [1])])


def with_memory():
    pipeline = pytest.importorskip("sklearn.pipeline")
    return pipeline.Pipeline([("scale", "passthrough")], memory="cache")


def transformer_of_a_lambda():
    return pytest.importorskip("sklearn.preprocessing").FunctionTransformer(lambda x: x)


REFUSED = {
    "an image of a file": (png, "copy"),
    "polars objects": (polars_objects, "column 'o'.*Python objects"),
    "a lazy frame": (lambda: pytest.importorskip("polars").LazyFrame({"a": [1]}), "collect"),
    "a lil_matrix": (lambda: pytest.importorskip("scipy.sparse").lil_matrix((2, 2)), "tocsr"),
    "a dtype with metadata": (lambda: np.zeros(2, np.dtype("i4", metadata={"u": 1})), "plain dtype"),
    "a pipeline with memory": (with_memory, "pickles"),
    "a transformer of a lambda": (transformer_of_a_lambda, "function"),
    "a sparse column of objects": (
        lambda: pytest.importorskip("pandas").arrays.SparseArray(np.array([None, "a"], dtype=object), fill_value=None),
        "objects",
    ),
}


@pytest.mark.parametrize("make_value", [lambda value: value, lambda value: [{"a": value}]], ids=["bare", "nested"])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_way_out(users, name, make_value):
    make, message = REFUSED[name]
    with pytest.raises(CodecError, match=message):
        users["k"] = make_value(make())
    assert "k" not in users


def test_a_map_of_memory_is_refused(users, tmp_path):
    with pytest.raises(CodecError, match="memmap"):
        users["k"] = np.memmap(tmp_path / "m", dtype="f8", mode="w+", shape=(3,))


def test_a_subclass_of_a_kind_is_another_type(users):
    class Mine(np.ndarray):
        pass

    with pytest.raises(CodecError, match="Mine"):
        users["k"] = np.zeros(2).view(Mine)


def test_a_float_of_numpy_in_a_list_is_no_float(users):
    users["k"] = [np.float64(1.5), 1.5]
    assert [type(item) for item in users["k"]] == [np.float64, float]


def test_what_is_read_is_the_readers_own(users):
    users["k"] = {"X": np.zeros(1000), "y": np.zeros(3)}
    first, second = users["k"], users["k"]
    first["X"][0] = first["y"][0] = 1
    assert second["X"][0] == second["y"][0] == users["k"]["X"][0] == 0


# -- parts that anybody may have chosen


def one_field(dtype, offset):
    return {"names": ["a"], "formats": [dtype], "offsets": [offset], "itemsize": 8, "aligned": False}


HOSTILE_ARRAYS = {
    "objects in a buffer": ("O", [1], "C", b"12345678"),
    "objects too many": ("O", [2**40], "C", [1]),
    "an item of a gigabyte": ("|V1000000000", [1], "C", b"x"),
    "a dtype without a size": ("<U0", [2**40], "C", b""),
    "a shape too large": ("<f8", [2**40], "C", b"12345678"),
    "a shape that overflows": ("<f8", [2**32, 2**32], "C", b""),
    "a negative shape": ("<f8", [-1], "C", b"12345678"),
    "two negative ones": ("<f8", [-1, -1], "C", b"12345678"),
    "a shape of floats": ("<f8", [1.0], "C", b"12345678"),
    "a buffer too long": ("<f8", [1], "C", b"123456789"),
    "a buffer that is text": ("<f8", [1], "C", "12345678"),
    "a number as a buffer": ("<f8", [10**9], "C", 8 * 10**9),
    "no order": ("<f8", [1], "K", b"12345678"),
    "fields of objects": (one_field("|O", 0), [1], "C", b"12345678"),
    "fields beyond the item": (one_field("<f8", 9), [1], "C", b"12345678"),
    "a dtype of another language": ("os.system", [1], "C", b"12345678"),
}  # fmt: skip


@pytest.mark.parametrize("parts", HOSTILE_ARRAYS.values(), ids=HOSTILE_ARRAYS)
def test_an_array_that_cannot_be_is_refused(parts):
    with pytest.raises((ValueError, TypeError)):
        build("numpy.ndarray", *parts)


def npy(header, content=b"12345678"):
    text = header.encode("latin-1").ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def zipped():
    raw = io.BytesIO()
    np.savez(raw, a=np.zeros(3))
    return raw.getvalue()


HOSTILE_NPY = {
    "an archive": zipped(),
    "a shape too large": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}"),
    "a negative shape": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "a gigabyte": npy("{'descr': '|V1000000000', 'fortran_order': False, 'shape': (1,)}"),
    "nothing, often": npy("{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776,)}", b""),
    "no header": npy("[]"),
    "a call": npy("__import__('os')"),
    "an unknown version": b"\x93NUMPY\x09\x00" + bytes(20),
}


@pytest.mark.parametrize("body", HOSTILE_NPY.values(), ids=HOSTILE_NPY)
def test_an_npy_body_that_cannot_be_is_refused(make_store, path, body):
    store = make_store(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(
            "INSERT INTO kv (ns, key, value, content_type, updated_at) VALUES ('n', 'k', ?, 'application/x-npy', 0)",
            (body,),
        )
        raw.commit()
    with pytest.raises(DecodeError):
        store.ns("n")["k"]


def test_places_outside_of_a_sparse_matrix_are_refused():
    pytest.importorskip("scipy")
    items, starts = np.ones(1), np.array([0, 1], np.int32)
    for place in (5, -1):
        with pytest.raises(ValueError):
            build("scipy.sparse.csr_matrix", [1, 2], items, np.array([place], np.int32), starts)
        with pytest.raises(ValueError):
            build("scipy.sparse.coo_array", [1, 2], items, [np.zeros(1, np.int32), np.array([place], np.int32)])


def test_places_outside_of_a_sparse_column_are_refused():
    pytest.importorskip("pandas")
    for places in ([7], [-1], [1, 0], [0, 0]):
        with pytest.raises(ValueError):
            build("pandas.SparseArray", np.ones(len(places)), np.array(places, np.int32), 3, 0.0, "integer")


def tree_parts():
    tree = pytest.importorskip("sklearn.tree")
    fitted = tree.DecisionTreeClassifier(random_state=0).fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])
    return library_kinds.kind_of(type(fitted.tree_)).take_apart(fitted.tree_)


def test_a_tree_with_a_way_that_does_not_end_or_leaves_it_is_refused():
    parts = tree_parts()
    assert_same(parts[4], build("sklearn.Tree", *parts).__getstate__()["nodes"])
    for field, wrong in (("left_child", 0), ("right_child", 999), ("left_child", -2), ("feature", 2)):
        nodes = parts[4].copy()
        nodes[field][0] = wrong
        with pytest.raises(ValueError):
            build("sklearn.Tree", *parts[:4], nodes, parts[5])


@pytest.mark.parametrize(
    "name", ["os.system", "base.BaseEstimator", "utils.Bunch", "linear_model.np", "datasets.load_iris"]
)
def test_only_the_classes_of_the_list_become_estimators(name):
    pytest.importorskip("sklearn")
    with pytest.raises((ValueError, TypeError)):
        build("sklearn.estimator", name, "1", {}, {})


@pytest.mark.parametrize(
    "function", ["os.system", "builtins.eval", "numpy.load", "sklearn.datasets.load_files", "numpy.fromfile"]
)
def test_only_the_functions_of_the_list_become_attributes(function):
    pytest.importorskip("sklearn")
    with pytest.raises((ValueError, TypeError)):
        build("sklearn.estimator", "preprocessing.FunctionTransformer", "1", {"func": None}, {"func": function})


def test_pixels_are_counted_before_there_is_an_image():
    pytest.importorskip("PIL")
    for size in ([30_000, 30_000], [-1, -4], [2, 3]):
        with pytest.raises(ValueError):
            build("PIL.Image", "RGB", size, b"x" * 12, None, {})


def test_an_old_pyarrow_is_refused():
    arrow = pytest.importorskip("sqlitedict_kv.codecs.arrow_kinds")
    for version in ("14.0.0", "9.0.0", "13.0.1"):
        with pytest.raises(CodecError, match="CVE-2023-47248"):
            arrow.require_safe_release(version)
    for version in ("14.0.1", "26.0.1", "15.0.0.dev1"):
        arrow.require_safe_release(version)
