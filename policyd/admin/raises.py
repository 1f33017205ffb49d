"""Raising a limit for a while, and what somebody has put into an account's state."""

import logging
from http import HTTPStatus

from policyd.admin.answers import ChangedRaise, StandingAnswer, shown, shown_raise
from policyd.admin.asked import BY, MEANT, REASON, SUBJECT, Parts, in_brackets, subject, who_asks
from policyd.conf import units
from policyd.conf.issues import did_you_mean
from policyd.conf.schema import PaceLimit, RateLimit, SizeLimit
from policyd.errors import RequestError
from policyd.event import Event, EventKind
from policyd.model import Counts
from policyd.policy.decide import moment
from policyd.raises import Raised
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Moment, Text
from policyd.status import terms_of_account

_RAISED = Text("limit", "The name of a rate limit.", "domain-hourly", needed=True)
_MAX = Text("max", "The maximum meanwhile: a number, or a size as 2GB.", "800", needed=True)
_UNTIL = Moment("until", "When the raise ends by itself.", needed=True)

_log = logging.getLogger("policyd.admin")


class RaiseRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            Route("GET", "/v1/standing", self.standing, query=(SUBJECT,)),
            Route("POST", "/v1/raise", self.raise_, body=(MEANT, _RAISED, _MAX, _UNTIL, REASON, BY)),
            Route("POST", "/v1/raise/end", self.end, body=(MEANT, _RAISED, REASON, BY)),
        ]

    async def standing(self, request: AdminRequest) -> StandingAnswer:
        """Return what is suspended and what is raised of the account of ``subject``."""
        account = subject(self._parts, SUBJECT.of(request.query)).account
        now, limits = self._parts.clock.now(), terms_of_account(self._parts.config.now, account).limits
        raises = await self._parts.raises.of(account, [limit.name for limit in limits], now)
        suspended = [one for one in self._parts.suspensions.all(now) if one.account == account]
        return {
            "account": account,
            "suspended": [shown(one) for one in suspended],
            "raises": [shown_raise(raised) for raised in raises.values()],
        }

    async def raise_(self, request: AdminRequest) -> ChangedRaise:
        """Raise a ``limit`` of the account of ``subject`` to ``max``, ``until`` a moment (ms)."""
        account, limit = self._meant(request)
        most, until, now = _maximum(limit, _MAX.of(request.body)), _UNTIL.of(request.body), self._parts.clock.now()
        if until <= now:
            raise RequestError(HTTPStatus.BAD_REQUEST, "a raise needs an end: until is a moment that comes")
        if limit.max is None or most <= limit.max:
            why = f"{most} is no raise: {account} has {'no maximum' if limit.max is None else limit.max}"
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{why} (to lower it, change its plan)")
        raised = Raised(account, limit.name, most, until, now, await who_asks(request), REASON.of(request.body))
        await self._parts.raises.put(raised)
        await self._tell("raises", raised, f"{limit.max} -> {most} until {moment(until)}")
        return {**shown_raise(raised), "was": limit.max}

    async def end(self, request: AdminRequest) -> ChangedRaise:
        """End the raise of a ``limit`` of the account of ``subject``."""
        account, limit = self._meant(request)
        now = self._parts.clock.now()
        raised = await self._parts.raises.end(account, limit.name, now)
        if raised is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"{limit.name} of {account} is not raised")
        ended = raised._replace(at=now, who=await who_asks(request), why=REASON.of(request.body))
        await self._tell("ends the raise of", ended, f"{raised.max} -> {limit.max}")
        return {**shown_raise(ended), "was": raised.max}

    def _meant(self, request: AdminRequest) -> tuple[str, RateLimit | SizeLimit]:
        """Return the account and the limit that are meant. Raises RequestError."""
        named, name = MEANT.of(request.body), _RAISED.of(request.body)
        meant = subject(self._parts, named)
        if meant.address:
            cure = f"name {meant.account}; with per: user each of its users has the raise"
            raise RequestError(HTTPStatus.BAD_REQUEST, f"limits are raised for a domain ({cure})")
        limits = {limit.name: limit for limit in terms_of_account(self._parts.config.now, meant.account).limits}
        found = limits.get(name)
        if isinstance(found, PaceLimit):
            why = f"{name} is a pace, which has no maximum (change its every in the configuration)"
            raise RequestError(HTTPStatus.BAD_REQUEST, why)
        if not isinstance(found, RateLimit | SizeLimit):
            cure = did_you_mean(name, limits)
            raise RequestError(HTTPStatus.NOT_FOUND, f"{name} is no limit of {meant.account} ({cure})")
        return meant.account, found

    async def _tell(self, does: str, raised: Raised, what: str) -> None:
        reason = in_brackets(raised.why)
        _log.info("%s %s %s of %s: %s%s", raised.who, does, raised.limit, raised.account, what, reason)
        why = f"{what}: {raised.why}" if raised.why else what
        event = Event(raised.at, EventKind.RAISE, raised.account, raised.account, raised.who, why, raised.limit)
        await self._parts.trail.write(event)


def _maximum(limit: RateLimit | SizeLimit, written: str) -> int:
    """Return a maximum in what the limit counts. Raises RequestError."""
    if isinstance(limit, RateLimit) and limit.counts is Counts.BYTES:
        most, what = units.size(written), "a size, as 2GB"
    else:
        most, what = (int(written) if written.isascii() and written.isdecimal() else None), "a number"
    if most is None or most >= 10**12:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{written or 'nothing'} is no maximum (write {what})")
    return most
