"""The engine that keeps everything in one SQLite file."""

from sqlitedict_kv.engines.sqlite.engine import SQLiteEngine

__all__ = ["SQLiteEngine"]
