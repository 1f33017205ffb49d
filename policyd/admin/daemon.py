"""The daemon itself, what is used of its limits, and a reload."""

import logging
from http import HTTPStatus

from policyd import __version__
from policyd.admin.answers import DaemonAnswer, ShownSuspension, StatusAnswer, shown
from policyd.admin.asked import BY, SUBJECT, Parts, subject, who_asks
from policyd.errors import RequestError, StoreError
from policyd.history import with_history
from policyd.policy.subject import UnknownSubjectError
from policyd.public import PublicStatus, public_status
from policyd.reload import Reloaded
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Flag, Number
from policyd.status import Gauge

_TOP = Number("top", "How many of the fullest, where no subject is named.", 1, 100, usual=20)
_WOULD_REFUSE = Flag("would_refuse", "Who would have been refused in the last week but for mode observe.")
_PUBLIC = Flag("public", "Only what the customer of the domain may see.")

_log = logging.getLogger("policyd.admin")


class DaemonRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            Route("GET", "/v1/daemon", self.daemon),
            Route("GET", "/v1/status", self.status, query=(SUBJECT, _TOP, _WOULD_REFUSE, _PUBLIC)),
            Route("POST", "/v1/reload", self.reload, body=(BY,)),
        ]

    async def daemon(self, _: AdminRequest) -> DaemonAnswer:
        """Return what runs here and where it listens."""
        config = self._parts.config.now
        return {
            "version": __version__,
            "mode": config.mode,
            "domains": len(config.accounts.plans),
            "listen": self._parts.listening,
            "store": {"embedded": config.store.url == "embedded", "up": self._parts.store.up},
            "files": list(config.files),
            "stale": list(config.stale),
        }

    async def status(self, request: AdminRequest) -> StatusAnswer | PublicStatus:
        """Return gauges: of ``subject``, of who would have been refused, or the fullest ones.

        With ``public``, only what the customer of ``subject`` may see.
        """
        parts, query = self._parts, request.query
        named = SUBJECT.of(query)
        if _PUBLIC.of(query):
            return await self._public(named)
        gauges: list[Gauge] | None = None
        try:
            gauges = await self._gauges(named, _TOP.of(query), would_refuse=_WOULD_REFUSE.of(query))
        except UnknownSubjectError as error:
            raise RequestError(HTTPStatus.NOT_FOUND, str(error)) from error
        except StoreError:
            if parts.outage() is None:
                raise
        return {
            "mode": parts.config.now.mode,
            "outage": parts.outage(),
            "gauges": gauges,
            "suspended": self._suspended(named),
            "delayed": len(parts.delays),
        }

    async def _gauges(self, named: str, top: int, *, would_refuse: bool) -> list[Gauge]:
        parts, config = self._parts, self._parts.config.now
        if would_refuse:
            return await parts.status.would_refuse(config, parts.clock.now(), named)
        if named:
            return await with_history(parts.store, await parts.status.of(config, named), parts.clock.now())
        return await parts.status.fullest(config, top)

    async def _public(self, named: str) -> PublicStatus:
        parts, config = self._parts, self._parts.config.now
        meant = subject(parts, named)
        if meant.account not in config.accounts.plans or meant.address:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{named} is no hosted domain, and nobody's to see")
        suspended = parts.suspensions.all(parts.clock.now())
        gauges = await parts.status.of(config, meant.account)
        return public_status(config, meant.account, gauges, suspended)

    def _suspended(self, named: str) -> list[ShownSuspension]:
        """Return what is suspended of an account, or of all."""
        account = subject(self._parts, named).account if named else ""
        every = self._parts.suspensions.all(self._parts.clock.now())
        return [shown(one) for one in every if account in {"", one.account}]

    async def reload(self, request: AdminRequest) -> Reloaded:
        """Read the configuration again; returns what changed or what is wrong with it."""
        who = await who_asks(request)
        _log.info("%s asks for a reload", who)
        return await self._parts.config.reload(who)
