"""Reading what other caches have written, and the types that they take as keys."""
