"""The Unicode character database of two releases, kept, upgraded, queried, expired in part, and found again.

The data is the Unicode Character Database (https://www.unicode.org/ucd/) as the standard library ships it: the
module ``unicodedata`` holds its current release, and ``unicodedata.ucd_3_2_0`` that of 2002. The characters with
names of their own are kept, which leaves out the ideographs and syllables whose names are computed.

Run it with ``python examples/real_data.py``; it works in a temporary directory unless a path is given.
"""

import sys
import time
import unicodedata
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import ConflictError, Store

COMPUTED_NAMES = ("CJK ", "HANGUL SYLLABLE ", "TANGUT IDEOGRAPH-", "NUSHU CHARACTER-", "KHITAN SMALL SCRIPT CHARACTER-")


def read_database(ucd):
    """Return the characters of a release as namespaces: by general category, then by name."""
    namespaces = defaultdict(dict)
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        name = ucd.name(character, "")
        if name and not name.startswith(COMPUTED_NAMES):
            namespaces[f"unicode/{ucd.category(character)}"][name] = {
                "code": code,
                "bidirectional": ucd.bidirectional(character),
                "combining": ucd.combining(character),
                "decomposition": ucd.decomposition(character),
                "east_asian_width": ucd.east_asian_width(character),
                "mirrored": bool(ucd.mirrored(character)),
                "numeric": ucd.numeric(character, None),
            }
    return dict(namespaces)


def by_name(namespaces):
    """Return where each character is: its namespace by its name."""
    return {name: namespace for namespace, characters in namespaces.items() for name in characters}


def load(store, namespaces):
    """Write all of it, each namespace in one step, and return the versions."""
    return {namespace: store.ns(namespace).set_many(characters) for namespace, characters in namespaces.items()}


def upgrade(store, old, new):
    """Bring the store from one release to the next, and write only what differs."""
    was_in, is_in = by_name(old), by_name(new)
    moved = {name for name in was_in if is_in[name] != was_in[name]}
    for namespace, characters in new.items():
        known = old.get(namespace, {})
        store.ns(namespace).update(
            {
                name: character
                for name, character in characters.items()
                if known.get(name) != character and name not in moved
            }
        )
    with store.atomic() as tx:  # nobody ever finds one of them in two categories, or in none
        for name in moved:
            del tx.ns(was_in[name])[name]
            tx.ns(is_in[name])[name] = new[is_in[name]][name]
    return len(moved)


def pages(namespace, prefix, size):
    """Return all keys with a prefix as a web page would list them, a page at a time."""
    keys, cursor = [], None
    while True:
        page = namespace.list(prefix, limit=size, cursor=cursor)
        keys += page.keys
        cursor = page.cursor
        if cursor is None:
            return keys


def main(path):
    now = [time.time()]
    old, new = read_database(unicodedata.ucd_3_2_0), read_database(unicodedata)

    with Store(path, clock=lambda: now[0]) as store:
        for namespace in store.namespaces():
            if namespace.startswith("unicode/"):
                store.drop(namespace)

        start = time.perf_counter()
        versions = load(store, old)
        count = sum(map(len, old.values()))
        seconds = time.perf_counter() - start
        print(f"Unicode {unicodedata.ucd_3_2_0.unidata_version}: {count} characters in {len(old)} namespaces")
        print(f"  written in {seconds:.2f} s")
        assert count > 10_000

        # By prefix: keys are in order, and a prefix is a range of them.
        lower, upper = store.ns("unicode/Ll"), store.ns("unicode/Lu")
        greek = pages(lower, "GREEK SMALL LETTER ", 25)
        print(f"  {len(greek)} names begin with GREEK SMALL LETTER, the first is {greek[0]}")
        assert greek == sorted(name for name in old["unicode/Ll"] if name.startswith("GREEK SMALL LETTER "))
        assert lower["GREEK SMALL LETTER ALPHA"]["code"] == 0x3B1
        assert [key for key, _ in upper.scan("CYRILLIC CAPITAL LETTER Z")] == sorted(
            name for name in old["unicode/Lu"] if name.startswith("CYRILLIC CAPITAL LETTER Z")
        )

        moved = upgrade(store, old, new)
        count = sum(map(len, new.values()))
        print(f"Unicode {unicodedata.unidata_version}: {count} characters in {len(new)} namespaces, {moved} moved")

        # By version: what has another one than it had was written since, and nothing else was.
        changed = {}
        for namespace, known in versions.items():
            for key, entry in store.ns(namespace).scan():
                if key in known and entry.meta.version != known[key]:
                    changed[key] = namespace
        expected = {
            name: namespace
            for namespace, characters in old.items()
            for name, character in characters.items()
            if name in new[namespace] and new[namespace][name] != character
        }
        print(f"  {len(changed)} characters were changed in place since, for example {min(changed)}")
        assert changed == expected

        # Who still holds the old version cannot write over the new one.
        name, namespace = min(changed.items())
        try:
            store.ns(namespace).cas_set(name, {}, versions[namespace][name])
        except ConflictError as conflict:
            print(f"  refused: {conflict}")
        assert store.ns(namespace)[name] == new[namespace][name]

        # A part expires: the symbols of mathematics, an hour from now.
        maths = store.ns("unicode/Sm")
        with store.atomic() as tx:
            for key in maths:
                tx.ns("unicode/Sm").touch(key, 3600)
        assert len(maths) == len(new["unicode/Sm"])
        now[0] += 3601
        assert len(maths) == 0
        assert "PLUS SIGN" not in maths
        assert "unicode/Sm" not in store.namespaces()
        removed = store.purge_expired()
        print(f"  {removed} mathematical symbols have expired")
        assert removed == len(new["unicode/Sm"])
        assert store.stats().expired == 0
        final = {
            namespace: {key: entry.meta.version for key, entry in store.ns(namespace).scan()}
            for namespace in new
            if namespace != "unicode/Sm"
        }

    # Another day, another process: everything is as it was, the versions included.
    with Store(path, readonly=True, clock=lambda: now[0]) as store:
        kept = 0
        for namespace, characters in new.items():
            if namespace == "unicode/Sm":
                assert not store.ns(namespace)
                continue
            found = store.ns(namespace)
            assert found == characters
            assert {key: entry.meta.version for key, entry in found.scan()} == final[namespace]
            kept += len(found)
        report = store.check()
        assert report.ok, report.problems
        print(f"reopened: {kept} characters, all as they were, in {store.stats().bytes_on_disk / 1e6:.1f} MB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(Path(directory, "unicode.db"))
