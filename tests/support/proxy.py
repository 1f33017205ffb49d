"""A proxy between policyd and Redis that can lose one reply, hold or delay all of them, or hang up."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event

from tests.support.loop import LoopThread

_CHUNK = 65_536


class Proxy:
    """Listens on a unix socket and passes on to another one.

    Connections are passed byte for byte; replies are told from each other by the pauses between
    them, so ``swallow`` suits a client that asks one thing at a time.
    """

    def __init__(self, upstream: Path) -> None:
        self.upstream = upstream
        self.swallowed = Event()
        """Set when the reply that ``swallow`` waited for has been lost."""
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self.asked = 0
        """How many pieces of requests have come."""
        self.delay = 0.0
        """How long each reply is kept back, in seconds."""
        self.hangs_up_at = b""
        """A connection is closed when a request contains these bytes."""
        self._wanted = b""
        self._losing = False
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def socket(self) -> Path:
        """The path of the unix socket to connect to."""
        return Path(self._directory.name) / "proxy.sock"

    @property
    def url(self) -> str:
        """The proxy as ``store.url`` names it."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread = LoopThread("proxy")
        self._passing = self._thread.run(_opened())
        self._server = self._thread.run(asyncio.start_unix_server(self._serve, self.socket))

    def stop(self) -> None:
        """Hang up, close the socket and end the thread."""
        self._call(self._server.close)
        self.drop()
        self._thread.close()
        self._directory.cleanup()

    def swallow(self, containing: bytes) -> None:
        """Lose the reply to the next request that contains these bytes; Redis does carry it out."""
        self.swallowed.clear()
        self._wanted = containing

    def hold(self) -> None:
        """Keep replies back from now on."""
        self._call(self._passing.clear)

    def release(self) -> None:
        """Let replies through again, those that were kept back first."""
        self._call(self._passing.set)

    def drop(self) -> None:
        """Close all connections; new ones are accepted."""
        self._call(self._close_all)

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._thread.run(call())

    def _close_all(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self.upstream)
        except OSError:
            writer.close()
            return
        self._writers.add(up_writer)
        ways = self._requests(reader, up_writer), self._replies(up_reader, writer)
        try:
            await asyncio.gather(*ways)
        except (OSError, asyncio.CancelledError):
            writer.close()
            up_writer.close()
        self._writers -= {writer, up_writer}

    async def _requests(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            self.asked += 1
            if self.hangs_up_at and self.hangs_up_at in chunk:
                break
            if self._wanted and self._wanted in chunk:
                self._wanted, self._losing = b"", True
            upstream.write(chunk)
            await upstream.drain()
        upstream.close()

    async def _replies(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await upstream.read(_CHUNK):
            if self._losing:
                self._losing = False
                self.swallowed.set()
                continue
            await self._passing.wait()
            await asyncio.sleep(self.delay)
            writer.write(chunk)
            await writer.drain()
        writer.close()


async def _opened() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
