"""A large value is encoded as parts that share its memory, and read as a view over memory of its own."""

import contextlib

import pytest

from sqlitedict_kv import Codec, CodecError, DecodeError, Store
from sqlitedict_kv.codecs.body_parts import BodyParts, parts_of
from sqlitedict_kv.codecs.registry import BUNDLE, Codecs
from sqlitedict_kv.codecs.scientific import ARROW_FILE_PANDAS, ARROW_PANDAS
from sqlitedict_kv.validation import check_types
from tests import kinds
from tests.support.buffers import own_buffer
from tests.support.exact import assert_same

pytestmark = [
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),  # of np.matrix, by scipy
    pytest.mark.filterwarnings("ignore:The 'u' type code is deprecated:DeprecationWarning"),  # of array.array("u")
]


@pytest.fixture(params=[*kinds.sections()])
def samples(request):
    """The kinds of a section."""
    if library := kinds.missing(request.param):
        pytest.skip(f"{library} is not installed")
    return list(kinds.samples(request.param))


def codecs_of(**options):
    return Codecs(kinds=check_types(kinds.allowed()), **options)


def test_the_parts_of_each_kind_of_value_are_its_body(samples):
    whole, in_parts = codecs_of(), codecs_of(files_above=0)
    for sample in samples:
        body, content_type = in_parts.encode_parts(sample.make())
        joined = parts_of(body).join()
        assert len(joined) == len(body)
        assert_same(sample.make(), whole.decode("n", "k", joined, content_type), sample.name)


def test_each_kind_of_value_is_made_over_a_buffer_of_its_own(samples):
    codecs = codecs_of(files_above=0)
    for sample in samples:
        body, content_type = codecs.encode(sample.make())
        assert_same(sample.make(), codecs.view("n", "k", own_buffer(body), content_type), sample.name)


