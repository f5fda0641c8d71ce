"""A way to a server that loses what it is told to lose."""

import contextlib
import socket
import threading


class Lossy:
    """Passes bytes between clients and a server; `lose_replies` lets requests through and drops the answers."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose_replies = 0  # so many answers are dropped, and their connections closed
        self.connections = 0
        self._open = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self.connections += 1
            self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source, target, replies):
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if replies and data:
                with self._lock:
                    if self.lose_replies:
                        self.lose_replies -= 1
                        data = b""
            if not data:
                break
            try:
                target.sendall(data)
            except OSError:
                break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """End all connections."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()
        self.cut()
        for end in self._open:
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()
