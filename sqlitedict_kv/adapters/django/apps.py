"""Application that adds the management command."""

from django.apps import AppConfig


class SQLiteCacheConfig(AppConfig):
    """Gives the application a label, which would otherwise be ``django``."""

    name = "sqlitedict_kv.adapters.django"
    label = "sqlitedict_kv"
    verbose_name = "SQLite cache"
