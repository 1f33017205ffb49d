"""HTTP for machines that watch: /metrics, /livez, /readyz; and how every HTTP listener is served."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from policyd.server.base import serve_on

Ready = Callable[[], tuple[bool, str]]
"""Whether the daemon is ready, and what is missing if it is not."""

MOST_CONNECTIONS = 256
"""Connections of one HTTP listener. On a shared host every script reaches loopback, and descriptors are Postfix's."""

TRUSTED: web.AppKey[set[asyncio.Protocol]] = web.AppKey("trusted", set)
"""Of an application whose peers have to show who they are: the connections that have."""

_ACCEPT_ANY = ""


def metrics_app(registry: CollectorRegistry, ready: Ready) -> web.Application:
    """Return the application for the metrics listener.

    /metrics has the text format that the client accepts; /livez is 200 while the loop runs;
    /readyz is 200 or 503, with the reason.
    """

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = _encode(registry, request.headers.get("Accept", _ACCEPT_ANY))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        good, why = ready()
        if good:
            return web.Response(text="ready\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=f"not ready: {why}\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    return app


def _encode(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version in Accept that is no version
        encode, content_type = choose_encoder(_ACCEPT_ANY)
    return encode(registry), content_type


class HttpServer:
    """Serves one application on listening sockets, with a bounded number of connections.

    One that is too many is refused. Where the application has TRUSTED, the oldest that is not among
    them makes room instead, so that no stranger keeps others out.
    """

    def __init__(self, app: web.Application, most: int = MOST_CONNECTIONS) -> None:
        self._trusted = app.get(TRUSTED)
        app.on_response_prepare.append(_name_nobody)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._most = most
        self._servers: list[asyncio.AbstractServer] = []

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._runner.server.connections) if self._runner.server is not None else 0

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
        server = self._runner.server
        if server is None:
            return _Refusal()
        present = [one for one in server.connections if one.transport is not None]
        if self._trusted is not None:
            self._trusted.intersection_update(present)
        if len(present) >= self._most and not self._made_room(present):
            return _Refusal()
        return server()

    def _made_room(self, present: Sequence[RequestHandler]) -> bool:
        trusted = self._trusted
        stranger = None if trusted is None else next((one for one in present if one not in trusted), None)
        if stranger is not None:
            stranger.force_close()
        return stranger is not None


class _Refusal(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def _name_nobody(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "policyd"
