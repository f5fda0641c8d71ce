"""Runs the campaigns at the size of a night or a release: ``python -m tests.faults --budget 2h``."""

from __future__ import annotations

import sys

from tests.faults.command import main

if __name__ == "__main__":
    sys.exit(main())
