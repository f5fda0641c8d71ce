"""Programs of pages, and what they promise to print."""

import re


def blocks(language, page):
    """Return the fenced blocks of a language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def promised_output(block):
    """Return what the comments beside the calls of print say."""
    prints = [line for line in block.splitlines() if line.lstrip().startswith("print(")]
    assert all("  # " in line for line in prints), f"a print whose output is not shown: {prints}"
    return [line.split("  # ", 1)[1] for line in prints]
