"""Large values in files of their own, in a folder beside the database."""
