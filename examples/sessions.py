"""Web sessions that end 30 minutes after the last request, shared by all processes of a server.

Run it with ``python examples/sessions.py``; it works in a temporary directory unless a path is given, or the address of
servers: ``"valkey+cluster://node1,node2,node3?confirm=1&timeout=30"``. The clock is handed in, so that an hour passes
at once.
"""

import multiprocessing
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import Store

IDLE = timedelta(minutes=30).total_seconds()
WORKERS = 4
REQUESTS = 100  # that each worker answers


class Sessions:
    """Keeps what a site knows of its visitors, by a token that nobody can guess."""

    def __init__(self, store):
        self._entries = store.ns("sessions", ttl=IDLE)

    def begin(self, **data):
        token = secrets.token_urlsafe()
        self._entries[token] = data
        return token

    def load(self, token):
        """Return the session and let it live for another 30 minutes; None if it has ended."""
        data = self._entries.get(token)
        if data is not None and not self._entries.touch(token, IDLE):
            return None  # it ended, or somebody ended it, in between
        return data

    def change(self, token, **changes):
        """Change what is kept without losing what another request of the same visitor changes."""
        return self._entries.modify(token, lambda data: {**data, **changes}, ttl=IDLE)

    def end(self, token):
        return self._entries.delete(token)

    def __len__(self):
        return len(self._entries)


class Clock:
    """A clock that is set by hand; a server leaves it out, and the store takes time.time."""

    def __init__(self):
        self.now = 1_767_225_600.0

    def __call__(self):
        return self.now

    def advance(self, **delta):
        self.now += timedelta(**delta).total_seconds()


def serve(path, now, tokens, worker):
    """Answer requests of all visitors in turn, as one of a server's processes does."""
    with Store(path, clock=lambda: now) as store:
        sessions = Sessions(store)
        for number in range(REQUESTS):
            sessions.change(tokens[number % len(tokens)], **{f"worker {worker}, request {number}": "done"})


def serve_at_once(path, now, tokens):
    """Let several processes answer requests of the same visitors at the same time."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=serve, args=(path, now, tokens, worker)) for worker in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def main(path):
    clock = Clock()
    with Store(path, clock=clock) as store:
        store.drop("sessions")
        sessions = Sessions(store)
        ada, alan = sessions.begin(user="ada"), sessions.begin(user="alan")
        print("two visitors came:", len(sessions), "sessions")

        for _ in range(4):
            clock.advance(minutes=20)
            assert sessions.load(ada) == {"user": "ada"}
        print("80 minutes later ada, who came every 20, is still known:", sessions.load(ada))
        assert sessions.load(alan) is None
        print("and alan, who left, is not:", sessions.load(alan))
        assert len(sessions) == 1

        sessions.change(ada, basket=["book"])
        sessions.change(ada, language="en")
        print("what two requests changed:", sessions.load(ada))
        assert sessions.load(ada) == {"user": "ada", "basket": ["book"], "language": "en"}

        # To the millisecond: the last one in which it lives, and the first one in which it does not.
        clock.advance(seconds=IDLE - 0.001)
        assert len(sessions) == 1
        clock.advance(milliseconds=1)
        assert len(sessions) == 0
        assert sessions.load(ada) is None

        grace = sessions.begin(user="grace")
        assert sessions.end(grace)
        assert not sessions.end(grace)
        print("grace has logged out:", len(sessions), "sessions")

        # Expired entries are absent at once; writes remove them bit by bit, and so does this.
        removed = store.purge_expired()
        print("expired sessions removed:", removed)
        assert removed == 2
        assert store.stats().expired == 0

        tokens = [sessions.begin(user="edsger"), sessions.begin(user="barbara")]
        serve_at_once(path, clock.now, tokens)
        done = sum(len(sessions.load(token)) - 1 for token in tokens)
        print(f"{WORKERS} processes answered {WORKERS * REQUESTS} requests of two visitors, and {done} left their mark")
        assert done == WORKERS * REQUESTS
        for token in tokens:
            assert sessions.end(token)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(Path(directory, "sessions.db"))
