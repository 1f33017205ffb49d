"""The listener that Dovecot's auth policy client asks, over HTTP.

Whoever reaches it without the key learns nothing and changes nothing: on a shared host every script
reaches loopback, and could lock any mailbox.
"""

import asyncio
import hmac
import logging
import stat
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import web

from policyd.clock import Clock
from policyd.errors import ListenError, ProtocolError
from policyd.model import LoginAnswer, LoginCommand, LoginRequest
from policyd.server.base import Throttle
from policyd.server.http import TRUSTED
from policyd.wire import dovecot

PATH = "/dovecot"
KEY_HEADER = "X-API-Key"

BODY_TIMEOUT = 2.0
"""Seconds in which a body has to come; Dovecot itself waits no longer for its answer."""

_DONE = LoginAnswer(0)
_LEAST_KEY = 16
_OTHERS = stat.S_IRWXO

_log = logging.getLogger("policyd.dovecot")


class Decider(Protocol):
    """Who decides logins."""

    async def allow(self, request: LoginRequest) -> LoginAnswer:
        """Return whether a login may go on."""

    async def report(self, request: LoginRequest) -> None:
        """Note how a login ended."""


class Key:
    """The key of the listener, as its file holds it; read again at a reload."""

    def __init__(self, file: str) -> None:
        """Read the key. Raises ListenError, which says what to do."""
        self._file = file
        self._key = read_key(file)

    def fits(self, shown: str) -> bool:
        """Return whether a text is the key, in a time that does not depend on where they differ."""
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._key)

    def reload(self) -> None:
        """Read the key again; one that cannot be used is logged, and the former one stays."""
        try:
            self._key = read_key(self._file)
        except ListenError as error:
            _log.error("%s; the former key stays in force", error)


def read_key(file: str) -> bytes:
    """Return the key that a file holds. Raises ListenError, with the command that cures it."""
    address, cure = f"listen.dovecot_key_file {file}", f"policyd init-key --file {file}"
    try:
        with Path(file).open("rb") as opened:
            mode = stat.S_IMODE(Path(file).stat().st_mode)
            key = opened.read(1024).strip()
    except FileNotFoundError as error:
        raise ListenError(address, "the file is not there", cure) from error
    except OSError as error:
        readable = f"chgrp policyd {file} && chmod 0640 {file}"
        raise ListenError(address, f"its key cannot be read: {error.strerror or error}", readable) from error
    if mode & _OTHERS:
        raise ListenError(address, "every user may read its key", f"chmod 0640 {file}")
    if len(key) < _LEAST_KEY:
        raise ListenError(address, f"its key has fewer than {_LEAST_KEY} bytes", f"{cure} --force")
    return key


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
