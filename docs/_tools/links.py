"""Links of a page to files outside of docs/, as the site shows them.

In the repository they lead to the file. The site has no such file: they lead to the repository if its address is
known (REPO_URL), and are plain text otherwise.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^):#\s]+)(#[^)\s]*)?\)")
CELL = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
INCLUDED = {  # files of the top that are pages of the site too
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page with its links out of docs/ changed, and files of the top put in."""
    name = page.file.src_uri
    source = next((top for top, uri in INCLUDED.items() if uri == name), None)
    if source is not None:
        return _changed((ROOT / source).read_text(encoding="utf-8"), "", name, config)
    return _changed(markdown, f"docs/{posixpath.dirname(name)}", name, config)


def _changed(markdown: str, directory: str, name: str, config: Any) -> str:
    """Return the text of a page, whose links are relative to *directory*, for the place that it has in docs/."""

    def link(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        target = posixpath.normpath(posixpath.join(directory, path))
        if target.startswith("docs/"):
            target = target.removeprefix("docs/")
        elif target in INCLUDED:
            target = INCLUDED[target]
        elif config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{target}{anchor})"
        else:
            return text
        return f"[{text}]({posixpath.relpath(target, posixpath.dirname(name) or '.')}{anchor})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else CELL.sub(_bar, LINK.sub(link, part)) for part in parts)


def _bar(match: re.Match[str]) -> str:
    """Return code in a table with the bars that GitHub wants escaped there, and Python-Markdown does not."""
    return match[0].replace("\\|", "|")
