"""Damaged files: set aside and salvaged."""
