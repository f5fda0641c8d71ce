"""Building blocks of a backend for another library."""
