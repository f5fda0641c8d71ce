"""Walk through the keys of a namespace in the order in which their entries were created."""

from __future__ import annotations

from sqlitedict_kv.engines.protocol import AgeRange
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.optional import require_aging
from sqlitedict_kv.operations.pagination import Page, age_cursor, ages_of
from sqlitedict_kv.validation import check_bool, check_int


def page_by_age(context: StoreContext, name: str, limit: int, cursor: str | None, *, reverse: bool) -> Page[str]:
    """Return a page of the keys of a namespace; the arguments are those of ``by_age()``."""
    backwards = check_bool(reverse, "reverse")
    most = check_int(limit, "limit", lowest=1, highest=1_000_000)
    engine, now = require_aging(context.engine), context.now()
    age = AgeRange(name, reverse=backwards)
    if cursor is not None:
        after, until = ages_of(cursor, reverse=backwards)
        age = age._replace(after=after, until=until)
    elif not backwards:
        newest = engine.keys_by_age(age._replace(reverse=True), 1, now)
        age = age._replace(until=newest[0][0] if newest else 0)
    found = engine.keys_by_age(age, most + 1, now)
    keys = tuple(key for _, key in found[:most])
    if len(found) <= most:
        return Page(keys, None)
    return Page(keys, age_cursor(found[most - 1][0], age.until or 0, reverse=backwards))
