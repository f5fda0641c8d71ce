"""The app that brings the management command."""

from django.apps import AppConfig


class SQLiteCacheConfig(AppConfig):
    """Names the app, which would else have the label ``django``."""

    name = "sqlitedict_kv.adapters.django"
    label = "sqlitedict_kv"
    verbose_name = "SQLite cache"
