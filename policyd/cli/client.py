"""Talks to the daemon's admin socket: HTTP + JSON over a unix socket."""

import errno
import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import urlencode

from policyd.errors import DaemonError

_READ, _CHANGE = 15.0, 150.0
"""How long an answer may take, in seconds. A reload of many domains takes its time."""

_CURES = {
    errno.EACCES: "ask as a user who may enter that directory",
    errno.ECONNREFUSED: "policyd does not run any more: start it",
    errno.ENOENT: "is policyd running? name its admin socket with --admin or POLICYD_ADMIN",
}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
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
        return self._ask("GET", f"{route}?{urlencode(query, errors='surrogateescape')}" if query else route, _READ)

    def post(self, route: str, **body: object) -> Any:  # noqa: ANN401  # any JSON
        """Return the JSON answer of a change. Raises DaemonError, RefusedError.

        The kernel tells the daemon whose process this is; for whom it works only SUDO_USER knows.
        """
        by = os.environ.get("SUDO_USER", "")
        return self._ask("POST", route, _CHANGE, json.dumps({**body, "by": by}))

    def _ask(self, method: str, route: str, timeout: float, body: str | None = None) -> Any:  # noqa: ANN401  # any JSON
        connection = _UnixConnection(self._path, timeout)
        try:
            connection.request(method, route, body)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        except TimeoutError as error:
            cure = "policyd hangs, or works on it: see its log"
            raise DaemonError(f"no answer from unix:{self._path} within {timeout:g} s ({cure})") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            number, why = (error.errno, error.strerror or error) if isinstance(error, OSError) else (None, error)
            cure = _CURES.get(number or 0, "is that the admin socket of policyd? name it with --admin")
            raise DaemonError(f"no answer from unix:{self._path}: {why} ({cure})") from error
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise RefusedError(response.status, str((answer or {}).get("error", response.reason)))
        return answer
