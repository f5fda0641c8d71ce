"""Values that are written and read a little at a time: `open`, `set_file`, `get_file`."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import os
import shutil
import zipfile
from contextlib import suppress
from datetime import timedelta

import pytest

from sqlitedict_kv import (
    AsyncStore,
    CodecError,
    DamagedFileError,
    DecodeError,
    MissingFileError,
    NotKeptHereError,
    Store,
    StoreClosedError,
    StoreFullError,
    TooLargeError,
)
from sqlitedict_kv.codecs.file_reference import FILE, parse_reference
from sqlitedict_kv.engines.sqlite.value_files import streams
from tests.engines.sqlite.test_mapped_values import damage
from tests.engines.sqlite.test_value_files import folder_of, names_in, query
from tests.support.processes import Worker, forked, run

ABOVE = 2**16
SMALL, LARGE = b"abc" * 1000, bytes(range(256)) * 5000  # 3 kB, 1.28 MB


@pytest.fixture
def large_store(path):
    with Store(path, files_above=ABOVE) as store:
        yield store


@pytest.fixture
def ns(large_store):
    return large_store.ns("n")


# -- writing


@pytest.mark.parametrize("value", [b"", SMALL, b"x" * ABOVE, b"x" * (ABOVE + 1), LARGE], ids=len)
@pytest.mark.parametrize("piece", [1000, 2**18, 10**7])
def test_what_was_written_is_there_at_the_end(ns, path, value, piece):
    with ns.open("k", "wb") as out:
        for start in range(0, len(value), piece):
            part = value[start : start + piece]
            assert out.write(part) == len(part)
        assert "k" not in ns
    assert ns["k"] == value
    assert out.version == ns.get_with_meta("k").meta.version
    assert folder_of(path).exists() == (len(value) > ABOVE)
    with ns.open("k") as stream:
        assert stream.read() == value


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=len)
def test_a_block_that_raises_writes_nothing(ns, large_store, path, value):
    ns["k"] = "before"

    def write():
        with ns.open("k", "wb") as out:
            out.write(value)
            raise LookupError

    with pytest.raises(LookupError):
        write()
    assert ns["k"] == "before"
    large_store.vacuum()
    assert not folder_of(path).exists() or names_in(path) == set()
    assert large_store.check().unknown_files == 0


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=len)
def test_a_stream_that_is_forgotten_writes_nothing_and_is_warned_of(ns, value):
    def forget():
        ns.open("k", "wb").write(value)

    with pytest.warns(ResourceWarning, match="never closed"):
        forget()
        gc.collect()
    assert "k" not in ns


def test_closing_writes_once(ns):
    out = ns.open("k", "wb")
    out.write(LARGE)
    out.close()
    ns["k"] = "later"
    out.close()
    assert ns["k"] == "later"
    for call in (lambda: out.write(b"x"), lambda: out.__enter__().write(b"x")):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_the_entry_has_what_was_asked_for(make_store, path, clock):
    store = make_store(path, files_above=ABOVE)
    ns = store.ns("n", ttl=5)
    with ns.open("film", "wb", content_type="video/mp4", ttl=timedelta(minutes=1), tags=["a"]) as out:
        out.write(LARGE)
        clock.advance(30)
    summary = ns.largest(1)[0]
    assert (summary.content_type, summary.size) == ("video/mp4", len(LARGE))
    clock.advance(59)
    assert "film" in ns
    with pytest.raises(DecodeError, match="video/mp4"):
        ns["film"]
    with ns.open("film") as stream:
        assert stream.read() == LARGE
    assert store.forget_tag("a") == 1
    ns.set_file("short", io.BytesIO(LARGE))
    clock.advance(6)
    with pytest.raises(KeyError):
        ns.open("short")


@pytest.mark.parametrize("above", [ABOVE, None])
def test_a_value_without_a_codec_is_intact_and_says_how_it_is_read(path, above):
    with Store(path, files_above=above) as store:
        ns = store.ns("n")
        for key, value in (("small", SMALL), ("large", LARGE)):
            ns.set_file(key, io.BytesIO(value), content_type="video/mp4")
        report = store.check()
        assert (report.ok, report.entries) == (True, 2)
        for read in (lambda: ns["small"], lambda: ns["large"], ns.copy, lambda: ns.incr("small")):
            with pytest.raises(NotKeptHereError, match=r"read its bytes with open\(\) or get_file\(\)"):
                read()
        assert ns.get_file("large", io.BytesIO()) == len(LARGE)


def test_a_value_is_replaced_and_its_file_goes(ns, large_store, path):
    for number in range(3):
        with ns.open("k", "wb") as out:
            out.write(LARGE + bytes([number]))
    large_store.vacuum()
    assert len(names_in(path)) == 1
    assert ns["k"][-1] == 2


def test_anything_with_the_buffer_protocol_is_bytes(ns):
    np = pytest.importorskip("numpy")
    array = np.arange(20_000.0)
    with ns.open("k", "wb") as out:
        assert out.write(array) == array.nbytes
        assert out.write(bytearray(b"end")) == 3
        assert out.write(memoryview(b"")) == 0
    assert ns["k"] == array.tobytes() + b"end"


def test_other_libraries_write_to_it_and_read_from_it(ns):
    with ns.open("archive", "wb") as out, zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", LARGE)
    with ns.open("archive") as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("a.txt") == LARGE
    with ns.open("copy", "wb") as out, ns.open("archive") as stream:
        shutil.copyfileobj(stream, out)
    assert ns["copy"] == ns["archive"]


def test_checksums_of_larger_chunks_are_made_when_there_are_many(ns, path, monkeypatch):
    monkeypatch.setattr(streams, "MOST_CHUNKS", 4)
    monkeypatch.setattr(streams, "CHUNK_BYTES", 2**18)
    value = os.urandom(3 * 2**20 + 77)
    with ns.open("k", "wb") as out:
        for start in range(0, len(value), 100_000):
            out.write(value[start : start + 100_000])
    ((body,),) = query(path, "SELECT value FROM kv WHERE key = 'k'")
    reference = parse_reference(body)
    assert reference.chunk == 2**20
    assert len(reference.crc32) == 4 * 4
    assert ns["k"] == value


def test_the_limit_of_a_value_is_kept(path):
    with Store(path, files_above=ABOVE, max_value_bytes="1 MB") as store:
        ns = store.ns("n")
        with pytest.raises(TooLargeError), ns.open("k", "wb") as out:
            for _ in range(100):
                out.write(b"x" * 100_000)
        assert "k" not in ns
        ns.set_file("k", io.BytesIO(b"x" * 900_000))
        with pytest.raises(TooLargeError):
            ns.set_file("k", io.BytesIO(LARGE))
        assert len(ns["k"]) == 900_000


def test_a_full_disk_leaves_what_was_there(ns, large_store, monkeypatch):
    ns["k"] = "before"

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreFullError), ns.open("k", "wb") as out:
        out.write(LARGE)
        monkeypatch.setattr(streams, "write_all", refuse)
        out.write(LARGE)
    assert ns["k"] == "before"
    monkeypatch.undo()
    ns.set_file("k", io.BytesIO(LARGE))
    assert ns["k"] == LARGE


def test_a_value_that_is_safe_after_a_power_cut_is_synced(path, monkeypatch):
    synced, sync = [], streams.sync_file
    monkeypatch.setattr(streams, "sync_file", lambda descriptor: (synced.append(descriptor), sync(descriptor)))
    with Store(path, files_above=ABOVE, durability="power") as store:
        store.ns("n").set_file("k", io.BytesIO(LARGE))
    assert len(synced) == 1


def test_a_store_where_no_value_is_in_a_file_keeps_it_in_memory_until_its_end(make_store, path):
    for store in (make_store(), make_store(path, files_above=None, max_value_bytes=2_000_000)):
        ns = store.ns("n")
        ns.set_file("k", io.BytesIO(LARGE))
        assert ns["k"] == LARGE
        with ns.open("k") as stream:
            stream.seek(1000)
            assert stream.read(10) == LARGE[1000:1010]
    with pytest.raises(TooLargeError, match="2000000|2,000,000"), ns.open("more", "wb") as out:
        out.write(LARGE)
        out.write(LARGE)
    assert "more" not in ns


# -- reading


def test_a_stream_can_be_read_from_anywhere(ns):
    ns["k"] = LARGE
    with ns.open("k") as stream:
        assert stream.readable()
        assert stream.seekable()
        assert not stream.writable()
        assert stream.seek(0, os.SEEK_END) == len(LARGE)
        assert stream.read(1) == b""
        for position in (1_048_570, 5, len(LARGE) - 3, 0, 2**20):
            assert stream.seek(position) == position == stream.tell()
            assert stream.read(20) == LARGE[position : position + 20]
        assert stream.seek(10 * len(LARGE)) == 10 * len(LARGE)
        assert stream.read() == b""
        with pytest.raises(ValueError, match="before|negative"):
            stream.seek(-1)
        into = bytearray(100)
        stream.seek(7)
        assert stream.readinto(into) == 100
        assert into == LARGE[7:107]
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_the_encoded_value_is_what_is_read(ns):
    ns["number"] = {"a": 1}
    with ns.open("number") as stream:
        assert stream.read() == b'{"a":1}'


def test_a_reader_goes_on_while_others_write_and_remove(ns, large_store):
    ns["k"] = LARGE
    with ns.open("k") as stream:
        assert stream.read(10) == LARGE[:10]
        ns["k"] = b"y" * len(LARGE)
        large_store.vacuum()
        del ns["k"]
        large_store.vacuum()
        assert stream.read() == LARGE[10:]


def test_a_child_has_a_position_of_its_own(ns):
    ns["k"] = LARGE
    with ns.open("k") as stream:
        stream.read(100)
        assert forked(lambda: stream.seek(0) == 0 and stream.read() == LARGE or 1 / 0) == 0
        assert stream.read() == LARGE[100:]


def test_a_damaged_chunk_is_never_given(ns, path):
    ns["k"] = LARGE
    damage(path, *names_in(path), at=2**20 + 5)
    with ns.open("k") as stream:
        assert stream.read(2**20) == LARGE[: 2**20]
        for _ in range(2):
            with pytest.raises(DamagedFileError, match="'k'"):
                stream.read(1)
        stream.seek(0)
        assert stream.read(5) == LARGE[:5]


def test_a_file_that_is_shortened_or_gone(ns, path):
    ns["k"] = LARGE
    (name,) = names_in(path)
    with ns.open("k") as stream:
        os.truncate(folder_of(path) / name, 1000)
        with pytest.raises(DamagedFileError, match="too early"):
            stream.read()
    with pytest.raises(DamagedFileError, match="1000 bytes"):
        ns.open("k")
    os.unlink(folder_of(path) / name)
    with pytest.raises(MissingFileError):
        ns.open("k")


def test_a_store_that_is_only_read(path):
    with Store(path, files_above=ABOVE) as store:
        store.ns("n")["k"] = LARGE
    with Store(path, readonly=True) as store, store.ns("n").open("k") as stream:
        assert stream.read() == LARGE


# -- files


def test_a_file_goes_in_and_out(ns, tmp_path):
    (tmp_path / "in").write_bytes(LARGE)
    seen = []
    version = ns.set_file("k", tmp_path / "in", progress=lambda *given: seen.append(given))
    assert version == ns.get_with_meta("k").meta.version
    assert seen == [(2**20, len(LARGE)), (len(LARGE), len(LARGE))]
    seen.clear()
    assert ns.get_file("k", str(tmp_path / "out"), progress=lambda *given: seen.append(given)) == len(LARGE)
    assert seen[-1] == (len(LARGE), len(LARGE))
    assert (tmp_path / "out").read_bytes() == LARGE
    assert sorted(name for name in os.listdir(tmp_path) if "partial" in name) == []


def test_a_file_that_is_open_is_taken_from_where_it_is(ns, tmp_path):
    (tmp_path / "in").write_bytes(LARGE)
    with open(tmp_path / "in", "rb") as source:
        source.seek(100)
        ns.set_file("k", source)
    assert ns["k"] == LARGE[100:]
    output = io.BytesIO()
    assert ns.get_file("k", output) == len(LARGE) - 100
    assert output.getvalue() == LARGE[100:]


def test_a_file_that_is_there_stays(ns, tmp_path):
    ns["k"] = LARGE
    (tmp_path / "out").write_text("precious")
    with pytest.raises(FileExistsError, match="stays"):
        ns.get_file("k", tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        ns.get_file("k", tmp_path / "link")
    assert (tmp_path / "out").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_comes_meanwhile_stays(ns, tmp_path):
    ns["k"] = LARGE

    def come(_done, _total):
        (tmp_path / "out").write_text("precious")

    with pytest.raises(FileExistsError):
        ns.get_file("k", tmp_path / "out", progress=come)
    assert (tmp_path / "out").read_text() == "precious"
    assert [name for name in os.listdir(tmp_path) if "partial" in name] == []


def test_a_damaged_value_makes_no_file(ns, path, tmp_path):
    ns["k"] = LARGE
    damage(path, *names_in(path), at=2**20 + 5)
    with pytest.raises(DamagedFileError):
        ns.get_file("k", tmp_path / "out")
    assert [name for name in os.listdir(tmp_path) if "out" in name] == []


@pytest.mark.parametrize("wrong", ["nowhere", "directory", "text", "raising"])
def test_a_source_that_cannot_be_read_changes_nothing(ns, tmp_path, wrong):
    class Raising(io.RawIOBase):
        def read(self, _size=-1):
            raise OSError(5, "Input/output error")

    (tmp_path / "directory").mkdir()
    (tmp_path / "words").write_text("words")
    ns["k"] = "before"
    with open(tmp_path / "words") as text:
        source = {"text": text, "raising": Raising()}.get(wrong, tmp_path / wrong)
        with pytest.raises(TypeError if wrong == "text" else OSError):
            ns.set_file("k", source)
    assert ns["k"] == "before"


def test_keys_of_other_types_and_views_of_types(large_store):
    by_number = large_store.ns("numbers", keys=int)
    by_number.set_file(7, io.BytesIO(LARGE))
    with by_number.open(7) as stream:
        assert stream.read() == LARGE
    assert by_number.get_file(7, io.BytesIO()) == len(LARGE)
    assert large_store.ns("n", type=bytes).set_file("k", io.BytesIO(LARGE)) > 0
    with pytest.raises(CodecError, match="keeps"):
        large_store.ns("n", type=int).open("k", "wb")
    assert large_store.ns("n", type=bytes)["k"] == LARGE


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda ns: ns.open("k", "r"), ValueError),
        (lambda ns: ns.open("k", "ab"), ValueError),
        (lambda ns: ns.open("k", content_type="a/b"), TypeError),
        (lambda ns: ns.open("k", ttl=1), TypeError),
        (lambda ns: ns.open("absent"), KeyError),
        (lambda ns: ns.open(5), TypeError),
        (lambda ns: ns.open("k", "wb", ttl=-1), ValueError),
        (lambda ns: ns.open("k", "wb", content_type=5), TypeError),
        (lambda ns: ns.open("k", "wb", content_type=""), ValueError),
        (lambda ns: ns.open("k", "wb", content_type="a\nb"), ValueError),
        (lambda ns: ns.open("k", "wb", content_type=FILE), ValueError),
        (lambda ns: ns.open("k", "wb", tags="a"), TypeError),
        (lambda ns: ns.set_file("k", 5.0), TypeError),
        (lambda ns: ns.set_file("k", io.BytesIO(b"x"), progress=5), TypeError),
        (lambda ns: ns.get_file("absent", io.BytesIO()), KeyError),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(ns, call, error):
    ns["k"] = "before"
    with pytest.raises(error):
        call(ns)
    assert ns["k"] == "before"


def test_a_text_is_not_bytes(ns):
    with pytest.raises(TypeError), ns.open("k", "wb") as out:
        out.write("text")
    assert "k" not in ns


def test_a_closed_store(path):
    store = Store(path, files_above=ABOVE)
    ns = store.ns("n")
    ns["k"] = LARGE
    stream, out = ns.open("k"), ns.open("more", "wb")
    out.write(LARGE)
    store.close()
    assert stream.read() == LARGE
    stream.close()
    with pytest.raises(StoreClosedError):
        out.close()
    with pytest.raises(StoreClosedError):
        ns.open("k")


# -- processes


def test_a_writer_that_is_killed_leaves_nothing(ns, large_store, path):
    with Worker(
        """
        with Store(sys.argv[1], files_above=2**16) as store:
            out = store.ns("n").open("k", "wb")
            out.write(b"x" * 3_000_000)
            say("written")
            hear()
        """,
        path,
        measured=False,
    ) as worker:
        assert worker.hear() == "written"
        worker.kill()
    assert "k" not in ns
    large_store.vacuum()
    assert names_in(path) == set()
    assert large_store.check().ok


def test_memory_does_not_grow_with_the_value(path, tmp_path):
    lines = run(
        """
        import resource
        with open(sys.argv[2], "wb") as file:
            for _ in range(200):
                file.write(os.urandom(2**20))
        with Store(sys.argv[1], files_above=2**16) as store:
            ns = store.ns("n")
            ns.set_file("warm", sys.argv[0] if os.path.exists(sys.argv[0]) else "/etc/hostname")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            ns.set_file("k", sys.argv[2])
            ns.get_file("k", sys.argv[3])
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            say(grown < 32 * 1024)  # KiB, as Linux counts
        """,
        path,
        tmp_path / "in",
        tmp_path / "out",
        measured=False,
    )
    assert lines == ["True"]
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("in", "out")}
    assert len(digests) == 1


def test_within_a_transaction_of_one_s_own(large_store, path):
    with large_store.exclusive() as within:
        within.ns("n").set_file("k", io.BytesIO(LARGE))
        with within.ns("n").open("k") as stream:
            assert stream.read() == LARGE
    assert large_store.ns("n")["k"] == LARGE

    def roll_back():
        with large_store.exclusive() as within:
            within.ns("n").set_file("more", io.BytesIO(LARGE))
            raise LookupError

    with pytest.raises(LookupError):
        roll_back()
    assert "more" not in large_store.ns("n")
    assert large_store.check().ok


# -- tasks


def test_tasks_write_and_read(path, tmp_path):
    (tmp_path / "in").write_bytes(LARGE)

    async def main():
        async with AsyncStore(path, files_above=ABOVE) as store:
            ns = store.ns("n")
            async with ns.open("k", "wb", ttl=60) as out:
                assert await out.write(LARGE) == len(LARGE)
                assert not await ns.contains("k")
            assert out.version == (await ns.get_with_meta("k")).meta.version
            async with ns.open("k") as stream:
                assert await stream.seek(10) == 10
                assert await stream.read(5) == LARGE[10:15]
                assert stream.tell() == 15
                assert await stream.read() == LARGE[15:]
            with pytest.raises(LookupError):
                async with ns.open("k", "wb") as out:
                    await out.write(b"x")
                    raise LookupError
            assert await ns.get("k") == LARGE
            assert await ns.set_file("file", tmp_path / "in") == 1
            assert await ns.get_file("file", tmp_path / "out") == len(LARGE)
            with pytest.raises(KeyError):
                async with ns.open("absent"):
                    pass
            numbers = store.ns("numbers", keys=int)
            await numbers.set_file(1, io.BytesIO(LARGE))
            async with numbers.open(1) as stream:
                assert await stream.read() == LARGE

    asyncio.run(main())
    assert (tmp_path / "out").read_bytes() == LARGE


def test_a_task_that_is_cancelled_while_it_opens_leaves_no_stream(path):
    async def main():
        async with AsyncStore(path, files_above=ABOVE) as store:
            ns = store.ns("n")
            await ns.set("k", LARGE)

            async def use(mode):
                async with ns.open("k", mode):
                    pass

            for mode in ("rb", "wb") * 20:
                task = asyncio.create_task(use(mode))
                await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            gc.collect()

    asyncio.run(main())


def test_a_task_that_is_cancelled_writes_nothing(path):
    async def main():
        async with AsyncStore(path, files_above=ABOVE) as store:
            ns, entered = store.ns("n"), asyncio.Event()

            async def write():
                async with ns.open("k", "wb") as out:
                    await out.write(LARGE)
                    entered.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(write())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not await ns.contains("k")

    asyncio.run(main())
