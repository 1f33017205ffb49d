"""What the handlers of the admin socket have at hand, and how they read what they are asked."""

import asyncio
import pwd
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from policyd.clock import Clock
from policyd.delay import Delays
from policyd.errors import RequestError
from policyd.outage import Outage
from policyd.policy.subject import Subject, UnknownSubjectError, find_subject
from policyd.raises import Raises
from policyd.reload import ConfigInForce
from policyd.rosterwatch import RosterWatch
from policyd.server.admin import AdminRequest
from policyd.server.taken import Text, Word
from policyd.status import Status
from policyd.store.index import Index
from policyd.store.last import LastLogins
from policyd.store.redis import RedisStore
from policyd.store.seen import SeenLists
from policyd.store.trail import Trail
from policyd.suspension import Suspensions

SUBJECT = Word("subject", "A domain, a login, list:ADDRESS, mailbox:ADDRESS, user:NAME or a client.", "example.org")
"""Who is asked about."""

MEANT = Text("subject", SUBJECT.about, "example.org", needed=True)
"""Whose state is changed."""

LIMIT = Text("limit", "The name of a limit.", "domain-hourly")
REASON = Text("reason", "Why, in a few words; kept with the event.", "new customer, checked by phone")
BY = Text("by", "Who asks the program that asks: the operator of a panel.", "alice")


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
    seen: SeenLists
    raises: Raises
    rosters: RosterWatch
    delays: Delays
    clock: Clock
    listening: Listening
    state_directory: str
    outage: Callable[[], Outage | None]


async def who_asks(request: AdminRequest) -> str:
    """Return who asks: the peer's uid and its name, which the kernel knows, after the name that he gives himself.

    The latter is ``by`` in the body: SUDO_USER of a command, the operator of a panel.
    """
    uid = request.peer.uid
    peer = f"{await asyncio.to_thread(_name_of, uid)} (uid {uid})"
    by = BY.of(request.body)
    return f"{by}, as {peer}" if by else peer


def subject(parts: Parts, named: str) -> Subject:
    """Return whom a name means under the configuration in force. Raises RequestError."""
    try:
        return find_subject(parts.config.now, named)
    except UnknownSubjectError as error:
        raise RequestError(HTTPStatus.NOT_FOUND, str(error)) from error


def in_brackets(why: str) -> str:
    """Return a reason as it ends a line of the log, nothing for none."""
    return f" ({why})" if why else ""


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "nobody known"
