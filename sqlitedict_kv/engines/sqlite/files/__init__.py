"""Files of a store: where they may lie, and whether they are still the same."""
