"""Command ``manage.py sqlite_cache``: statistics of the caches, and clean-up."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError

from sqlitedict_kv import KVError
from sqlitedict_kv.adapters.django import SQLiteCache


class Command(BaseCommand):
    """Shows statistics of the SQLite caches and, if asked to, removes what has expired."""

    help = "Shows statistics of the SQLite caches; with --purge, removes what has expired before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what can be given."""
        parser.add_argument("alias", nargs="*", help="caches of settings.CACHES; left out, all SQLite caches")
        parser.add_argument("--purge", action="store_true", help="remove expired entries from the file")
        parser.add_argument("--vacuum", action="store_true", help="give free space back to the operating system")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Clean up as asked for, then print a line for each cache.

        Raises:
            CommandError: a cache does not exist, or its store failed.
        """
        for alias in options["alias"] or settings.CACHES:
            if alias not in settings.CACHES:
                raise CommandError(f"settings.CACHES has no {alias!r}")
            cache = caches[alias]
            if isinstance(cache, SQLiteCache):
                self._report(alias, cache, purge=options["purge"], vacuum=options["vacuum"])
            elif options["alias"]:
                raise CommandError(f"{alias!r} is not a SQLiteCache")

    def _report(self, alias: str, cache: SQLiteCache, *, purge: bool, vacuum: bool) -> None:
        try:
            purged = cache.store.purge_expired() if purge else 0
            if vacuum:
                cache.store.vacuum()
            stats = cache.store.stats()
        except KVError as error:
            raise CommandError(f"{alias}: {error}") from error
        removed = f", {purged} expired removed" if purge else ""
        self.stdout.write(
            f"{alias}: {stats.entries} entries and {stats.expired} expired in {stats.namespaces} namespaces, "
            f"{stats.bytes_on_disk:,} bytes on disk, {stats.free_bytes:,} free{removed}"
        )
