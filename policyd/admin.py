"""What the admin socket answers: the API of the CLI and of panels."""

import logging
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, NamedTuple

from policyd import __version__
from policyd.clock import Clock
from policyd.errors import RequestError
from policyd.reload import ConfigInForce
from policyd.server.admin import AdminRequest, Route
from policyd.status import Status, UnknownSubjectError
from policyd.store.redis import RedisStore

_TOP, _MOST = 20, 100

_log = logging.getLogger("policyd.admin")


class Listening(NamedTuple):
    """Where a daemon listens, with absolute paths and real ports: for Postfix, for metrics ("" for nowhere)."""

    postfix: tuple[str, ...]
    metrics: str


class AdminRoutes:
    """The handlers, over the parts of a running daemon."""

    def __init__(
        self, config: ConfigInForce, store: RedisStore, status: Status, clock: Clock, listening: Listening
    ) -> None:
        self._config, self._store, self._status, self._clock = config, store, status, clock
        self._listening = listening

    def routes(self) -> list[Route]:
        """Return everything that can be asked."""
        return [
            Route("GET", "/v1/daemon", self.daemon),
            Route("GET", "/v1/status", self.status),
            Route("POST", "/v1/reload", self.reload),
        ]

    async def daemon(self, _: AdminRequest) -> dict[str, Any]:
        """Return what runs here and where it listens."""
        config = self._config.now
        return {
            "version": __version__,
            "mode": config.mode,
            "domains": len(config.accounts.plans),
            "listen": self._listening._asdict(),
            "store": {"embedded": config.store.url == "embedded", "up": self._store.up},
            "files": list(config.files),
            "stale": list(config.stale),
        }

    async def status(self, request: AdminRequest) -> dict[str, Any]:
        """Return gauges: of ``subject``, of who would have been refused, or the fullest ones."""
        config, query = self._config.now, request.query
        top = query.get("top", str(_TOP))
        if not (top.isascii() and top.isdecimal() and 1 <= int(top) <= _MOST):
            raise RequestError(HTTPStatus.BAD_REQUEST, f"top={top} is no number from 1 to {_MOST}")
        try:
            if query.get("would_refuse"):
                gauges = await self._status.would_refuse(config, self._clock.now(), query.get("subject", ""))
            elif query.get("subject"):
                gauges = await self._status.of(config, query["subject"])
            else:
                gauges = await self._status.fullest(config, int(top))
        except UnknownSubjectError as error:
            raise RequestError(HTTPStatus.NOT_FOUND, str(error)) from error
        return {"mode": config.mode, "gauges": [asdict(gauge) for gauge in gauges]}

    async def reload(self, request: AdminRequest) -> dict[str, Any]:
        """Read the configuration again; returns what changed or what is wrong with it."""
        _log.info("uid %d asks for a reload", request.peer.uid)
        return (await self._config.reload())._asdict()
