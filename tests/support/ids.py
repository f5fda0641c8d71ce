"""Names of parametrized tests that are the same in each process, as pytest-xdist needs them."""

import re

LONGEST = 60  # characters


def shown(value):
    """Return a value as repr() shows it, without addresses, and with the members of a set in order."""
    if isinstance(value, set | frozenset):
        members = ", ".join(sorted(map(shown, value)))
        return f"{type(value).__name__}({{{members}}})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:LONGEST]
