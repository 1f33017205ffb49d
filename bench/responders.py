"""Two policy services that decide nothing: what bench/load costs by itself, and the limit of Python.

    python bench/responders.py nothing|dict unix:/path|host:port

``nothing`` finds the blank line and answers, ``dict`` parses all attributes before it answers.
Both answer DUNNO until they are told to end.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import cast

import uvloop

ANSWER = b"action=DUNNO\n\n"


class Responder(asyncio.Protocol):
    """One connection: gives each whole request to ``read`` and answers DUNNO."""

    def __init__(self, read: Callable[[bytes], object]) -> None:
        self._read = read
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        assert self._transport is not None
        self._data += data
        while (end := self._data.find(b"\n\n")) >= 0:
            self._read(self._data[:end])
            self._data = self._data[end + 2 :]
            self._transport.write(ANSWER)


def read_nothing(_request: bytes) -> None:
    """Look at nothing."""


def read_dict(request: bytes) -> dict[str, str]:
    """Return all attributes as text."""
    text = request.decode("utf-8", "surrogateescape")
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, _, value in pairs}


READERS: dict[str, Callable[[bytes], object]] = {"nothing": read_nothing, "dict": read_dict}


async def serve(kind: str, endpoint: str) -> None:
    """Serve until the task is cancelled; prints where, once it listens."""
    loop = asyncio.get_running_loop()
    read = READERS[kind]
    if endpoint.startswith("unix:"):
        server = await loop.create_unix_server(lambda: Responder(read), endpoint.removeprefix("unix:"))
    else:
        host, _, port = endpoint.rpartition(":")
        server = await loop.create_server(lambda: Responder(read), host.strip("[]"), int(port))
    where = endpoint if endpoint.startswith("unix:") else "{}:{}".format(*server.sockets[0].getsockname()[:2])
    print(where, flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run one responder."""
    if len(sys.argv) != 3 or sys.argv[1] not in READERS:
        sys.exit(__doc__)
    uvloop.run(serve(sys.argv[1], sys.argv[2]))


if __name__ == "__main__":
    main()
