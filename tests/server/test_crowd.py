"""More connections to the Postfix server than it takes."""

import os

import pytest

from tests.server.conftest import Run
from tests.support.policy import request
from tests.support.policyserver import HeldDecider, reply_for, serving, verdict_for

MOST = 5
MINE = f"pid {os.getpid()} of uid {os.getuid()}"


def to(recipient: str) -> bytes:
    """Return a request about one recipient."""
    return request(recipient=recipient)


@pytest.mark.parametrize("sent", [b"", to("half")[:-1], b"x" * 1000], ids=["nothing", "half a request", "a long line"])
def test_who_asks_nothing_makes_room(run: Run, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Of too many the oldest without a request is closed; who has asked stays, and who comes is answered."""

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for), most=MOST) as world:
            early = await world.connect()
            assert await early.ask(to("a")) == reply_for("a")
            silent = [await world.connect() for _ in range(4 * MOST)]
            for client in silent[-MOST + 1 :]:
                await client.send(sent)
            late = await world.connect()
            assert await late.ask(to("b")) == reply_for("b")
            assert await early.ask(to("c")) == reply_for("c")
            assert [await client.rest() for client in silent[: 3 * MOST]] == [b""] * 3 * MOST
            assert world.server.connections == MOST
            assert world.closed == ["postfix"] * (4 * MOST + 2 - MOST)

    run(scenario())
    which = f"the oldest that has asked nothing, from {MINE}"
    assert caplog.messages == [f"listen.postfix has {MOST} connections, the most that it takes: closed {which}"]


def test_over_tcp_the_line_has_the_address(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Whose connection was closed is known by its address and port."""
    closed: list[str] = []

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for), tcp=True, most=1) as world:
            silent = await world.connect()
            address, port = silent.writer.get_extra_info("sockname")
            closed.append(f"{address} port {port}")
            assert await (await world.connect()).ask(to("a")) == reply_for("a")

    run(scenario())
    which = f"the oldest that has asked nothing, from {closed[0]}"
    assert caplog.messages == [f"listen.postfix has 1 connections, the most that it takes: closed {which}"]


def test_when_all_have_asked_the_new_one_goes(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """No smtpd loses its connection to a newcomer; when one goes there is room again."""

    async def scenario() -> None:
        decider = HeldDecider(verdict_for)
        async with serving(decider, most=MOST) as world:
            clients = [await world.connect() for _ in range(MOST)]
            for client in clients:
                await client.ask(to("a"))
            assert await (await world.connect()).rest() == b""
            assert {await client.ask(to("b")) for client in clients} == {reply_for("b")}
            await clients[0].close()
            await decider.until(lambda: world.server.connections == MOST - 1)
            assert await (await world.connect()).ask(to("c")) == reply_for("c")

    run(scenario())
    which = f"the new one, from {MINE}"
    assert caplog.messages == [f"listen.postfix has {MOST} connections, the most that it takes: closed {which}"]
