"""An HTTP service of asyncio, its worker processes on one AsyncStore; `python async_service.py [PATH]`.

It keeps notes with a version each (`PUT /notes/NAME`, and `If-Match` for a write that must not overwrite another's),
counts hits (`POST /hits/PAGE`) and answers `GET /report/N`, which is computed once for all workers. The script starts
three workers on one port, and then is their client.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Self

from sqlitedict_kv import AsyncStore, ConflictError

WORKERS = 3
CONNECTIONS = 20


class Service:
    """What the service answers."""

    def __init__(self, store: AsyncStore) -> None:
        self._notes = store.ns("notes")
        self._counts = store.ns("counts")
        self._report = store.memoize(ttl=3600, ignore=("self",))(self._compute)

    async def _compute(self, number: int) -> dict[str, int]:
        await self._counts.incr("reports-computed")
        await asyncio.sleep(0.05)  # a slow source
        return {"number": number, "square": number * number}

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, object]:
        """Return the status and what goes out as JSON."""
        kind, _, name = path.strip("/").partition("/")
        match method, kind:
            case "GET", "notes":
                entry = await self._notes.get_with_meta(name)
                return (404, None) if entry is None else (200, {"note": entry.value, "version": entry.meta.version})
            case "PUT", "notes":
                note = json.loads(body)
                if "if-match" not in headers:
                    return 200, {"version": await self._notes.set(name, note)}
                try:
                    return 200, {"version": await self._notes.cas_set(name, note, int(headers["if-match"]))}
                except ConflictError as conflict:
                    return 412, {"version": conflict.actual}
            case "POST", "hits":
                return 200, await self._counts.incr(name)
            case "GET", "hits":
                return 200, await self._counts.get(name, 0)
            case "GET", "report":
                return 200, await self._report(int(name))
            case "GET", "worker":
                return 200, os.getpid()
        return 404, None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, until it ends."""
        try:
            while request := await read_message(reader):
                (method, path, _), headers, body = request
                status, answer = await self.answer(method, path, headers, body)
                write_message(writer, f"HTTP/1.1 {status} -", answer)
                await writer.drain()
        finally:
            writer.close()


async def read_message(reader: asyncio.StreamReader) -> tuple[list[str], dict[str, str], bytes] | None:
    """Return the parts of the first line, the headers and the body; None at the end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return head[0].split(" ", 2), headers, await reader.readexactly(int(headers.get("content-length", 0)))


def write_message(writer: asyncio.StreamWriter, first_line: str, content: object, headers: str = "") -> None:
    """Write a request or an answer whose body is JSON."""
    body = json.dumps(content).encode()
    writer.write(f"{first_line}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body)


def work(path: str, listener: socket.socket, stop: multiprocessing.synchronize.Event) -> None:
    """Serve in a process of its own until *stop* is set."""

    async def main() -> None:
        async with AsyncStore(path, lru_bytes="16 MB") as store:
            server = await asyncio.start_server(Service(store).serve, sock=listener)
            await asyncio.to_thread(stop.wait)
            server.close()

    asyncio.run(main())


class Client:
    """One connection to whichever worker accepts it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, method: str, path: str, content: object = None, headers: str = "") -> tuple[int, object]:
        """Return the status and the answer."""
        write_message(self._writer, f"{method} {path} HTTP/1.1", content, headers)
        message = await read_message(self._reader)
        assert message is not None
        return int(message[0][1]), json.loads(message[2])


async def use(address: tuple[str, int]) -> None:
    """Do what clients do, over several connections at once, and print what came of it."""

    async def visit(number: int) -> tuple[object, object]:
        async with Client(address) as client:
            for _ in range(20):
                await client.ask("POST", "/hits/home")
            await client.ask("PUT", f"/notes/visitor-{number}", {"number": number})
            return (await client.ask("GET", "/worker"))[1], (await client.ask("GET", "/report/12"))[1]

    async with Client(address) as client:
        before = (await client.ask("GET", "/hits/home"))[1]
        visits = await asyncio.gather(*(visit(number) for number in range(CONNECTIONS)))
        after = (await client.ask("GET", "/hits/home"))[1]
        assert isinstance(before, int)
        assert isinstance(after, int)
        print(f"hits: {after - before} of {CONNECTIONS * 20}")
        computed = (await client.ask("GET", "/hits/reports-computed"))[1]
        print(f"the report: {visits[0][1]}, computed by one worker of {WORKERS}: {computed} time")

        _, first = await client.ask("PUT", "/notes/plan", {"text": "walk"})
        assert isinstance(first, dict)
        match = f"if-match: {first['version']}\r\n"
        ours, theirs = (
            await client.ask("PUT", "/notes/plan", {"text": "swim"}, match),
            await client.ask("PUT", "/notes/plan", {"text": "run"}, match),
        )
        print(f"two who changed the same note: {ours[0]} and {theirs[0]}")
        _, note = await client.ask("GET", "/notes/plan")
        assert isinstance(note, dict)
        print(f"the note: {note['note']}; a note that is none: {(await client.ask('GET', '/notes/none'))[0]}")
        ends = asyncio.gather(*(client_of_its_own(address) for _ in range(CONNECTIONS)))
        print(f"workers that answered: {len({worker for worker, _ in visits} | set(await ends))} at most {WORKERS}")


async def client_of_its_own(address: tuple[str, int]) -> object:
    """Return which worker answers a new connection."""
    async with Client(address) as client:
        return (await client.ask("GET", "/worker"))[1]


def main(path: str) -> None:
    """Start the workers, use them, and stop them."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        workers = [context.Process(target=work, args=(path, listener, stop)) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        try:
            asyncio.run(use(listener.getsockname()))
        finally:
            stop.set()
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as directory:
            main(str(Path(directory, "service.db")))
