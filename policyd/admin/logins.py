"""Why a login is refused, and how a counter is emptied."""

import logging
from http import HTTPStatus

from policyd.admin.answers import Held, ResetAnswer
from policyd.admin.asked import BY, LIMIT, MEANT, REASON, Parts, subject, who_asks
from policyd.conf.issues import did_you_mean
from policyd.errors import RequestError
from policyd.event import Event, EventKind
from policyd.explain import ExplainedLogin, explain_login
from policyd.model import LoginCommand, LoginRequest
from policyd.plural import plural
from policyd.policy.logins import is_client_account
from policyd.policy.roster import KnownLists, Source
from policyd.policy.subject import is_hosted
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Word
from policyd.status import Gauge
from policyd.store.reset import forget

_LOGIN = Word("login", "The name that logs in.", "bob@example.org", needed=True)
_PROTOCOL = Word("protocol", "How: pop3 or imap.", "pop3")
_CLIENT = Word("client", "Where from.", "192.0.2.9")

_log = logging.getLogger("policyd.admin")


class LoginRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            Route("GET", "/v1/explain/login", self.explain, query=(_LOGIN, _PROTOCOL, _CLIENT)),
            Route("POST", "/v1/reset", self.reset, body=(MEANT, LIMIT, REASON, BY)),
        ]

    async def explain(self, request: AdminRequest) -> ExplainedLogin:
        """Return what a ``login`` by a ``protocol`` from a ``client`` would hear; charges nothing."""
        login, protocol, client = (one.of(request.query) for one in (_LOGIN, _PROTOCOL, _CLIENT))
        if not login:
            raise RequestError(HTTPStatus.BAD_REQUEST, "login is missing")
        asked = LoginRequest(LoginCommand.ALLOW, login, protocol, client, session_id="")
        return await explain_login(self._parts.config.now, self._parts.store, asked, self._parts.clock.now())

    async def reset(self, request: AdminRequest) -> ResetAnswer:
        """Empty the counters of a ``subject``, or that of one ``limit``, and open its locks; returns what they held."""
        parts, named, limit = self._parts, MEANT.of(request.body), LIMIT.of(request.body)
        meant, who = subject(parts, named), await who_asks(request)
        gauges = await parts.status.own(parts.config.now, meant.account, meant.address)
        sizes = await parts.status.sizes(parts.config.now, meant.account, meant.address) if meant.address else []
        by_size = {one.limit for one in sizes}
        if limit in by_size:
            self._refuse_known(next(one.subject for one in sizes if one.limit == limit))
            gauges = [one for one in sizes if one.limit == limit]
        chosen = [gauge for gauge in gauges if limit in {"", gauge.limit}]
        if not chosen:
            cure = did_you_mean(limit, [gauge.limit for gauge in gauges])
            what = f"no limit {limit}" if limit else "no limit"
            raise RequestError(HTTPStatus.NOT_FOUND, f"{what} counts for {named} by itself ({cure})")
        for gauge in chosen:
            await forget(parts.store, gauge.account, gauge.limit, gauge.subject, size=gauge.limit in by_size)
            await parts.trail.write(_event(parts, gauge, who, REASON.of(request.body)))
            _log.info("%s resets %s of %s, %d of %d used", who, gauge.limit, gauge.subject, gauge.used, gauge.max)
        hosted = is_client_account(meant.account) or is_hosted(parts.config.now, meant.account)
        return {"account": meant.account, "hosted": hosted, "reset": [_held(gauge) for gauge in chosen]}

    def _refuse_known(self, name: str) -> None:
        """Raise RequestError for a list whose size no mailing has shown."""
        known = KnownLists(self._parts.config.now.lists.known, self._parts.status.roster()).size(name)
        if known is not None:
            who = "its roster says so" if known.source is Source.ROSTER else "lists.known says so"
            why = f"{name} has {plural(known.size, 'address')} since {who}: nothing was counted (correct it there)"
            raise RequestError(HTTPStatus.BAD_REQUEST, why)


def _event(parts: Parts, gauge: Gauge, who: str, reason: str) -> Event:
    why = f"{gauge.used} of {gauge.max} used{f': {reason}' if reason else ''}"
    return Event(parts.clock.now(), EventKind.RESET, gauge.account, gauge.subject, who, why, gauge.limit)


def _held(gauge: Gauge) -> Held:
    return {
        "subject": gauge.subject, "limit": gauge.limit, "used": gauge.used, "max": gauge.max, "resumes": gauge.resumes,
    }  # fmt: skip
