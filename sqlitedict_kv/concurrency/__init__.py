"""Threads, tasks, forks and waiting, for every layer above."""
