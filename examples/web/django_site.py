"""Serves the Django project beside it, whose cache and sessions are in one file that all its processes share.

Run it with ``pip install "sqlitedict-kv[django]"`` and ``python examples/web/django_site.py site.db``; it prints its
address.
"""

import os
import sys

from django.core.wsgi import get_wsgi_application
from workers import serve


def make_app(path):
    os.environ.update(SITE_DB=path, DJANGO_SETTINGS_MODULE="django_project.settings")
    return get_wsgi_application()


if __name__ == "__main__":
    serve(make_app, sys.argv[1] if len(sys.argv) > 1 else "site.db")
