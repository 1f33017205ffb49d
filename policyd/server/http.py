"""HTTP for machines that watch: /metrics, /livez, /readyz; and how every HTTP listener is served."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from policyd.server.base import peer_name, serve_on
from policyd.server.crowd import Crowd
from policyd.server.key import Key

Ready = Callable[[], tuple[bool, str]]
"""Whether the daemon is ready, and what is missing if it is not."""

MOST_CONNECTIONS = 256
"""Connections of one HTTP listener. On a shared host every script reaches loopback, and descriptors are Postfix's."""

TRUSTED: web.AppKey[set[asyncio.Protocol]] = web.AppKey("trusted", set)
"""Of an application whose peers have to show who they are: the connections that have."""

OF_ACCOUNTS = "policyd_account_usage_ratio"
"""The metric that names customers."""

_ACCEPT_ANY = ""
_BEARER = "Bearer "


def metrics_app(
    registry: CollectorRegistry, ready: Ready, token: Key | None = None, *, closed: bool = True
) -> web.Application:
    """Return the application for the metrics listener.

    /metrics has the text format that the client accepts, for who shows the ``token`` if there is
    one; /livez is 200 while the loop runs; /readyz is 200 or 503, with the reason. Without a token
    customers are named only on a ``closed`` listener, which not every user of the host reaches.
    """
    shown = registry if token or closed else WithoutAccounts(registry)

    async def metrics(request: web.Request) -> web.Response:
        if token is not None:
            if not _shows(request, token):
                return web.Response(status=HTTPStatus.UNAUTHORIZED, text="the token of listen.metrics_token_file\n")
            request.app[TRUSTED].add(request.protocol)
        body, content_type = _encode(shown, request.headers.get("Accept", _ACCEPT_ANY))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        good, why = ready()
        if good:
            return web.Response(text="ready\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=f"not ready: {why}\n")

    app = web.Application()
    app[TRUSTED] = set()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    return app


class WithoutAccounts(CollectorRegistry):
    """What another registry has, but the names of customers."""

    def __init__(self, whole: CollectorRegistry) -> None:
        super().__init__()
        self._whole = whole

    def collect(self) -> Iterator[Metric]:
        """Yield everything that names nobody."""
        return (family for family in self._whole.collect() if family.name != OF_ACCOUNTS)


def _shows(request: web.Request, token: Key) -> bool:
    shown = request.headers.get("Authorization", "")
    return shown.startswith(_BEARER) and token.fits(shown.removeprefix(_BEARER))


def _encode(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version in Accept that is no version
        encode, content_type = choose_encoder(_ACCEPT_ANY)
    return encode(registry), content_type


class HttpServer:
    """Serves one application on listening sockets, with a bounded number of connections.

    When one is too many the oldest makes room, so that nobody keeps others out by saying nothing,
    asking slowly or not reading. One in TRUSTED stays; where all are, the new one is refused.
    """

    def __init__(self, app: web.Application, crowd: Crowd) -> None:
        self._trusted = app[TRUSTED]
        app.on_response_prepare.append(_name_nobody)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, logger=_Complaints(crowd.service))
        self._crowd = crowd
        self._servers: list[asyncio.AbstractServer] = []

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._present())

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on listening sockets, which then belong to the server."""
        await self._runner.setup()
        for sock in sockets:
            self._servers.append(await serve_on(sock, self._new_connection))

    async def stop(self) -> None:
        """Accept no more, let requests under way end within a second, close all connections."""
        while self._servers:
            self._servers.pop().close()
        await self._runner.cleanup()

    def _new_connection(self) -> asyncio.BaseProtocol:
        server, present = self._runner.server, self._present()
        if server is None:
            return _Refusal()
        self._trusted.intersection_update(present)
        if len(present) >= self._crowd.most:
            oldest = next((one for one in present if one not in self._trusted), None)
            if oldest is None:
                return _Refusal(partial(self._crowd.too_many, "the new one"))
            self._crowd.too_many("the oldest", peer_name(cast("asyncio.Transport", oldest.transport)))
            _drop(oldest)
        return server()

    def _present(self) -> list[RequestHandler]:
        """Return the open connections, the oldest first."""
        server = self._runner.server
        return [] if server is None else [one for one in server.connections if one.transport is not None]


def _drop(connection: RequestHandler) -> None:
    """End a connection with what its peer has not read; a close would wait for that."""
    transport = cast("asyncio.Transport", connection.transport)
    connection.force_close()
    transport.abort()


class _Complaints(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp has to say. That a peer speaks no HTTP is no error of ours, and worth no traceback."""

    def __init__(self, service: str) -> None:
        super().__init__(logging.getLogger(__name__), {})
        self._service = service

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
        """Say which listener it is about."""
        return f"listen.{self._service}: {msg}", kwargs

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:  # noqa: ANN401  # as logging has it
        """Log it, unless a peer broke the protocol."""
        if not isinstance(more.get("exc_info"), HttpProcessingError):
            super().log(level, msg, *args, **more)


class _Refusal(asyncio.Protocol):
    """Ends a connection as soon as it is there; ``refused`` is called with whose it is."""

    def __init__(self, refused: Callable[[str], None] = lambda _: None) -> None:
        self._refused = refused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._refused(peer_name(transport))
        transport.close()


async def _name_nobody(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "policyd"
