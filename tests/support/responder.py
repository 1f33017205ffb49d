"""A scripted policy responder: proves the harness where no policyd runs."""

import shutil
import socket
import socketserver
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

Request = dict[str, str]


class Responder:
    """Answers policy requests on a unix socket and keeps them, in the order in which they came."""

    def __init__(self, path: Path, answer: Callable[[Request], str] = lambda _request: "DUNNO") -> None:
        self.path = path
        self.answer = answer
        self.requests: list[Request] = []
        self._connections: set[socket.socket] = set()

    def start(self) -> None:
        """Listen, with one thread for each connection."""
        responder = self

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                super().setup()
                responder._connections.add(self.connection)

            def finish(self) -> None:
                responder._connections.discard(self.connection)
                super().finish()

            def handle(self) -> None:
                request: Request = {}
                for raw in self.rfile:
                    if line := raw.decode("utf-8", "surrogateescape").rstrip("\n"):
                        name, _, value = line.partition("=")
                        request[name] = value
                        continue
                    responder.requests.append(request)
                    self.wfile.write(f"action={responder.answer(request)}\n\n".encode())
                    request = {}

        self.path.unlink(missing_ok=True)
        self._server = _Server(str(self.path), Handler)
        shutil.chown(self.path, group="postfix")
        self.path.chmod(0o660)
        Thread(target=self._server.serve_forever, args=(0.05,), name="responder", daemon=True).start()

    def stop(self) -> None:
        """Close the socket and all connections, so that nothing answers the next test."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)

    def asked(self, **attributes: str) -> list[Request]:
        """Return the requests that have all these attributes."""
        return [one for one in self.requests if attributes.items() <= one.items()]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
