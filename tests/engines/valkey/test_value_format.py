"""An entry as one string, by client and by script."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv.engines.crc32 import SMALL
from sqlitedict_kv.engines.valkey.value_format import FORMAT, HEADER, TYPES, crc_of, pack, record_of
from sqlitedict_kv.errors import DamagedEntryError, TooLargeError

VERSIONS = st.integers(1, 2**53 - 2**33)
TIMES = st.integers(1, 2**42)


def crc(namespace="ns", key="k"):
    return crc32(key.encode(), crc_of(namespace))


def stored(body, content_type, expires_at, updated_at, version, at=None):
    """Return the string that the scripts make of what the client sends."""
    checksum, tail = pack(crc() if at is None else at, body, content_type, expires_at, updated_at)
    total = version + updated_at + (expires_at or 0)
    return struct.pack(">BQI", FORMAT, version, (checksum + total + total // 2**32) % 2**32) + tail


@given(st.binary(max_size=200), st.text(min_size=1, max_size=60), st.none() | TIMES, TIMES, VERSIONS)
def test_an_entry_comes_back_as_it_was(body, content_type, expires_at, updated_at, version):
    record = record_of("ns", "k", stored(body, content_type, expires_at, updated_at, version), crc())
    assert record == (body, content_type, version, expires_at, updated_at)


@pytest.mark.parametrize("size", [SMALL - 40, SMALL - 1, SMALL, SMALL + 1, 2**20])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-mine"])
def test_a_large_body_has_the_checksum_of_zlib(content_type, size):
    checksum, tail = pack(crc(), b"x" * size, content_type, None, 1)
    assert checksum == crc32(tail[struct.calcsize(">QQ") :], crc())
    raw = stored(b"x" * size, content_type, None, 1, 1)
    assert record_of("ns", "k", raw, crc()).body == b"x" * size
    with pytest.raises(DamagedEntryError):
        record_of("ns", "k", raw[:-1] + b"y", crc())


@pytest.mark.parametrize("content_type", TYPES[1:])
def test_a_known_type_takes_one_byte(content_type):
    raw = stored(b"body", content_type, None, 1, 1)
    assert len(raw) == HEADER.size + len(b"body")
    assert record_of("ns", "k", raw, crc()).content_type == content_type


def test_the_numbers_of_the_types_are_part_of_the_format():
    assert TYPES[:5] == (
        "",
        "application/json",
        "application/msgpack",
        "application/octet-stream",
        "text/plain; charset=utf-8",
    )


@pytest.mark.parametrize("content_type", ["application/json", "application/x-mine"])
def test_each_flipped_bit_is_noticed(content_type):
    raw = stored(b"what is kept", content_type, 1_700_000_000_123, 1_700_000_000_000, 1_795_567_053_052_565)
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedEntryError, match="'k' in namespace 'ns'"):
            record_of("ns", "k", bytes(damaged), crc())


def test_each_missing_end_is_noticed():
    for content_type in ("application/json", "application/x-mine"):
        raw = stored(b"what is kept", content_type, None, 1, 1)
        for length in range(len(raw)):
            with pytest.raises(DamagedEntryError):
                record_of("ns", "k", raw[:length], crc())


def test_an_entry_under_another_key_or_in_another_namespace_is_damaged():
    raw = stored(b"body", "application/json", None, 1, 1)
    with pytest.raises(DamagedEntryError):
        record_of("ns", "l", raw, crc(key="l"))
    with pytest.raises(DamagedEntryError):
        record_of("other", "k", raw, crc(namespace="other"))


def test_what_a_later_release_wrote_is_said_to_be_that():
    raw = bytes([FORMAT + 1]) + stored(b"body", "application/json", None, 1, 1)[1:]
    with pytest.raises(DamagedEntryError, match="later release"):
        record_of("ns", "k", raw, crc())


def test_a_value_that_no_server_takes_is_refused_before_it_is_sent(monkeypatch):
    monkeypatch.setattr("sqlitedict_kv.engines.valkey.value_format.MAX_BODY_BYTES", 10)
    pack(0, bytes(10), "application/json", None, 1)
    with pytest.raises(TooLargeError, match="11 bytes"):
        pack(0, bytes(11), "application/json", None, 1)
