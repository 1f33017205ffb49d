"""A scripted auth policy server for Dovecot: refuses the logins of some mailboxes, lets in all others."""

import json
from collections.abc import Container
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class AuthPolicy:
    """Answers on a free loopback port. ``refused`` are the mailboxes that are locked."""

    def __init__(self, refused: Container[str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps({"status": -1 if asked["login"] in refused else 0, "msg": ""}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """What to write as auth_policy_server_url."""
        return f"http://127.0.0.1:{self._server.server_port}/dovecot"

    def start(self) -> None:
        """Answer, in threads of its own."""
        Thread(target=self._server.serve_forever, args=(0.05,), name="auth policy", daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
