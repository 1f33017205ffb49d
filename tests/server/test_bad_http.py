"""HTTP clients that mean no good: memory is bounded, others are served, and the log is not filled."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from policyd.server.admin import Route, admin_app
from policyd.server.http import HttpServer, metrics_app
from tests.server.conftest import Run
from tests.support.httpserver import as_nobody, ask, connected, http_serving
from tests.support.wait import LOOK_EVERY

MOST = 8
MINE = f"pid {os.getpid()} of uid {os.getuid()}"
LARGE = 2**20  # bytes of an answer: more than a socket takes

HALF_REQUESTS = {
    "nothing": b"",
    "half a line": b"GET /met",
    "half a head": b"GET /metrics HTTP/1.1\r\nHost: x\r\n",
    "half a body": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
    "no reading": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
}
NO_HTTP = {
    "random bytes": bytes(range(256)) * 8,
    "a line of 1 MB": b"GET /" + b"x" * 2**20,
    "a header of 1 MB": b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2**20,
    "ten thousand headers": b"GET /metrics HTTP/1.1\r\n" + b"X: x\r\n" * 10_000,
    "a policy request": b"request=smtpd_access_policy\nprotocol_state=RCPT\n\n",
}


def registry() -> CollectorRegistry:
    """Return a registry whose text is large."""
    made = CollectorRegistry()
    Gauge("policyd_filler", "x" * LARGE, registry=made)
    return made


REGISTRY = registry()


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[HttpServer]:
    """Serve large metrics to at most MOST connections."""
    async with http_serving(metrics_app(REGISTRY, lambda: (True, "")), path, most=MOST) as server:
        yield server


class Peers:
    """Sockets that never read, closed at the end."""

    def __init__(self, path: Path) -> None:
        self._path, self.sockets = path, list[socket.socket]()

    async def send(self, data: bytes) -> socket.socket:
        """Connect and send, as far as the server takes it."""
        sock = connected(self._path)
        self.sockets.append(sock)
        with suppress(ConnectionError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, data), 20)
        return sock

    def close(self) -> None:
        """Hang up all."""
        for sock in self.sockets:
            sock.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the loop has come so far."""
    async with asyncio.timeout(20):
        while not condition():
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), LOOK_EVERY)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the servers logged; the loop has its own opinions on slow machines."""
    return [record.getMessage() for record in caplog.records if record.name != "asyncio"]


@pytest.mark.parametrize("sent", HALF_REQUESTS.values(), ids=HALF_REQUESTS)
def test_who_asks_nothing_whole_keeps_nobody_out(
    run: Run, short_dir: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The oldest makes room, so there are never more than MOST, and who asks is answered; one line tells of it."""
    path = short_dir / "metrics"

    async def scenario() -> None:
        async with serving(path) as server:
            peers = Peers(path)
            for _ in range(5 * MOST):
                await peers.send(sent)
                assert server.connections <= MOST
            assert (await ask(connected(path), "GET /livez")).status == 200
            assert server.connections <= MOST
            peers.close()
            await until(lambda: server.connections == 0)

    run(scenario())
    which = f"the oldest, from {MINE}"
    assert said(caplog) == [f"listen.metrics has {MOST} connections, the most that it takes: closed {which}"]


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_ends_the_connection(
    run: Run, short_dir: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is closed, others are served, and nothing of it is in the log, which anybody could fill so."""
    path = short_dir / "metrics"

    async def scenario() -> None:
        async with serving(path) as server:
            peers = Peers(path)
            for _ in range(3):
                await peers.send(sent)
            await until(lambda: server.connections == 0)
            assert (await ask(connected(path), "GET /livez")).status == 200
            peers.close()

    run(scenario())
    assert said(caplog) == []


def test_when_all_have_shown_who_they_are_the_new_one_goes(
    run: Run, short_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody who may ask loses his connection, and the log says whom the listener did not take."""
    path = short_dir / "admin"

    async def answer(_: object) -> str:
        return "here"

    async def scenario() -> None:
        app = admin_app([Route("GET", "/v1/daemon", answer)], own_uid=os.geteuid(), groups_of=lambda _: frozenset())
        async with http_serving(app, path, most=MOST):
            for _ in range(MOST):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await asyncio.wait_for(reader.readuntil(b'"here"'), 20)).startswith(b"HTTP/1.1 200 ")
                writers.append(writer)
            reader, writer = await asyncio.open_unix_connection(path)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            for one in (*writers, writer):
                one.close()

    writers: list[asyncio.StreamWriter] = []
    run(scenario())
    which = f"the new one, from {MINE}"
    assert said(caplog) == [f"listen.metrics has {MOST} connections, the most that it takes: closed {which}"]


def test_strangers_do_not_take_the_admin_socket(run: Run, short_dir: Path) -> None:
    """When other users hold all connections of the admin socket, one who may ask gets in, and stays."""
    path = short_dir / "admin"

    async def answer(_: object) -> str:
        return "here"

    async def scenario() -> None:
        app = admin_app([Route("GET", "/v1/daemon", answer)], own_uid=0, groups_of=lambda _: frozenset())
        async with http_serving(app, path, most=MOST) as server:
            reader, writer = await asyncio.open_unix_connection(path)
            for _ in range(3 * MOST):
                writer.write(b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await asyncio.wait_for(reader.readuntil(b'"here"'), 20)).startswith(b"HTTP/1.1 200 ")
                with as_nobody():
                    stranger = connected(path)
                await until(lambda: server.connections > 1)
                stranger.setblocking(False)
                strangers.append(stranger)
            assert server.connections <= MOST
            writer.close()
            for one in strangers:
                one.close()

    strangers: list[socket.socket] = []
    run(scenario())
