"""Compatibility with other caches: their files, their pickles, their keys."""
