"""Asking an HttpServer that runs on the loop of the test."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from aiohttp import web

from policyd.conf.schema import Endpoint
from policyd.server.crowd import Crowd
from policyd.server.http import MOST_CONNECTIONS, HttpServer
from policyd.server.listen import Wanted, open_listener
from tests.support.clock import ManualClock

NOBODY = 65_534
NOTHING: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    """What an HTTP server answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Bytes:
    """As much of a socket as HTTPResponse reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> BytesIO:
        """Return the bytes as a file."""
        return BytesIO(self._data)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be the user nobody for a moment, if the tests run as root: the kernel notes it in connections."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if me == 0:
            os.seteuid(0)


def connected(path: Path) -> socket.socket:
    """Return a client's socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.setblocking(False)
    return sock


async def ask(
    sock: socket.socket, head: str, body: bytes = b"", accept: str = "*/*", more: Mapping[str, str] = NOTHING
) -> Answer:
    """Send one request ("GET /path"), with ``more`` headers, and return the answer; the connection ends with it."""
    reader, writer = await asyncio.open_connection(sock=sock)
    lines = {"Host": "test", "Connection": "close", "Accept": accept, "Content-Length": str(len(body)), **more}
    text = f"{head} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    writer.write(text.encode() + body)
    async with asyncio.timeout(20):
        data = await reader.read()
    writer.close()
    await writer.wait_closed()
    response = HTTPResponse(_Bytes(data), method=head.partition(" ")[0])  # type: ignore[arg-type]
    response.begin()
    return Answer(response.status, dict(response.getheaders()), response.read())


@asynccontextmanager
async def http_serving(app: web.Application, path: Path, most: int = MOST_CONNECTIONS) -> AsyncIterator[HttpServer]:
    """Serve an application on a unix socket that everybody may connect to."""
    listener = open_listener(Wanted(Endpoint(path=str(path)), 0o666))
    server = HttpServer(app, Crowd("metrics", most, ManualClock()))
    await server.serve(listener.sockets)
    try:
        yield server
    finally:
        await server.stop()
        listener.close()
