"""Delivers one after the other, in the background, and tries again what was not taken."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from policyd.errors import NoticeError
from policyd.notices.metrics import NoticeMetrics, Way

PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0)
"""Seconds before each further try."""

WAITING = 1_000
"""What may wait; more is given up."""

_log = logging.getLogger("policyd.notices")

T = TypeVar("T")


class Outbox(Generic[T]):
    """What waits to go one way. ``deliver`` raises NoticeError."""

    def __init__(
        self, way: Way, deliver: Callable[[T], Awaitable[None]], metrics: NoticeMetrics, pauses: Sequence[float]
    ) -> None:
        self._way, self._deliver, self._metrics, self._pauses = way, deliver, metrics, pauses
        self._ready: asyncio.Queue[tuple[T, int]] = asyncio.Queue()
        self._waiting = 0

    def put(self, item: T) -> None:
        """Have it delivered when its turn comes."""
        if self._waiting >= WAITING:
            self._metrics.failed(self._way)
            return
        self._waiting += 1
        self._ready.put_nowait((item, 0))

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            item, tries = await self._ready.get()
            try:
                await self._deliver(item)
            except NoticeError as error:
                self._again(item, tries, error)
            else:
                self._waiting -= 1
                self._metrics.sent(self._way)

    def _again(self, item: T, tries: int, error: NoticeError) -> None:
        if error.for_good or tries >= len(self._pauses):
            self._waiting -= 1
            self._metrics.failed(self._way)
            _log.error("a notice by %s was given up: %s", self._way, error)
            return
        pause = self._pauses[tries]
        asyncio.get_running_loop().call_later(pause, self._ready.put_nowait, (item, tries + 1))
