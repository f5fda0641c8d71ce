"""Cache backend for Django, with or without ``"sqlitedict_kv.adapters.django"`` among the INSTALLED_APPS.

::

    CACHES = {
        "default": {
            "BACKEND": "sqlitedict_kv.adapters.django.SQLiteCache",
            "LOCATION": BASE_DIR / "cache.db",
        }
    }

As an installed app it adds the command ``manage.py sqlite_cache``, which shows statistics and cleans up.
"""

from sqlitedict_kv.adapters.django.cache import SQLiteCache

__all__ = ["SQLiteCache"]