def test_a_damaged_buffer_is_a_value_or_a_decode_error(samples):
    codecs = codecs_of(files_above=0)
    for sample in samples:
        body, content_type = codecs.encode(sample.make())
        if content_type not in codecs.views:
            continue
        for cut in {0, 1, len(body) // 2, len(body) - 1}:
            with contextlib.suppress(DecodeError):  # of an empty array, the padding of the header says nothing
                codecs.view("n", "k", own_buffer(body[:cut]), content_type)


def test_parts_share_the_memory_of_an_array_and_a_view_that_of_its_buffer():
    np = pytest.importorskip("numpy")
    codecs, array = Codecs(files_above=2**16), np.arange(100_000.0)
    body, content_type = codecs.encode_parts(array)
    assert any(np.shares_memory(array, np.frombuffer(part, np.uint8)) for part in body)
    buffer = own_buffer(body.join())
    made = codecs.view("n", "k", buffer, content_type)
    made += 1
    assert np.shares_memory(made, np.frombuffer(buffer, np.uint8))
    assert np.array_equal(codecs.view("n", "k", buffer, content_type), array + 1)
    assert made.ctypes.data % 64 == 0


def test_each_large_array_of_a_bundle_is_a_view_and_a_small_one_a_copy():
    np = pytest.importorskip("numpy")
    codecs = Codecs(files_above=2**16)
    value = {"w": [np.arange(50_000), np.ones((300, 300), order="F")], "b": np.arange(1000)}
    body, content_type = codecs.encode_parts(value)
    assert (type(body), content_type) == (BodyParts, BUNDLE)
    buffer = own_buffer(body.join())
    made = codecs.view("n", "k", buffer, content_type)
    assert_same(value, made)
    raw = np.frombuffer(buffer, np.uint8)
    assert [np.shares_memory(one, raw) for one in (*made["w"], made["b"])] == [True, True, False]
    for one in made["w"]:
        assert one.ctypes.data % 64 == 0
        one[0] = 7  # it may be changed


def test_a_body_is_bytes_unless_it_is_larger_than_a_row_may_be():
    np = pytest.importorskip("numpy")
    array = np.zeros(2**16 - 128, np.uint8)
    assert type(Codecs(files_above=2**16).encode_parts(array)[0]) is bytes
    assert type(Codecs(files_above=2**16 - 1).encode_parts(array)[0]) is BodyParts
    assert type(Codecs().encode_parts(array)[0]) is bytes
    assert type(Codecs(files_above=0).encode(array)[0]) is bytes


@pytest.mark.frameworks
def test_a_large_frame_is_an_arrow_file_that_other_programs_map(tmp_path):
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    codecs = Codecs(files_above=2**16)
    frame = pd.DataFrame({"x": range(20_000), "s": ["a", "b"] * 10_000})
    body, content_type = codecs.encode_parts(frame)
    assert content_type == ARROW_FILE_PANDAS
    (tmp_path / "frame.arrow").write_bytes(body.join())
    with pa.memory_map(str(tmp_path / "frame.arrow")) as mapped, pa.ipc.open_file(mapped) as reader:
        assert reader.num_record_batches == 1
        assert_same(frame, reader.read_all().to_pandas())
    assert codecs.encode_parts(frame.head())[1] == ARROW_PANDAS


@pytest.mark.frameworks
def test_a_frame_is_found_by_either_of_the_types_of_arrow(make_store):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frames, frame = make_store().ns("frames"), pd.DataFrame({"x": [1]})
    for stored in (ARROW_PANDAS, ARROW_FILE_PANDAS):
        frames.set("k", frame, content_type=stored)
        assert frames.get_with_meta("k").meta.content_type == stored
        for wanted in (ARROW_PANDAS, ARROW_FILE_PANDAS):
            assert_same(frame, frames.get("k", content_type=wanted))
        assert frames.get("k", content_type="application/vnd.apache.arrow.file") is None


@pytest.mark.frameworks
def test_an_arrow_file_without_its_end_does_not_decode():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    body, content_type = Codecs(files_above=0).encode(pd.DataFrame({"x": [1, 2]}))
    with pytest.raises(DecodeError):
        Codecs().decode("n", "k", body[:-1], content_type)


def test_a_codec_of_the_user_may_have_parts_and_a_view(make_store):
    class Film:
        def __init__(self, frames):
            self.frames = frames

    films = Codec(
        "application/x-film",
        lambda film: b"FILM" + bytes(film.frames),
        lambda body: Film(bytearray(body[4:])),
        (Film,),
        parts=lambda film: (b"FILM", film.frames),
        view=lambda buffer: Film(buffer[4:]),
    )
    codecs, film = Codecs([films], files_above=10), Film(bytearray(b"0123456789"))
    body, content_type = codecs.encode_parts(film)
    assert type(body) is BodyParts
    assert [bytes(part) for part in body] == [b"FILM", b"0123456789"]
    made = codecs.view("n", "k", own_buffer(body.join()), content_type)
    made.frames[0] = 65
    assert bytes(made.frames) == b"A123456789"
    users = make_store(codecs=[films]).ns("films")
    users["k"] = film
    assert users["k"].frames == film.frames


def test_the_bytes_of_a_codec_without_parts_are_one_part():
    packed = Codec("application/x-text", str.encode, lambda body: bytes(body).decode(), (str,))
    codecs = Codecs([packed], files_above=10)
    body, content_type = codecs.encode_parts("x" * 100)
    assert [bytes(part) for part in parts_of(body)] == [b"x" * 100]
    assert codecs.view("n", "k", own_buffer(b"x" * 100), content_type) == "x" * 100


@pytest.mark.parametrize("parts", [[1], ["text"], None, [b"ok", object()]])
def test_parts_that_are_no_buffers_are_refused(parts):
    codecs = Codecs([Codec("application/x-set", repr, bytes, (set,), lambda _: parts)], files_above=10)
    with pytest.raises(CodecError, match="application/x-set"):
        codecs.encode_parts({1})


@pytest.mark.parametrize("name", ["parts", "view"])
def test_what_a_codec_calls_can_be_called(name):
    with pytest.raises(TypeError, match=f"codecs: {name} must be callable"):
        Store(codecs=[Codec("application/x-set", repr, bytes, **{name: 3})])


def test_parts_may_have_any_format_and_gaps():
    np = pytest.importorskip("numpy")
    array = np.arange(10, dtype=">u2")
    body = BodyParts([array[::2], np.zeros((2, 3)), np.zeros((0, 3)), b""])
    assert body.join() == array[::2].tobytes() + bytes(48)
    assert len(body) == 58


def test_each_part_of_each_kind_of_value_is_a_view_of_single_bytes(samples):
    codecs = codecs_of(files_above=0)
    for sample in samples:
        body, _ = codecs.encode_parts(sample.make())
        for part in parts_of(body):
            assert (type(part), part.format, part.ndim) == (memoryview, "B", 1), sample.name
