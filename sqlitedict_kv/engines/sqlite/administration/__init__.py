"""Administration of a whole file: its verification, and consistent copies of it."""
