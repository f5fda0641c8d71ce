"""The first steps: a dict that stays on disk, with expiry, versions and transactions.

Run it with ``python examples/quickstart.py``; it works in a temporary directory unless a path is given.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import ConflictError, Store


def main(path):
    with Store(path) as store:
        # A namespace is a dict of its own in the file; values come back as what they were.
        users = store.ns("users")
        users.clear()
        users["ada"] = {"name": "Ada", "born": 1815}
        users["alan"] = {"name": "Alan", "born": 1912}
        users["photo"] = b"\x89PNG"
        print("users:", list(users))
        assert users["ada"] == {"name": "Ada", "born": 1815}
        assert users["photo"] == b"\x89PNG"
        assert "grace" not in users

        # An entry can expire; what has expired is absent.
        users.set("token", "s3cret", ttl=3600)
        print("the token expires at", f"{users.get_with_meta('token').meta.expires_at:%Y-%m-%d %H:%M} UTC")

        # Every write gives the entry a higher version, and a write can demand the one that was read.
        entry = users.get_with_meta("ada")
        users.cas_set("ada", {**entry.value, "field": "mathematics"}, entry.meta.version)
        try:
            users.cas_set("ada", {"name": "somebody else"}, entry.meta.version)
        except ConflictError as conflict:
            print("refused:", conflict)
        assert users["ada"]["field"] == "mathematics"

        # Numbers are counted in the store, also if other processes count.
        hits = store.ns("hits")
        hits.clear()
        hits.incr("/")
        hits.incr("/", 2)
        assert hits["/"] == 3

        # Several edits, all or none.
        with store.atomic() as tx:
            tx.ns("users").delete("token")
            tx.ns("hits").incr("/", 7)
        print("hits of the front page:", hits["/"])
        assert hits["/"] == 10
        assert "token" not in users

        # Keys are in order, so a prefix is a range.
        page = users.list("a", limit=10)
        print("users that begin with a:", *page.keys)
        assert page.keys == ("ada", "alan")
        assert page.cursor is None

    # All of it is in one file.
    with Store(path, readonly=True) as store:
        print("after reopening:", store.ns("users")["ada"])
        assert store.namespaces() == ["hits", "users"]
        assert store.check().ok


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(Path(directory, "quickstart.db"))
