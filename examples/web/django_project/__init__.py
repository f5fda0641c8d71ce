"""A small Django project whose cache and sessions are in one SQLite file."""
