"""What the handlers of the admin socket have at hand, and how they read what they are asked."""

import asyncio
import pwd
from http import HTTPStatus
from typing import NamedTuple

from policyd.clock import Clock
from policyd.delay import Delays
from policyd.errors import RequestError
from policyd.policy.subject import Subject, UnknownSubjectError, find_subject
from policyd.raises import Raises
from policyd.reload import ConfigInForce
from policyd.server.admin import AdminRequest
from policyd.status import Status
from policyd.store.index import Index
from policyd.store.last import LastLogins
from policyd.store.redis import RedisStore
from policyd.store.trail import Trail
from policyd.suspension import Suspensions

LONGEST = 500
"""Characters of a text that somebody gives: a reason, a name."""

_LATEST = 10**14


class Listening(NamedTuple):
    """Where a daemon listens, with absolute paths and real ports: for Postfix, for metrics ("" for nowhere)."""

    postfix: tuple[str, ...]
    metrics: str


class Parts(NamedTuple):
    """The parts of a running daemon that handlers need."""

    config: ConfigInForce
    store: RedisStore
    status: Status
    trail: Trail
    references: Index
    last_logins: LastLogins
    suspensions: Suspensions
    raises: Raises
    delays: Delays
    clock: Clock
    listening: Listening
    state_directory: str


async def who_asks(request: AdminRequest) -> str:
    """Return who asks: the peer's uid and its name, which the kernel knows, after the name that he gives himself.

    The latter is ``by`` in the body: SUDO_USER of a command, the operator of a panel.
    """
    uid = request.peer.uid
    peer = f"{await asyncio.to_thread(_name_of, uid)} (uid {uid})"
    by = text(request, "by")
    return f"{by}, as {peer}" if by else peer


def text(request: AdminRequest, name: str) -> str:
    """Return a text of the body on one line, "" when it is not there. Raises RequestError."""
    body = request.body if request.body is not None else {}
    value = body.get(name, "") if isinstance(body, dict) else None
    if not isinstance(value, str) or len(value) > LONGEST:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} is no text of up to {LONGEST} characters")
    return "".join(letter if letter.isprintable() else " " for letter in value).strip()


def moment_of(request: AdminRequest, name: str) -> int:
    """Return a moment of the body, in ms since the epoch, 0 when it is not there. Raises RequestError."""
    value = request.body.get(name, 0) if isinstance(request.body, dict) else 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LATEST:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} is no moment in ms since the epoch")
    return value


def number(request: AdminRequest, name: str, usual: int, most: int) -> int:
    """Return a number of the query from 1 to ``most``. Raises RequestError."""
    given = request.query.get(name, str(usual))
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= most):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name}={given} is no number from 1 to {most}")
    return int(given)


def subject(parts: Parts, named: str) -> Subject:
    """Return whom a name means under the configuration in force. Raises RequestError."""
    try:
        return find_subject(parts.config.now, named)
    except UnknownSubjectError as error:
        raise RequestError(HTTPStatus.NOT_FOUND, str(error)) from error


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "nobody known"
