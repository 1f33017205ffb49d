"""A Postfix server with a decider that the test holds in its hand, and clients to ask it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from policyd.conf.schema import Endpoint
from policyd.model import Action, PolicyRequest, Verdict
from policyd.server.base import Respond
from policyd.server.crowd import Crowd
from policyd.server.listen import Wanted, open_listener
from policyd.server.postfix import MOST_CONNECTIONS, PostfixServer
from tests.support.clock import ManualClock
from tests.support.wait import LOOK_EVERY

LOCAL_HOST = "mx.here.test"
DUNNO = b"action=DUNNO\n\n"
ACCEPT = Verdict(Action.ACCEPT)


def verdict_for(request: PolicyRequest) -> Verdict:
    """Return a verdict whose text is the recipient, so that an answer can be told from all others."""
    return Verdict(Action.DEFER, request.recipient)


def reply_for(recipient: str) -> bytes:
    """Return the reply to ``verdict_for`` that recipient."""
    return f"action=450 4.7.1 {recipient}\n\n".encode()


class WatchedClock(ManualClock):
    """A clock that shows what waits for its moment."""

    @property
    def delays(self) -> list[int]:
        """In how many ms the timers fall due that are not cancelled, soonest first."""
        return sorted(due - self.now() for due, _, timer in self._timers if timer.callback is not None)


class Talk:
    """The decider's state of one connection."""

    def __init__(self, host: str) -> None:
        self.host = host


class HeldDecider:
    """A decider that notes everything; ``answer`` answers at once, without it the test does."""

    def __init__(self, answer: Callable[[PolicyRequest], Verdict | None] | None = None) -> None:
        self._answer = answer
        self.hosts: list[str] = []
        self.asked: list[tuple[PolicyRequest, Respond]] = []
        self.closes: list[bool] = []
        self._changed = asyncio.Event()

    def opened(self, host: str) -> Talk:
        """Note a new connection."""
        self.hosts.append(host)
        self._changed.set()
        return Talk(host)

    def decide(self, conversation: Talk, request: PolicyRequest, respond: Respond) -> None:
        """Note a request, and answer it if that was asked for."""
        assert isinstance(conversation, Talk)
        self.asked.append((request, respond))
        self._changed.set()
        if self._answer is not None:
            respond(self._answer(request))

    def closed(self, conversation: Talk, *, by_us: bool) -> None:
        """Note that a connection is gone."""
        assert isinstance(conversation, Talk)
        self.closes.append(by_us)
        self._changed.set()

    def respond(self, number: int, verdict: Verdict | None = None) -> None:
        """Answer the request ``number`` by its recipient, or with ``verdict``."""
        request, respond = self.asked[number]
        respond(verdict or verdict_for(request))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; it is looked at when something was noted, and now and then."""
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), LOOK_EVERY)


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> bytes:
        """Return one reply."""
        async with asyncio.timeout(20):
            return await self.reader.readuntil(b"\n\n")

    async def ask(self, data: bytes) -> bytes:
        """Send a request and return its reply."""
        await self.send(data)
        return await self.reply()

    async def rest(self) -> bytes:
        """Return what comes until the server closes."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Serving:
    """A running server, its clock and its clients."""

    def __init__(self, decider: HeldDecider, endpoint: Endpoint, most: int) -> None:
        self.decider, self.clock, self.closed = decider, WatchedClock(), list[str]()
        crowd = Crowd("postfix", most, self.clock, self.closed.append)
        self.server = PostfixServer(decider, self.clock, LOCAL_HOST, crowd=crowd)
        self.listener = open_listener(Wanted(endpoint))
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        """Return a new client."""
        path = self.listener.endpoint.path
        if path:
            client = Client(*await asyncio.open_unix_connection(path))
        else:
            client = Client(*await asyncio.open_connection(self.listener.endpoint.host, self.listener.port))
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(
    decider: HeldDecider, *, tcp: bool = False, most: int = MOST_CONNECTIONS
) -> AsyncIterator[Serving]:
    """Run a server on a unix socket, or on a loopback port; at the end everything is closed."""
    directory = tempfile.mkdtemp(prefix="pd", dir="/tmp")
    endpoint = Endpoint(host="127.0.0.1") if tcp else Endpoint(path=str(Path(directory) / "policy"))
    world = Serving(decider, endpoint, most)
    await world.server.serve(world.listener.sockets)
    try:
        yield world
    finally:
        for client in world.clients:
            await client.close()
        drained = asyncio.ensure_future(world.server.drain(0))
        await decider.until(lambda: len(decider.closes) == len(decider.hosts))
        await drained
        world.listener.close()
        shutil.rmtree(directory)
