"""Invalidation messages of servers."""
