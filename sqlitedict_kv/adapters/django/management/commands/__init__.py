"""Commands, by the names of their modules."""
