"""Where time comes from: the one thing of the world that tests replace.

The installed command always runs on SystemClock and has no way to set time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A callback that was asked for later."""

    def cancel(self) -> None:
        """Forget the callback."""


class Clock(Protocol):
    """Wall time, timers, and whether the store counts by its own time."""

    def now(self) -> int:
        """Return milliseconds since the epoch, UTC."""

    def store_now(self) -> int:
        """Return the time that the store counts by, or 0 when that is its own."""

    def call_later(self, delay: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` in ``delay`` ms on the running loop."""


class SystemClock:
    """The clock of the machine; counters follow the TIME of Redis."""

    def now(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def store_now(self) -> int:
        """Return 0: Redis has a clock of its own, shared by all daemons."""
        return 0

    def call_later(self, delay: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` in ``delay`` ms on the running loop."""
        return asyncio.get_running_loop().call_later(delay / 1000, callback)
