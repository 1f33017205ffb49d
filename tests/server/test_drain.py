"""How the Postfix server ends: what was asked is answered, and nothing lasts beyond the deadline."""

import asyncio

import pytest

from policyd.server.connection import PostfixConnection
from tests.server.conftest import Run
from tests.support.policy import request
from tests.support.policyserver import Client, HeldDecider, Serving, reply_for, serving, verdict_for
from tests.support.transport import FakeTransport

DEADLINE = 10_000


def to(recipient: str) -> bytes:
    """Return a request about one recipient."""
    return request(recipient=recipient)


async def start_drain(world: Serving) -> asyncio.Future[int]:
    """Begin a drain and return its end; what it does at once is done."""
    drained = asyncio.ensure_future(world.server.drain(DEADLINE))
    await world.decider.until(lambda: DEADLINE in world.clock.delays or drained.done())
    return drained


async def asking(world: Serving, *data: bytes) -> list[Client]:
    """Return clients, each of which has sent something and waits for an answer."""
    before = len(world.decider.asked)
    clients = []
    for one in data:
        clients.append(await world.connect())
        await clients[-1].send(one)
    await world.decider.until(lambda: len(world.decider.asked) == before + len(data))
    return clients


def test_nobody_is_connected(run: Run) -> None:
    """Without connections a drain ends at once."""

    async def scenario() -> None:
        async with serving(HeldDecider()) as world:
            assert await world.server.drain(DEADLINE) == 0
            assert world.clock.delays == []

    run(scenario())


def test_idle_connections_are_closed(run: Run) -> None:
    """Idle connections are closed at once, by us."""

    async def scenario() -> None:
        decider = HeldDecider(verdict_for)
        async with serving(decider) as world:
            idle = [await world.connect() for _ in range(50)]
            used = await world.connect()
            await used.ask(to("a"))
            assert await world.server.drain(DEADLINE) == 0
            assert [await client.rest() for client in (*idle, used)] == [b""] * 51
            assert decider.closes == [True] * 51

    run(scenario())


def test_outstanding_requests_are_answered(run: Run) -> None:
    """What was asked is answered, what was pipelined behind it too; then the connection is closed."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            one, several = await asking(world, to("a"), to("b") + to("c"))
            drained = await start_drain(world)
            decider.respond(0)
            assert await one.rest() == reply_for("a")
            decider.respond(1)
            await decider.until(lambda: len(decider.asked) == 3)
            assert not drained.done()
            decider.respond(2)
            assert await several.rest() == reply_for("b") + reply_for("c")
            assert (await drained, decider.closes) == (0, [True, True])

    run(scenario())


def test_deadline(run: Run) -> None:
    """What is not answered at the deadline is dropped without an answer, and counted."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            clients = await asking(world, to("a"), to("b"), to("c"))
            drained = await start_drain(world)
            decider.respond(1)
            assert await clients[1].rest() == reply_for("b")
            await decider.until(lambda: world.server.connections == 2)
            world.clock.advance(DEADLINE - 1)
            assert not drained.done()
            world.clock.advance(1)
            assert await drained == 2
            assert [await clients[0].rest(), await clients[2].rest()] == [b"", b""]
            assert (decider.closes, world.server.connections) == ([True, True, True], 0)

    run(scenario())


def test_nothing_is_accepted_any_more(run: Run) -> None:
    """After stop_accepting nobody can connect, and who is connected goes on."""

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for), tcp=True) as world:
            client = await world.connect()
            await client.ask(to("a"))
            port = world.listener.port
            world.server.stop_accepting()
            assert await client.ask(to("b")) == reply_for("b")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(scenario())


def test_accepted_during_the_drain(run: Run) -> None:
    """A connection that was accepted just before the drain, and is made just after, is closed."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            await asking(world, to("a"))
            drained = await start_drain(world)
            late, transport = PostfixConnection(world.server), FakeTransport()
            late.connection_made(transport)
            assert transport.is_closing()
            late.connection_lost(None)
            decider.respond(0)
            assert await drained == 0

    run(scenario())
