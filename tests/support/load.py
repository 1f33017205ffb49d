"""Running bench/load, and a server that answers it with any bytes."""

import json
import socketserver
import subprocess
from pathlib import Path
from threading import Thread
from typing import Any

BENCH = Path(__file__).parent.parent.parent / "bench"
COMPILE = ("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o")


def run(program: Path, endpoint: object, *options: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the figures of one run without warm-up."""
    done = subprocess.run(
        [str(program), "-w", "0", *options, str(endpoint)], capture_output=True, timeout=60, check=False, text=True
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


class RawServer:
    """Sends ``pieces`` for each request, each piece with a write of its own, on a unix socket.

    It closes the connection after them when ``closes`` is set. ``asked`` counts the requests.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pieces: list[bytes] = [b"action=DUNNO\n\n"]
        self.closes = False
        self.asked = 0

    def start(self) -> None:
        """Listen, with one thread for each connection."""
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    if line == b"\n":
                        server.asked += 1
                        for piece in server.pieces:
                            self.wfile.write(piece)
                        if server.closes:
                            return

        self._server = _Server(str(self.path), Handler)
        Thread(target=self._server.serve_forever, args=(0.05,), name="raw server", daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up on a wrong reply is what is tested."""
