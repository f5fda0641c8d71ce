"""Bytes of values: exact MessagePack, the content types that are built in, and the codecs of a store."""

from __future__ import annotations

from sqlitedict_kv.codecs.msgpack import pack, unpack
from sqlitedict_kv.codecs.registry import BYTES, JSON, MSGPACK, TEXT, Codecs

__all__ = ["BYTES", "JSON", "MSGPACK", "TEXT", "Codecs", "pack", "unpack"]
