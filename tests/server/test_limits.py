"""What a client of the Postfix server may not do for ever: nothing, too slowly, or without reading."""

import pytest

from policyd.model import Verdict
from policyd.server.base import Throttle
from policyd.server.connection import STUCK
from policyd.server.postfix import IDLE_LIMIT, LEAST_IDLE_LIMIT, PostfixServer
from tests.server.conftest import Run
from tests.support.policy import request
from tests.support.policyserver import LOCAL_HOST, HeldDecider, WatchedClock, reply_for, serving, verdict_for


def to(recipient: str) -> bytes:
    """Return a request about one recipient."""
    return request(recipient=recipient)


def test_idle_limit(run: Run) -> None:
    """A connection is closed by us when nothing was asked for the idle limit, and not before 300 s."""

    async def scenario() -> None:
        decider = HeldDecider(verdict_for)
        async with serving(decider) as world:
            client = await world.connect()
            await client.ask(to("a"))
            world.clock.advance(IDLE_LIMIT)
            assert await client.ask(to("b")) == reply_for("b")
            world.clock.advance(IDLE_LIMIT + IDLE_LIMIT // 10)
            assert await client.rest() == b""
            assert decider.closes == [True]

    run(scenario())


def test_slow_client_is_idle(run: Run) -> None:
    """Bytes that never become a request keep no connection open."""

    async def scenario() -> None:
        decider = HeldDecider(verdict_for)
        async with serving(decider) as world:
            slow, good = await world.connect(), await world.connect()
            for byte in to("a")[:12]:
                await slow.send(bytes([byte]))
                await good.ask(to("b"))
                world.clock.advance(IDLE_LIMIT // 10)
            assert await slow.rest() == b""
            assert await good.ask(to("b")) == reply_for("b")

    run(scenario())


def test_outstanding_request_is_not_idle(run: Run) -> None:
    """A connection that waits for its answer is never closed as idle."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a"))
            await decider.until(lambda: len(decider.asked) == 1)
            world.clock.advance(3 * IDLE_LIMIT)
            decider.respond(0)
            assert await client.reply() == reply_for("a")

    run(scenario())


def test_least_idle_limit() -> None:
    """An idle limit below what Postfix keeps a connection for is a mistake."""
    with pytest.raises(ValueError, match="below 300000"):
        PostfixServer(HeldDecider(), WatchedClock(), LOCAL_HOST, LEAST_IDLE_LIMIT - 1)


def test_client_that_never_reads(run: Run) -> None:
    """A client that reads no answers is asked about no more, and is dropped after a while."""

    async def scenario() -> None:
        decider = HeldDecider(lambda found: Verdict(verdict_for(found).action, "x" * 190))
        async with serving(decider) as world:
            client = await world.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.writer.write(to("a") * 40_000)
            await decider.until(lambda: STUCK in world.clock.delays)
            asked = len(decider.asked)
            world.clock.advance(STUCK)
            await decider.until(lambda: decider.closes == [True])
            assert len(decider.asked) == asked < 20_000

    run(scenario())


def test_client_that_reads_late(run: Run) -> None:
    """A client that first sends everything and then reads gets every answer."""

    async def scenario() -> None:
        decider = HeldDecider(lambda found: Verdict(verdict_for(found).action, "x" * 190))
        async with serving(decider) as world:
            client = await world.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.writer.write(to("a") * 10_000)
            await decider.until(lambda: STUCK in world.clock.delays)
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            replies = [await client.reply() for _ in range(10_000)]
            assert set(replies) == {reply_for("x" * 190)}
            assert STUCK not in world.clock.delays

    run(scenario())


def test_throttle() -> None:
    """One line for each key passes in ten seconds, and says how many were held back before it."""
    clock = WatchedClock()
    throttle = Throttle(clock, every=10_000, keys=2)
    first = [throttle.passes("a"), throttle.passes("a"), throttle.passes("a"), throttle.passes("b")]
    clock.advance(9_999)
    late = throttle.passes("a")
    clock.advance(1)

    assert (first, late, throttle.passes("a"), throttle.passes("a")) == ([0, None, None, 0], None, 3, None)


def test_throttle_forgets() -> None:
    """The throttle remembers a bounded number of keys, the latest."""
    throttle = Throttle(WatchedClock(), keys=2)

    assert [throttle.passes(key) for key in "abcacb"] == [0, 0, 0, 0, None, 0]
