"""Suspending and resuming, and whose a message is that waits in Postfix's queue."""

import logging
from http import HTTPStatus

from policyd.admin.answers import Place, ResumeAnswer, SendersAnswer, SuspendAnswer, SuspendedAnswer, shown
from policyd.admin.asked import BY, MEANT, REASON, Parts, in_brackets, subject, who_asks
from policyd.errors import RequestError
from policyd.event import Event, EventKind
from policyd.model import UNLISTED, PolicyRequest
from policyd.policy.decide import moment
from policyd.policy.subject import Subject, is_hosted
from policyd.policy.suspendable import SubjectKind, suspendable
from policyd.policy.traffic import Attribution
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Items, Moment
from policyd.suspension import Suspended, new_ref

_HERE = "127.0.0.1"
_MOST_MESSAGES = 2_000

_log = logging.getLogger("policyd.admin")


class SuspendRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            Route("GET", "/v1/suspended", self.suspended),
            Route("POST", "/v1/suspend", self.suspend, body=(MEANT, _UNTIL, REASON, BY)),
            Route("POST", "/v1/resume", self.resume, body=(MEANT, REASON, BY)),
            Route("POST", "/v1/senders", self.senders, body=(_MESSAGES, BY)),
        ]

    async def suspended(self, _: AdminRequest) -> SuspendedAnswer:
        """Return what is suspended, the oldest first."""
        return {"suspended": [shown(one) for one in self._parts.suspensions.all(self._parts.clock.now())]}

    async def suspend(self, request: AdminRequest) -> SuspendAnswer:
        """Suspend ``subject`` for a ``reason``, ``until`` a moment (ms) or, without one, until it is resumed."""
        meant, why = self._meant(request), REASON.of(request.body)
        now, until = self._parts.clock.now(), _UNTIL.of(request.body)
        if not why:
            raise RequestError(HTTPStatus.BAD_REQUEST, "a suspension needs a reason")
        if until and until <= now:
            raise RequestError(HTTPStatus.BAD_REQUEST, "until is a moment of the past")
        who = await who_asks(request)
        suspended = Suspended(meant.account, meant.name, str(meant), now, until, who, why, new_ref())
        await self._parts.suspensions.put(suspended)
        await self._tell(EventKind.SUSPEND, suspended)
        return {**shown(suspended), **self._place(meant)}

    async def resume(self, request: AdminRequest) -> ResumeAnswer:
        """End the suspension of ``subject``; ``was`` says whether there was one."""
        meant, who = self._meant(request), await who_asks(request)
        ended = await self._parts.suspensions.end(meant.account, meant.name)
        if ended is not None:
            why, now = REASON.of(request.body), self._parts.clock.now()
            await self._tell(EventKind.RESUME, ended._replace(at=now, until=0, who=who, why=why))
        return {"subject": str(meant), "account": meant.account, "was": ended is not None, **self._place(meant)}

    async def senders(self, request: AdminRequest) -> SendersAnswer:
        """Return for each of ``messages`` (login, sender, client) the account and the names that it is sent under."""
        messages = _MESSAGES.of(request.body)
        attribution = Attribution(self._parts.config.now)
        found = [attribution.traffic(_request(*message)) for message in messages]
        return {"senders": [[traffic.account, *suspendable(traffic)] for traffic in found]}

    def _meant(self, request: AdminRequest) -> Subject:
        named = MEANT.of(request.body)
        if not named:
            raise RequestError(HTTPStatus.BAD_REQUEST, "nobody is named: name a domain or a login")
        meant = subject(self._parts, named)
        if meant.account == UNLISTED or meant.kind is SubjectKind.CLIENT:
            cure = "name a hosted domain, a login, list:ADDRESS or mailbox:ADDRESS"
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{named} is nobody's account and cannot be suspended ({cure})")
        return meant

    def _place(self, meant: Subject) -> Place:
        hosted = is_hosted(self._parts.config.now, meant.account)
        return {"name": meant.name, "hosted": hosted, "state_directory": self._parts.state_directory}

    async def _tell(self, kind: EventKind, what: Suspended) -> None:
        _log.warning("%s: %s by %s%s", kind, what.subject, what.who, in_brackets(what.why))
        event = Event(what.at, kind, what.account, what.subject, what.who, _reason(what))
        await self._parts.trail.write(event._replace(ref=what.ref))


def _reason(what: Suspended) -> str:
    return f"{what.why}; until {moment(what.until)}" if what.until else what.why


def _is_message(message: object) -> bool:
    return isinstance(message, list) and len(message) == len(_PLACES) and all(isinstance(word, str) for word in message)


_PLACES = ("login", "sender", "client")


def _request(login: str, sender: str, client: str) -> PolicyRequest:
    """Return what Postfix asked about a message; one that came by sendmail(1) has no client: it is this host's."""
    return PolicyRequest("RCPT", client or _HERE, 0, "", 0, sender, "", 0, "", "", 0, login, "")


_TRIPLE = {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "string"}}
_MESSAGES = Items(
    "messages", "Messages that wait in Postfix's queue.", f"of [{', '.join(_PLACES)}]", _MOST_MESSAGES, _TRIPLE,
    _is_message,
)  # fmt: skip
_UNTIL = Moment("until", "When the suspension ends by itself; without it, when it is resumed.")
