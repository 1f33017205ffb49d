"""The Postfix server among clients that send anything."""

import random
from contextlib import suppress

from policyd.errors import ProtocolError
from policyd.wire.postfix import PolicyConnection, action_for, encode_reply
from tests.server.conftest import Run
from tests.support.policy import request
from tests.support.policyserver import HeldDecider, reply_for, serving, verdict_for


def noise(source: random.Random) -> bytes:
    """Return a few requests, some of them damaged."""
    data = bytearray(b"".join(request(recipient=f"r{number}") for number in range(source.randrange(1, 4))))
    for _ in range(source.choice([0, 1, 1, 5])):
        place = source.randrange(len(data))
        what = source.choice(["change", "drop", "add"])
        if what == "change":
            data[place] = source.randrange(256)
        elif what == "drop":
            del data[place : place + source.randrange(1, 80)]
        else:
            data[place:place] = source.choice([b"\n", b"\n\n", b"=", b"\0", b"\r\n\r\n", source.randbytes(20)])
    return bytes(data)


def expected(data: bytes) -> tuple[bytes, bool]:
    """Return the replies to the whole requests before the first error, and whether there is none."""
    connection, replies = PolicyConnection(), b""
    connection.receive(data)
    try:
        while (found := connection.next_request()) is not None:
            replies += encode_reply(action_for(verdict_for(found)))
    except ProtocolError:
        return replies, False
    return replies, True


def test_damaged_requests(run: Run) -> None:
    """Clients that send damaged requests in pieces hear what is due, and a good client hears all of its own.

    Where a connection is closed on unread input, the kernel may throw away replies on their way.
    """
    source = random.Random(7)

    async def scenario() -> None:
        async with serving(HeldDecider(verdict_for)) as world:
            good = await world.connect()
            for turn in range(150):
                data, bad = noise(source), await world.connect()
                due, sound = expected(data)
                cut = source.randrange(len(data) + 1)
                bad.writer.write(data[:cut])
                assert await good.ask(request(recipient=f"good{turn}")) == reply_for(f"good{turn}")
                with suppress(ConnectionError, RuntimeError):
                    await bad.send(data[cut:])
                    bad.writer.write_eof()
                heard = await bad.rest()
                assert heard == due if sound else due.startswith(heard)

    run(scenario())
