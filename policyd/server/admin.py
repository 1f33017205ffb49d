"""HTTP + JSON on the admin socket. Who may what is decided by who the kernel says is asking.

The superuser and the daemon's own user may all; members of the read group may GET, members of the
write group may do the rest too. Errors are JSON, ``{"error": "..."}``, and hold no internals.
"""

import asyncio
import grp
import json
import logging
import os
import pwd
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

from policyd.errors import RequestError, StoreError
from policyd.server.base import Credentials, peer_credentials

READ_GROUP = "policyd-support"
WRITE_GROUP = "policyd-admin"

_SAFE_METHODS = frozenset({"GET", "HEAD"})

_logger = logging.getLogger(__name__)


class Peer(NamedTuple):
    """Who asks."""

    uid: int
    pid: int


class AdminRequest(NamedTuple):
    """What a handler is given: the variable parts of the path, the query, the JSON body (None without one)."""

    peer: Peer
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: object


class Route(NamedTuple):
    """One thing that can be asked. ``path`` is aiohttp's: ``/usage/{subject}``.

    ``answer`` returns what json.dumps takes, and may raise RequestError and StoreError.
    """

    method: str
    path: str
    answer: Callable[[AdminRequest], Awaitable[object]]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GroupsOf = Callable[[Credentials], frozenset[str]]
"""Return the names of the groups that a peer's user is in. May block."""


def group_names(who: Credentials) -> frozenset[str]:
    """Return the groups of a peer's user by its name, and the group that its process had."""
    numbers = {who.gid}
    with suppress(KeyError):
        user = pwd.getpwuid(who.uid)
        numbers.update(os.getgrouplist(user.pw_name, user.pw_gid))
    names = set()
    for number in numbers:
        with suppress(KeyError):
            names.add(grp.getgrgid(number).gr_name)
    return frozenset(names)


def admin_app(routes: Sequence[Route], own_uid: int, groups_of: GroupsOf = group_names) -> web.Application:
    """Return the application for the admin socket, which has exactly ``routes``."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.transport is None:
            return _error(HTTPStatus.BAD_REQUEST, "the connection is gone")
        who = peer_credentials(request.transport)
        if who.uid not in {0, own_uid}:
            wanted = await asyncio.to_thread(_missing_group, who, request.method, groups_of)
            if wanted:
                return _error(
                    HTTPStatus.FORBIDDEN, f"only members of group {wanted} may do this (usermod -aG {wanted} USER)"
                )
        return await _answer(request, handler)

    app = web.Application(middlewares=[guard])
    for route in routes:
        app.router.add_route(route.method, route.path, _handler(route))
    return app


def _missing_group(who: Credentials, method: str, groups_of: GroupsOf) -> str:
    groups = groups_of(who)
    if WRITE_GROUP in groups or (method in _SAFE_METHODS and READ_GROUP in groups):
        return ""
    return READ_GROUP if method in _SAFE_METHODS else WRITE_GROUP


def _handler(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        asked = AdminRequest(_peer(request), dict(request.match_info), dict(request.query), await _body(request))
        return web.json_response(await route.answer(asked))

    return handle


def _peer(request: web.Request) -> Peer:
    if request.transport is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the connection is gone")
    who = peer_credentials(request.transport)
    return Peer(who.uid, who.pid)


async def _body(request: web.Request) -> object:
    raw = await request.read()
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, f"{request.method} {request.path}: {error.reason}")
    except RequestError as error:
        return _error(error.status, str(error))
    except StoreError as error:
        _logger.warning("%s %s: %s", request.method, request.path, error)
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer")
    except Exception:
        _logger.exception("%s %s failed", request.method, request.path)
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an error in policyd; its log says more")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
