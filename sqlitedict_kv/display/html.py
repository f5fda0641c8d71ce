"""Tables in HTML, of plain text alone: whatever a key or a value holds, none of it becomes HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

# Colours and fonts are those of the notebook, in its dark mode too.
CELL = ' style="text-align: left; vertical-align: top; white-space: pre-wrap; overflow-wrap: anywhere"'


def escape(text: str) -> str:
    """Return text so that HTML shows it as it is; half of a surrogate pair, which cannot be sent, as its escape."""
    return text.encode(errors="backslashreplace").decode().translate(ESCAPES)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    facts: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return a title with some facts, a table, and notes below it.

    Args:
        title: what is shown.
        columns: the heads of the columns.
        rows: the cells of each row, in plain text; a table without rows is left out.
        facts: short texts behind the title.
        notes: lines below the table.
    """
    head = " · ".join([f"<strong>{escape(title)}</strong>", *map(escape, facts)])
    parts = [f"<div>{head}</div>"]
    lines = ["".join(f"<td{CELL}>{escape(cell)}</td>" for cell in row) for row in rows]
    if lines:
        heads = "".join(f"<th{CELL}>{escape(column)}</th>" for column in columns)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")
    parts += [f"<div><small>{escape(note)}</small></div>" for note in notes]
    return f'<div class="sqlitedict-kv">{"".join(parts)}</div>'


def fact_table(title: str, rows: Iterable[tuple[str, str]], *, notes: Sequence[str] = ()) -> str:
    """Return a title, and names with what they stand for, a line each."""
    lines = "".join(f"<tr><th{CELL}>{escape(name)}</th><td{CELL}>{escape(text)}</td></tr>" for name, text in rows)
    below = "".join(f"<div><small>{escape(note)}</small></div>" for note in notes)
    inner = f"<div><strong>{escape(title)}</strong></div><table><tbody>{lines}</tbody></table>{below}"
    return f'<div class="sqlitedict-kv">{inner}</div>'
