"""Coherence of the LRU with the file: how it sees that somebody committed; without an LRU nothing asks."""
