"""Entry point of ``python -m sqlitedict_kv``."""

from __future__ import annotations

import sys

from sqlitedict_kv.cli import main

if __name__ == "__main__":
    sys.exit(main())
