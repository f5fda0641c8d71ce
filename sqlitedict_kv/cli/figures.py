"""Figures as people read them; those of notebooks are the same."""

from sqlitedict_kv.display.figures import ago, counted, from_now, iso, number, size, span

__all__ = ["ago", "counted", "from_now", "iso", "number", "size", "span"]
