"""Many calls in one go, each at a moment that is named: for a private store, where nobody else waits."""

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hiredis

from policyd.errors import StoreUnavailable
from policyd.model import Outcome
from policyd.store.base import Call
from policyd.store.script import Script, decode, encode

_BLOCK = 1 << 18
_SEED = b"batch"


class Dated(NamedTuple):
    """A call, and when it is made, in ms since the epoch."""

    call: Call
    at: int


class Batch:
    """A connection on which calls are sent in batches; the next may be sent before the last is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stream, self._writer, self._replies = reader, writer, hiredis.Reader()
        self._script = Script()
        self._sent: deque[Sequence[Dated]] = deque()

    @classmethod
    async def opened(cls, socket: Path) -> "Batch":
        """Return one on an empty store. What is counted in it is not kept. Raises StoreUnavailable."""
        try:
            batch = cls(*await asyncio.open_unix_connection(socket))
        except OSError as error:
            raise StoreUnavailable("connect", str(error)) from error
        await batch._ask("CONFIG", "SET", "appendonly", "no")
        await batch._ask("SCRIPT", "LOAD", batch._script.text)
        await batch.clear()
        return batch

    async def clear(self) -> None:
        """Empty the store."""
        await self._ask("FLUSHALL")

    def send(self, calls: Sequence[Dated]) -> None:
        """Send calls, in order."""
        words = ((b"EVALSHA", self._script.sha, *encode(one.call, one.at, 0, _SEED)) for one in calls)
        self._writer.write(b"".join(hiredis.pack_command(command) for command in words))  # type: ignore[arg-type]
        self._sent.append(calls)

    async def receive(self) -> list[Outcome]:
        """Return the outcomes of the calls that were sent first and not received yet. Raises StoreUnavailable."""
        return [decode(one.call, await self._reply()) for one in self._sent.popleft()]

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        await self._writer.wait_closed()

    async def _ask(self, *command: str | bytes) -> None:
        self._writer.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub knows no variadic tuple
        await self._reply()

    async def _reply(self) -> Any:  # noqa: ANN401  # as many types as Redis has replies
        while (reply := self._replies.gets()) is False:
            data = await self._stream.read(_BLOCK)
            if not data:
                raise StoreUnavailable("batch", "the connection to Redis is lost")
            self._replies.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise StoreUnavailable("batch", str(reply))
        return reply
