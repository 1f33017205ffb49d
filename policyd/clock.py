"""Where time comes from: the one thing of the world that tests replace.

The installed command always runs on SystemClock and has no way to set time. What is decided here is
decided by the store's time, as the script decides: a clock of the host that jumps changes nothing.
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
    """The time of the store, timers, and whether the store counts by its own time."""

    def now(self) -> int:
        """Return milliseconds since the epoch, UTC."""

    def follow(self, store_time: int) -> None:
        """Go on from what time the store says it is."""

    def store_now(self) -> int:
        """Return the time that the store counts by, or 0 when that is its own."""

    def call_later(self, delay: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` in ``delay`` ms on the running loop."""


class SystemClock:
    """The time of Redis, as the last answer told it, and what has passed since by a clock that nobody sets.

    Until the first answer it is the host's time when the daemon began.
    """

    def __init__(self) -> None:
        self._ahead = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Return milliseconds since the epoch, UTC."""
        return (time.monotonic_ns() + self._ahead) // 1_000_000

    def follow(self, store_time: int) -> None:
        """Go on from what time the store says it is."""
        self._ahead = store_time * 1_000_000 - time.monotonic_ns()

    def store_now(self) -> int:
        """Return 0: Redis has a clock of its own, shared by all daemons."""
        return 0

    def call_later(self, delay: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` in ``delay`` ms on the running loop."""
        return asyncio.get_running_loop().call_later(delay / 1000, callback)
