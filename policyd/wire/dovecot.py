"""The codec of Dovecot's auth policy protocol, sans-io: bodies in, bodies out.

    POST /dovecot?command=allow     may this login go on?
    POST /dovecot?command=report    how a login ended: also success and policy_reject
    request  = JSON object; login, protocol, remote and session_id are text (2.3), fail_type too (2.4)
    answer   = {"status": 0 or -1 or seconds to wait, "msg": text for the client}

Source: src/auth/auth-policy.c of Dovecot 2.3. What is not used here (device_id, pwhash, tls, the
objects that a "/" in auth_policy_request_attributes makes) may be anything.
"""

import json
from typing import Any

from policyd.errors import ProtocolError
from policyd.model import LoginAnswer, LoginCommand, LoginRequest

MAX_BODY = 16_384
"""Bytes of a request; Dovecot 2.3 sends about 200, and takes a login of 255."""

_LONGEST_TEXT = 1024
_COMMANDS = {command.value: command for command in LoginCommand}


def decode(command: str, body: bytes) -> LoginRequest:
    """Return the request of a body. Raises ProtocolError, whose text holds nothing of the body."""
    if command not in _COMMANDS:
        raise ProtocolError("the command is neither allow nor report")
    if len(body) > MAX_BODY:
        raise ProtocolError(f"the body has more than {MAX_BODY} bytes")
    try:
        fields = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):  # too deep for the parser, too
        raise ProtocolError("the body is no JSON") from None
    if not isinstance(fields, dict):
        raise ProtocolError("the body is no JSON object")
    login, protocol, remote, session_id = (
        _text(fields, name) for name in ("login", "protocol", "remote", "session_id")
    )
    success, policy_reject = (_truth(fields, name) for name in ("success", "policy_reject"))
    return LoginRequest(_COMMANDS[command], login, protocol, remote, session_id, success, policy_reject)


def encode(answer: LoginAnswer) -> bytes:
    """Return the body of an answer."""
    return json.dumps({"status": answer.status, "msg": answer.msg}).encode("ascii")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not _is_plain(value):
        raise ProtocolError(f"{name} is no plain text")
    return value


def _is_plain(text: str) -> bool:
    """Return whether a text has neither control characters nor what no bytes can stand for."""
    if any(char < " " or char == "\x7f" for char in text):
        return False
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _truth(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise ProtocolError(f"{name} is neither true nor false")
    return value
