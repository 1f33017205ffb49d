"""The listener that Dovecot's auth policy client asks, over HTTP.

Whoever reaches it without the key learns nothing and changes nothing: on a shared host every script
reaches loopback, and could lock any mailbox.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from policyd.clock import Clock
from policyd.errors import ProtocolError
from policyd.model import LoginAnswer, LoginCommand, LoginRequest
from policyd.server.base import Throttle
from policyd.server.http import TRUSTED
from policyd.server.key import Key
from policyd.wire import dovecot

PATH = "/dovecot"
KEY_HEADER = "X-API-Key"

BODY_TIMEOUT = 2.0
"""Seconds in which a body has to come; Dovecot itself waits no longer for its answer."""

_DONE = LoginAnswer(0)

_log = logging.getLogger("policyd.dovecot")


class Decider(Protocol):
    """Who decides logins."""

    async def allow(self, request: LoginRequest) -> LoginAnswer:
        """Return whether a login may go on."""

    async def report(self, request: LoginRequest) -> None:
        """Note how a login ended."""


def dovecot_app(decider: Decider, key: Key, clock: Clock) -> web.Application:
    """Return the application for the Dovecot listener: ``POST /dovecot?command=allow`` or ``report``."""
    throttle = Throttle(clock)

    async def handle(request: web.Request) -> web.Response:
        shown = request.headers.get(KEY_HEADER)
        if shown is None or not key.fits(shown):
            status = HTTPStatus.UNAUTHORIZED if shown is None else HTTPStatus.FORBIDDEN
            _complain(throttle, request, "shows no key" if shown is None else "shows a wrong key")
            return web.Response(status=status, text=f"{status.phrase}\n")
        request.app[TRUSTED].add(request.protocol)
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await request.read()
            login = dovecot.decode(request.query.get("command", ""), body)
        except (ProtocolError, TimeoutError) as error:
            why = str(error) or "the body did not come in time"
            _complain(throttle, request, f"sends what is no request: {why}")
            return web.Response(status=HTTPStatus.BAD_REQUEST, text=f"{why}\n")
        answer = await decider.allow(login) if login.command is LoginCommand.ALLOW else await _reported(decider, login)
        return web.Response(body=dovecot.encode(answer), content_type="application/json")

    app = web.Application(client_max_size=dovecot.MAX_BODY)
    app[TRUSTED] = set()
    app.router.add_post(PATH, handle)
    return app


async def _reported(decider: Decider, login: LoginRequest) -> LoginAnswer:
    await decider.report(login)
    return _DONE


def _complain(throttle: Throttle, request: web.Request, what: str) -> None:
    held = throttle.passes(what)
    if held is not None:
        more = f" ({held} more since the last line)" if held else ""
        _log.warning("a client of listen.dovecot, %s, %s%s", request.remote, what, more)
