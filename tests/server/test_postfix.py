"""The Postfix server, asked over real sockets."""

import asyncio
import logging
import socket
import struct

import pytest

from policyd.model import PolicyRequest, Verdict
from tests.server.conftest import Run
from tests.support.policy import request
from tests.support.policyserver import (
    ACCEPT,
    DUNNO,
    LOCAL_HOST,
    HeldDecider,
    reply_for,
    serving,
    verdict_for,
)


def to(recipient: str) -> bytes:
    """Return a request about one recipient."""
    return request(recipient=recipient)


def accept(_: PolicyRequest) -> Verdict:
    """Accept every request."""
    return ACCEPT


@pytest.mark.parametrize(("tcp", "host"), [(False, LOCAL_HOST), (True, "127.0.0.1")], ids=["unix", "tcp"])
def test_answers(run: Run, *, tcp: bool, host: str) -> None:
    """Requests are answered one after the other on one connection, from a named host."""

    async def scenario() -> None:
        decider = HeldDecider(verdict_for)
        async with serving(decider, tcp=tcp) as world:
            client = await world.connect()
            for name in ("a", "b", "c"):
                assert await client.ask(to(name)) == reply_for(name)
            assert (decider.hosts, world.server.connections) == ([host], 1)
        assert decider.closes == [False]

    run(scenario())


def test_answer_later(run: Run) -> None:
    """An answer may come at any time after the request."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a"))
            await decider.until(lambda: len(decider.asked) == 1)
            decider.respond(0)
            assert await client.reply() == reply_for("a")

    run(scenario())


def test_one_outstanding(run: Run) -> None:
    """Pipelined requests wait until the one before is answered; the replies keep their order."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a") + to("b") + to("c"))
            for number, name in enumerate("abc"):
                await decider.until(lambda number=number: len(decider.asked) > number)  # type: ignore[misc]
                assert len(decider.asked) == number + 1
                decider.respond(number)
                assert await client.reply() == reply_for(name)

    run(scenario())


def test_pipelined_to_a_quick_decider(run: Run) -> None:
    """Thousands of requests in one go, each answered at once, give as many replies in order."""

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for)) as world:
            client = await world.connect()
            sending = asyncio.ensure_future(client.send(b"".join(to(str(number)) for number in range(5_000))))
            for number in range(5_000):
                assert await client.reply() == reply_for(str(number))
            await sending

    run(scenario())


def test_idle_connections_beside_busy_ones(run: Run) -> None:
    """Hundreds of idle connections stay open and do not disturb the busy ones."""

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for)) as world:
            idle = [await world.connect() for _ in range(400)]
            busy = [await world.connect() for _ in range(20)]
            for turn in range(10):
                replies = await asyncio.gather(*(one.ask(to(f"{turn}.{who}")) for who, one in enumerate(busy)))
                assert replies == [reply_for(f"{turn}.{who}") for who in range(20)]
            assert world.server.connections == 420
            assert [await one.ask(to("late")) for one in idle] == [reply_for("late")] * 400

    run(scenario())


def test_malformed_closes_one_connection(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Malformed input closes that connection with one warning and harms no other."""

    async def scenario() -> None:
        decider = HeldDecider(verdict_for)
        async with serving(decider) as world:
            good, bad = await world.connect(), await world.connect()
            await bad.send(b"GET / HTTP/1.1\n\n")
            assert await bad.rest() == b""
            assert await good.ask(to("a")) == reply_for("a")
            await decider.until(lambda: decider.closes == [True])

    run(scenario())
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"closed a connection from {LOCAL_HOST} (pid ")
    assert "GET / HTTP/1.1" in warnings[0]


def test_malformed_after_good(run: Run) -> None:
    """What was asked properly before the malformed input is answered."""

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for), tcp=True) as world:
            client = await world.connect()
            await client.send(to("a") + b"junk\n\n" + to("b"))
            assert await client.rest() == reply_for("a")

    run(scenario())


def test_too_much_at_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A request without an end closes the connection before it fills the memory."""

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for), tcp=True) as world:
            client = await world.connect()
            client.writer.write(b"x" * 2_000_000)
            assert await client.rest() == b""

    run(scenario())
    assert ["longer than 65536 bytes" in record.getMessage() for record in caplog.records] == [True]


def test_no_answer_possible(run: Run) -> None:
    """Where no answer is possible the connection is closed without one, and that close is ours."""

    async def scenario() -> None:
        decider = HeldDecider(lambda _: None)
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a") + to("b"))
            assert await client.rest() == b""
            await decider.until(lambda: decider.closes == [True])
            assert len(decider.asked) == 1

    run(scenario())


def test_failing_decider(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """An error of our own closes that connection without an answer, with the traceback in the log."""

    def fail(found: PolicyRequest) -> Verdict:
        if found.recipient == "bad":
            raise LookupError("our mistake")
        return ACCEPT

    async def scenario() -> None:
        decider = HeldDecider(fail)
        async with serving(decider) as world:
            good, bad = await world.connect(), await world.connect()
            await bad.send(to("bad"))
            assert await bad.rest() == b""
            assert await good.ask(to("good")) == DUNNO
            await decider.until(lambda: decider.closes == [True])

    run(scenario())
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_second_answer_is_dropped(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A second answer to one request reaches nobody, neither before nor after the next request."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a"))
            await decider.until(lambda: len(decider.asked) == 1)
            decider.respond(0)
            decider.respond(0)
            await client.send(to("b"))
            await decider.until(lambda: len(decider.asked) == 2)
            decider.respond(0)
            decider.respond(1)
            assert [await client.reply(), await client.reply()] == [reply_for("a"), reply_for("b")]

    run(scenario())
    assert ["second answer" in record.getMessage() for record in caplog.records] == [True, True]


def test_late_answer_reaches_nobody(run: Run) -> None:
    """An answer for a client that has gone is dropped; the next connection hears only its own."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider, tcp=True) as world:
            reset = struct.pack("ii", 1, 0)
            gone = await world.connect()
            await gone.send(to("gone"))
            await decider.until(lambda: len(decider.asked) == 1)
            gone.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            gone.writer.transport.abort()
            await decider.until(lambda: decider.closes == [False])
            client = await world.connect()
            await client.send(to("here"))
            await decider.until(lambda: len(decider.asked) == 2)
            decider.respond(0)
            decider.respond(1)
            assert await client.reply() == reply_for("here")

    run(scenario())


def test_half_closed_client(run: Run) -> None:
    """A client that ends its side still hears the answers to all that it asked; the end is its own."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a") + to("b"))
            client.writer.write_eof()
            await decider.until(lambda: len(decider.asked) == 1)
            decider.respond(0)
            await decider.until(lambda: len(decider.asked) == 2)
            decider.respond(1)
            assert await client.rest() == reply_for("a") + reply_for("b")
            await decider.until(lambda: decider.closes == [False])

    run(scenario())


def test_part_of_a_request(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle of a request leaves no trace."""

    async def scenario() -> None:
        decider = HeldDecider()
        async with serving(decider) as world:
            client = await world.connect()
            await client.send(to("a")[:100])
            await client.close()
            await decider.until(lambda: decider.closes == [False])
            assert (decider.asked, world.server.connections) == ([], 0)

    run(scenario())
    assert caplog.records == []
