"""Management commands of the Django project: ``SITE_DB=site.db python examples/web/manage.py sqlite_cache --purge``."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_project.settings")
    execute_from_command_line(sys.argv)
