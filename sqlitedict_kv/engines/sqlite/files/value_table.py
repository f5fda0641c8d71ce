"""Table of the values in files of their own, made in a database by the first of them."""

FILE_TABLE = """CREATE TABLE IF NOT EXISTS kv_file (name TEXT NOT NULL PRIMARY KEY, ns TEXT NOT NULL, key TEXT NOT NULL,
  size INTEGER NOT NULL, state INTEGER NOT NULL) WITHOUT ROWID"""
FILE_INDEX = "CREATE INDEX IF NOT EXISTS kv_file_todo ON kv_file (state) WHERE state <> 1"
