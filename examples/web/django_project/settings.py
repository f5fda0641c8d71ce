"""The settings: the cache is the point of it."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "an example's, and no secret")
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "django_project.urls"
INSTALLED_APPS = [
    "django.contrib.sessions",
    "sqlitedict_kv.adapters.django",  # for manage.py sqlite_cache
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
USE_TZ = True

PLACE = {
    "BACKEND": "sqlitedict_kv.adapters.django.SQLiteCache",
    "LOCATION": os.environ.get("SITE_DB", "site.db"),
}
CACHES = {
    "default": {**PLACE, "OPTIONS": {"lru_bytes": "16 MB", "max_bytes": "1 GB"}},
    # The same file, another namespace: clearing the cache ends no session, and loses no count.
    "kept": {**PLACE, "TIMEOUT": None, "OPTIONS": {"namespace": "kept"}},
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "kept"
