"""The thin link: writes, waiters in order, states."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop

from policyd.errors import StoreUnavailable
from policyd.store.link import Connect, Greeting, Link, State
from tests.store.opened import SHORT, TIMEOUT, eventually, run
from tests.support.redis import RedisServer
from tests.support.wait import until


class Counting(asyncio.Protocol):
    """Stands between a link and its socket, and counts the writes."""

    def __init__(self, link: asyncio.Protocol, written: list[bytes]) -> None:
        self._link, self._written = link, written
        self.data_received = link.data_received  # type: ignore[method-assign]
        self.connection_lost = link.connection_lost  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the link a transport whose writes are seen."""
        self._transport = cast("asyncio.Transport", transport)
        self._link.connection_made(cast("asyncio.BaseTransport", self))

    def write(self, data: bytes) -> None:
        """Note a write."""
        self._written.append(data)
        self._transport.write(data)

    def abort(self) -> None:
        """Pass it on."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Pass it on."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str) -> Any:
        """Pass it on."""
        return self._transport.get_extra_info(name)

    def get_write_buffer_size(self) -> int:
        """Pass it on."""
        return self._transport.get_write_buffer_size()


def counted(server: RedisServer, written: list[bytes]) -> Connect:
    """Return how to connect to a server so that writes are counted."""

    async def connect(factory: Callable[[], asyncio.Protocol]) -> tuple[asyncio.Transport, asyncio.Protocol]:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_connection(lambda: Counting(factory(), written), str(server.socket))

    return connect


def ping(answered: asyncio.Event) -> Greeting:
    """Return a greeting of one PING."""
    return Greeting(lambda: [("PING",)], lambda _: answered.set())


def test_one_write_for_each_tick(redis_server: RedisServer) -> None:
    """The few commands that one turn of the loop submits go out in one write, and are answered in order."""

    async def main() -> None:
        written: list[bytes] = []
        greeted = asyncio.Event()
        link = Link(counted(redis_server, written), ping(greeted), TIMEOUT, lambda _: None)
        await greeted.wait()
        before, loop = len(written), asyncio.get_running_loop()
        replies = [loop.create_future() for _ in range(7)]
        for number, future in enumerate(replies):
            link.submit("echo", ("ECHO", str(number)), future.set_result, repeatable=True)
        assert len(written) == before
        assert await asyncio.gather(*replies) == [b"%d" % number for number in range(7)]
        assert len(written) == before + 1
        await link.close()

    run(main())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_many_are_sent_before_the_tick_ends(
    redis_server: RedisServer, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Redis works on what is there already; what does not fill a write goes with the tick."""

    async def main() -> None:
        greeted, connect = asyncio.Event(), counted(redis_server, [])
        link = Link(connect, Greeting(lambda: [("DEL", "many")], lambda _: greeted.set()), TIMEOUT, lambda _: None)
        await greeted.wait()
        replies = [asyncio.get_running_loop().create_future() for _ in range(18)]
        for future in replies:
            link.submit("incr", ("INCR", "many"), future.set_result, repeatable=True)
        until(lambda: redis_server.client().get("many") == b"16", "Redis has run two writes of eight")
        assert await asyncio.gather(*replies) == list(range(1, 19))
        await link.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_states_are_told_in_order(redis_server: RedisServer) -> None:
    """The link says each change of its state once."""

    async def main() -> None:
        states: list[State] = []
        up = asyncio.Event()
        link = Link(counted(redis_server, []), ping(up), SHORT / 1000, states.append)
        await up.wait()
        redis_server.pause()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        link.submit("ping", ("PING",), reply.set_result, repeatable=False)
        assert str(await reply) == "store ping: no answer within 50 ms"
        up.clear()
        redis_server.resume()
        await up.wait()
        await link.close()
        assert states[:3] == [State.UP, State.STALLED, State.CONNECTING]
        assert states[-2:] == [State.UP, State.CLOSED]

    run(main())


def test_a_stall_and_its_end(redis_server: RedisServer) -> None:
    """Once a command has timed out new ones fail at once, while others wait on; a late answer makes all good again."""

    async def main() -> None:
        states: list[State] = []
        up, stalled = asyncio.Event(), asyncio.Event()

        def entered(state: State) -> None:
            states.append(state)
            if state is State.STALLED:
                stalled.set()

        link = Link(counted(redis_server, []), ping(up), SHORT / 1000, entered)
        await up.wait()
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        redis_server.pause()
        link.submit("ping", ("PING",), first.set_result, repeatable=False)
        link.submit("ping", ("PING", "2"), second.set_result, repeatable=False, deadline=loop.time() + TIMEOUT / 1000)
        await stalled.wait()
        at_once: list[object] = []
        link.submit("ping", ("PING",), at_once.append, repeatable=True)
        assert [str(error) for error in at_once] == ["store ping: the link to Redis is stalled"]
        assert not second.done()
        redis_server.resume()
        assert await second == b"2"
        assert "no answer" in str(await first)
        await link.close()
        assert states == [State.UP, State.STALLED, State.UP, State.CLOSED]

    run(main())


def test_a_greeting_that_is_refused(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that cannot be made ready is none; the log says so once, however often it is tried."""

    async def main() -> None:
        down = asyncio.Event()
        tries: list[bytes] = []
        greeting = Greeting(lambda: [("NONSENSE",)], lambda _: None)
        link = Link(counted(redis_server, tries), greeting, TIMEOUT, lambda _: down.set())
        await down.wait()
        reply: list[object] = []
        link.submit("ping", ("PING",), reply.append, repeatable=True)
        assert isinstance(reply[0], StoreUnavailable)
        await eventually(lambda: len(tries) >= 3, "the link tries again")
        await link.close()

    run(main())
    assert [entry.getMessage().partition(";")[2] for entry in caplog.records] == [" trying again until it answers"]
