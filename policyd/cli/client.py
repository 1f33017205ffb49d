"""Talks to the daemon's admin socket: HTTP + JSON over a unix socket."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode

from policyd.errors import DaemonError

_TIMEOUT = 10.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


class RefusedError(DaemonError):
    """Raised when the daemon answered with an error of its own; ``status`` is the HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        super().__init__(why)


class AdminClient:
    """One daemon, by the path of its admin socket."""

    def __init__(self, path: str) -> None:
        self._path = path.removeprefix("unix:")

    def get(self, route: str, **query: str | int) -> Any:  # noqa: ANN401  # any JSON
        """Return the JSON answer of a read. Raises DaemonError, RefusedError."""
        return self._ask("GET", f"{route}?{urlencode(query)}" if query else route)

    def post(self, route: str) -> Any:  # noqa: ANN401  # any JSON
        """Return the JSON answer of a change. Raises DaemonError, RefusedError."""
        return self._ask("POST", route)

    def _ask(self, method: str, route: str) -> Any:  # noqa: ANN401  # any JSON
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, route)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            cure = "is policyd running? name its socket with --admin"
            raise DaemonError(f"no answer from unix:{self._path}: {error} ({cure})") from error
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise RefusedError(response.status, str((answer or {}).get("error", response.reason)))
        return answer
