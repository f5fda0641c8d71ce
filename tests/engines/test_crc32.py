"""The CRC-32 of large bodies is that of zlib, whoever computes it."""

import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv import DamagedEntryError, Store
from sqlitedict_kv.engines import crc32
from sqlitedict_kv.engines.crc32 import SMALL, crc32_of_large, fastest_crc32

SIZES = [0, 1, SMALL - 1, SMALL, SMALL + 1, 2**16 - 1, 2**16, 2**16 + 1, 2**20, 2**20 + 13]
BODY = bytes(range(256)) * (2**12 + 1)
PROGRAM = """
import sys
if {blocked}:
    sys.modules["isal"] = None
from sqlitedict_kv import Store
from sqlitedict_kv.engines.crc32 import fastest_crc32
print(fastest_crc32().__module__, end="")
with Store("kv.db", readonly={read}) as store:
    values = store.ns("n")
    for size in {sizes}:
        if {read}:
            assert values[str(size)] == b"x" * size
            assert values.get_with_meta(str(size)).value == b"x" * size
        else:
            values[str(size)] = b"x" * size
"""


@given(body=st.binary(max_size=5000), start=st.integers(0, 2**32 - 1), times=st.integers(1, 40))
def test_it_is_that_of_zlib(body, start, times):
    for kind in (bytes, bytearray, memoryview):
        assert crc32_of_large(kind(body * times), start) == zlib.crc32(body * times, start)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_that_of_zlib_at_each_limit(size):
    assert crc32_of_large(BODY[:size], 7) == zlib.crc32(BODY[:size], 7)
    assert crc32_of_large(memoryview(BODY)[1 : size + 1]) == zlib.crc32(BODY[1 : size + 1])


def test_it_is_zlibs_own_where_isal_cannot_be_imported(monkeypatch):
    for module in ("isal", "isal.isal_zlib"):
        monkeypatch.setitem(sys.modules, module, None)
    assert fastest_crc32.__wrapped__() is zlib.crc32


@pytest.mark.parametrize(("writer", "reader"), [(True, False), (False, True)])
def test_what_is_written_without_isal_is_read_with_it_and_the_other_way(tmp_path, writer, reader):
    for blocked, read in ((writer, False), (reader, True)):
        program = PROGRAM.format(blocked=blocked, read=read, sizes=SIZES)
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "zlib" or not blocked


@pytest.mark.parametrize("size", [SMALL, SMALL + 1, 2**20])
def test_damage_is_noticed_at_each_size(tmp_path, monkeypatch, size):
    with Store(tmp_path / "kv.db") as store:
        values = store.ns("n")
        values["k"] = b"x" * size
        monkeypatch.setattr(crc32, "fastest_crc32", lambda: lambda _body, _start=0: 1)
        if size > SMALL:
            with pytest.raises(DamagedEntryError):
                values["k"]
        else:
            assert values["k"] == b"x" * size
