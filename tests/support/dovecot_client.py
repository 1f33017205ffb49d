"""Asking about logins as Dovecot's auth policy client does, in its own words."""

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

BOB = "bob@example.org"
KEY = "0123456789abcdef"


def post(port: int, command: str, **fields: Any) -> tuple[int, bytes]:
    """Return HTTP status and body of an answer to a daemon's port on this host. Raises OSError, HTTPException."""
    body = {"login": BOB, "protocol": "pop3", "remote": "192.0.2.7", "session_id": "", "tls": False, **fields}
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", f"/dovecot?command={command}", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
