"""The command line of the campaigns, and the report that it writes."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    raise NotImplementedError
