"""A program that is told of events by a webhook: it keeps what was posted."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


class Posted(NamedTuple):
    """One request: its body, and how it was signed."""

    body: bytes
    signature: str


class Hook:
    """An HTTP server on a free loopback port. The first ``failures`` requests are answered with 503."""

    def __init__(self, failures: int = 0) -> None:
        self.posted: list[Posted] = []
        self.asked = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked += 1
                taken = hook.asked > failures
                if taken:
                    hook.posted.append(Posted(body, self.headers["X-Policyd-Signature"]))
                self.send_response(204 if taken else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # http.server's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/mail"
        self._thread = Thread(target=self._server.serve_forever)

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end the thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
