"""A few processes that answer requests on one port, with the standard library alone.

A real site takes gunicorn, uWSGI or the like; this is here so that the examples run as they are.
"""

import multiprocessing
import signal
import socket
import socketserver
import sys
from contextlib import suppress
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_arguments):
        pass


class ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


def work(make_app, path, listener, ready):
    """Answer requests until the process is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    host, port = listener.getsockname()
    server = ThreadingServer((host, port), QuietHandler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = host, port
    server.setup_environ()
    server.set_app(make_app(path))
    ready.wait()
    server.serve_forever()


def serve(make_app, path, workers=3):
    """Let *workers* processes, each with an app of its own on the same file, answer until input ends.

    The address is printed as soon as they can be asked.
    """
    context = multiprocessing.get_context("spawn")  # nothing is inherited: they share the file and the port
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        ready = context.Barrier(workers + 1)
        processes = [context.Process(target=work, args=(make_app, path, listener, ready)) for _ in range(workers)]
        for process in processes:
            process.start()
        ready.wait(60)
        print(f"{workers} workers on http://127.0.0.1:{listener.getsockname()[1]}/, until input ends", flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
