"""Results of functions, kept in a namespace."""
