"""Entry point of ``python -m sqlitedict_kv``."""

from __future__ import annotations

import sys

from sqlitedict_kv.cli import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
