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

from policyd.conf.issues import did_you_mean, shown
from policyd.errors import RequestError, StoreError
from policyd.server.base import Credentials, peer_credentials
from policyd.server.http import TRUSTED
from policyd.server.plain import plain
from policyd.server.taken import Taken

READ_GROUP = "policyd-support"
WRITE_GROUP = "policyd-admin"

_SAFE_METHODS = frozenset({"GET", "HEAD"})

_logger = logging.getLogger(__name__)


class Peer(NamedTuple):
    """Who asks."""

    uid: int
    pid: int


class AdminRequest(NamedTuple):
    """What a handler is given: of the path, the query and the JSON body what its route takes, and nothing else."""

    peer: Peer
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, object]


class Route(NamedTuple):
    """One thing that can be asked. ``path`` is aiohttp's: ``/usage/{subject}``, with ``parts`` for its variable ones.

    ``answer`` returns records, and may raise RequestError and StoreError. ``lenient``: other names in
    the query are not looked at; elsewhere they are refused, since whoever mistypes one means something.
    """

    method: str
    path: str
    answer: Callable[[AdminRequest], Awaitable[object]]
    query: tuple[Taken, ...] = ()
    body: tuple[Taken, ...] = ()
    parts: tuple[Taken, ...] = ()
    lenient: bool = False


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
        request.app[TRUSTED].add(request.protocol)
        return await _answer(request, handler)

    app = web.Application(middlewares=[guard])
    app[TRUSTED] = set()
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
        query, body = dict(request.query), await _body(request)
        if route.lenient:
            query = {one.name: query[one.name] for one in route.query if one.name in query}
        _check(query, route.query)
        _check(body, route.body)
        asked = AdminRequest(_peer(request), dict(request.match_info), query, body)
        return web.json_response(plain(await route.answer(asked)))

    return handle


def _check(given: Mapping[str, object], takes: Sequence[Taken]) -> None:
    """Look at all that is given before anything is done. Raises RequestError."""
    names = [one.name for one in takes]
    for name in given:
        if name not in names:
            cure = did_you_mean(name, names) if names else "nothing is"
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{shown(name)} is not taken here ({cure})")
    for one in takes:
        one.of(given)


def _peer(request: web.Request) -> Peer:
    if request.transport is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the connection is gone")
    who = peer_credentials(request.transport)
    return Peer(who.uid, who.pid)


async def _body(request: web.Request) -> dict[str, object]:
    raw = await request.read()
    try:
        body = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the body is no JSON object")
    return body


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, f"{request.method} {request.path}: {error.reason}", error.headers.get("Allow"))
    except RequestError as error:
        return _error(error.status, str(error))
    except StoreError as error:
        _logger.warning("%s %s: %s", request.method, request.path, error)
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer")
    except Exception:
        _logger.exception("%s %s failed", request.method, request.path)
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an error in policyd; its log says more")


def _error(status: int, message: str, allow: str | None = None) -> web.Response:
    return web.json_response({"error": message}, status=status, headers={"Allow": allow} if allow else None)
